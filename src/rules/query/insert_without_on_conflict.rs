use crate::facts::query::WriteKind;
use crate::facts::statement_tree::unique_indexes;
use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "insert_without_on_conflict",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: false,
    condition: "An INSERT without ON CONFLICT writes a table with a unique key on columns whose values the application chooses: \
                not one integer or UUID, which the server mostly fills. For applications that repeat a statement when they do not \
                know whether it succeeded: off by default.",
    effect: "A repeated INSERT fails with a unique violation, which aborts the transaction and all it has done.",
    workaround: "ON CONFLICT (key) DO NOTHING, or DO UPDATE.",
    sources: &["https://www.postgresql.org/docs/17/sql-insert.html#SQL-ON-CONFLICT"],
    options: &[],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a natural key",
            setup: "create table t (id int generated always as identity primary key, code text not null unique); create table \
                    example as select 'insert into t (code) select g::text from generate_series(1, 10) g' as query; select \
                    dbre.configure_rule('insert_without_on_conflict', enabled => true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it says what to do; only an identity is unique; off by default",
            setup: "create table t (id int generated always as identity primary key, code text not null unique); create table \
                    example as select 'insert into t (code) values ($1) on conflict do nothing' as query; select \
                    dbre.configure_rule('insert_without_on_conflict', enabled => true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "off by default",
            setup: "create table t (code text primary key); create table example as select 'insert into t values ($1)' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let write = statement.write.as_ref().filter(|write| write.kind == WriteKind::Insert && !write.on_conflict);
    let table = write.and_then(|write| catalog.known(write.table)).filter(|table| table.is_maintained());
    let Some(table) = table else { return Ok(Vec::new()) };
    let Some(index) = unique_indexes(table).find(|index| is_chosen(table, index)) else { return Ok(Vec::new()) };
    let key = table.column_names(&index.key_attributes().collect::<Vec<_>>()).join(", ");
    Ok(vec![Finding {
        severity: RULE.severity,
        object: statement.object(&table.name.to_string()),
        summary: format!("INSERT into {} fails when it is repeated: {key} is unique", table.name),
        cause: format!("There is no ON CONFLICT, and {} is unique on {key}.", table.index_name(index)),
        evidence: object! {
            "query": statement.excerpt(None),
            "table": table.name.to_string(),
            "index": table.index_name(index).to_string(),
            "key": key,
        },
        app_fix: Some(format!(
            "ON CONFLICT ({key}) DO NOTHING; in SQLAlchemy postgresql.insert(…).on_conflict_do_nothing(index_elements=[…])."
        )),
        ..Finding::that_changes_nothing()
    }])
}

/// A key of one integer or UUID is mostly filled by the server.
fn is_chosen(table: &Table, index: &Index) -> bool {
    // bigint, smallint, integer, uuid
    const FILLED: [u32; 4] = [20, 21, 23, 2950];
    let mut columns = index.key_attributes().filter_map(|number| table.column(number));
    index.predicate.is_none() && (index.keys.len() > 1 || columns.any(|column| !FILLED.contains(&column.type_oid)))
}
