use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;

/// Evidence names so many.
const SHOWN: usize = 50;

pub static RULE: Rule = Rule {
    id: "vector_search_not_analyzed",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Statements of pg_stat_statements that may search for vectors could not be analyzed, or time did not suffice for all.",
    effect: "Searches among them are not counted, and nothing is found about them.",
    workaround: "Statements on tables that are gone, or of functions' own variables, need nothing. Where time was up, pass a larger \
                 time_limit.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a search of a table that is gone",
            setup: "create extension vector; create extension pg_stat_statements; create table t (a vector(2)); create table gone (a \
                    vector(2)); create table traffic (step int, query text, times int); insert into traffic values (1, 'select from \
                    gone order by a <-> ''[1,2]'' limit 1', 2), (2, 'drop table gone', 1)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a search that is known",
            setup: "create extension vector; create extension pg_stat_statements; create table t (a vector(2)); create table traffic \
                    (step int, query text, times int); insert into traffic values (1, 'select from t order by a <-> ''[1,2]'' limit 1', \
                    2)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let workload = &facts.vectors().workload;
    let failed = &workload.not_analyzed;
    if failed.is_empty() && !workload.cut_off {
        return Ok(Vec::new());
    }
    let not_reached = if workload.cut_off { "; time did not suffice for all of the others" } else { "" };
    let shown: Vec<_> =
        failed.iter().take(SHOWN).map(|(query_id, why)| json!({ "query_id": query_id, "why": why })).collect();
    Ok(vec![Finding {
        object: "searches of pg_stat_statements".to_string(),
        summary: format!(
            "{} that may search for vectors could not be analyzed{not_reached}",
            Count(failed.len() as u64).of("statement"),
        ),
        cause: match failed.first() {
            Some((_, why)) => format!("Of the first the server says: {why}"),
            None => "The time limit was reached.".to_string(),
        },
        evidence: object! {
            "not_analyzed": shown,
            "not_analyzed_count": failed.len(),
            "time_limit_reached": workload.cut_off,
        },
        ..Finding::that_changes_nothing()
    }])
}
