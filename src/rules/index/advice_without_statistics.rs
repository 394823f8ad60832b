use crate::facts::{Facts, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Bytes;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "advice_without_statistics",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A table that queries of dbre.index_advice() read holds rows and was never analyzed or vacuumed.",
    effect: "The planner guesses, and so does the advice: what it says of this table may be wrong.",
    workaround: "ANALYZE it, and ask again.",
    sources: &["https://www.postgresql.org/docs/17/planner-stats.html"],
    options: &[],
    needs: &[Need::Catalog, Need::IndexAdvice],
    cases: &[
        Case {
            name: "loaded, not analyzed",
            setup: "create table t (id int, a int); insert into t select g, g from generate_series(1, 10000) g; create table \
                    workload as select 'select * from t where a = 5' as query, 10 as calls, 5.0 as mean_ms",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "analyzed, or empty",
            setup: "create table t (id int, a int); insert into t select g, g from generate_series(1, 10000) g; analyze t; \
                    create table empty (a int); create table workload as select * from (values ('select * from t where a = 5', \
                    10, 5.0), ('select * from empty where a = 5', 10, 5.0)) w (query, calls, mean_ms)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let (advice, catalog) = (facts.index_advice(), facts.catalog());
    let references = advice.queries.iter().flat_map(|query| &query.shape.references);
    let tables: BTreeSet<u32> = references.map(|reference| reference.table).collect();
    let unknown = tables.into_iter().filter_map(|oid| catalog.known(oid)).filter(|table| catalog.rows(table).is_none());
    Ok(unknown.map(|table| finding(facts, table)).collect())
}

fn finding(facts: &Facts, table: &Table) -> Finding {
    let bytes: Bytes = facts.catalog().bytes(table);
    Finding {
        severity: RULE.severity,
        object: table.name.to_string(),
        weight: bytes.0,
        summary: format!("Table {} ({bytes}) was never analyzed: advice on it is a guess", table.name),
        cause: "The planner has neither a number of rows nor any statistics of the columns.".to_string(),
        evidence: object! { "table_bytes": bytes, "workload": facts.index_advice().summary() },
        impact: object! {},
        fix_sql: Some(format!("ANALYZE {};", table.name)),
        app_fix: None,
        risk: "SHARE UPDATE EXCLUSIVE on the table: reads and writes go on. Plans change with the statistics."
            .to_string(),
        rollback: Rollback::None,
        verify_sql: None,
    }
}
