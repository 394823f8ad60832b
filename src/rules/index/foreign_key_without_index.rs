use crate::advice::index_ddl::{NewIndex, in_sqlalchemy};
use crate::advice::index_size;
use crate::facts::{Catalog, Facts, ForeignKey, Index, Name, Namer, Table, same_columns};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, listing};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "foreign_key_without_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "No valid, ready index leads with the key's columns, in any order, in a type that serves equality (btree, or \
                hash for one column) with operator class and collation of the key, and with a predicate that is absent or \
                implied by the columns being not null. On a partitioned table every partition must have such an index. Silent \
                while such an index may be being built.",
    effect: "Each row deleted from the parent, or whose key is updated, reads the whole child table, with the parent row \
             locked. Joins from parent to child read it too.",
    workaround: "Create the index concurrently. A child that stays small, or a parent whose rows are never deleted, can do \
                 without: suppress the finding.",
    sources: &[
        "https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK",
        "https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY",
    ],
    options: &[
        OptionSpec::bytes("small_bytes", Bytes::MIB, "A smaller child is of severity low."),
        OptionSpec::bytes(
            "large_bytes",
            100 * Bytes::MIB,
            "From here on, a child whose parent has had deletes is of severity high; from ten times this, critical when the \
             key cascades.",
        ),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::RelationNames],
    cases: &[
        Case {
            name: "a child without any index",
            setup: "create table parent (id bigint primary key); create table child (id bigint primary key, parent_id bigint \
                    references parent)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the columns lead an index in another order",
            setup: "create table parent (a int, b int, primary key (a, b)); create table child (id int primary key, a int, b \
                    int, c int, foreign key (a, b) references parent); create index on child (b, a, c)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the columns are only INCLUDE columns, or not leading",
            setup: "create table parent (id int primary key, b int unique); create table child (id int primary key, parent_id \
                    int references parent, b int references parent (b)); create index on child (id) include (parent_id); \
                    create index on child (id, b)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "a predicate that not-null columns imply covers, another does not",
            setup: "create table parent (id int primary key); create table covered (id int primary key, parent_id int \
                    references parent); create index on covered (parent_id) where parent_id is not null; create table bare \
                    (id int primary key, parent_id int references parent); create index on bare (parent_id) where id > 5",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a hash index covers one column; gin and brin cover none",
            setup: "create table parent (id int primary key); create table hashed (id int primary key, parent_id int \
                    references parent); create index on hashed using hash (parent_id); create table ranged (id int primary \
                    key, parent_id int references parent); create index on ranged using brin (parent_id)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "some leading columns are covered: the new index begins with them",
            setup: "create table parent (a int, b int, primary key (a, b)); create table child (id int primary key, a int, b \
                    int, foreign key (a, b) references parent); create index child_b on child (b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a self-reference counts",
            setup: "create table node (id int primary key, above int references node)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "two keys on the same columns are one finding",
            setup: "create table a (id int primary key); create table b (id int primary key); create table child (id int \
                    primary key, ref int references a, foreign key (ref) references b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a partitioned child is one finding, and an index that a partition has is attached",
            setup: "create table parent (id int primary key); create table child (id int, at int, parent_id int references \
                    parent) partition by range (at); create table child_1 partition of child for values from (0) to (10); \
                    create table child_2 partition of child for values from (10) to (20) partition by range (at); create \
                    table child_2_a partition of child_2 for values from (10) to (15); create index on child_1 (parent_id)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "every partition has an index of its own",
            setup: "create table parent (id int primary key); create table child (at int, parent_id int references parent) \
                    partition by range (at); create table child_1 partition of child for values from (0) to (10); create \
                    index on child_1 (parent_id)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "an invalid index on the columns is to be repaired: no second one",
            setup: "create table parent (id int primary key); create table child (at int, parent_id int references parent) \
                    partition by range (at); create table child_1 partition of child for values from (0) to (10); create \
                    index child_parent_id_idx on only child (parent_id)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one index serves a key and another that begins with its columns",
            setup: "create table one (a int primary key); create table two (a int, b int, primary key (a, b)); create table child \
                    (id int primary key, a int references one, b int, foreign key (a, b) references two)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "IS NOT NULL of a row type says more than not null",
            setup: "create type pair as (a int, b int); create table parent (id pair primary key); create table child (id int \
                    primary key, p pair references parent); create index on child (p) where p is not null",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "names with quotes, spaces, dots and 63 bytes",
            setup: "create table \"Eltern.tabelle \"\"x\"\"\" (\"Größe\" int primary key); create table \
                    \"Kind_mit_einem_sehr_langen_Namen_der_genau_63_Bytes_lang_ist_xy\" (id int primary key, \"Größe der \
                    Eltern\" int references \"Eltern.tabelle \"\"x\"\"\")",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "types that share the operators of another",
            setup: "create table net (id cidr primary key); create table host (id int primary key, net cidr references net); \
                    create table kind (id regclass primary key); create table thing (id int primary key, kind regclass \
                    references kind); create type mood as enum ('good', 'bad'); create table moods (id mood primary key); \
                    create table day (id int primary key, mood mood references moods); create table spans (id int4multirange \
                    primary key); create table spanned (id int primary key, span int4multirange references spans)",
            finds: 4,
            fix_clears: true,
        },
        Case {
            name: "types so different that no index on the child can help",
            setup: "create table parent (id numeric primary key); create table child (id int primary key, parent_id int \
                    references parent)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let lacking = |key: &&ForeignKey| {
        catalog.table(key.child).is_maintained() && !catalog.is_covered(key) && catalog.can_be_covered(key)
    };
    let mut children: BTreeMap<u32, BTreeMap<Vec<i16>, Vec<&ForeignKey>>> = BTreeMap::new();
    for key in catalog.foreign_keys().filter(lacking) {
        let mut columns = key.child_columns.clone();
        columns.sort_unstable();
        children.entry(key.child).or_default().entry(columns).or_default().push(key);
    }
    let mut findings = Vec::new();
    for groups in children.into_values() {
        let missing: Vec<_> = groups.into_values().map(|keys| Missing::of(catalog, keys)).collect();
        for one in missing.iter().filter(|one| !one.unfinished.is_some_and(|index| index.may_be_building)) {
            findings.push(finding(facts, options, &mut namer, one, one.wider(&missing)));
        }
    }
    Ok(findings)
}

/// Foreign keys on the same columns of one child.
struct Missing<'a> {
    keys: Vec<&'a ForeignKey>,
    partial: Option<PartialCover<'a>>,
    /// The columns in the order of the index to create.
    columns: Vec<i16>,
    /// It would cover the keys if it were valid.
    unfinished: Option<&'a Index>,
}

impl<'a> Missing<'a> {
    fn of(catalog: &'a Catalog, keys: Vec<&'a ForeignKey>) -> Missing<'a> {
        let child = catalog.table(keys[0].child);
        let partial = PartialCover::best(child, &keys[0].child_columns);
        let columns = column_order(child, &keys[0].child_columns, partial.as_ref());
        let unfinished = catalog.unfinished_cover(keys[0]);
        Missing { keys, partial, columns, unfinished }
    }

    /// Another of the child's whose new index begins with these columns, and is not spared by a third in turn.
    fn wider<'m>(&self, all: &'m [Missing<'a>]) -> Option<&'m Missing<'a>> {
        all.iter().find(|other| {
            other.unfinished.is_none()
                && other.columns.len() > self.columns.len()
                && other.columns[..self.columns.len()].iter().all(|column| self.columns.contains(column))
                && other.wider(all).is_none()
        })
    }
}

fn finding(facts: &Facts, options: &Options, namer: &mut Namer, missing: &Missing, wider: Option<&Missing>) -> Finding {
    let Missing { keys, partial, columns: numbers, unfinished } = missing;
    let catalog = facts.catalog();
    let child = catalog.table(keys[0].child);
    let index_bytes = index_size::estimate(catalog, facts.column_statistics(), child, numbers);
    let solution = match (unfinished, wider) {
        (Some(index), _) => Solution::unfinished(child, index),
        (None, Some(wider)) => {
            let columns = child.columns_of(&wider.keys[0].child_columns);
            let cause =
                format!(" The index that the finding on {columns} creates begins with these columns and serves both.");
            Solution::elsewhere(cause)
        }
        (None, None) => Solution::create(catalog, namer, child, numbers),
    };
    let deletes = keys.iter().map(|key| catalog.total(catalog.table(key.parent), |t| t.statistics.deletes)).sum();
    let (bytes, rows) = (catalog.bytes(child), catalog.rows(child));
    let read = read_without(facts, child, bytes, partial.as_ref());
    let object = child.columns_of(&keys[0].child_columns);
    let names: Vec<_> = keys.iter().map(|key| &key.name).collect();
    let size = rows.map_or(format!("{bytes}, never analyzed"), |rows| format!("{} in {bytes}", rows.of("row")));
    Finding {
        severity: judge(options, bytes, deletes, keys),
        weight: bytes.0,
        summary: format!("Foreign key {} on {object} has no index: {size}", listing(&names)),
        cause: cause(catalog, child, keys, deletes, partial.as_ref()) + &solution.cause,
        evidence: object! {
            "child": child.name.to_string(),
            "columns": numbers.iter().filter_map(|number| child.column(*number)).map(|c| c.name.raw()).collect::<Vec<_>>(),
            "child_bytes": bytes,
            "child_rows": rows,
            "child_sequential_scans": catalog.total(child, |leaf| leaf.statistics.sequential_scans),
            "foreign_keys": keys.iter().map(|key| evidence(catalog, key)).collect::<Vec<_>>(),
            "partial_cover": partial.as_ref().map(|cover| child.index_name(cover.index).to_string()),
            "index_bytes": index_bytes,
        },
        impact: object! {
            "parent_delete_read_bytes": change((read, "estimated"), (descent(index_bytes).min(read), "estimated")),
            "disk_bytes": change((0, "measured"), (index_bytes, "estimated")),
        },
        fix_sql: solution.fix_sql,
        app_fix: solution.app_fix,
        risk: format!("{} {}", disk(index_bytes), solution.risk),
        rollback: solution.rollback,
        verify_sql: solution.verify_sql,
        object,
    }
}

/// How the key comes by its index.
pub struct Solution {
    pub cause: String,
    pub fix_sql: Option<String>,
    pub app_fix: Option<String>,
    pub risk: String,
    pub rollback: Rollback,
    pub verify_sql: Option<String>,
}

/// For a key without an index. None: no index of the child could serve it.
pub fn solution(catalog: &Catalog, namer: &mut Namer, key: &ForeignKey) -> Option<Solution> {
    if !catalog.can_be_covered(key) {
        return None;
    }
    let missing = Missing::of(catalog, vec![key]);
    let child = catalog.table(key.child);
    Some(match missing.unfinished {
        Some(index) => Solution::unfinished(child, index),
        None => Solution::create(catalog, namer, child, &missing.columns),
    })
}

impl Solution {
    fn create(catalog: &Catalog, namer: &mut Namer, child: &Table, numbers: &[i16]) -> Solution {
        let columns: Vec<&Name> = numbers.iter().filter_map(|number| child.column(*number)).map(|c| &c.name).collect();
        let specification = format!("USING btree ({})", child.column_names(numbers).join(", "));
        let new = NewIndex { unique: false, specification, columns: columns.clone() };
        let creation = new.creation(catalog, namer, child, |partition, index| {
            same_columns(child, numbers, partition)
                .is_some_and(|columns| is_default_btree(catalog, partition, index, &columns))
        });
        Solution {
            cause: String::new(),
            app_fix: Some(in_sqlalchemy(&creation.name, child, &columns)),
            fix_sql: Some(creation.fix_sql),
            risk: creation.risk,
            rollback: Rollback::Sql(creation.rollback_sql),
            verify_sql: Some(creation.verify_sql),
        }
    }

    fn unfinished(child: &Table, index: &Index) -> Solution {
        let name = child.index_name(index);
        Solution::elsewhere(format!(" {name} would serve, but is invalid: invalid_index says what to do."))
    }

    /// Something else in the same report gives it one.
    fn elsewhere(cause: String) -> Solution {
        Solution {
            cause,
            fix_sql: None,
            app_fix: None,
            risk: "That of the other finding.".to_string(),
            rollback: Rollback::None,
            verify_sql: None,
        }
    }
}

fn judge(options: &Options, child: Bytes, deletes: Count, keys: &[&ForeignKey]) -> Severity {
    let (small, large) = (options.bytes("small_bytes"), options.bytes("large_bytes"));
    let writes = keys.iter().any(|key| key.on_delete.writes());
    match child.0 {
        bytes if bytes < small => Severity::low,
        bytes if bytes < large || deletes.0 == 0 => Severity::medium,
        bytes if writes && bytes >= large.saturating_mul(10) => Severity::critical,
        _ => Severity::high,
    }
}

fn cause(
    catalog: &Catalog,
    child: &Table,
    keys: &[&ForeignKey],
    deletes: Count,
    partial: Option<&PartialCover>,
) -> String {
    let actions: Vec<_> = keys
        .iter()
        .map(|key| format!("{} ON DELETE {} ON UPDATE {}", key.name, key.on_delete.sql(), key.on_update.sql()))
        .collect();
    let parents: Vec<_> = keys.iter().map(|key| catalog.table(key.parent).name.to_string()).collect();
    let seen = match deletes.0 {
        0 => "statistics have seen no delete there yet".to_string(),
        _ => format!("statistics have seen {}", deletes.of("delete")),
    };
    let how = match partial {
        None => format!("by reading all of {}", child.name),
        Some(cover) => format!(
            "through {}, which knows only {}, and reads every row that agrees in that",
            child.index_name(cover.index),
            listing(&child.column_names(&cover.columns)),
        ),
    };
    let mut cause = format!(
        "Postgres indexes the parent's side of a foreign key, never the child's. When a row of {} goes or its key changes, \
         the server looks up its children {how} ({}); {seen}.",
        listing(&parents),
        actions.join("; "),
    );
    if let Some(cover) = partial.filter(|cover| cover.is_whole()) {
        cause += &format!(
            " The new index begins as {} does, so that redundant_index can retire that one where nothing else needs it.",
            child.index_name(cover.index)
        );
    }
    let columns = &keys[0].child_columns;
    let has_columns = |index: &&Index| {
        index.predicate.is_some() && index.key_attributes().take(columns.len()).all(|key| columns.contains(&key))
    };
    if let Some(index) = child.indexes.iter().find(has_columns) {
        cause += &format!(
            " {} does not serve: its predicate {} leaves rows out.",
            child.index_name(index),
            index.predicate.as_deref().unwrap_or_default()
        );
    }
    cause
}

fn evidence(catalog: &Catalog, key: &ForeignKey) -> Value {
    let parent = catalog.table(key.parent);
    json!({
        "constraint_name": key.name.raw(),
        "parent": parent.name.to_string(),
        "on_delete": key.on_delete.sql(),
        "on_update": key.on_update.sql(),
        "parent_bytes": catalog.bytes(parent),
        "parent_rows": catalog.rows(parent),
        "parent_deletes": catalog.total(parent, |leaf| leaf.statistics.deletes),
        "parent_updates": catalog.total(parent, |leaf| leaf.statistics.updates),
    })
}

/// What finds the rows of a key without an index on all its columns.
pub struct Narrowed {
    pub index: String,
    /// Quoted.
    pub columns: Vec<String>,
    /// Rows of the child that agree in these columns. None: not known.
    pub rows: Option<f64>,
}

/// None: no index leads with any of its columns.
pub fn narrowed(facts: &Facts, key: &ForeignKey) -> Option<Narrowed> {
    let child = facts.catalog().table(key.child);
    let cover = PartialCover::best(child, &key.child_columns)?;
    let rows = facts.catalog().rows(child).map(|rows| rows.0 as f64);
    let agree = rows.and_then(|rows| {
        let distinct =
            |column: &i16| facts.column_statistics().of(child.oid, *column).map(|known| known.distinct(rows).max(1.0));
        Some(rows / cover.columns.iter().map(distinct).product::<Option<f64>>()?)
    });
    Some(Narrowed {
        index: child.index_name(cover.index).to_string(),
        columns: child.column_names(&cover.columns),
        rows: agree,
    })
}

/// An index that leads with some of the key's columns.
struct PartialCover<'a> {
    index: &'a Index,
    columns: Vec<i16>,
}

impl<'a> PartialCover<'a> {
    /// The usable plain btree that leads with the most of the columns; of several, one that has no others.
    fn best(child: &'a Table, columns: &[i16]) -> Option<PartialCover<'a>> {
        child
            .indexes
            .iter()
            .filter(|index| index.is_usable() && index.is_plain() && &*index.method == "btree")
            .map(|index| {
                let leading = index.key_attributes().take_while(|key| columns.contains(key)).collect();
                PartialCover { index, columns: leading }
            })
            .filter(|cover| !cover.columns.is_empty())
            .max_by_key(|cover| (cover.columns.len(), cover.is_whole()))
    }

    /// The index has no other key columns.
    fn is_whole(&self) -> bool {
        self.columns.len() == self.index.keys.len()
    }
}

/// The key's columns, those first that an existing index consists of.
fn column_order(child: &Table, columns: &[i16], partial: Option<&PartialCover>) -> Vec<i16> {
    let mut ordered = partial.filter(|cover| cover.is_whole()).map(|cover| cover.columns.clone()).unwrap_or_default();
    let rest: Vec<i16> = columns.iter().copied().filter(|column| !ordered.contains(column)).collect();
    ordered.extend(rest);
    ordered.retain(|column| child.column(*column).is_some());
    ordered
}

/// What one lookup reads now: the whole child, or the part that agrees in the columns of the partial cover, taken as independent.
fn read_without(facts: &Facts, child: &Table, bytes: Bytes, partial: Option<&PartialCover>) -> Bytes {
    let Some(cover) = partial else { return bytes };
    let rows = facts.catalog().rows(child).map_or(1.0, |rows| rows.0 as f64);
    let distinct =
        |column: &i16| facts.column_statistics().of(child.oid, *column).map(|known| known.distinct(rows).max(1.0));
    let groups: f64 = cover.columns.iter().filter_map(distinct).product();
    Bytes((bytes.0 as f64 / groups) as u64)
}

/// What `CREATE INDEX ON partition (columns)` would make.
fn is_default_btree(catalog: &Catalog, partition: &Table, index: &Index, columns: &[i16]) -> bool {
    &*index.method == "btree"
        && index.is_plain()
        && !index.unique
        && index.included.is_empty()
        && index.keys.len() == columns.len()
        && index.keys.iter().zip(columns).all(|(key, column)| {
            key.attribute == *column
                && key.order == 0
                && catalog.class(key.class).is_some_and(|class| class.default)
                && partition.column(*column).is_some_and(|column| column.collation == key.collation)
        })
}

/// One page on each level of the index, and one of the table.
fn descent(index: Option<Bytes>) -> Bytes {
    const KEYS_PER_PAGE: f64 = 250.0;
    let pages = index.map_or(1.0, |bytes| (bytes.0 as f64 / index_size::PAGE).max(1.0));
    let levels = 1.0 + (pages.ln() / KEYS_PER_PAGE.ln()).ceil();
    Bytes(((levels + 1.0) * index_size::PAGE) as u64)
}

fn disk(index: Option<Bytes>) -> String {
    match index {
        Some(bytes) => format!("About {bytes} of disk (estimated), and one more index to write on every insert."),
        None => {
            "One more index to write on every insert; its size is unknown, for the table was never analyzed or you \
             may not read its statistics."
                .to_string()
        }
    }
}
