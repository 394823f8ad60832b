//! What pool_pressure() and long_running say of sessions that are easily taken for others: what they propose must fit the session.

use crate::pool_pressure::{connect, fix, has, only, pressure, server};
use crate::server::{Database, alone, execute, query, run, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub fn trials(server: &Arc<crate::server::Server>) -> Vec<Trial> {
    vec![
        alone("pool_truth::timeouts_that_a_database_has", timeouts),
        alone("pool_truth::a_page_that_a_cursor_has_pinned", pinned),
        trial(server, "pool_truth::a_procedure_that_commits", procedure),
        trial(server, "pool_truth::a_copy_without_its_client", copy),
        trial(server, "pool_truth::hidden_and_blocked", hidden),
        trial(server, "pool_truth::a_wait_in_a_long_statement", late_wait),
        alone("pool_truth::commits_of_a_healthy_server", healthy),
        alone("pool_truth::commits_that_wait_for_a_ghost", ghost),
        alone("pool_truth::sessions_that_hold_more_than_a_connection", spared),
    ]
}

/// Of the database alone.
fn found(client: &mut Client, rule: &str) -> Option<Value> {
    let (findings, _) = pressure(client, "current_database()");
    has(&findings, rule).then(|| only(&findings, rule).clone())
}

/// Sends it, and waits until its session waits at the event.
fn busy_at(database: &Database, sql: &str, event: &str) -> i32 {
    let mut client = database.connect();
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let statement = sql.to_string();
    thread::spawn(move || drop(client.batch_execute(&statement)));
    let waits = format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = '{event}'");
    let mut other = database.connect();
    wait_until(sql, || value::<i64>(&mut other, &waits) == 1);
    pid
}

fn timeouts() {
    let database = server(&[]);
    let mut client = database.connect();
    execute(&mut client, "create role shop login");
    execute(&mut client, "create database second");
    for (name, value) in
        [("statement_timeout", "10min"), ("lock_timeout", "1s"), ("idle_in_transaction_session_timeout", "10min")]
    {
        execute(&mut client, &format!("alter database pool set {name} = '{value}'"));
    }
    let second = Database { server: database.server.clone(), name: "second".to_string() };
    let _open = [connect(&database, "shop", "api"), connect(&second, "shop", "api")];
    let finding = only(&pressure(&mut client, "").0, "timeouts_not_set").clone();
    let cause = text(&finding, "cause");
    assert!(cause.contains("statement_timeout in second, lock_timeout in second;"), "{finding:#}");
    assert!(cause.contains("pool (statement_timeout)"), "{finding:#}");
    assert!(!value::<bool>(&mut client, text(&finding, "verify_sql").trim_end_matches(';')));
    fix(&mut client, &finding);
    let of = |database: &Database| {
        let mut session = connect(database, "shop", "api");
        let settings = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
        settings.map(|name| value::<String>(&mut session, &format!("select current_setting('{name}')")))
    };
    assert_eq!(of(&database), ["10min", "1s", "10min"], "its own stay: {finding:#}");
    assert_eq!(of(&second), ["1min", "10s", "1min"], "{finding:#}");
    assert!(!has(&pressure(&mut client, "").0, "timeouts_not_set"));
    execute(&mut client, text(&finding, "rollback_sql"));
    assert_eq!(of(&second), ["0", "0", "0"], "{finding:#}");
    // A 0 of a database is no timeout.
    execute(&mut client, "alter database pool set statement_timeout = 0");
    let finding = only(&pressure(&mut client, "").0, "timeouts_not_set").clone();
    assert!(text(&finding, "cause").contains("statement_timeout in pool and second"), "{finding:#}");
    assert!(!text(&finding, "cause").contains("pool (statement_timeout)"), "{finding:#}");
    assert!(text(&finding, "fix_sql").contains("in database pool set statement_timeout"), "{finding:#}");
    // Where no database has its own, the role gets it.
    for name in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
        execute(&mut client, &format!("alter database pool reset {name}"));
    }
    let finding = only(&pressure(&mut client, "").0, "timeouts_not_set").clone();
    assert!(text(&finding, "fix_sql").starts_with("alter role shop set "), "{finding:#}");
    assert!(text(&finding, "cause").contains("statement_timeout in pool and second"), "{finding:#}");
    fix(&mut client, &finding);
    assert!(!has(&pressure(&mut client, "").0, "timeouts_not_set"));
}

/// On a server of its own: a transaction of another trial may be older than the rows, which VACUUM then need not freeze.
fn pinned() {
    let database = &server(&[]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table pin (id int) with (autovacuum_enabled = off); insert into pin select generate_series(1, 5);
         select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}');
         select dbre.configure_rule('vacuum_blocks_ddl', options => '{\"min_seconds\": 0}')",
    );
    let mut cursor = database.connect();
    execute(&mut cursor, "begin; declare c cursor for select * from pin; fetch 1 from c");
    let pid: i32 = value(&mut database.connect(), "select pid from pg_locks where relation = 'pin'::regclass");
    // Who has it locked too, but has no page pinned.
    let mut idle = database.connect();
    execute(&mut idle, "begin; select * from pin");
    execute(&mut client, "delete from pin where id = 3");
    let vacuum = busy_at(database, "vacuum (freeze, disable_page_skipping) pin", "BufferPin");
    // Nobody waits for the VACUUM.
    let alone = found(&mut client, "sessions_blocked").expect("the VACUUM waits");
    assert!(text(&alone, "object").starts_with(&format!("session {pid} ")), "{alone:#}");
    assert_eq!(alone["evidence"]["waiting"][0]["pid"], vacuum, "{alone:#}");
    let waits_for = text(&alone["evidence"]["waiting"][0], "waits_for");
    assert!(waits_for.contains("a page of relation public.pin that is pinned"), "{alone:#}");

    busy_at(database, "alter table pin alter column id set statistics 50", "relation");
    let finding = found(&mut client, "sessions_blocked").expect("two wait");
    assert_eq!(finding["evidence"]["blocked"], 2, "{finding:#}");
    assert!(found(&mut client, "vacuum_blocks_ddl").is_none(), "it holds up nobody by itself");
    let tree: Vec<Value> =
        query(&mut client, "select to_jsonb(l) from dbre.lock_tree l where database = current_database()")
            .iter()
            .map(|row| row.get(0))
            .collect();
    assert_eq!(tree.len(), 3, "{}", shown(&tree));
    fix(&mut client, &finding);
    let waits = format!("select count(*) from pg_stat_activity where pid = {vacuum} and state = 'active'");
    wait_until("the VACUUM ends", || value::<i64>(&mut client, &waits) == 0);
    assert!(cursor.batch_execute("select 1").is_err() && idle.batch_execute("select 1").is_ok(), "{finding:#}");
}

const MIGRATE: &str =
    "create table batches (id int primary key, n int); insert into batches select g, 0 from generate_series(1, 100) g;
    create procedure migrate() language plpgsql as $$ begin
        for batch in 1..100 loop update batches set n = 1 where id = batch; perform pg_sleep(0.4); commit; end loop;
    end $$;
    select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 1}');
    select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}')";

fn procedure(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, MIGRATE);
    let pid = busy_at(database, "call migrate()", "PgSleep");
    let done = "select count(*) from batches where n = 1";
    wait_until("it has committed", || value::<i64>(&mut client, done) > 2);
    let finding = found(&mut client, "long_running_statement").expect("it runs");
    assert!(text(&finding, "risk").starts_with("It has committed within this statement: what it has"), "{finding:#}");
    assert!(!text(&finding, "risk").contains("xact_start"), "{finding:#}");
    // Nor is its end bound to the transaction of the moment where its session has to end.
    let key = "do $$ begin perform pg_advisory_lock(7); for n in 1..1000 loop perform pg_sleep(0.2); commit; end loop; end $$";
    busy_at(database, key, "PgSleep");
    busy_at(database, "select pg_advisory_lock(7)", "advisory");
    thread::sleep(Duration::from_millis(500));
    execute(&mut client, "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}')");
    let waits = found(&mut client, "advisory_lock_waits").expect("one waits");
    assert!(!text(&waits, "fix_sql").contains("xact_start"), "{waits:#}");
    thread::sleep(Duration::from_millis(500));
    execute(&mut client, text(&waits, "fix_sql"));
    let verify = text(&waits, "verify_sql");
    wait_until(verify, || value::<bool>(&mut client, verify.trim_end_matches(';')));

    let before: i64 = value(&mut client, done);
    fix(&mut client, &finding);
    let runs = format!("select count(*) from pg_stat_activity where pid = {pid} and state = 'active'");
    assert_eq!(value::<i64>(&mut client, &runs), 0);
    assert!(value::<i64>(&mut client, done) >= before, "what is committed stays");
}

fn copy(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table orders (id int); select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 3}');
         select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 1}')",
    );
    let mut loader = database.connect();
    execute(&mut loader, "begin");
    // Nothing is sent.
    let rows = loader.copy_in("copy orders from stdin").unwrap();
    let waits = "select count(*) from pg_stat_activity where wait_event = 'ClientRead' and state = 'active'";
    wait_until("it waits for its client", || value::<i64>(&mut client, waits) >= 1);
    (0..5).for_each(|_| execute(&mut client, "select pg_current_xact_id()"));
    thread::sleep(Duration::from_millis(1100));
    let statement = found(&mut client, "long_running_statement").expect("it runs");
    assert!(text(&statement, "summary").contains("a COPY that waits for its client"), "{statement:#}");
    assert!(statement["fix_sql"].is_string(), "{statement:#}");
    let held = found(&mut client, "xmin_held_back").expect("it holds back");
    assert!(text(&held, "cause").contains("It waits for its client, and has copied 0 bytes in "), "{held:#}");
    assert!(!text(&held, "cause").contains("No fix") && !text(&held, "app_fix").contains("Let it end"), "{held:#}");
    fix(&mut client, &held);
    assert!(found(&mut client, "xmin_held_back").is_none() && found(&mut client, "long_running_statement").is_none());
    drop(rows);
}

fn hidden(database: &Database) {
    let mut client = database.connect();
    let role = format!("{}_nobody", database.name);
    execute(
        &mut client,
        &format!(
            "create table t (id int); create role {role} login; grant usage on schema dbre to {role};
             grant select on dbre.long_running to {role}; grant execute on function dbre.long_running() to {role}"
        ),
    );
    let mut holder = database.connect();
    execute(&mut holder, "begin; lock table t; select pg_current_xact_id()");
    let pid = busy_at(database, "begin; select pg_current_xact_id(); select * from t", "relation");
    let mut nobody = database.connect_as(&role);
    let rows = query(
        &mut nobody,
        "select pid, kind, blocked from dbre.long_running where database = current_database() order by blocked",
    );
    let rows: Vec<(i32, String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let seen: Vec<(bool, &str, bool)> =
        rows.iter().map(|(of, kind, blocked)| (*of == pid, &kind[..], *blocked)).collect();
    assert_eq!(seen, [(false, "hidden", false), (true, "hidden", true)]);
    drop((holder, nobody));
    execute(&mut client, &format!("drop owned by {role}"));
}

/// How long a session waits is not how long its statement runs.
fn late_wait(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int)");
    let mut holder = database.connect();
    execute(&mut holder, "begin; lock table t");
    busy_at(database, "do $$ begin perform pg_sleep(3); lock table t; end $$", "relation");
    let pools = pressure(&mut client, "current_database()").1;
    let of = |column: &str| pools.iter().filter_map(|pool| pool[column].as_f64()).fold(0.0, f64::max);
    assert!(of("oldest_active_seconds") - of("oldest_waiting_seconds") > 1.0, "{}", shown(&pools));
}

/// Twenty clients that commit all the time, each within milliseconds: nobody waits for long.
fn healthy() {
    let database = server(&["max_connections = 60"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role app login; create table counters (id int primary key, n int); grant all on counters to app; \
        insert into counters select g, 0 from generate_series(1, 20) g; alter role app set statement_timeout = '60s'; \
        alter role app set lock_timeout = '10s'; alter role app set idle_in_transaction_session_timeout = '60s'",
    );
    let pids: Vec<i32> = (0..20)
        .map(|_| {
            let mut session = connect(&database, "app", "api");
            let pid = value(&mut session, "select pg_backend_pid()");
            thread::spawn(move || {
                while session
                    .batch_execute("update counters set n = n + 1 where id = pg_backend_pid() % 20 + 1")
                    .is_ok()
                {}
            });
            pid
        })
        .collect();
    for _ in 0..100 {
        let (findings, _) = pressure(&mut client, "");
        let waits: Vec<Value> = findings
            .into_iter()
            .filter(|finding| text(finding, "rule").starts_with("waits_on") && finding["severity"] != "low")
            .collect();
        assert!(waits.is_empty(), "{}", shown(&waits));
    }
    for pid in pids {
        query(&mut client, &format!("select pg_terminate_backend({pid})"));
    }
}

/// A receiver that is no synchronous standby confirms no commit.
fn ghost() {
    let database = server(&["wal_level = logical"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int); select dbre.configure_rule('waits_on_commit', options => '{\"standby_seconds\": 0}')",
    );
    let receiver = |arguments: &[&str]| {
        let mut command = database.server.client("pg_recvlogical");
        command.args(["-d", &database.name, "-S", "receiver"]).args(arguments);
        command
    };
    run(&mut receiver(&["--create-slot", "-P", "test_decoding"]), "");
    let mut receiving = receiver(&["--start", "-f", "/dev/null"]).spawn().expect("pg_recvlogical");
    let connected = "select count(*) from pg_stat_replication where sync_state = 'async'";
    wait_until("it is connected", || value::<i64>(&mut client, connected) == 1);
    execute(&mut client, "alter system set synchronous_standby_names = 'ghost'");
    execute(&mut client, "select pg_reload_conf()");
    // Until the checkpointer has read the setting, commits end.
    for mut session in (0..6).map(|_| connect(&database, "postgres", "api")) {
        thread::spawn(move || while session.batch_execute("insert into t values (1)").is_ok() {});
    }
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    wait_until("they hang", || value::<i64>(&mut client, waits) == 6);
    let (findings, _) = pressure(&mut client, "");
    let hangs = only(&findings, "waits_on_commit");
    assert_eq!(hangs["severity"], "critical", "{hangs:#}");
    assert!(text(hangs, "summary").starts_with("6 of "), "{hangs:#}");
    assert!(
        text(hangs, "summary").contains("have committed and wait for a synchronous standby, for up to"),
        "{hangs:#}"
    );
    assert!(text(hangs, "cause").starts_with("Connected are pg_recvlogical (asynchronous);"), "{hangs:#}");
    execute(&mut client, "alter system reset synchronous_standby_names");
    execute(&mut client, "select pg_reload_conf()");
    query(&mut client, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'api'");
    receiving.kill().unwrap();
    receiving.wait().unwrap();
}

/// Idle, outside of a transaction, and yet lost with their session: a base backup, and a slot that is temporary.
fn spared() {
    let database = server(&["max_connections = 30", "wal_level = logical"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "select dbre.configure_rule('connection_slots_saturated',
             options => '{\"high_share\": 0.3, \"critical_share\": 0.9, \"min_idle_seconds\": 0}')",
    );
    let mut backup = connect(&database, "postgres", "backup");
    execute(&mut backup, "select pg_backup_start('x', true)");
    let mut slot = connect(&database, "postgres", "capture");
    execute(&mut slot, "select pg_create_logical_replication_slot('captured', 'test_decoding', temporary => true)");
    execute(&mut slot, "select 1");
    let _idle: Vec<Client> = (0..10).map(|_| connect(&database, "postgres", "web")).collect();
    let finding = only(&pressure(&mut client, "").0, "connection_slots_saturated").clone();
    assert_eq!(finding["evidence"]["idle_sessions_spared"], 2, "{finding:#}");
    assert!(text(&finding, "risk").contains("pg_backup_start"), "{finding:#}");
    execute(&mut client, text(&finding, "fix_sql"));
    execute(&mut backup, "select pg_backup_stop(false)");
    execute(&mut slot, "select pg_drop_replication_slot('captured')");
}
