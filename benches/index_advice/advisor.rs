//! `dbre.index_advice()` for the same queries and budget.

use crate::cluster::Result;
use crate::workload::Workload;
use postgres::Client;
use serde_json::Value;
use std::time::{Duration, Instant};

/// As generous with the number of indexes per table and with small gains as the others, or more.
const ADVICE: &str = "
    select a.rule, a.fix_sql, a.evidence
    from dbre.index_advice(
        budget => $1,
        {source},
        weigh_by => 'calls',
        max_indexes_per_table => 100,
        max_queries => 100000,
        min_benefit_percent => 0,
        drop_indexes => false,
        parameters => 'generic',
        time_limit => make_interval(secs => $3)) a
    order by a.step";

pub struct Advised {
    /// CREATE INDEX statements without CONCURRENTLY; several for a partitioned table.
    pub definitions: Vec<String>,
    pub estimated_bytes: u64,
}

#[derive(Default)]
pub struct Advice {
    pub indexes: Vec<Advised>,
    /// Names of queries that get slower by it.
    pub harmed: Vec<String>,
    pub took: Duration,
    pub plans: usize,
    pub candidates: u64,
    pub complete: bool,
}

pub fn advise(client: &mut Client, workload: &Workload, budget: Option<u64>, limit: Duration) -> Result<Advice> {
    let limit = limit.as_secs_f64();
    let budget = budget.map(|bytes| format!("{bytes} B"));
    let begun = Instant::now();
    let rows = if workload.queries.iter().all(|query| query.calls == 1.0) {
        let texts = workload.queries.iter().map(|query| &query.text).collect::<Vec<_>>();
        client.query(&ADVICE.replace("{source}", "queries => $2"), &[&budget, &texts, &limit])?
    } else {
        let source = "select query, calls, 1.0::float8 as mean_ms from public.statements";
        client.query(&ADVICE.replace("{source}", "workload => $2"), &[&budget, &source, &limit])?
    };
    let mut advice = Advice { took: begun.elapsed(), ..Advice::default() };
    for row in rows {
        let (rule, fix, evidence): (&str, Option<&str>, Value) = (row.get(0), row.get(1), row.get(2));
        let summary = &evidence["workload"];
        advice.plans = summary["plans"].as_u64().unwrap_or_default() as usize;
        advice.candidates = summary["candidates"].as_u64().unwrap_or_default();
        advice.complete = summary["complete"].as_bool().unwrap_or_default();
        if matches!(rule, "missing_index" | "extendable_index") {
            let definitions = creations(fix.unwrap_or_default()).collect();
            let estimated_bytes = evidence["estimated_bytes"].as_u64().unwrap_or_default();
            advice.indexes.push(Advised { definitions, estimated_bytes });
        }
        for harmed in evidence["queries_harmed"].as_array().into_iter().flatten() {
            // Long texts are cut.
            let text = harmed["query"].as_str().unwrap_or_default().trim_end_matches(" …");
            let named = workload.queries.iter().find(|query| query.text.starts_with(text));
            advice.harmed.extend(named.map(|query| query.name.clone()));
        }
    }
    Ok(advice)
}

/// The CREATE INDEX statements among those of a fix.
fn creations(fix: &str) -> impl Iterator<Item = String> {
    let statements = fix.split(';').map(|statement| statement.trim().replace(" CONCURRENTLY", ""));
    statements.filter(|statement| statement.starts_with("CREATE INDEX") || statement.starts_with("CREATE UNIQUE INDEX"))
}
