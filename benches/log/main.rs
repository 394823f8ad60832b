//! `dbre.log_findings()` on a large log, beside pgBadger on the same file:
//!
//!     cargo bench --bench log -- [--mb N] [--no-pgbadger] [--files FOLDER]
//!
//! - `--mb`: size of each log; 1024 without it
//! - `--no-pgbadger`: leaves it out, for it takes minutes for each log
//! - `--files`: writes the logs there and leaves them

#[path = "../harness/cluster.rs"]
mod cluster;

mod generate;

use cluster::{Cluster, Result, run};
use generate::{Format, generate};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

const ROUNDS: usize = 3;
const AIM_RATIO: f64 = 10.0;
const AIM_MEGABYTES: f64 = 100.0;

struct Log {
    name: &'static str,
    format: Format,
    query_ids: bool,
}

/// Without query ids every text is normalized.
const LOGS: [Log; 4] = [
    Log { name: "csvlog", format: Format::Csv, query_ids: false },
    Log { name: "csvlog, query ids", format: Format::Csv, query_ids: true },
    Log { name: "jsonlog", format: Format::Json, query_ids: false },
    Log { name: "jsonlog, query ids", format: Format::Json, query_ids: true },
];

fn main() -> Result<()> {
    let (mut megabytes, mut pgbadger, mut folder) = (1024, true, None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // From cargo bench.
            "--bench" => {}
            "--mb" => megabytes = value()?.parse()?,
            "--no-pgbadger" => pgbadger = false,
            "--files" => folder = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    let cluster = Cluster::start(None, &[])?;
    run(cluster.psql("postgres").args(["-c", "create extension pg_dbre"]))?;
    println!(
        "\n{:<20} {:>7} {:>10} {:>12} {:>9} {:>9} {:>9} {:>12} {:>7}",
        "log", "MB", "records", "findings in", "MB/s", "peak MB", "findings", "pgBadger in", "ratio"
    );
    let mut met = true;
    for log in &LOGS {
        met &= measure(&cluster, log, megabytes, pgbadger, folder.as_deref())?;
    }
    println!("at least {AIM_RATIO} times as fast, below {AIM_MEGABYTES} MB");
    println!("\n{}", if met { "PASS: every aim is met" } else { "FAIL: not every aim is met" });
    Ok(())
}

fn measure(cluster: &Cluster, log: &Log, megabytes: u64, pgbadger: bool, keep: Option<&Path>) -> Result<bool> {
    let extension = if log.format == Format::Csv { "csv" } else { "json" };
    let name = format!("{}.{extension}", log.name.replace([' ', ','], "_"));
    let file = fs::canonicalize(keep.unwrap_or(&cluster.folder))?.join(name);
    let records = generate(&file, log.format, log.query_ids, megabytes << 20)?;
    let size = fs::metadata(&file)?.len() as f64 / 1e6;
    let (mut seconds, mut peak, mut findings) = (Vec::new(), 0.0, 0);
    for _ in 0..ROUNDS {
        // Its own session, whose peak is that of the call.
        let mut client = cluster.connect("postgres")?;
        let pid: i32 = client.query_one("select pg_backend_pid()", &[])?.get(0);
        let begun = Instant::now();
        let sql = "select rule from dbre.log_findings('-infinity', array[$1])";
        findings = client.query(sql, &[&file.to_str()])?.len();
        seconds.push(begun.elapsed().as_secs_f64());
        peak = f64::max(peak, peak_megabytes(pid)?);
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[ROUNDS / 2];
    // It takes minutes, with query ids or without.
    let compared = pgbadger && !log.query_ids;
    let other = compared.then(|| pgbadger_seconds(&file, log.format)).transpose()?;
    let ratio = other.map(|other| other / median);
    let met = peak < AIM_MEGABYTES && ratio.is_none_or(|ratio| ratio >= AIM_RATIO);
    println!(
        "{:<20} {size:>7.0} {records:>10} {median:>10.2} s {:>9.0} {peak:>9.1} {findings:>9} {:>10} s {:>7}  {}",
        log.name,
        size / median,
        other.map_or("-".to_string(), |seconds| format!("{seconds:.1}")),
        ratio.map_or("-".to_string(), |ratio| format!("{ratio:.0}")),
        if met { "ok" } else { "MISSED" }
    );
    if keep.is_none() {
        fs::remove_file(&file)?;
    }
    Ok(met)
}

/// The largest resident set of a backend, without what it shares with others.
fn peak_megabytes(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = |key: &str| -> Result<f64> {
        let line =
            status.lines().find(|line| line.starts_with(key)).ok_or(format!("no {key} in /proc/{pid}/status"))?;
        Ok(line.split_whitespace().nth(1).unwrap_or_default().parse()?)
    };
    Ok((kilobytes("VmHWM:")? - kilobytes("RssFile:")? - kilobytes("RssShmem:")?) / 1024.0)
}

fn pgbadger_seconds(file: &Path, format: Format) -> Result<f64> {
    let report = file.with_extension("html");
    let begun = Instant::now();
    let kind = if format == Format::Csv { "csv" } else { "jsonlog" };
    run(Command::new("pgbadger").args(["-f", kind, "-q", "-o"]).arg(&report).arg(file))?;
    let seconds = begun.elapsed().as_secs_f64();
    fs::remove_file(&report)?;
    Ok(seconds)
}
