//! Memory of the server process that advises on 1,000 statements, and how fast it obeys a cancel.

use crate::cluster::{Cluster, Result};
use crate::load;
use crate::pairs::Source;
use crate::random::Random;
use crate::workloads::verdict;
use postgres::error::SqlState;
use postgres::{Client, Row};
use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const STATEMENTS: usize = 1000;
/// Subqueries of a statement, so that there are many candidates.
const ARMS: usize = 4;
const MAX_MB: f64 = 500.0;
const CANCELS: usize = 20;
const MAX_DELAY: Duration = Duration::from_millis(100);
const SEED: u64 = 5;
const ADVISE: &str = "
    select evidence -> 'workload'
    from dbre.index_advice(
        queries => $1, weigh_by => 'calls', max_queries => 100000, drop_indexes => false, time_limit => '5 min')
    limit 1";

/// Statements on TPC-DS, for it has the most columns.
pub fn measure(cluster: &Cluster, scale: f64) -> Result<bool> {
    load::workload(cluster, "tpcds", scale)?;
    let mut client = load::connect(cluster, "tpcds")?;
    client.batch_execute(load::EXTENSION)?;
    let source = Source::read(&mut client)?;
    let mut random = Random::new(SEED);
    let mut statements = BTreeSet::new();
    while statements.len() < STATEMENTS {
        let arm = |_| format!("(select count(*) from ({}) as arm)", source.draw(&mut random).query);
        statements.insert(format!("select {}", (0..ARMS).map(arm).collect::<Vec<_>>().join(", ")));
    }
    let statements = statements.into_iter().collect::<Vec<_>>();

    let idle = peak_mb(cluster, |client| Ok(client.query("select 1", &[])?))?.0;
    let begun = Instant::now();
    let (peak, rows) = peak_mb(cluster, |client| Ok(client.query(ADVISE, &[&statements])?))?;
    let took = begun.elapsed();
    println!("\n{STATEMENTS} statements on TPC-DS at scale {scale}");
    if let Some(row) = rows.first() {
        println!("index_advice() took {:.1} s: {}", took.as_secs_f64(), row.get::<_, serde_json::Value>(0));
    }
    let memory_met = peak < MAX_MB;
    println!(
        "peak memory {peak:.0} MB, {idle:.0} MB of it after select 1; aim below {MAX_MB} MB  {}",
        verdict(memory_met)
    );
    let delays = cancels(cluster, &statements, took, &mut random)?;
    let slowest = delays.last().copied().unwrap_or_default();
    let cancel_met = slowest <= MAX_DELAY;
    println!(
        "cancel: median {:.1} ms, slowest of {CANCELS} {:.1} ms; aim {} ms  {}",
        ms(delays[delays.len() / 2]),
        ms(slowest),
        MAX_DELAY.as_millis(),
        verdict(cancel_met)
    );
    Ok(memory_met && cancel_met)
}

fn backend(client: &mut Client) -> Result<i32> {
    Ok(client.query_one("select pg_catalog.pg_backend_pid()", &[])?.get(0))
}

/// Of a new server process, with the shared memory it touches.
fn peak_mb(cluster: &Cluster, call: impl FnOnce(&mut Client) -> Result<Vec<Row>>) -> Result<(f64, Vec<Row>)> {
    let mut client = load::connect(cluster, "tpcds")?;
    let pid = backend(&mut client)?;
    let rows = call(&mut client)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc")?;
    Ok((peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0, rows))
}

/// From `pg_cancel_backend()` to the error, slowest last.
fn cancels(cluster: &Cluster, statements: &[String], runtime: Duration, random: &mut Random) -> Result<Vec<Duration>> {
    let mut other = load::connect(cluster, "tpcds")?;
    let mut delays = Vec::new();
    for _ in 0..CANCELS {
        let mut client = load::connect(cluster, "tpcds")?;
        let pid = backend(&mut client)?;
        let statements = statements.to_vec();
        let call = thread::spawn(move || {
            let outcome = client.query(ADVISE, &[&statements]);
            (outcome, Instant::now())
        });
        // Two minutes of waiting in all are enough.
        let latest = runtime.min(Duration::from_secs(10)).as_micros() as usize * 8 / 10;
        thread::sleep(Duration::from_micros(random.below(latest) as u64));
        let cancelled = Instant::now();
        other.query_one("select pg_catalog.pg_cancel_backend($1)", &[&pid])?;
        match call.join().map_err(|_| "the cancelled call panicked")? {
            (Err(error), at) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                delays.push(at.saturating_duration_since(cancelled))
            }
            (Err(error), _) => return Err(error.into()),
            (Ok(_), _) => return Err("index_advice() finished before it could be cancelled".into()),
        }
    }
    delays.sort();
    Ok(delays)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
