//! What `dbre.check()` costs in databases of 1,000 and 10,000 tables, beside its own fact queries run by psql.

#[path = "../harness/cluster.rs"]
mod cluster;

use cluster::{Cluster, Result, run};
use postgres::Client;
use postgres::error::SqlState;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

const SIZES: [u32; 2] = [1_000, 10_000];
const ROUNDS: usize = 5;
const CANCELS: usize = 20;
const CHECK: &str = "select pg_catalog.count(*) from dbre.check()";
const FACTS: [&str; 12] = [
    "database",
    "extensions",
    "tables",
    "columns",
    "types",
    "equality",
    "opclasses",
    "indexes",
    "foreign_keys",
    "column_statistics",
    "relation_names",
    "rule_settings",
];
/// Modes from weak to strong; $1 is the process that holds the locks. Every transaction locks its own virtual id.
const LOCKS: &str = "
    with held as (
        select
            l.mode,
            l.locktype,
            pg_catalog.array_position(
                array['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
                      'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], l.mode) as strength,
            n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbre') as users
        from pg_catalog.pg_locks l
        left join pg_catalog.pg_class c on l.locktype = 'relation' and c.oid = l.relation
        left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where l.pid = $1 and l.locktype <> 'virtualxid'
    )
    select
        coalesce((select h.mode from held h order by h.strength desc limit 1), 'none'),
        (select pg_catalog.count(*) from held h where h.users)";

/// Statistics of a new database are young: without this the rules that wait for them would do nothing.
const CONFIGURE: &str = "
    select dbre.configure_rule(rule, options => '{\"min_statistics_days\": 0}')
    from dbre.rules
    where options ? 'min_statistics_days'";

fn main() -> Result<()> {
    let cluster = Cluster::start(None, &[])?;
    let figures = SIZES.iter().map(|tables| measure(&cluster, *tables)).collect::<Result<Vec<_>>>()?;
    print(&figures[0], &figures[1]);
    Ok(())
}

struct Figures {
    tables: u32,
    findings: i64,
    rules_run: usize,
    rules: usize,
    /// Medians of new connections, of second calls in them, and of new psql processes.
    cold: Duration,
    warm: Duration,
    psql: Duration,
    /// The same without psql's layout of the rows.
    unaligned: Duration,
    /// Peak of the server process after `check()` and after `select 1`.
    peak_mb: f64,
    idle_mb: f64,
    /// From `pg_cancel_backend()` to the error, slowest last.
    cancels: Vec<Duration>,
    strongest_lock: String,
    locks_on_user_tables: i64,
}

fn measure(cluster: &Cluster, tables: u32) -> Result<Figures> {
    let database = format!("tables_{tables}");
    create(cluster, &database, tables)?;
    eprintln!("measuring {database}");
    let facts = write_fact_queries(cluster)?;
    let psql = |arguments: &[&str]| -> Result<Duration> {
        let begun = Instant::now();
        run(cluster.psql(&database).args(["-o", "/dev/null"]).args(arguments))?;
        Ok(begun.elapsed())
    };
    let mut client = cluster.connect(&database)?;
    let findings = client.query_one(CHECK, &[])?.get(0);
    let runs = client.query("select status, rule, reason from dbre.rule_runs()", &[])?;
    let with = |status: &str| runs.iter().filter(|run| run.get::<_, &str>(0) == status).collect::<Vec<_>>();
    if let Some(run) = with("failed").first() {
        let (rule, reason): (&str, Option<&str>) = (run.get(1), run.get(2));
        return Err(format!("rule {rule} failed: {}", reason.unwrap_or_default()).into());
    }
    let rules_run = with("ran").len();
    psql(&["-f", &facts])?;

    // In turns, so that whatever else the machine does meets all of them.
    let (mut cold, mut warm, mut start) = (Vec::new(), Vec::new(), Vec::new());
    let (mut queries, mut unaligned) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        start.push(psql(&["-c", "select 1"])?);
        queries.push(psql(&["-f", &facts])?);
        unaligned.push(psql(&["-A", "-t", "-f", &facts])?);
        let mut client = cluster.connect(&database)?;
        cold.push(check(&mut client)?);
        warm.push(check(&mut client)?);
    }
    let (cold, start) = (median(cold), median(start));
    let (strongest_lock, locks_on_user_tables) = locks(cluster, &database)?;
    Ok(Figures {
        tables,
        findings,
        rules_run,
        rules: runs.len(),
        cold,
        warm: median(warm),
        psql: median(queries).saturating_sub(start),
        unaligned: median(unaligned).saturating_sub(start),
        peak_mb: peak_mb(cluster, &database, CHECK)?,
        idle_mb: peak_mb(cluster, &database, "select 1")?,
        cancels: cancels(cluster, &database, cold)?,
        strongest_lock,
        locks_on_user_tables,
    })
}

fn check(client: &mut Client) -> Result<Duration> {
    let begun = Instant::now();
    client.query_one(CHECK, &[])?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn backend(client: &mut Client) -> Result<i32> {
    Ok(client.query_one("select pg_catalog.pg_backend_pid()", &[])?.get(0))
}

/// Of a new server process that runs `query`, with the shared memory it touches.
fn peak_mb(cluster: &Cluster, database: &str, query: &str) -> Result<f64> {
    let mut client = cluster.connect(database)?;
    let pid = backend(&mut client)?;
    client.query_one(query, &[])?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// The strongest mode, and the number of locks on user tables, that `check()` leaves until its transaction ends.
fn locks(cluster: &Cluster, database: &str) -> Result<(String, i64)> {
    let mut client = cluster.connect(database)?;
    let pid = backend(&mut client)?;
    let mut transaction = client.transaction()?;
    transaction.query_one(CHECK, &[])?;
    let row = cluster.connect(database)?.query_one(LOCKS, &[&pid])?;
    Ok((row.get(0), row.get(1)))
}

/// Cancels new calls of `check()` at random points of their `runtime`.
fn cancels(cluster: &Cluster, database: &str, runtime: Duration) -> Result<Vec<Duration>> {
    let mut other = cluster.connect(database)?;
    let mut delays = Vec::new();
    let mut finished = 0;
    while delays.len() < CANCELS {
        let mut client = cluster.connect(database)?;
        let pid = backend(&mut client)?;
        let call = thread::spawn(move || {
            let outcome = client.query_one(CHECK, &[]);
            (outcome, Instant::now())
        });
        thread::sleep(runtime.mul_f64(random(0.05, 0.8)));
        let cancelled = Instant::now();
        other.query_one("select pg_catalog.pg_cancel_backend($1)", &[&pid])?;
        match call.join().map_err(|_| "the cancelled call panicked")? {
            (Err(error), at) if error.code() == Some(&SqlState::QUERY_CANCELED) => delays.push(at - cancelled),
            (Err(error), _) => return Err(error.into()),
            (Ok(_), _) if finished < CANCELS => finished += 1,
            (Ok(_), _) => return Err("check() finished before it could be cancelled, again and again".into()),
        }
    }
    delays.sort();
    Ok(delays)
}

fn random(from: f64, to: f64) -> f64 {
    // A RandomState has random keys.
    let share = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
    from + (to - from) * share
}

fn print(small: &Figures, large: &Figures) {
    let row = |label: &str, of: &dyn Fn(&Figures) -> String, aim: &str, met: Option<bool>| {
        let verdict = met.map_or("", |met| if met { "ok" } else { "MISSED" });
        let line = format!("{label:<36} {:>18} {:>18}   {aim:<18} {verdict}", of(small), of(large));
        println!("{}", line.trim_end());
    };
    let time = |of: fn(&Figures) -> Duration| move |figures: &Figures| format!("{:.0} ms", ms(of(figures)));
    let ratio = |figures: &Figures| ms(figures.cold) / ms(figures.psql);
    let strict_ratio = |figures: &Figures| ms(figures.cold) / ms(figures.unaligned);
    let slowest = |figures: &Figures| figures.cancels.last().copied().unwrap_or_default();
    let growth = |of: fn(&Figures) -> Duration| {
        let per_table = |figures: &Figures| ms(of(figures)) / f64::from(figures.tables);
        per_table(large) / per_table(small)
    };
    let grown = |of: fn(&Figures) -> Duration| {
        move |figures: &Figures| {
            if figures.tables == large.tables { format!("{:.2} x", growth(of)) } else { String::new() }
        }
    };
    let is = |both: &dyn Fn(&Figures) -> bool| Some(both(small) && both(large));

    println!();
    row("", &|figures| format!("{} tables", figures.tables), "aim", None);
    row("rules that ran", &|figures| format!("{} of {}", figures.rules_run, figures.rules), "", None);
    row("findings", &|figures| figures.findings.to_string(), "", None);
    row("check(), new connection", &time(|f| f.cold), "< 2000 ms", Some(ms(large.cold) < 2000.0));
    row("check(), again in the connection", &time(|f| f.warm), "", None);
    row("fact queries in psql", &time(|f| f.psql), "", None);
    row("check() / fact queries", &|figures| format!("{:.2}", ratio(figures)), "<= 1.3", Some(ratio(large) <= 1.3));
    row("fact queries in psql -A -t", &time(|f| f.unaligned), "", None);
    row("check() / fact queries, -A -t", &|figures| format!("{:.2}", strict_ratio(figures)), "", None);
    row("time per table, check()", &grown(|f| f.cold), "<= 1.3 x", Some(growth(|f| f.cold) <= 1.3));
    row("time per table, fact queries", &grown(|f| f.psql), "", None);
    row("peak memory", &|figures| format!("{:.0} MB", figures.peak_mb), "< 300 MB", Some(large.peak_mb < 300.0));
    row("peak memory above select 1", &|figures| format!("{:.0} MB", figures.peak_mb - figures.idle_mb), "", None);
    row("cancel, median", &|figures| format!("{:.1} ms", ms(figures.cancels[CANCELS / 2])), "", None);
    row(
        &format!("cancel, slowest of {CANCELS}"),
        &|figures| format!("{:.1} ms", ms(slowest(figures))),
        "<= 100 ms",
        is(&|figures| ms(slowest(figures)) <= 100.0),
    );
    row(
        "strongest lock",
        &|figures| figures.strongest_lock.clone(),
        "AccessShareLock",
        is(&|figures| figures.strongest_lock == "AccessShareLock"),
    );
    row(
        "locks on user tables",
        &|figures| figures.locks_on_user_tables.to_string(),
        "0",
        is(&|figures| figures.locks_on_user_tables == 0),
    );
    println!("\nTimes are medians of {ROUNDS}, the starts of psql subtracted; aims hold for {} tables.", large.tables);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn create(cluster: &Cluster, database: &str, tables: u32) -> Result<()> {
    eprintln!("creating {tables} tables");
    run(cluster.psql("postgres").args(["-c", &format!("create database {database}")]))?;
    let schema = ["-o", "/dev/null", "-v", &format!("tables={tables}"), "-f", "benches/catalog/schema.sql"];
    run(cluster.psql(database).args(schema))?;
    run(cluster.psql(database).args([
        "-o",
        "/dev/null",
        "-c",
        "create extension pg_dbre",
        "-c",
        CONFIGURE,
        "-c",
        "checkpoint",
    ]))
}

/// All fact queries as one psql script, in one transaction and without JIT as in `check()`; its path.
fn write_fact_queries(cluster: &Cluster) -> Result<String> {
    let mut script = "set jit = off; begin isolation level read committed read only;\n".to_string();
    for fact in FACTS {
        let file = format!("sql/facts/{fact}.sql");
        let query = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        script += &format!("{};\n", query.trim_end().replace("$1", "null::text[]"));
    }
    let path = cluster.folder.join("facts.sql");
    fs::write(&path, script + "commit;\n")?;
    Ok(path.display().to_string())
}
