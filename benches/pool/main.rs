//! What a look at a server in trouble costs: hundreds of real sessions, and the same questions to pg_stat_activity and
//! pg_blocking_pids() in the same rounds.
//!
//!     bin/bench pool [--sessions 500] [--rounds 200]

#[path = "../harness/cluster.rs"]
mod cluster;
mod costs;
mod sampling;
#[path = "../harness/wire.rs"]
mod wire;

use cluster::{Cluster, Result, run};
use costs::{costs, print};
use postgres::Client;
use std::time::{Duration, Instant};
use std::{env, thread};
use wire::Wire;

const AIM_MS: f64 = 20.0;

const SETUP: &str = "
    create extension pg_dbre;
    create extension pg_stat_statements;
    create table held (id int primary key, n int);
    insert into held select g, 0 from generate_series(0, 10000) g";
const SESSIONS: &str = "select * from pg_stat_activity";
/// The tree as wikis and dashboards draw it.
const BLOCKING: &str = "
    with recursive waiting as (
        select pid, unnest(pg_blocking_pids(pid)) as blocker from pg_stat_activity where wait_event_type = 'Lock'
    ), tree as (
        select blocker as pid, 0 as depth from waiting where blocker not in (select pid from waiting)
        union
        select w.pid, t.depth + 1 from waiting w join tree t on t.pid = w.blocker
    )
    select pid, max(depth) from tree group by pid";
const LOCKS: &str = "select * from pg_locks";
const PRESSURE: &str = "select * from dbre.pool_pressure()";
const TREE: &str = "select * from dbre.lock_tree";
const LONG: &str = "select * from dbre.long_running";

fn main() -> Result<()> {
    let (mut sessions, mut rounds) = (500, 200);
    let mut given = env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} has no value"))?;
        match name.as_str() {
            "--sessions" => sessions = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let slots = format!("max_connections = {}", sessions + 30);
    let settings = ["shared_preload_libraries = 'pg_stat_statements,pg_dbre'", "deadlock_timeout = '1h'", &slots];
    let cluster = Cluster::start(None, &settings)?;
    run(cluster.psql("postgres").args(["-c", SETUP]))?;
    let mut client = cluster.connect("postgres")?;

    let mut missed = Vec::new();
    for (name, open) in [("mixed", mixed as Open), ("one row that all want", star), ("a chain", chain)] {
        let kept = open(&cluster, &mut client, sessions)?;
        println!("\n{sessions} sessions: {name}");
        let asked = [SESSIONS, LOCKS, PRESSURE, TREE, LONG, BLOCKING];
        let measured = costs(&cluster, &asked, rounds)?;
        for (sql, cost) in asked.iter().zip(&measured) {
            let label = if *sql == BLOCKING { "recursion over pg_blocking_pids()" } else { sql };
            print(label, cost);
            if sql.contains("dbre.") && cost.median() > AIM_MS {
                missed.push(format!("{name}: {label}"));
            }
        }
        if name == "mixed" {
            sampling::print(&cluster)?;
        }
        drop(kept);
        gone(&mut client)?;
    }
    // Last, for the history stays.
    let _kept = mixed(&cluster, &mut client, sessions)?;
    println!("\n{sessions} sessions: mixed");
    sampling::fill_history(&cluster)?;
    let cost = &costs(&cluster, &[PRESSURE], rounds)?[0];
    print("pool_pressure() with a full history", cost);
    if cost.median() > AIM_MS {
        missed.push("mixed, with a full history of as many pools as there is room for".to_string());
    }
    println!("\naim: below {AIM_MS} ms{}", if missed.is_empty() { "" } else { "  MISSED" });
    missed.iter().for_each(|missed| println!("    {missed}"));
    Ok(())
}

type Open = fn(&Cluster, &mut Client, usize) -> Result<Vec<Wire>>;

/// Three in five idle, one in five waiting for one transaction, the others active or idle in transaction; ten applications.
fn mixed(cluster: &Cluster, client: &mut Client, sessions: usize) -> Result<Vec<Wire>> {
    let mut open = Vec::new();
    for number in 0..sessions {
        let mut session = Wire::open(cluster, "postgres", &format!("application {}", number / 5 % 10))?;
        match number % 10 {
            0 if number == 0 => session.run("begin; update held set n = 1 where id = 0")?,
            0 | 1 => session.send("update held set n = 2 where id = 0")?,
            2 => session.send("select pg_sleep(3600)")?,
            3 => session.run("begin; select count(*) from held")?,
            _ => session.run("select n from held where id = 1")?,
        }
        open.push(session);
    }
    let waiting = (0..sessions).filter(|number| number % 10 < 2).count() - 1;
    wait(client, waiting)?;
    Ok(open)
}

fn star(cluster: &Cluster, client: &mut Client, sessions: usize) -> Result<Vec<Wire>> {
    let mut open = vec![Wire::open(cluster, "postgres", "holder")?];
    open[0].run("begin; update held set n = 1 where id = 0")?;
    for _ in 1..sessions {
        let mut session = Wire::open(cluster, "postgres", "waiter")?;
        session.send("update held set n = 2 where id = 0")?;
        open.push(session);
    }
    wait(client, sessions - 1)?;
    Ok(open)
}

fn chain(cluster: &Cluster, client: &mut Client, sessions: usize) -> Result<Vec<Wire>> {
    let mut open = Vec::new();
    for number in 0..sessions {
        let mut session = Wire::open(cluster, "postgres", "link")?;
        session.run(&format!("begin; update held set n = 1 where id = {number}"))?;
        if number > 0 {
            session.send(&format!("update held set n = 2 where id = {}", number - 1))?;
        }
        open.push(session);
    }
    wait(client, sessions - 1)?;
    Ok(open)
}

fn wait(client: &mut Client, sessions: usize) -> Result<()> {
    let count = "select count(*) from pg_stat_get_activity(null) where wait_event_type = 'Lock'";
    until(client, count, sessions as i64)
}

fn gone(client: &mut Client) -> Result<()> {
    client.batch_execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    )?;
    until(client, "select count(*) - 1 from pg_stat_activity where backend_type = 'client backend'", 0)
}

fn until(client: &mut Client, count: &str, wanted: i64) -> Result<()> {
    let begun = Instant::now();
    while client.query_one(count, &[])?.get::<_, i64>(0) != wanted {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(format!("waited in vain for {wanted}: {count}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
