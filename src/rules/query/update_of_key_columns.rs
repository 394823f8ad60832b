use crate::advice::statements::MIN_ROWS;
use crate::facts::query::WriteKind;
use crate::facts::{Catalog, Facts, ForeignKey, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "update_of_key_columns",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "An UPDATE or MERGE sets a column of the primary key, or one that a foreign key references, where the table or one \
                that references it has at least min_rows rows. Medium where foreign keys reference the column, otherwise low.",
    effect: "A changed key is looked up in, or written to, every referencing table; the row lock is the strongest, so that inserts \
             of referencing rows wait; and every index gets a new entry. Who has stored the old key elsewhere has lost the row.",
    workaround: "Leave keys alone: set only the columns that change. A value that must change is no key: give the table a \
                 surrogate one.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-ROWS",
        "https://www.postgresql.org/docs/17/storage-hot.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a key that is referenced",
            setup: "create table parent (code text primary key); insert into parent select g::text from generate_series(1, 100) g; \
                    create table child (id int primary key, code text references parent on update cascade); insert into child \
                    select g, (1 + g % 100)::text from generate_series(1, 20000) g; analyze parent, child; create table example \
                    as select 'update parent set code = upper(code) where code = $1' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a primary key",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'update t set id = id + 100000, a = 1 where a = 7' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "other columns",
            setup: "create table t (id int primary key, a int unique); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'update t set a = a + 100000 where id = 7' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a small table that nothing references",
            setup: "create table t (id int primary key); insert into t values (1); analyze t; create table example as select \
                    'update t set id = 2' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let write = statement.write.as_ref().filter(|write| matches!(write.kind, WriteKind::Update | WriteKind::Merge));
    let table = write.and_then(|write| catalog.known(write.table)).filter(|table| table.is_maintained());
    let (Some(write), Some(table)) = (write, table) else { return Ok(Vec::new()) };
    let references: Vec<&ForeignKey> = catalog
        .foreign_keys_to(table.oid)
        .filter(|key| key.parent_columns.iter().any(|column| write.columns.contains(column)))
        .collect();
    let keys = key_columns(table, &references, &write.columns);
    let largest = references.iter().filter_map(|key| catalog.known(key.child)).chain([table]);
    let largest = largest.filter_map(|table| catalog.rows(table)).max().unwrap_or_default();
    if keys.is_empty() || (largest.0 as f64) < options.number("min_rows") {
        return Ok(Vec::new());
    }
    let columns = table.column_names(&keys).join(", ");
    let by = references.iter().map(|key| describe(catalog, key)).collect::<Vec<_>>();
    let referenced = match by.as_slice() {
        [] => "no foreign key references it".to_string(),
        some => format!("it is referenced by {}", some.join("; ")),
    };
    Ok(vec![Finding {
        severity: if by.is_empty() { Severity::low } else { RULE.severity },
        object: statement.object(&table.columns_of(&keys)),
        weight: catalog.bytes(table).0,
        summary: format!("The statement sets {columns} of {}, which identifies its rows", table.name),
        cause: format!(
            "{columns} is a key of {}; {referenced}. Where its value changes, the row lock conflicts with those of foreign key \
             checks, and each referencing table is looked through.",
            table.name
        ),
        evidence: object! {
            "query": statement.excerpt(None),
            "table": table.name.to_string(),
            "columns": table.column_names(&keys),
            "referencing": by,
            "largest_table_rows": largest,
        },
        app_fix: Some("Set only columns that change; ORM objects should treat the key as immutable.".to_string()),
        ..Finding::that_changes_nothing()
    }])
}

fn key_columns(table: &Table, references: &[&ForeignKey], set: &[i16]) -> Vec<i16> {
    let primary = table.indexes.iter().filter(|index| index.primary).flat_map(|index| index.key_attributes());
    let referenced = references.iter().flat_map(|key| key.parent_columns.iter().copied());
    let mut keys: Vec<i16> = primary.chain(referenced).filter(|column| set.contains(column)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn describe(catalog: &Catalog, key: &ForeignKey) -> String {
    match catalog.known(key.child) {
        Some(child) => format!("{} (on update {})", child.columns_of(&key.child_columns), key.on_update.sql()),
        None => key.name.to_string(),
    }
}
