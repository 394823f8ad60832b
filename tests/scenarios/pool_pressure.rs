//! Servers in trouble: real sessions that take, leak, block. What pool_pressure() must say, and that its fixes cure.

use crate::server::{Database, Server, alone, describe, execute, query, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::{Client, Config, NoTls};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    vec![
        alone("pool_pressure::95_of_100_connections", saturated),
        alone("pool_pressure::no_ordinary_slot_and_thousands_of_locks", last_slot),
        alone("pool_pressure::a_chain_of_50", chain),
        alone("pool_pressure::a_deadlock_in_making", deadlock),
        alone("pool_pressure::a_database_and_a_role_at_their_limit", limits),
    ]
}

/// A server of its own: what is judged is the whole of it. The extension is in `postgres`.
pub fn server(settings: &[&str]) -> Database {
    let server = Arc::new(Server::start(&[&["autovacuum = off"], settings].concat()));
    let database = Database { server, name: "pool".to_string() };
    let mut client = database.server.connect("postgres", "postgres");
    execute(&mut client, "create database pool");
    execute(&mut database.connect(), "create extension pg_dbre");
    let rest =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    wait_until("nobody else is connected", || value::<i64>(&mut client, rest) == 0);
    database
}

pub fn try_connect(database: &Database, role: &str, application: &str) -> Result<Client, postgres::Error> {
    let mut config = Config::new();
    config.host_path(&database.server.folder).dbname(&database.name).user(role).application_name(application);
    config.connect(NoTls)
}

pub fn connect(database: &Database, role: &str, application: &str) -> Client {
    try_connect(database, role, application).unwrap_or_else(|error| panic!("{role}: {}", describe(&error)))
}

/// Runs `statement`, which lasts, until it ends or its server does.
pub fn busy(mut client: Client, statement: &str) {
    let statement = statement.to_string();
    thread::spawn(move || drop(client.batch_execute(&statement)));
}

#[track_caller]
pub fn pressure(client: &mut Client, arguments: &str) -> (Vec<Value>, Vec<Value>) {
    let sql = format!("select to_jsonb(p) from dbre.pool_pressure({arguments}) p");
    let rows: Vec<Value> = query(client, &sql).iter().map(|row| row.get(0)).collect();
    rows.into_iter().partition(|row| !row["rule"].is_null())
}

#[track_caller]
pub fn only<'a>(findings: &'a [Value], rule: &str) -> &'a Value {
    let found: Vec<_> = findings.iter().filter(|finding| finding["rule"] == rule).collect();
    assert_eq!(found.len(), 1, "{rule}\n{}", shown(findings));
    found[0]
}

pub fn has(findings: &[Value], rule: &str) -> bool {
    findings.iter().any(|finding| finding["rule"] == rule)
}

pub fn waiting(client: &mut Client, sessions: i64) {
    // Without an index build that waits for this very query to end.
    let sql = "select count(*) from pg_stat_get_activity(null) a where wait_event_type = 'Lock'
               and (wait_event <> 'virtualxid' or pg_backend_pid() <> all (pg_blocking_pids(a.pid)))";
    wait_until("sessions wait for locks", || value::<i64>(client, sql) == sessions);
}

/// Pastes the fix, and looks with what the finding says shows that it worked.
#[track_caller]
pub fn fix(client: &mut Client, finding: &Value) {
    execute(client, text(finding, "fix_sql"));
    let verify = text(finding, "verify_sql");
    wait_until(verify, || {
        let rows = query(client, verify);
        !rows.is_empty() && rows.iter().all(|row| row.get::<_, bool>(0))
    });
}

fn saturated() {
    let database = server(&["max_connections = 100"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role web login; create role worker login; create role \"Büro \"\"x\"\"\" login; create table t (id int); grant select on t to worker",
    );
    let mut open: Vec<Client> = (0..55).map(|_| connect(&database, "web", "api")).collect();
    open.extend((0..10).map(|_| connect(&database, "web", "")));
    (0..10).for_each(|_| busy(connect(&database, "web", "api"), "select pg_sleep(600)"));
    for number in 0..12 {
        let mut session = connect(&database, "worker", "jobs");
        execute(&mut session, "begin; select count(*) from t");
        if number < 4 {
            session.batch_execute("select 1 / 0").unwrap_err();
        }
        open.push(session);
    }
    open.extend((0..8).map(|_| connect(&database, "Büro \"x\"", "report\n'1' \"é\"")));
    let active = "select count(*) from pg_stat_get_activity(null) where wait_event = 'PgSleep'";
    wait_until("10 are active", || value::<i64>(&mut client, active) == 10);

    // They have been idle for a moment only.
    assert!(only(&pressure(&mut client, "").0, "connection_slots_saturated")["fix_sql"].is_null());
    query(
        &mut client,
        "select dbre.configure_rule('connection_slots_saturated', options => '{\"min_idle_seconds\": 0}')",
    );
    let (findings, pools) = pressure(&mut client, "");
    let finding = only(&findings, "connection_slots_saturated");
    assert_eq!(finding["severity"], "critical", "{finding:#}");
    assert_eq!(findings[0]["severity"], "critical", "most urgent first: {}", shown(&findings));
    let numbers = |pool: &Value| {
        ["connections", "active", "idle", "idle_in_transaction", "aborted"].map(|column| pool[column].as_i64().unwrap())
    };
    let by_name: BTreeMap<_, _> = pools
        .iter()
        .map(|pool| ((text(pool, "user_name"), text(pool, "application_name")), (numbers(pool), pool)))
        .collect();
    assert_eq!(by_name[&("web", "api")].0, [65, 10, 55, 0, 0], "{}", shown(&pools));
    assert_eq!(by_name[&("web", "")].0, [10, 0, 10, 0, 0], "{}", shown(&pools));
    assert_eq!(by_name[&("worker", "jobs")].0, [12, 0, 0, 8, 4], "{}", shown(&pools));
    // The server itself makes other than printable ASCII of a name readable.
    let odd = by_name.iter().find(|((user, _), _)| *user == "Büro \"x\"").expect("the pool of the quoted role");
    assert_eq!(odd.1.0, [8, 0, 8, 0, 0], "{}", shown(&pools));
    assert_eq!(pools[0]["application_name"], "api", "largest first");
    // Of the 97 that are not reserved for superusers.
    let share = by_name[&("web", "api")].1["slots_share"].as_f64().unwrap();
    assert!((share - 65.0 / 97.0).abs() < 0.01, "{share}");
    let total: i64 = pools.iter().map(|pool| pool["connections"].as_i64().unwrap()).sum();
    assert!((95..=96).contains(&total), "{total}: with or without this one\n{}", shown(&pools));

    fix(&mut client, finding);
    let (findings, pools) = pressure(&mut client, "");
    assert!(!has(&findings, "connection_slots_saturated"), "{}", shown(&findings));
    let kept: BTreeMap<_, _> = pools
        .iter()
        .map(|pool| (text(pool, "application_name"), numbers(pool)))
        .filter(|(name, _)| *name != "")
        .collect();
    assert_eq!(kept["api"][1], 10, "nobody who works was ended: {kept:?}");
    assert_eq!(kept["jobs"], [12, 0, 0, 8, 4], "no transaction was ended: {kept:?}");
    drop(open);
}

const CALLS: [&str; 3] = ["dbre.pool_pressure()", "dbre.lock_tree", "dbre.long_running"];

fn last_slot() {
    let database = server(&["max_connections = 100", "superuser_reserved_connections = 2", "reserved_connections = 2"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role app login; create role watch login; grant pg_monitor, pg_use_reserved_connections to watch;
         do $$ begin for n in 1..2000 loop execute format('create table t_%s (id int)', n); end loop; end $$;
         grant all on all tables in schema public to app; revoke connect on database pool from public; grant connect on database pool to app, watch",
    );
    drop(client);
    let mut holder = connect(&database, "app", "migration");
    let lock = "begin; do $$ begin for n in 1..2000 loop execute format('lock table t_%s in access exclusive mode', n); end loop; end $$";
    execute(&mut holder, lock);
    (0..90).for_each(|n| busy(connect(&database, "app", "api"), &format!("select * from t_{}", n % 7 + 1)));
    let _idle: Vec<_> = (0..5).map(|_| connect(&database, "app", "api")).collect();
    let refused = try_connect(&database, "app", "api").err().expect("all ordinary slots are taken");
    assert_eq!(refused.code().map(|code| code.code()), Some("53300"), "{refused}");

    let mut watch = connect(&database, "watch", "on call");
    waiting(&mut watch, 90);
    thread::sleep(Duration::from_millis(1100));
    let _reserved = connect(&database, "watch", "on call");
    let _superuser = connect(&database, "postgres", "psql");
    let mut last = connect(&database, "postgres", "psql");
    assert!(try_connect(&database, "postgres", "psql").is_err(), "a slot is left");
    for (client, may_end) in [(&mut watch, false), (&mut last, true)] {
        for call in CALLS {
            let begun = Instant::now();
            let rows = query(client, &format!("select to_jsonb(c)::text from {call} c"));
            let took = begun.elapsed();
            assert!(!rows.is_empty() && took < Duration::from_secs(20), "{call}: {} rows in {took:?}", rows.len());
        }
        let tree: Vec<Value> =
            query(client, "select to_jsonb(l) from dbre.lock_tree l").iter().map(|row| row.get(0)).collect();
        assert_eq!(tree.len(), 91, "the holder and 90 who wait");
        let (findings, _) = pressure(client, "");
        assert_eq!(only(&findings, "connection_slots_saturated")["severity"], "critical");
        let blocked = only(&findings, "sessions_blocked");
        assert_eq!(blocked["severity"], "critical", "{blocked:#}");
        assert_eq!(blocked["evidence"]["blocked"], 90, "{blocked:#}");
        if may_end {
            fix(client, blocked);
            waiting(client, 0);
        }
    }
    drop(holder);
}

fn chain() {
    let database = server(&["max_connections = 100"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table link (id int primary key, n int); insert into link select g, 0 from generate_series(0, 50) g",
    );
    let mut root = connect(&database, "postgres", "root");
    let pid: i32 = value(&mut root, "select pg_backend_pid()");
    execute(&mut root, "begin; update link set n = 1 where id = 0");
    for number in 1..=50 {
        let mut session = connect(&database, "postgres", "chain");
        execute(&mut session, &format!("begin; update link set n = 1 where id = {number}"));
        busy(session, &format!("update link set n = 2 where id = {}; commit", number - 1));
    }
    waiting(&mut client, 50);

    query(&mut client, "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}')");
    let (findings, pools) = pressure(&mut client, "");
    let finding = only(&findings, "sessions_blocked");
    let told = format!("{} {}", text(finding, "object"), text(finding, "fix_sql"));
    assert!(told.contains(&pid.to_string()), "the root is {pid}: {finding:#}");
    assert!(finding.to_string().contains("update link set n = 1 where id = 0"), "what the root ran last: {finding:#}");
    assert_eq!(finding["evidence"]["blocked"], 50, "{finding:#}");
    let pool = pools.iter().find(|pool| pool["application_name"] == "chain").expect("the pool of those who wait");
    assert_eq!(pool["waiting"], 50, "{pool:#}");
    let tree: Vec<Value> =
        query(&mut client, "select to_jsonb(l) from dbre.lock_tree l").iter().map(|row| row.get(0)).collect();
    assert_eq!(tree.len(), 51, "{}", shown(&tree));
    for (depth, row) in tree.iter().enumerate() {
        assert_eq!(row["root_pid"], pid, "{row:#}");
        assert_eq!(row["depth"].as_u64().unwrap() - tree[0]["depth"].as_u64().unwrap(), depth as u64, "{row:#}");
    }

    fix(&mut client, finding);
    waiting(&mut client, 0);
    let left = "select count(*) from pg_stat_get_activity(null) where application_name = 'chain' and state <> 'idle'";
    wait_until("the others have committed", || value::<i64>(&mut client, left) == 0);
    let updated: i64 = value(&mut client, "select count(*) from link where n > 0");
    assert_eq!(updated, 51, "all that waited came through");
    assert!(!has(&pressure(&mut client, "").0, "sessions_blocked"));
    drop(root);
}

fn deadlock() {
    let database = server(&["max_connections = 50", "deadlock_timeout = '1h'"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table account (id int primary key, n int); insert into account values (1, 0), (2, 0), (3, 0)",
    );
    let transfers = [(1, 2), (2, 1), (3, 2)].map(|(first, second)| {
        let mut session = connect(&database, "postgres", "transfer");
        execute(&mut session, &format!("begin; update account set n = n - 1 where id = {first}"));
        (session, second)
    });
    for (number, (session, second)) in transfers.into_iter().enumerate() {
        busy(session, &format!("update account set n = n + 1 where id = {second}; commit"));
        waiting(&mut client, number as i64 + 1);
    }
    let (findings, _) = pressure(&mut client, "");
    let finding = only(&findings, "deadlock_in_making");
    let told = finding.to_string();
    assert!(told.contains("where id = 2") && told.contains("where id = 1"), "both statements: {finding:#}");
    let contradicting =
        findings.iter().filter(|other| other["category"] == "locks" && other["rule"] != finding["rule"]);
    for other in contradicting {
        let (ours, theirs) = (text(finding, "fix_sql"), text(other, "fix_sql"));
        assert!(theirs.is_empty() || theirs == ours, "another end of the same cycle\n{}", shown(&findings));
    }
    let cycle: i64 = value(&mut client, "select count(*) from dbre.lock_tree where in_cycle");
    assert_eq!(cycle, 2);
    fix(&mut client, finding);
    waiting(&mut client, 0);
    assert!(!has(&pressure(&mut client, "").0, "deadlock_in_making"));
}

fn limits() {
    let database = server(&["max_connections = 100"]);
    let mut client = database.connect();
    execute(&mut client, "create role narrow login connection limit 10; create role wide login");
    execute(&mut client, "create database small connection limit 10");
    let small = Database { server: database.server.clone(), name: "small".to_string() };
    let _narrow: Vec<_> = (0..10).map(|_| connect(&database, "narrow", "a")).collect();
    let _small: Vec<_> = (0..9).map(|_| connect(&small, "wide", "b")).collect();
    let (findings, _) = pressure(&mut client, "");
    assert_eq!(only(&findings, "role_connection_limit_saturated")["severity"], "critical");
    assert_eq!(only(&findings, "database_connection_limit_saturated")["severity"], "high");
    assert!(!has(&findings, "connection_slots_saturated"), "{}", shown(&findings));
    let (findings, pools) = pressure(&mut client, "'small'");
    assert!(pools.iter().all(|pool| pool["database"] == "small") && !pools.is_empty(), "{}", shown(&pools));
    assert!(!has(&findings, "role_connection_limit_saturated"), "{}", shown(&findings));
}
