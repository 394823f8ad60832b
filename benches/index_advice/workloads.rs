//! Planned workload cost, time and plans per second of the strategies at several budgets.

use crate::advisor;
use crate::cluster::{Cluster, Result};
use crate::evaluate::judge;
use crate::hypopg::{Index, WhatIf};
use crate::workload::{Column, Workload, indexable_columns};
use crate::{extend, load, per_query};
use postgres::Client;
use std::collections::BTreeSet;
use std::time::Duration;

/// Shares of the data's size; None: no limit.
const BUDGETS: [Option<f64>; 5] = [Some(0.1), Some(0.25), Some(0.5), Some(1.0), None];
/// For one budget, below and from scale 1; what Extend has by then counts.
const EXTEND_LIMITS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(1200)];
/// What index_advice() may take of Extend's time, with something left for its answer: it goes on improving while it may.
const TIME_SHARE: f64 = 0.09;
const LEAST_TIME: Duration = Duration::from_secs(3);
/// What two plans of the same configuration may differ in: rounding.
const EQUAL: f64 = 1.0001;
const DATA_BYTES: &str = "
    select sum(pg_catalog.pg_table_size(c.oid))::bigint
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbre')
        and c.relname <> 'statements'";

struct Outcome {
    strategy: &'static str,
    indexes: usize,
    definitions: Vec<String>,
    /// By its own estimate.
    bytes: u64,
    took: Duration,
    plans: usize,
    note: &'static str,
}

pub fn measure(cluster: &Cluster, names: &[String], scale: f64) -> Result<bool> {
    let mut met = true;
    for name in names {
        let workload = load::workload(cluster, name, scale)?;
        let mut client = load::connect(cluster, name)?;
        client.batch_execute(load::EXTENSION)?;
        client.batch_execute("create extension if not exists hypopg")?;
        met &= compare(&mut client, load::connect(cluster, name)?, &workload, scale)?;
    }
    Ok(met)
}

fn compare(client: &mut Client, planner: Client, workload: &Workload, scale: f64) -> Result<bool> {
    let queries = &workload.queries;
    let columns = indexable_columns(client, queries)?;
    let data = client.query_one(DATA_BYTES, &[])?.get::<_, i64>(0) as u64;
    let before = judge(client, queries, &[])?.cost;
    println!(
        "\n{} at scale {scale}: {} queries, {} columns in them, {:.0} MB of tables, cost {before:.0}",
        workload.name,
        queries.len(),
        columns.iter().flatten().collect::<BTreeSet<_>>().len(),
        mb(data),
    );
    println!(
        "{:<10} {:<16} {:>7} {:>10} {:>10} {:>9} {:>12} {:>9} {:>8}",
        "budget", "strategy", "indexes", "MB, est.", "MB, built", "cost", "time", "plans", "plans/s"
    );
    let mut what_if = WhatIf::new(planner, queries, &columns)?;
    let mut met = true;
    for share in BUDGETS {
        let budget = share.map(|share| (data as f64 * share) as u64);
        let label = share.map_or("no limit".to_string(), |share| format!("{:.0}%", share * 100.0));
        let limit = EXTEND_LIMITS[usize::from(scale >= 1.0)];
        let mut judged = Vec::new();
        for outcome in outcomes(client, &mut what_if, workload, &columns, budget, limit)? {
            let built = judge(client, queries, &outcome.definitions)?;
            let cost = built.cost / before;
            let seconds = outcome.took.as_secs_f64();
            println!(
                "{label:<10} {:<16} {:>7} {:>10.2} {:>10.2} {:>8.2}% {:>10.2} s {:>9} {:>8.0} {}",
                outcome.strategy,
                outcome.indexes,
                mb(outcome.bytes),
                mb(built.bytes),
                cost * 100.0,
                seconds,
                outcome.plans,
                outcome.plans as f64 / seconds,
                outcome.note,
            );
            judged.push((cost, seconds));
        }
        met &= verdicts(&label, &judged);
    }
    Ok(met)
}

fn verdicts(label: &str, judged: &[(f64, f64)]) -> bool {
    let [(theirs, their_time), _, (ours, our_time)] = judged else { return false };
    let cost_met = *ours <= theirs * EQUAL;
    let time_met = our_time * 10.0 <= *their_time;
    println!(
        "{label:<10} cost at most Extend's: {:+.2} points  {}; a tenth of its time: {:.3}  {}",
        (ours - theirs) * 100.0,
        verdict(cost_met),
        our_time / their_time,
        verdict(time_met),
    );
    cost_met && time_met
}

fn outcomes(
    client: &mut Client,
    what_if: &mut WhatIf,
    workload: &Workload,
    columns: &[BTreeSet<Column>],
    budget: Option<u64>,
    limit: Duration,
) -> Result<Vec<Outcome>> {
    let most = budget.unwrap_or(u64::MAX);
    what_if.begin();
    let choice = extend::choose(what_if, columns, most, limit)?;
    let (took, plans) = what_if.spent();
    let note = if choice.stopped { "stopped" } else { "" };
    let mut outcomes = vec![outcome("Extend", what_if, &choice.indexes, took, plans, note)?];

    let limit = took.mul_f64(TIME_SHARE).max(LEAST_TIME);
    what_if.begin();
    let indexes = per_query::choose(what_if, &workload.queries, columns, most)?;
    let (took, plans) = what_if.spent();
    outcomes.push(outcome("per query", what_if, &indexes, took, plans, "")?);

    let advice = advisor::advise(client, workload, budget, limit)?;
    outcomes.push(Outcome {
        strategy: "index_advice()",
        indexes: advice.indexes.len(),
        bytes: advice.indexes.iter().map(|advised| advised.estimated_bytes).sum(),
        definitions: advice.indexes.into_iter().flat_map(|advised| advised.definitions).collect(),
        took: advice.took,
        plans: advice.plans,
        note: if advice.complete { "" } else { "stopped" },
    });
    Ok(outcomes)
}

fn outcome(
    strategy: &'static str,
    what_if: &mut WhatIf,
    indexes: &BTreeSet<Index>,
    took: Duration,
    plans: usize,
    note: &'static str,
) -> Result<Outcome> {
    let bytes = indexes.iter().map(|index| what_if.bytes(index)).sum::<Result<u64>>()?;
    let definitions = indexes.iter().map(Index::definition).collect();
    Ok(Outcome { strategy, indexes: indexes.len(), definitions, bytes, took, plans, note })
}

pub fn verdict(met: bool) -> &'static str {
    if met { "ok" } else { "MISSED" }
}

pub fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1048576.0
}
