//! How what others wait for comes free: what a fix ends, what it says is lost with it, and what it lets alone.

use crate::pool_pressure::{busy, connect, fix, only, pressure, server as own_server};
use crate::server::{Database, Server, alone, execute, query, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "endings::a_savepoint_keeps_locks", savepoint),
        trial(server, "endings::track_activities_off", no_activities),
        trial(server, "endings::a_procedure_that_has_gone_on", procedure),
        trial(server, "endings::an_index_built_concurrently", concurrent_build),
        trial(server, "endings::a_dump", dump),
        alone("endings::sessions_that_hold_something_are_spared", spared),
    ]
}

fn open_as(database: &Database, application: &str) -> (Client, i32) {
    let mut client = database.connect();
    execute(&mut client, &format!("set application_name = '{application}'"));
    let pid = value(&mut client, "select pg_backend_pid()");
    (client, pid)
}

/// Lets it run, until it sleeps or waits.
fn start(database: &Database, application: &str, sql: &str) -> i32 {
    let (client, pid) = open_as(database, application);
    busy(client, sql);
    let waits = format!("select wait_event_type in ('Timeout', 'Lock') from pg_stat_activity where pid = {pid}");
    let mut other = database.connect();
    wait_until(application, || value::<Option<bool>>(&mut other, &waits) == Some(true));
    pid
}

/// Of the one that blocks, after the others have waited for a moment.
#[track_caller]
fn finding(client: &mut Client, rule: &str) -> Value {
    let sql = format!("select to_jsonb(f) from dbre.pool_pressure(current_database()) f where rule = '{rule}'");
    let found: Vec<Value> = query(client, &sql).iter().map(|row| row.get(0)).collect();
    assert_eq!(found.len(), 1, "{rule}: {}", shown(&found));
    found.into_iter().next().expect("the only one")
}

fn of_blocked(database: &Database) -> Client {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key, n int); insert into t values (1, 0), (2, 0)");
    execute(&mut client, "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}')");
    client
}

fn ended(client: &mut Client, pid: i32, finding: &Value) {
    execute(client, text(finding, "fix_sql"));
    let verify = text(finding, "verify_sql");
    wait_until("nobody waits for it", || value::<bool>(client, verify.trim_end_matches(';')));
    let waits = format!("select count(*) from pg_locks where not granted and {pid} = any (pg_blocking_pids(pid))");
    assert_eq!(value::<i64>(client, &waits), 0, "{finding:#}");
}

fn savepoint(database: &Database) {
    let mut client = of_blocked(database);
    // All in one message: the transaction is as old as the statement.
    let holder =
        start(database, "holder", "begin; lock t in share mode; savepoint s; select pg_sleep(400); release s; commit");
    start(database, "waiter", "update t set n = 1 where id = 1");
    let found = finding(&mut client, "sessions_blocked");
    ended(&mut client, holder, &found);
    // A statement of its own is cancelled, and its session goes on.
    let single = start(database, "single", "update t set n = 1 where id = 2 and pg_sleep(400) is not null");
    start(database, "waiter", "alter table t add m int");
    let found = finding(&mut client, "sessions_blocked");
    assert!(text(&found, "fix_sql").contains("pg_cancel_backend"), "{found:#}");
    ended(&mut client, single, &found);
}

/// A batch that commits row by row: pasted late, a fix lets it alone.
fn procedure(database: &Database) {
    let mut client = of_blocked(database);
    execute(
        &mut client,
        "insert into t values (3, 0); create table go (step int);
         create procedure batch() language plpgsql as
         $$ begin for i in 1..3 loop
            update t set n = n + 1 where id = i;
            while not exists (select from go where step = i) loop perform pg_sleep(0.05); end loop;
            commit;
         end loop; end $$",
    );
    let batch = start(database, "batch", "call batch()");
    for step in [1, 2] {
        start(database, "waiter", &format!("update t set n = 10 where id = {step}"));
        let found = finding(&mut client, "sessions_blocked");
        execute(&mut client, &format!("insert into go values ({step})"));
        let next = format!("select n = 10 from t where id = {step}");
        wait_until("the waiter goes on", || value::<bool>(&mut client, &next));
        assert!(value::<bool>(&mut client, text(&found, "verify_sql")), "{found:#}");
        execute(&mut client, text(&found, "fix_sql"));
    }
    start(database, "waiter", "update t set n = 0 where id = 3");
    let found = finding(&mut client, "sessions_blocked");
    assert!(text(&found, "risk").contains("what it has committed stays"), "{found:#}");
    ended(&mut client, batch, &found);
}

fn no_activities(database: &Database) {
    let mut client = of_blocked(database);
    let (mut silent, pid) = open_as(database, "silent");
    execute(&mut silent, "set track_activities = off; begin; update t set n = 1 where id = 1");
    start(database, "waiter", "update t set n = 2 where id = 1");
    let found = finding(&mut client, "sessions_blocked");
    let id: String = value(&mut client, &format!("select backend_xid::text from pg_stat_activity where pid = {pid}"));
    assert!(text(&found, "risk").contains(&format!("Transaction {id} is rolled back")), "{found:#}");
    // In another transaction it is let alone.
    execute(&mut silent, "commit; begin; update t set n = 3 where id = 2");
    execute(&mut client, text(&found, "fix_sql"));
    execute(&mut silent, "commit; begin; update t set n = 3 where id = 2");
    start(database, "waiter", "update t set n = 4 where id = 2");
    let found = finding(&mut client, "sessions_blocked");
    ended(&mut client, pid, &found);
    assert!(silent.batch_execute("select").is_err(), "it has been ended");
    // Nothing tells one transaction from the next.
    let (mut silent, _) = open_as(database, "silent");
    execute(&mut silent, "set track_activities = off; begin; lock t in share mode");
    start(database, "waiter", "update t set n = 2 where id = 1");
    let found = finding(&mut client, "sessions_blocked");
    assert!(found["fix_sql"].is_null() && text(&found, "cause").contains("track_activities = off"), "{found:#}");
}

fn many_transactions(client: &mut Client) {
    execute(client, "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 3}')");
    (0..5).for_each(|_| execute(client, "select pg_current_xact_id()"));
}

fn concurrent_build(database: &Database) {
    let mut client = of_blocked(database);
    let slow = "create function slow(int) returns int immutable language plpgsql as $$ begin perform pg_sleep(200); return $1; end $$";
    execute(&mut client, slow);
    let build = start(database, "builder", "create index concurrently \"Slow one\" on t (slow(id))");
    start(database, "waiter", "alter table t add m int");
    many_transactions(&mut client);
    // It is let end by the rule for which it is merely old.
    let found = finding(&mut client, "xmin_held_back");
    assert!(text(&found, "object").contains(&build.to_string()) && found["fix_sql"].is_null(), "{found:#}");
    assert!(
        text(&found, "cause").contains("it is at CREATE INDEX CONCURRENTLY of public.t: building index"),
        "{found:#}"
    );
    // Where others wait for it, they are to give way; and what stays of it is said.
    let found = finding(&mut client, "sessions_blocked");
    assert!(!text(&found, "fix_sql").contains(&build.to_string()), "{found:#}");
    let stays = "It leaves public.\"Slow one\" behind, an invalid index that writes maintain: drop index concurrently public.\"Slow one\";";
    assert!(text(&found, "cause").contains(stays), "{found:#}");
    let end: String = value(&mut client, &format!("select end_sql from dbre.lock_tree where pid = {build}"));
    assert!(text(&found, "cause").contains(&end), "{found:#}");
    execute(&mut client, &end);
    let runs = format!("select count(*) from pg_stat_activity where pid = {build} and state = 'active'");
    wait_until("it has ended", || value::<i64>(&mut client, &runs) == 0);
    let invalid = "select count(*) from pg_index where not indisvalid and indexrelid = 'public.\"Slow one\"'::regclass";
    assert_eq!(value::<i64>(&mut client, invalid), 1);
    execute(&mut client, "drop index concurrently public.\"Slow one\"");
}

fn dump(database: &Database) {
    let mut client = of_blocked(database);
    execute(&mut client, "create table big as select g, repeat('x', 1000) as filler from generate_series(1, 20000) g");
    let (mut dump, pid) = open_as(database, "pg_dump");
    execute(&mut dump, "begin isolation level repeatable read");
    // Nobody reads what it sends.
    let reader = dump.copy_out("copy big to stdout").unwrap();
    let writes = format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'ClientWrite'");
    wait_until("it waits for its client", || value::<i64>(&mut client, &writes) == 1);
    many_transactions(&mut client);
    let found = finding(&mut client, "xmin_held_back");
    assert!(
        found["fix_sql"].is_null() && text(&found, "cause").contains("it is at COPY TO of public.big"),
        "{found:#}"
    );
    assert!(text(&found, "app_fix").contains("The dump fails, and has to be taken again."), "{found:#}");
    let waiter = database.connect();
    busy(waiter, "alter table big add n int");
    wait_until("it waits for the dump", || {
        value::<i64>(&mut client, &format!("select count(*) from pg_locks where {pid} = any (pg_blocking_pids(pid))"))
            > 0
    });
    let found = finding(&mut client, "sessions_blocked");
    assert!(text(&found, "cause").contains("The dump fails, and has to be taken again."), "{found:#}");
    drop(reader);
}

fn spared() {
    let database = own_server(&["max_connections = 100"]);
    let mut client = database.connect();
    execute(&mut client, "create role narrow login connection limit 10");
    execute(&mut client, "create database fresh");
    for rule in ["role_connection_limit_saturated", "connection_slots_saturated"] {
        query(&mut client, &format!("select dbre.configure_rule('{rule}', options => '{{\"min_idle_seconds\": 0}}')"));
    }
    // They have been idle for longest.
    let uses = ["listen jobs", "select pg_advisory_lock(42)", "create temp table mine (id int)"];
    let mut open: Vec<Client> = Vec::new();
    for sql in uses {
        let mut session = connect(&database, "narrow", "api");
        execute(&mut session, sql);
        open.push(session);
    }
    // Others have run since.
    execute(&mut open[1], "select 1");
    execute(&mut open[2], "select 1");
    open.extend((0..7).map(|_| connect(&database, "narrow", "api")));
    let finding = only(&pressure(&mut client, "").0, "role_connection_limit_saturated").clone();
    assert!(text(&finding, "cause").contains("3 idle sessions are spared"), "{finding:#}");
    fix(&mut client, &finding);
    let left = open.iter_mut().filter_map(|session| session.batch_execute("select 1").ok()).count();
    assert_eq!(left, 7, "{finding:#}");
    assert!(open[..3].iter_mut().all(|session| session.batch_execute("select 1").is_ok()), "{finding:#}");
    drop(open);

    // What takes the slots is not in the database that is asked about.
    let fresh = Database { server: database.server.clone(), name: "fresh".to_string() };
    let _idle: Vec<Client> = (0..85).map(|_| connect(&fresh, "postgres", "api")).collect();
    let finding = only(&pressure(&mut client, "'pool'").0, "connection_slots_saturated").clone();
    let cause = text(&finding, "cause");
    assert!(finding["fix_sql"].is_null(), "{finding:#}");
    assert!(
        cause.contains("85 idle sessions are in other databases") && !cause.contains("nothing can be ended"),
        "{finding:#}"
    );
    let finding = only(&pressure(&mut client, "").0, "connection_slots_saturated").clone();
    fix(&mut client, &finding);
}
