//! `dbre.plan_findings()` on plans of 5,000 nodes, of 100 MB, and on what is no plan.

use crate::EXTENSION;
use crate::cluster::{Cluster, Result};
use postgres::Client;
use postgres::error::SqlState;
use std::fs;
use std::time::Instant;

const RUNS: usize = 9;
const AIM_MS: f64 = 50.0;
/// $1: branches of an Append, 2 nodes each.
const WIDE: &str = r#"
    select pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
        'Plan', pg_catalog.jsonb_build_object(
            'Node Type', 'Append', 'Startup Cost', 0, 'Total Cost', 20000.0 * $1::int, 'Plan Rows', 100 * $1::int,
            'Plan Width', 16, 'Actual Startup Time', 0.1, 'Actual Total Time', 2.0 * $1::int, 'Actual Rows', 1000 * $1::int,
            'Actual Loops', 1, 'Plans', pg_catalog.jsonb_agg(branch)),
        'Planning Time', 1.0, 'Execution Time', 2.1 * $1::int))::text
    from pg_catalog.generate_series(1, $1::int) as n
    cross join lateral (select pg_catalog.jsonb_build_object(
        'Node Type', 'Sort', 'Parent Relationship', 'Member', 'Startup Cost', 10000, 'Total Cost', 20000, 'Plan Rows', 100,
        'Plan Width', 16, 'Actual Startup Time', 1.0, 'Actual Total Time', 2.0, 'Actual Rows', 1000, 'Actual Loops', 1,
        'Sort Key', pg_catalog.jsonb_build_array('a'), 'Sort Method', 'external merge', 'Sort Space Used', 9000,
        'Sort Space Type', 'Disk', 'Temp Read Blocks', 1100, 'Temp Written Blocks', 1100, 'Shared Hit Blocks', 500,
        'Plans', pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
            'Node Type', 'Seq Scan', 'Parent Relationship', 'Outer', 'Relation Name', 'part_' || n, 'Schema', 'public',
            'Alias', 'part_' || n, 'Startup Cost', 0, 'Total Cost', 9000, 'Plan Rows', 100, 'Plan Width', 16,
            'Actual Startup Time', 0.1, 'Actual Total Time', 1.5, 'Actual Rows', 1000, 'Actual Loops', 1,
            'Filter', '((a = 1) AND (lower(b) = ''x''::text))', 'Rows Removed by Filter', 500000,
            'Shared Hit Blocks', 500))) as branch) as branches"#;
/// $1: levels. Text: building nested values takes longer than reading them.
const DEEP: &str = r#"
    select pg_catalog.repeat('{"Node Type": "Materialize", "Plans": [', $1::int) || '{"Node Type": "Result"}'
        || pg_catalog.repeat(']}', $1::int)"#;
/// Each is an error with a message and a hint, or a plan.
const GARBAGE: [&str; 14] = [
    "null",
    "1",
    "\"Seq Scan\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[{\"Plan\": {}}]",
    "[{\"Plan\": []}]",
    "[{\"Plan\": {\"Node Type\": 7}}]",
    "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Total Cost\": \"much\"}}]",
    "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Actual Rows\": -5, \"Actual Loops\": 1}}]",
    "[{\"Plan\": {\"Node Type\": \"Sort\", \"Plans\": {\"Node Type\": \"Seq Scan\"}}}]",
    "[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Actual Rows\": 1e308, \"Actual Loops\": 1e308, \"Actual Total Time\": 1e308}}]",
];

pub fn measure(cluster: &Cluster) -> Result<bool> {
    let mut client = cluster.connect("postgres")?;
    client.batch_execute(EXTENSION)?;
    let mut met = wide(cluster, 2500, true)?;
    met &= wide(cluster, 125_000, false)?;
    println!();
    for levels in [1_000, 100_000] {
        met &= deep(&mut client, levels)?;
    }
    for garbage in GARBAGE {
        met &= answered(&mut client, &format!("garbage {garbage}"), garbage)?;
    }
    client.batch_execute("drop table plan")?;
    Ok(met)
}

fn wide(cluster: &Cluster, branches: i32, aimed: bool) -> Result<bool> {
    let mut client = cluster.connect("postgres")?;
    client.batch_execute("drop table if exists plan; create unlogged table plan (plan text)")?;
    client.execute(&format!("insert into plan {WIDE}"), &[&branches])?;
    let bytes: i32 = client.query_one("select pg_catalog.length(plan) from plan", &[])?.get(0);
    // Another backend, which has no memory of making the plan.
    let mut client = cluster.connect("postgres")?;
    client.query("select pg_catalog.count(*) from dbre.plan_findings('{\"Node Type\": \"Result\"}')", &[])?;
    let before = peak_mb(&mut client)?;
    let mut times = Vec::new();
    let runs = if aimed { RUNS } else { 1 };
    let mut answer = String::new();
    for _ in 0..runs {
        let begun = Instant::now();
        match client.query_one("select pg_catalog.count(*) from plan p, lateral dbre.plan_findings(p.plan) f", &[]) {
            Ok(row) => answer = format!("{} findings", row.get::<_, i64>(0)),
            Err(error) => answer = described(error)?,
        }
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let took = times[times.len() / 2];
    let met = !aimed || took <= AIM_MS;
    println!(
        "{} nodes, {:.1} MB of JSON: {took:.1} ms, {:.0} MB of memory more at its peak, {answer}  {}",
        2 * branches + 1,
        f64::from(bytes) / 1e6,
        peak_mb(&mut client)? - before,
        match (aimed, met) {
            (false, _) => "answered",
            (true, true) => "ok",
            (true, false) => "MISSED",
        },
    );
    Ok(met)
}

fn deep(client: &mut Client, levels: i32) -> Result<bool> {
    let plan: String = client.query_one(DEEP, &[&levels])?.get(0);
    answered(client, &format!("{levels} levels"), &plan)
}

/// False where the server gives an error of its own class XX or is gone.
fn answered(client: &mut Client, what: &str, plan: &str) -> Result<bool> {
    let begun = Instant::now();
    let answer = match client.query_one("select pg_catalog.count(*) from dbre.plan_findings($1)", &[&plan]) {
        Ok(row) => format!("{} findings", row.get::<_, i64>(0)),
        Err(error) => described(error)?,
    };
    let met = !answer.contains("XX");
    println!(
        "{what}: {:.1} ms, {answer}  {}",
        begun.elapsed().as_secs_f64() * 1000.0,
        if met { "ok" } else { "MISSED" }
    );
    Ok(met)
}

fn described(error: postgres::Error) -> Result<String> {
    let Some(db) = error.as_db_error() else { return Err(error.into()) };
    let code = if *db.code() == SqlState::INTERNAL_ERROR { "XX000" } else { db.code().code() };
    Ok(format!("error {code}: {} ({})", db.message(), db.hint().unwrap_or("no hint")))
}

/// Of the backend since it began.
fn peak_mb(client: &mut Client) -> Result<f64> {
    let pid: i32 = client.query_one("select pg_catalog.pg_backend_pid()", &[])?.get(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
