use crate::advice::index_ddl::{NewIndex, Removal, verify_valid};
use crate::facts::{Catalog, Facts, Index, Namer, QualifiedName, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "invalid_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "An index is invalid or not ready, and no other session holds the lock under which indexes are built \
                concurrently. Of severity critical when it is unique and no valid index guarantees the same.",
    effect: "No query uses it, yet writes may maintain it; an invalid unique index does not guarantee that what is there is \
             unique.",
    workaround: "After a failed CREATE INDEX CONCURRENTLY rebuild it or drop it; drop what a failed REINDEX CONCURRENTLY left \
                 behind (_ccnew, _ccold); attach the missing parts of a partitioned index.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY",
        "https://www.postgresql.org/docs/17/sql-reindex.html#SQL-REINDEX-CONCURRENTLY",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames],
    cases: &[
        Case {
            name: "a failed build",
            setup: "create table t (a int, b text); insert into t values (1, 'x'); create function fail(text) returns text \
                    immutable language plpgsql as 'begin if current_setting(''fail.now'', true) = ''on'' then raise \
                    exception ''no''; end if; return $1; end'; set fail.now = on; \n-- errors expected\ncreate index \
                    concurrently t_fail_idx on t (fail(b)); reset fail.now",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a failed build whose second try succeeded",
            setup: "create table t (a int); insert into t values (1), (1); \n-- errors expected\ncreate unique index \
                    concurrently one on t (a); delete from t where ctid = '(0,2)'; create unique index two on t (a)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "duplicates stand in the way",
            setup: "create table t (a int, b int); insert into t values (1, 1), (1, 1); \n-- errors expected\ncreate unique \
                    index concurrently t_a_b_idx on t (a, b)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a partitioned index without all its parts",
            setup: "create table t (a int, b int) partition by range (a); create table t_1 partition of t for values from (0) \
                    to (10); create table t_2 partition of t for values from (10) to (20) partition by range (a); create \
                    table t_2_a partition of t_2 for values from (10) to (15); create index t_b_idx on only t (b); create index \
                    on t_1 (b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a part that lacks a part itself is taken in with its parent",
            setup: "create table t (a int, b int) partition by range (a); create table t_1 partition of t for values from (0) \
                    to (20) partition by range (a); create table t_1_a (b int, a int); alter table t_1 attach partition t_1_a \
                    for values from (0) to (10); create index t_b_idx on only t (b); create index t_1_b_idx on only t_1 (b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a foreign table among the partitions",
            setup: "create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere; create table t (a \
                    int) partition by range (a); create table t_1 partition of t for values from (0) to (10); create foreign \
                    table t_2 partition of t for values from (10) to (20) server nowhere; create index t_a_idx on only t (a); \
                    create index t_1_a_idx on t_1 (a); alter index t_a_idx attach partition t_1_a_idx",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all are valid",
            setup: "create table t (a int primary key, b int); create index on t (b)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let mut findings = Vec::new();
    for (table, index) in catalog.indexes().filter(|(_, index)| !index.is_usable() && !index.may_be_building) {
        // An invalid part is what makes its parent invalid: the parts are reported.
        let complete = || catalog.partitions(table).all(|partition| partition.part_of(index).is_some());
        if index.partitioned && !catalog.has_foreign_partitions(table) && complete() {
            continue;
        }
        if is_repaired_with_parent(catalog, table, index) {
            continue;
        }
        let name = table.index_name(index);
        let twin = valid_twin(table, index);
        let repair = repair(catalog, &mut namer, table, index, twin);
        findings.push(Finding {
            severity: if index.unique && twin.is_none() && !is_leftover(index) {
                Severity::critical
            } else {
                RULE.severity
            },
            weight: index.bytes().0,
            summary: format!("Index {name} on {} is invalid: {}", table.name, repair.why),
            cause: repair.cause,
            evidence: object! {
                "table": table.name.to_string(),
                "index_bytes": index.bytes(),
                "unique": index.unique,
                "valid": index.valid,
                "ready": index.ready,
                "valid_twin": twin.map(|twin| table.index_name(twin).to_string()),
            },
            impact: object! {},
            fix_sql: repair.fix_sql,
            app_fix: None,
            risk: repair.risk,
            // Nobody wants an invalid index back.
            rollback: Rollback::None,
            verify_sql: Some(repair.verify_sql),
            object: name.to_string(),
        });
    }
    Ok(findings)
}

/// What to do about one cause.
struct Repair {
    why: &'static str,
    cause: String,
    fix_sql: Option<String>,
    risk: String,
    verify_sql: String,
}

/// What makes an invalid index valid, or gets rid of it.
fn repair(catalog: &Catalog, namer: &mut Namer, table: &Table, index: &Index, twin: Option<&Index>) -> Repair {
    let name = table.index_name(index);
    match twin {
        _ if index.partitioned && catalog.has_foreign_partitions(table) => never_complete(&name),
        _ if index.partitioned => attach_missing(catalog, namer, table, index, &name),
        _ if index.parent.is_some() || index.constraint.is_some() => rebuild(&name),
        Some(twin) => superseded(table, index, &name, &table.index_name(twin)),
        None if is_leftover(index) => leftover(table, index, &name),
        None if index.unique => duplicates_first(table, index, &name),
        None => rebuild(&name),
    }
}

fn valid_twin<'a>(table: &'a Table, index: &Index) -> Option<&'a Index> {
    table.indexes.iter().find(|twin| twin.is_usable() && twin.same_structure(index) && stands_in(twin, index))
}

fn stands_in(twin: &Index, index: &Index) -> bool {
    !index.unique || (twin.unique && twin.nulls_not_distinct == index.nulls_not_distinct)
}

/// REINDEX CONCURRENTLY names what it has not finished like that, with a number where the name is taken.
fn is_leftover(index: &Index) -> bool {
    let name = index.name.raw().trim_end_matches(|c: char| c.is_ascii_digit());
    name.ends_with("_ccnew") || name.ends_with("_ccold")
}

/// An invalid index of the table above takes it in when it is repaired.
fn is_repaired_with_parent(catalog: &Catalog, table: &Table, index: &Index) -> bool {
    let Some(above) = table.parent.filter(|_| index.partitioned && index.parent.is_none()) else { return false };
    let above = catalog.table(above);
    above.indexes.iter().any(|taker| {
        taker.partitioned
            && !taker.is_usable()
            && table.part_of(taker).is_none()
            && catalog.is_counterpart((above, taker), (table, index))
    })
}

fn dropping(table: &Table, index: &Index, why: &'static str, cause: String) -> Repair {
    let removal = Removal::of(table, index);
    Repair { why, cause, fix_sql: Some(removal.fix_sql), risk: removal.risk, verify_sql: removal.verify_sql }
}

fn superseded(table: &Table, index: &Index, name: &QualifiedName, twin: &QualifiedName) -> Repair {
    let cause = format!("A concurrent build failed and left {name} behind; {twin} is the same and valid.");
    dropping(table, index, "a valid one like it exists", cause)
}

fn leftover(table: &Table, index: &Index, name: &QualifiedName) -> Repair {
    let cause =
        format!("REINDEX CONCURRENTLY was interrupted and left {name} behind; the index it worked on is still there.");
    dropping(table, index, "REINDEX CONCURRENTLY left it behind", cause)
}

fn rebuild(name: &QualifiedName) -> Repair {
    Repair {
        why: "its build did not finish",
        cause: format!(
            "A concurrent build of {name} was cancelled or failed: by a deadlock, a timeout, a full disk or an error in an \
             expression. The server log says which; if it was an error, the rebuild meets it again."
        ),
        fix_sql: Some(format!("REINDEX INDEX CONCURRENTLY {name};")),
        risk: "SHARE UPDATE EXCLUSIVE: reads and writes go on; it waits for transactions that use the table, needs disk for a \
               second index, and cannot run in a transaction block. If it fails, it leaves another invalid index that ends in \
               _ccnew: drop that."
            .to_string(),
        verify_sql: verify_valid(name),
    }
}

fn never_complete(name: &QualifiedName) -> Repair {
    Repair {
        why: "foreign tables among the partitions cannot have a part of it",
        cause: format!(
            "{name} was created on the parent alone, to be completed by attaching the partitions' indexes; foreign tables among \
             the partitions have none, so that it stays invalid. Drop it and create it again without ONLY, in a quiet hour: \
             foreign partitions are passed over then."
        ),
        fix_sql: None,
        risk: "CREATE INDEX on a partitioned table blocks writes on its partitions until all are built.".to_string(),
        verify_sql: verify_valid(name),
    }
}

fn duplicates_first(table: &Table, index: &Index, name: &QualifiedName) -> Repair {
    let key = table.key_listing(index);
    // NULLs are equal to each other only where the index says so.
    let not_null = |number| table.column(number).filter(|_| !index.nulls_not_distinct);
    let mut conditions: Vec<_> =
        index.key_attributes().filter_map(not_null).map(|c| format!("{} IS NOT NULL", c.name)).collect();
    conditions.extend(index.predicate.clone());
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let search = match &index.expressions {
        None => format!("SELECT {key}, count(*) FROM {}{filter} GROUP BY {key} HAVING count(*) > 1", table.name),
        Some(_) => "group the rows by the index expressions, having count(*) > 1".to_string(),
    };
    Repair {
        why: "it is unique, and rows may violate it",
        cause: format!(
            "A concurrent build of the unique index {name} failed, mostly because rows violate it. Look for them: {search}. When \
             none are left: REINDEX INDEX CONCURRENTLY {name}. Which of the duplicates goes is for the application to say, so \
             that no statement is given here."
        ),
        fix_sql: None,
        risk: "Until then duplicates can be in the table, whatever the application believes.".to_string(),
        verify_sql: verify_valid(name),
    }
}

/// Creates and attaches what is missing, down the tree.
fn attach_missing(catalog: &Catalog, namer: &mut Namer, table: &Table, index: &Index, name: &QualifiedName) -> Repair {
    let missing = catalog.partitions(table).filter(|partition| partition.part_of(index).is_none()).count();
    let specification = index.specification(table).filter(|_| index.constraint.is_none());
    let fix_sql = specification.map(|specification| {
        let columns = index.key_attributes().filter_map(|number| table.column(number)).map(|c| &c.name).collect();
        let new = NewIndex { unique: index.unique, specification: specification.to_string(), columns };
        let mut sql = String::new();
        new.attach_parts(&mut sql, catalog, namer, table, (name, Some(index)), &|partition, part| {
            catalog.is_counterpart((table, index), (partition, part))
        });
        sql.trim_end().to_string()
    });
    Repair {
        why: "partitions lack their part of it",
        cause: format!(
            "A partitioned index becomes valid when every partition has an attached index; {missing} of {} have none.{}",
            catalog.partitions(table).count(),
            match fix_sql {
                Some(_) => "",
                None => " It backs a constraint: add the constraint to the partitions, then attach its indexes.",
            },
        ),
        fix_sql,
        risk: "CONCURRENTLY on each partition: reads and writes go on, outside a transaction block. ATTACH locks the index of the \
               partition exclusively: it waits for what uses that, and new queries on the partition wait behind it."
            .to_string(),
        verify_sql: verify_valid(name),
    }
}
