//! What the hook that records bursts costs: pgbench with it, with its threshold at 0, and without the library, in turns.
//!
//!     bin/bench n-plus-one [--seconds 5] [--rounds 8] [--clients 1,8,32]
//!
//! With `--seconds 0` single sessions only, which take a minute. Each line: throughput with the hook over throughput without, and the servers' processor time for a transaction, of which
//! other load on the machine changes less; medians of the rounds' ratios, with their quartiles.

#[path = "../harness/cluster.rs"]
mod cluster;

use cluster::{Cluster, Result, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

const LOADED: &str = "shared_preload_libraries = 'pg_stat_statements,pg_dbre'";
const NOT_LOADED: &str = "shared_preload_libraries = 'pg_stat_statements'";
const SCALE: &str = "10";
/// A list, and one lookup for each of its rows.
const BURST: &str = "
\\set first random(1, 999900)
begin;
select aid from pgbench_accounts where aid between :first and :first + 19;
";

struct Options {
    seconds: u32,
    rounds: usize,
    clients: Vec<u32>,
}

fn options() -> Result<Options> {
    let mut options = Options { seconds: 5, rounds: 8, clients: vec![1, 8, 32] };
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--clients" => options.clients = value.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok(options)
}

/// One way to run the server.
#[derive(Clone, Copy)]
struct Way<'a> {
    cluster: &'a Cluster,
    threshold: &'static str,
}

#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    /// Of the server's processes, user and system.
    cpu_us: f64,
}

fn main() -> Result<()> {
    let options = options()?;
    let folder = |name: &str| env::temp_dir().join(format!("pg_dbre_bench_{name}_{}", std::process::id()));
    let settings = ["shared_buffers = '512MB'", "max_connections = 100"];
    let start = |name: &str, library: &str| -> Result<Started> {
        let folder = folder(name);
        let cluster = Cluster::start(Some(folder.clone()), &[&settings[..], &[library]].concat())?;
        let started = Started { cluster, folder };
        pgbench(&started.cluster, &["-i", "-q", "-s", SCALE])?;
        run(started.cluster.psql("postgres").args(["-c", "vacuum (freeze, analyze)", "-c", "checkpoint"]))?;
        Ok(started)
    };
    let (with, without) = (start("with", LOADED)?, start("without", NOT_LOADED)?);
    let ways = [
        Way { cluster: &with.cluster, threshold: "10" },
        Way { cluster: &with.cluster, threshold: "0" },
        Way { cluster: &without.cluster, threshold: "" },
    ];

    let script = with.folder.join("burst.sql");
    let lookups = (0..20).map(|n| format!("select abalance from pgbench_accounts where aid = :first + {n};\n"));
    fs::write(&script, format!("{BURST}{}commit;\n", lookups.collect::<String>()))?;
    let script = script.to_str().ok_or("the folder's name is not UTF-8")?;

    println!("{:<44} {:>30} {:>30}", "", "throughput, with / without", "processor time, with / without");
    if options.seconds == 0 {
        return sessions(&ways, true).and_then(|()| sessions(&ways, false)).and_then(|()| memory(&ways));
    }
    let mut worst: f64 = 0.0;
    for mode in ["prepared", "simple"] {
        for clients in &options.clients {
            let measured = measure(&options, ways, *clients, &["-S", "-M", mode])?;
            worst = worst.max(print(&format!("pgbench -S, {mode}, {clients} clients"), &measured));
        }
    }
    let measured = measure(&options, ways, 8, &["-M", "prepared", "-f", script])?;
    print("only bursts (list and 20 lookups), 8 clients", &measured);
    let measured = measure(&options, ways, 8, &["-S", "-C", "-M", "simple"])?;
    print("pgbench -S, a connection each, 8 clients", &measured);
    println!(
        "\npgbench -S: at most {worst:.1} % of throughput lost; aim: below 2 %{}",
        if worst < 2.0 { "" } else { "  MISSED" }
    );
    sessions(&ways, true)?;
    sessions(&ways, false)?;
    memory(&ways)
}

struct Started {
    cluster: Cluster,
    folder: PathBuf,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("bin/cluster").arg("stop").arg(&self.folder)) {
            eprintln!("{error}");
        }
    }
}

fn pgbench(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let config = env::var("PG_CONFIG")?;
    let program = Path::new(&config).with_file_name("pgbench");
    let mut command = Command::new(program);
    command.args(arguments).args(["-h"]).arg(&cluster.folder).args(["-U", "postgres", "postgres"]);
    Ok(command)
        .and_then(|mut command| command.output().map_err(|error| format!("{command:?}: {error}")))
        .and_then(|output| match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        })
        .map_err(Into::into)
}

/// For each round one run in each way, in another order each time.
fn measure(options: &Options, ways: [Way; 3], clients: u32, arguments: &[&str]) -> Result<Vec<[Figures; 3]>> {
    for way in ways {
        once(way, 1, clients, arguments)?;
    }
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let mut figures = [Figures { per_second: 0.0, cpu_us: 0.0 }; 3];
        for turn in 0..3 {
            let order = if round % 2 == 0 { (round + turn) % 3 } else { (round + 3 - turn) % 3 };
            figures[order] = once(ways[order], options.seconds, clients, arguments)?;
        }
        rounds.push(figures);
    }
    Ok(rounds)
}

fn once(way: Way, seconds: u32, clients: u32, arguments: &[&str]) -> Result<Figures> {
    if !way.threshold.is_empty() {
        let set = format!("alter database postgres set dbre.n_plus_one_threshold = {}", way.threshold);
        run(way.cluster.psql("postgres").args(["-c", &set]))?;
    }
    let before = processor_us(way.cluster)?;
    let (seconds, clients) = (seconds.to_string(), clients.to_string());
    let common = ["-n", "-T", &seconds, "-c", &clients, "-j", "2"];
    let output = pgbench(way.cluster, &[&common[..], arguments].concat())?;
    let number = |label: &str| -> Result<f64> {
        let line = output.lines().find_map(|line| line.strip_prefix(label)).ok_or_else(|| output.clone())?;
        Ok(line.trim().split(['/', ' ']).next().unwrap_or_default().parse()?)
    };
    let transactions = number("number of transactions actually processed: ")?;
    let cpu_us = (processor_us(way.cluster)? - before) / transactions;
    Ok(Figures { per_second: number("tps = ")?, cpu_us })
}

/// Of the sessions that have ended: the postmaster has waited for them.
fn processor_us(cluster: &Cluster) -> Result<f64> {
    thread::sleep(Duration::from_millis(200));
    let pid = fs::read_to_string(cluster.folder.join("data/postmaster.pid"))?;
    let pid = pid.lines().next().ok_or("postmaster.pid is empty")?.to_string();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // cutime and cstime, in hundredths of a second.
    Ok((fields[13].parse::<f64>()? + fields[14].parse::<f64>()?) * 10_000.0)
}

/// The loss in percent against the server without the library.
fn print(label: &str, rounds: &[[Figures; 3]]) -> f64 {
    let mut lost = 0.0;
    for (other, against) in [(1, "threshold 0"), (2, "not loaded")] {
        let throughput = quartiles(rounds.iter().map(|round| round[0].per_second / round[other].per_second));
        let processor = quartiles(rounds.iter().map(|round| round[0].cpu_us / round[other].cpu_us));
        let shown = |[low, middle, high]: [f64; 3]| format!("{middle:.3} ({low:.3} to {high:.3})");
        let label = format!("{label}, {against}");
        println!("{label:<60} {:>26} {:>26}", shown(throughput), shown(processor));
        lost = (1.0 - throughput[1]) * 100.0;
    }
    lost
}

fn quartiles(ratios: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut ratios: Vec<_> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (ratios.len() - 1) as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        ratios[below] * (1.0 - part) + ratios[place.ceil() as usize] * part
    };
    [at(0.25), at(0.5), at(0.75)]
}

/// The processor time of single sessions, by the kernel's clock: one of each kind, in turns, so that a busy machine tells as well.
fn sessions(ways: &[Way; 3], extended: bool) -> Result<()> {
    const LOOKUPS: i32 = 1000;
    const ROUNDS: usize = 200;
    let mut sessions = Vec::new();
    for way in ways {
        let mut client = way.cluster.connect("postgres")?;
        if !way.threshold.is_empty() {
            client.batch_execute(&format!("set dbre.n_plus_one_threshold = {}", way.threshold))?;
        }
        let pid: i32 = client.query_one("select pg_backend_pid()", &[])?.get(0);
        let prepared = client.prepare("select abalance from pgbench_accounts where aid = $1")?;
        sessions.push((client, pid, prepared));
    }
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let mut figures = [Figures { per_second: 0.0, cpu_us: 0.0 }; 3];
        for turn in 0..3 {
            let order = (round + turn) % 3;
            let (client, pid, prepared) = &mut sessions[order];
            let spent = || -> Result<f64> {
                let times = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
                Ok(times.split(' ').next().unwrap_or_default().parse::<f64>()? / 1000.0)
            };
            let (before, begun) = (spent()?, Instant::now());
            for number in 0..LOOKUPS {
                let id = (number * 997 + round as i32) % 1_000_000 + 1;
                if extended {
                    client.query_one(&*prepared, &[&id])?;
                } else {
                    client.simple_query(&format!("select abalance from pgbench_accounts where aid = {id}"))?;
                }
            }
            let per_second = f64::from(LOOKUPS) / begun.elapsed().as_secs_f64();
            figures[order] = Figures { per_second, cpu_us: (spent()? - before) / f64::from(LOOKUPS) };
        }
        rounds.push(figures);
    }
    let label = if extended { "one session, prepared" } else { "one session, simple" };
    print(label, &rounds[1..]);
    // The lower quartile: what else runs on the machine only adds to it.
    let times = |way: usize| quartiles(rounds[1..].iter().map(|round| round[way].cpu_us))[0];
    println!("    {:.2} us with the hook, {:.2} at threshold 0, {:.2} not loaded", times(0), times(1), times(2));
    Ok(())
}

/// Of a session after a burst and many statements, beside one without the library.
fn memory(ways: &[Way; 3]) -> Result<()> {
    let mut private = Vec::new();
    for way in [ways[0], ways[2]] {
        let mut client = way.cluster.connect("postgres")?;
        if way.threshold == "10" {
            client.batch_execute("set dbre.n_plus_one_threshold = 10")?;
        }
        for number in 0..200 {
            client.batch_execute("select * from pgbench_branches")?;
            client.batch_execute(&format!("select abalance from pgbench_accounts where aid = {number}"))?;
        }
        let pid: i32 = client.query_one("select pg_backend_pid()", &[])?.get(0);
        private.push(private_kb(&fs::read_to_string(format!("/proc/{pid}/smaps"))?));
        if way.threshold == "10" {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
            let segments = maps.lines().filter(|line| line.contains("/dev/shm/PostgreSQL"));
            let bytes = segments.filter_map(|line| {
                let (begin, end) = line.split(' ').next()?.split_once('-')?;
                Some(u64::from_str_radix(end, 16).ok()? - u64::from_str_radix(begin, 16).ok()?)
            });
            println!(
                "dynamic shared memory that a session maps: {:.2} MB",
                bytes.sum::<u64>() as f64 / (1 << 20) as f64
            );
        }
    }
    println!(
        "private memory of a session: {:.0} kB with the hook, {:.0} kB without the library",
        private[0], private[1]
    );
    Ok(())
}

/// What is written in mappings that are not shared, of which the postmaster has no copy.
fn private_kb(smaps: &str) -> f64 {
    let (mut shared, mut total) = (false, 0.0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("Private_Dirty:"), Some(kb)) if !shared => total += kb.parse().unwrap_or(0.0),
            (Some(range), Some(permissions)) if range.contains('-') => shared = permissions.ends_with('s'),
            _ => {}
        }
    }
    total
}
