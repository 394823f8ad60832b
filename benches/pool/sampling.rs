//! What watching costs: samples in one call, and the background worker that keeps a history.

use crate::cluster::{Cluster, Result};
use crate::costs::spent_ms;
use crate::wire::Wire;
use std::thread;
use std::time::{Duration, Instant};

const WORKER: &str = "select pid from pg_stat_activity where backend_type = 'pg_dbre'";

/// As much as there is room for: applications that have another name in each sample.
pub fn fill_history(cluster: &Cluster) -> Result<()> {
    const SESSIONS: usize = 15;
    const NEARLY_ALL: i64 = 44_000;
    let mut client = cluster.connect("postgres")?;
    client.batch_execute("select dbre.start_activity_history('10 ms', '1 s')")?;
    let mut renaming = Vec::new();
    for number in 0..SESSIONS {
        let mut session = Wire::open(cluster, "postgres", "renaming")?;
        session.send(&format!(
            "do $$ begin for turn in 1..12000 loop
                perform set_config('application_name', '{number} ' || turn, false), pg_sleep(0.01);
            end loop; end $$"
        ))?;
        renaming.push(session);
    }
    let begun = Instant::now();
    let count = "select count(*) from dbre.activity_history where breakdown <> 'all'";
    let mut entries = 0;
    while entries < NEARLY_ALL && begun.elapsed() < Duration::from_secs(120) {
        thread::sleep(Duration::from_secs(5));
        entries = client.query_one(count, &[])?.get(0);
    }
    client.batch_execute(
        "select dbre.stop_activity_history();
         select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like 'do $$ begin for turn%'",
    )?;
    println!("history: {entries} rows");
    Ok(())
}

pub fn print(cluster: &Cluster) -> Result<()> {
    let mut client = cluster.connect("postgres")?;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[])?.get(0);
    let before = spent_ms(pid)?;
    let sample = "select samples, samples_missed from dbre.sample_activity('5 s', '10 ms') where breakdown = 'all'";
    let row = client.query_one(sample, &[])?;
    let (samples, missed): (i64, Option<i64>) = (row.get(0), row.get(1));
    println!(
        "sample_activity('5 s', '10 ms'): {samples} samples, {} missed, {:.3} ms processor each",
        missed.unwrap_or_default(),
        (spent_ms(pid)? - before) / samples as f64
    );

    client.batch_execute("select dbre.start_activity_history('1 s', '10 s')")?;
    thread::sleep(Duration::from_secs(1));
    let worker: i32 = client.query_one(WORKER, &[])?.get(0);
    let (before, begun) = (spent_ms(worker)?, Instant::now());
    thread::sleep(Duration::from_secs(15));
    let share = (spent_ms(worker)? - before) / (begun.elapsed().as_secs_f64() * 1000.0);
    println!(
        "history at one sample a second: {:.3} % of a core; aim: below 1 %{}",
        share * 100.0,
        if share < 0.01 { "" } else { "  MISSED" }
    );
    client.batch_execute("select dbre.stop_activity_history()")?;
    Ok(())
}
