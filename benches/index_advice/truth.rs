//! The advised indexes really built: do the queries get faster, as much as planned, and are the sizes as predicted?

use crate::advisor::{self, Advice};
use crate::cluster::{Cluster, Result};
use crate::evaluate::{Built, build};
use crate::hypopg::explain;
use crate::load;
use crate::workload::Query;
use crate::workloads::{mb, verdict};
use postgres::Client;
use postgres::error::SqlState;
use std::time::{Duration, Instant};

const RUNS: usize = 3;
const RUNS_AGAIN: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(60);
/// After so long a run no other is needed for a median.
const LONG: Duration = Duration::from_secs(15);
const SLOWER: f64 = 1.2;
/// Less is the machine's noise.
const NOTABLE: Duration = Duration::from_millis(2);
const SIZE_AIM: f64 = 0.15;
/// Two cores that others use as well make parallel runs differ; without workers in the plans, none in the advice.
const SESSION: &str = "set max_parallel_workers_per_gather = 0";
const TIME_LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy)]
struct Measured {
    cost: f64,
    time: Duration,
}

/// The sample application's statements come without values: they are only planned.
pub fn measure(cluster: &Cluster, names: &[String], scale: f64) -> Result<bool> {
    let mut met = true;
    for name in names.iter().filter(|name| *name != "app") {
        let workload = load::workload(cluster, name, scale)?;
        let mut client = load::connect(cluster, name)?;
        client.batch_execute(load::EXTENSION)?;
        client.batch_execute(SESSION)?;
        let advice = advisor::advise(&mut client, &workload, None, TIME_LIMIT)?;
        client.batch_execute(&format!("set statement_timeout = {}", TIMEOUT.as_millis()))?;
        eprintln!("running {} queries of {name} without secondary indexes", workload.queries.len());
        let mut before = run_all(&mut client, &workload.queries)?;
        client.batch_execute("set statement_timeout = 0")?;
        let mut built = Vec::new();
        for advised in &advice.indexes {
            let definitions = advised.definitions.iter();
            built.push(definitions.map(|definition| build(&mut client, definition)).collect::<Result<Vec<_>>>()?);
        }
        client.batch_execute(&format!("set statement_timeout = {}", TIMEOUT.as_millis()))?;
        eprintln!("running them with {} indexes", built.len());
        let mut after = run_all(&mut client, &workload.queries)?;
        for (query, (before, after)) in workload.queries.iter().zip(before.iter_mut().zip(&mut after)) {
            if slower(before.time, after.time) {
                (before.time, after.time) = again(&mut client, query, &built)?;
            }
        }
        for index in built.iter().flatten() {
            client.batch_execute(&format!("drop index {}", index.name))?;
        }
        let note = if advice.complete { "" } else { ", stopped by its time limit" };
        println!(
            "\n{name} at scale {scale}: {} indexes advised in {:.1} s{note}, and built",
            built.len(),
            advice.took.as_secs_f64()
        );
        met &= print_sizes(&advice, &built);
        met &= print_times(&workload.queries, &advice, &before, &after);
    }
    Ok(met)
}

fn run_all(client: &mut Client, queries: &[Query]) -> Result<Vec<Measured>> {
    queries
        .iter()
        .map(|query| Ok(Measured { cost: explain(client, &query.text)?.cost, time: median(client, &query.text)? }))
        .collect()
}

/// With and without the indexes in turns, so that what else the machine does meets both: a transaction that drops them is
/// rolled back.
fn again(client: &mut Client, query: &Query, built: &[Vec<Built>]) -> Result<(Duration, Duration)> {
    let names = built.iter().flatten().map(|index| index.name.as_str()).collect::<Vec<_>>().join(", ");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS_AGAIN {
        client.batch_execute(&format!("begin; drop index {names}"))?;
        without.push(timed(client, &query.text)?);
        client.batch_execute("rollback")?;
        with.push(timed(client, &query.text)?);
    }
    without.sort();
    with.sort();
    Ok((without[RUNS_AGAIN / 2], with[RUNS_AGAIN / 2]))
}

fn median(client: &mut Client, text: &str) -> Result<Duration> {
    let mut times = Vec::new();
    while times.len() < RUNS && times.last().is_none_or(|time| *time < LONG) {
        times.push(timed(client, text)?);
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// TIMEOUT for a query that was cancelled.
fn timed(client: &mut Client, text: &str) -> Result<Duration> {
    let begun = Instant::now();
    match client.simple_query(text) {
        Ok(_) => Ok(begun.elapsed()),
        Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Ok(TIMEOUT),
        Err(error) => Err(error.into()),
    }
}

fn slower(before: Duration, after: Duration) -> bool {
    after > before.mul_f64(SLOWER) && after > before + NOTABLE
}

fn print_sizes(advice: &Advice, built: &[Vec<Built>]) -> bool {
    println!("{:>12} {:>12} {:>8}   index", "predicted", "real", "error");
    let mut errors = Vec::new();
    for (advised, built) in advice.indexes.iter().zip(built) {
        let real = built.iter().map(|index| index.bytes).sum::<u64>();
        let error = advised.estimated_bytes as f64 / real as f64 - 1.0;
        errors.push(error.abs());
        println!(
            "{:>9.2} MB {:>9.2} MB {:>+7.1}%   {}",
            mb(advised.estimated_bytes),
            mb(real),
            error * 100.0,
            advised.definitions[0]
        );
    }
    let within = errors.iter().filter(|error| **error <= SIZE_AIM).count();
    let met = within == errors.len();
    println!("sizes within {:.0}%: {within} of {}  {}", SIZE_AIM * 100.0, errors.len(), verdict(met));
    met
}

fn print_times(queries: &[Query], advice: &Advice, before: &[Measured], after: &[Measured]) -> bool {
    println!("{:<6} {:>12} {:>12} {:>9} {:>9}", "query", "before", "after", "planned", "measured");
    let mut unnamed = Vec::new();
    for ((query, before), after) in queries.iter().zip(before).zip(after) {
        let slower = slower(before.time, after.time);
        let named = advice.harmed.contains(&query.name);
        if slower && !named {
            unnamed.push(query.name.as_str());
        }
        let note = match (slower, named) {
            (true, true) => "slower, as named",
            (true, false) => "SLOWER, NOT NAMED",
            (false, true) => "named as harmed",
            (false, false) => "",
        };
        let line = format!(
            "{:<6} {:>9.1} ms {:>9.1} ms {:>8.1}% {:>8.1}% {note}",
            query.name,
            before.time.as_secs_f64() * 1000.0,
            after.time.as_secs_f64() * 1000.0,
            after.cost / before.cost * 100.0,
            after.time.as_secs_f64() / before.time.as_secs_f64() * 100.0,
        );
        println!("{}", line.trim_end());
    }
    let total = |measured: &[Measured]| measured.iter().map(|one| one.time.as_secs_f64()).sum::<f64>();
    let cost = |measured: &[Measured]| measured.iter().map(|one| one.cost).sum::<f64>();
    let stopped = before.iter().filter(|one| one.time >= TIMEOUT).count();
    let faster = total(after) < total(before);
    println!(
        "workload: {:.1} s ({stopped} queries stopped after {} s) to {:.1} s, {:.1}%; planned {:.1}%  {}",
        total(before),
        TIMEOUT.as_secs(),
        total(after),
        total(after) / total(before) * 100.0,
        cost(after) / cost(before) * 100.0,
        verdict(faster),
    );
    println!("slower than {SLOWER} times and not named: {} {}", unnamed.len(), unnamed.join(" "));
    println!("no query is slower without being named  {}", verdict(unnamed.is_empty()));
    faster && unnamed.is_empty()
}
