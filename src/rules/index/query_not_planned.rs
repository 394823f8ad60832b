use crate::facts::{Facts, IndexAdvice, NotPlanned, shortened};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub static RULE: Rule = Rule {
    id: "query_not_planned",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The server refused to analyze or plan a query of the workload that dbre.index_advice() was given or that \
                dbre.workload_findings() read, or time_limit was up before it did; one finding for each SQLSTATE.",
    effect: "The advice does not know what these queries need: it may miss an index, or find one useless that they use.",
    workaround: "A table that is gone needs nothing. For names without a schema, set the role's search_path (ALTER ROLE … SET); \
                 for missing rights, call as a role that may SET ROLE to the one that runs the query.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[],
    needs: &[Need::IndexAdvice],
    cases: &[
        Case {
            name: "a table that is gone, and text that is no SQL",
            setup: "create table t (id int primary key); create table workload as select * from (values ('select * from gone', \
                    5, 1.0), ('select * from gone where id = 1', 5, 1.0), ('selec 1', 1, 1.0), ('select * from t where id = \
                    1', 9, 1.0)) w (query, calls, mean_ms)",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "all can be planned, utility statements are no queries",
            setup: "create table t (id int primary key); create table workload as select * from (values ('select * from t', 5, \
                    1.0), ('vacuum t', 1, 1.0)) w (query, calls, mean_ms)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const SHOWN: usize = 20;

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let mut reasons: BTreeMap<&str, Vec<&NotPlanned>> = BTreeMap::new();
    let advice = facts.index_advice();
    for query in &advice.not_planned {
        reasons.entry(&query.why.sqlstate).or_default().push(query);
    }
    Ok(reasons.into_iter().map(|(sqlstate, queries)| finding(advice, sqlstate, &queries)).collect())
}

fn finding(advice: &IndexAdvice, sqlstate: &str, queries: &[&NotPlanned]) -> Finding {
    let calls = Count(queries.iter().map(|query| query.calls).sum::<f64>() as u64);
    let several = if queries.len() == 1 { "query" } else { "queries" };
    let messages: BTreeSet<&str> = queries.iter().map(|query| query.why.message.as_str()).collect();
    let first = &queries[0].why.message;
    let more = match messages.len() {
        1 => String::new(),
        number => format!(" (and {} like it)", Count(number as u64 - 1).of("message")),
    };
    let shown = queries.iter().take(SHOWN).map(|query| {
        json!({
            "query_id": query.query_id,
            "query": shortened(&query.text),
            "calls": query.calls,
            "message": query.why.message,
        })
    });
    Finding {
        severity: RULE.severity,
        object: format!("SQLSTATE {sqlstate}"),
        weight: calls.0,
        summary: format!("{} {several} with {} could not be planned: {first}{more}", queries.len(), calls.of("call")),
        cause: format!("The server says {first}{more}. What these queries need is not known."),
        evidence: object! {
            "sqlstate": sqlstate,
            "messages": messages.iter().take(SHOWN).collect::<Vec<_>>(),
            "queries": queries.len(),
            "calls": calls,
            "examples": shown.collect::<Vec<_>>(),
            "workload": advice.summary(),
        },
        ..Finding::that_changes_nothing()
    }
}
