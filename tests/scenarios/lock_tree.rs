//! dbre.lock_tree with real sessions: every kind of lock and of blocker, hundreds of waiters; and the findings on them.

use crate::pool_pressure::{busy, connect, has, only, pressure, server, waiting};
use crate::server::{Server, alone, execute, query, shown, text, value, wait_until};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::time::Instant;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("lock_tree::200_waiters_for_one_row", star),
        alone("lock_tree::kinds_of_locks", kinds),
        alone("lock_tree::fixes", fixes),
        alone("lock_tree::autovacuum_to_prevent_wraparound", wraparound),
        alone("lock_tree::recovery_on_a_standby", recovery),
        alone("lock_tree::snapshots_on_a_standby", snapshots_on_a_standby),
    ]
}

#[track_caller]
fn tree(client: &mut Client) -> Vec<Value> {
    query(client, "select to_jsonb(l) from dbre.lock_tree l").iter().map(|row| row.get(0)).collect()
}

#[track_caller]
fn of_application<'a>(tree: &'a [Value], application: &str) -> &'a Value {
    let found: Vec<_> = tree.iter().filter(|row| row["application_name"] == application).collect();
    assert_eq!(found.len(), 1, "{application}\n{}", shown(tree));
    found[0]
}

fn pid(client: &mut Client) -> i32 {
    value(client, "select pg_backend_pid()")
}

/// Says what the server itself says, of each waiter.
#[track_caller]
fn agrees_with_the_server(client: &mut Client) {
    let differ =
        "select to_jsonb(l) || jsonb_build_object('server', s.pids) from dbre.lock_tree() l cross join lateral (
        select coalesce(array_agg(distinct b order by b), '{}') as pids from unnest(pg_blocking_pids(l.pid)) b) s
        where l.pid is not null and l.waits_for_type <> 'safe snapshot' and l.blocked_by is distinct from s.pids";
    let differ: Vec<Value> = query(client, differ).iter().map(|row| row.get(0)).collect();
    assert!(differ.is_empty(), "{}", shown(&differ));
}

pub fn least_seconds(client: &mut Client, rules: &[&str]) {
    for rule in rules {
        query(client, &format!("select dbre.configure_rule('{rule}', options => '{{\"min_seconds\": 0}}')"));
    }
}

pub const RULES: [&str; 5] = [
    "sessions_blocked",
    "lock_queue_behind_ddl",
    "blocked_by_prepared_transaction",
    "advisory_lock_waits",
    "vacuum_blocks_ddl",
];

fn star() {
    let database = server(&["max_connections = 250"]);
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key, n int); insert into t values (1, 0)");
    let mut root = connect(&database, "postgres", "root");
    let root_pid = pid(&mut root);
    execute(&mut root, "begin; update t set n = 1");
    (0..200).for_each(|_| busy(connect(&database, "postgres", "star"), "update t set n = n + 1"));
    waiting(&mut client, 200);
    let begun = Instant::now();
    let rows = tree(&mut client);
    println!("200 waiters for one row: {:?}", begun.elapsed());
    assert_eq!(rows.len(), 201);
    assert!(rows.iter().all(|row| row["root_pid"] == root_pid), "{}", shown(&rows[..5]));
    assert_eq!((&rows[0]["pid"], &rows[0]["blocks_in_all"]), (&root_pid.into(), &200.into()), "{:#}", rows[0]);
    // One waits for the transaction, the others for the row that it holds.
    assert_eq!(rows[1]["waits_for_type"], "transactionid", "{:#}", rows[1]);
    assert!(text(&rows[1], "waits_for").ends_with("for row (0,1) of public.t"), "{:#}", rows[1]);
    assert!(
        rows[2..].iter().all(|row| row["waits_for_type"] == "tuple" && row["depth"] == 2),
        "{}",
        shown(&rows[2..5])
    );
    agrees_with_the_server(&mut client);
    drop(root);
    waiting(&mut client, 0);
    assert!(tree(&mut client).is_empty());
}

fn kinds() {
    let database = server(&["max_connections = 60", "max_prepared_transactions = 5", "deadlock_timeout = '1h'"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create schema \"Odd schema\"; create table \"Odd schema\".\"t \"\"x\"\"\" (id int primary key, n int);
         insert into \"Odd schema\".\"t \"\"x\"\"\" values (1, 0);
         create table p (id int primary key, n int); insert into p values (1, 0);
         create table big as select g from generate_series(1, 20000) g; analyze big; create table r (id int); create table own (id int);
         create function waits(key int) returns int language plpgsql parallel safe as
         $$ begin perform pg_advisory_xact_lock_shared(key); return key; end $$",
    );
    let open = |application: &str, sql: &str| {
        let mut session = connect(&database, "postgres", application);
        execute(&mut session, sql);
        session
    };
    let wait = |application: &str, sql: &str| busy(connect(&database, "postgres", application), sql);
    let mut held = vec![
        open("advisory", "select pg_advisory_lock(-7), pg_advisory_lock(1, 2), pg_advisory_lock(99)"),
        open("odd\n'x'", "begin; lock \"Odd schema\".\"t \"\"x\"\"\" in exclusive mode"),
        open("reader", "begin; select * from r"),
        open("serial", "begin isolation level serializable; insert into r values (1)"),
    ];
    drop(open("two-phase", "begin; update p set n = 1; prepare transaction 'it''s me'"));
    wait("a", "select pg_advisory_lock(-7)");
    wait("b", "select pg_advisory_lock(1, 2)");
    wait("c", "update \"Odd schema\".\"t \"\"x\"\"\" set n = 1");
    wait("d", "create index concurrently r_id on r (id)");
    wait("e", "update p set n = 2");
    wait(
        "f",
        "set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set \
         min_parallel_table_scan_size = 0; set parallel_leader_participation = off; select max(waits(99)) from big",
    );
    // Two workers wait for one session.
    waiting(&mut client, 7);
    wait("g", "begin isolation level serializable read only deferrable; select * from p");
    wait_until("it waits for a snapshot", || {
        value::<i64>(&mut client, "select count(*) from pg_stat_activity where wait_event = 'SafeSnapshot'") == 1
    });
    let mut elsewhere = database.server.connect("postgres", "postgres");
    execute(&mut elsewhere, "create table o (id int)");
    execute(&mut elsewhere, "begin; lock o");
    let mut other = database.server.connect("postgres", "postgres");
    execute(&mut other, "set application_name = 'h'");
    busy(other, "select * from o");
    waiting(&mut client, 8);

    let rows = tree(&mut client);
    let advisory = pid(&mut held[0]);
    let expected = [
        ("a", "advisory", "EXCLUSIVE on advisory lock -7"),
        ("b", "advisory", "EXCLUSIVE on advisory lock (1, 2)"),
        ("c", "relation", "ROW EXCLUSIVE on relation \"Odd schema\".\"t \"\"x\"\"\""),
        ("d", "virtualxid", "SHARE on virtual transaction"),
        ("e", "transactionid", "for row (0,1) of public.p"),
        ("f", "advisory", "SHARE on advisory lock 99, in parallel worker"),
        ("g", "safe snapshot", "a safe snapshot"),
        ("h", "relation", "(of database postgres)"),
    ];
    for (application, kind, wanted) in expected {
        let row = of_application(&rows, application);
        assert!(row["waits_for_type"] == kind && text(row, "waits_for").contains(wanted), "{row:#}");
        assert!(row["depth"].as_i64() >= Some(1) && row["waiting_seconds"].as_f64() >= Some(0.0), "{row:#}");
    }
    for application in ["a", "b", "f"] {
        let row = of_application(&rows, application);
        assert_eq!(
            (&row["root_pid"], row["blocked_by"].to_string()),
            (&advisory.into(), format!("[{advisory}]")),
            "{row:#}"
        );
    }
    let prepared =
        rows.iter().find(|row| row["prepared_gid"] == "it's me").unwrap_or_else(|| panic!("{}", shown(&rows)));
    assert!(prepared["pid"].is_null() && prepared["end_sql"].is_null(), "{prepared:#}");
    assert_eq!(
        (&prepared["depth"], &prepared["blocks_in_all"], &prepared["database"]),
        (&0.into(), &1.into(), &"pool".into())
    );
    assert_eq!(of_application(&rows, "e")["blocked_by"].to_string(), "[0]");
    let serial = pid(&mut held[3]);
    assert_eq!(of_application(&rows, "g")["blocked_by"].to_string(), format!("[{serial}]"));
    agrees_with_the_server(&mut client);

    least_seconds(&mut client, &RULES);
    let findings = pressure(&mut client, "").0;
    assert!(
        text(only(&findings, "advisory_lock_waits"), "cause").contains("in no transaction"),
        "{}",
        shown(&findings)
    );
    let of_prepared = only(&findings, "blocked_by_prepared_transaction");
    assert!(text(of_prepared, "cause").contains("rollback prepared 'it''s me';"), "{of_prepared:#}");
    // The session that asks can be a root too.
    execute(&mut client, "begin; lock own");
    wait("i", "select * from own");
    waiting(&mut client, 9);
    let own = pid(&mut client);
    let rows = tree(&mut client);
    let row = rows.iter().find(|row| row["pid"] == own).unwrap_or_else(|| panic!("{}", shown(&rows)));
    assert!(row["end_sql"].is_null() && row["blocks_directly"].as_i64() >= Some(1), "{row:#}");
    execute(&mut client, "rollback");
    let decided = query(&mut client, "select gid from pg_prepared_xacts");
    assert_eq!(decided.len(), 1);
    execute(&mut client, "rollback prepared 'it''s me'");
    held.clear();
}

/// What is pasted ends what it says, and no more; late, it ends nothing.
fn fixes() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int primary key, n int); insert into t values (1, 0), (2, 0)");
    // A transaction that goes on from statement to statement is ended, though another statement runs by then.
    let mut etl = connect(&database, "postgres", "etl");
    execute(&mut etl, "begin; update t set n = 1 where id = 1; select pg_sleep(1.2)");
    busy(connect(&database, "postgres", "web"), "update t set n = 2 where id = 1");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    execute(&mut etl, "update t set n = 1 where id = 2");
    let verify = text(finding, "verify_sql");
    assert!(!value::<bool>(&mut client, verify), "it blocks still: {finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    assert!(value::<bool>(&mut client, verify), "{finding:#}");
    assert!(etl.batch_execute("select").is_err(), "it has been ended");
    // One that has committed in between is let alone.
    let mut api = connect(&database, "postgres", "api");
    execute(&mut api, "begin; update t set n = 1 where id = 1");
    busy(connect(&database, "postgres", "web"), "update t set n = 2 where id = 1");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let late = text(only(&findings, "sessions_blocked"), "fix_sql");
    execute(&mut api, "commit; begin; update t set n = 1 where id = 2");
    execute(&mut client, late);
    execute(&mut api, "commit");
    // A queue behind DDL: the reader stays, the DDL goes, and only one rule speaks.
    execute(&mut api, "begin; select * from t");
    busy(connect(&database, "postgres", "migration"), "alter table t add m int");
    waiting(&mut client, 1);
    (0..5).for_each(|_| busy(connect(&database, "postgres", "web"), "select * from t"));
    waiting(&mut client, 6);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "lock_queue_behind_ddl");
    assert!(!has(&findings, "sessions_blocked"), "{}", shown(&findings));
    assert_eq!((&finding["evidence"]["blocked"], &finding["object"]), (&5.into(), &"public.t".into()), "{finding:#}");
    assert!(text(finding, "fix_sql").contains("pg_cancel_backend"), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    execute(&mut api, "commit");
    let columns = "select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'm'";
    assert_eq!(value::<i64>(&mut client, columns), 0);
}

fn wraparound() {
    let database = server(&[
        "autovacuum = on",
        "autovacuum_naptime = '1s'",
        "autovacuum_freeze_max_age = 100000",
        "synchronous_commit = off",
        "deadlock_timeout = '100ms'",
    ]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(
        &mut client,
        "create table t (id int, x text) with (autovacuum_enabled = off, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)",
    );
    execute(&mut client, "insert into t select g, repeat('x', 500) from generate_series(1, 50000) g");
    execute(&mut client, "do $$ begin for i in 1..110000 loop perform pg_current_xact_id(); commit; end loop; end $$");
    let vacuums =
        "select count(*) from pg_stat_activity where query like 'autovacuum: VACUUM% public.t (to prevent wraparound)'";
    wait_until("autovacuum has come to the table", || value::<i64>(&mut client, vacuums) == 1);
    busy(connect(&database, "postgres", "migration"), "alter table t add n int");
    waiting(&mut client, 1);
    // Nobody is behind: nothing is to be cancelled.
    let findings = pressure(&mut client, "").0;
    assert!(only(&findings, "vacuum_blocks_ddl")["fix_sql"].is_null(), "{}", shown(&findings));
    busy(connect(&database, "postgres", "web"), "select count(*) from t where id = 1");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    assert!(!has(&findings, "sessions_blocked") && !has(&findings, "lock_queue_behind_ddl"), "{}", shown(&findings));
    let finding = only(&findings, "vacuum_blocks_ddl");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    assert_eq!(value::<i64>(&mut client, vacuums), 1, "it goes on");
    assert!(value::<bool>(&mut client, text(finding, "verify_sql")), "{finding:#}");
}

fn recovery() {
    let primary = Server::start(&["autovacuum = off", "max_standby_streaming_delay = -1", "deadlock_timeout = '10s'"]);
    let mut client = primary.connect("postgres", "postgres");
    execute(&mut client, "create extension pg_dbre; create table t (id int)");
    least_seconds(&mut client, &RULES);
    let server = standby_of(&primary);
    let mut reader = server.connect("postgres", "postgres");
    let mut looks = server.connect("postgres", "postgres");
    let root = pid(&mut reader);
    execute(&mut reader, "begin; select * from t");
    execute(&mut client, "alter table t add n int");
    waiting(&mut looks, 1);
    let rows = tree(&mut looks);
    assert_eq!(rows.len(), 2, "{}", shown(&rows));
    assert_eq!(
        (&rows[0]["pid"], &rows[1]["blocked_by"].to_string()),
        (&root.into(), &format!("[{root}]")),
        "{}",
        shown(&rows)
    );
    assert!(rows[1]["end_sql"].is_null() && rows[1]["waits_for_mode"] == "ACCESS EXCLUSIVE", "{:#}", rows[1]);
    let behind = server.connect("postgres", "postgres");
    busy(behind, "select * from t");
    waiting(&mut looks, 2);
    let findings = pressure(&mut looks, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(
        text(finding, "object").contains(&root.to_string()) && !has(&findings, "lock_queue_behind_ddl"),
        "{}",
        shown(&findings)
    );
    execute(&mut looks, text(finding, "fix_sql"));
    waiting(&mut looks, 0);
}

/// Replay that waits for a snapshot, and then for a page: no lock is waited for.
fn snapshots_on_a_standby() {
    let primary =
        Server::start(&["autovacuum = off", "max_standby_streaming_delay = -1", "hot_standby_feedback = off"]);
    let mut client = primary.connect("postgres", "postgres");
    execute(&mut client, "create extension pg_dbre; create table t as select g as id from generate_series(1, 1000) g");
    execute(&mut client, "create database other");
    let server = standby_of(&primary);
    let mut looks = server.connect("postgres", "postgres");
    let at = |looks: &mut Client, event: &str| {
        let sql =
            format!("select count(*) from pg_stat_activity where backend_type = 'startup' and wait_event = '{event}'");
        wait_until(event, || value::<i64>(looks, &sql) == 1);
    };
    let replayed = |client: &mut Client, looks: &mut Client| {
        let written: String = value(client, "select pg_current_wal_lsn()::text");
        let sql = format!("select pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        wait_until("it has replayed", || value::<bool>(looks, &sql));
    };
    replayed(&mut client, &mut looks);
    let mut report = server.connect("postgres", "postgres");
    let root = pid(&mut report);
    execute(&mut report, "begin isolation level repeatable read; select count(*) from t");
    execute(&mut client, "delete from t where id % 2 = 0");
    execute(&mut client, "vacuum t");
    at(&mut looks, "RecoveryConflictSnapshot");
    // A later snapshot is not in the way.
    let mut later = server.connect("postgres", "postgres");
    execute(&mut later, "begin isolation level repeatable read; select 1");
    let rows = tree(&mut looks);
    assert_eq!(rows.len(), 2, "{}", shown(&rows));
    assert_eq!((&rows[0]["pid"], &rows[0]["blocks_in_all"]), (&root.into(), &1.into()), "{}", shown(&rows));
    assert_eq!(rows[1]["blocked_by"].to_string(), format!("[{root}]"), "{}", shown(&rows));
    assert_eq!(text(&rows[1], "waits_for"), "the end of the oldest snapshot", "{:#}", rows[1]);
    assert!(rows[1]["waiting_seconds"].as_f64() < Some(30.0), "{:#}", rows[1]);
    wait_until("it has waited for a second", || has(&pressure(&mut looks, "").0, "sessions_blocked"));
    // In another database one that is older or not may be in the way as well.
    let mut elsewhere = server.connect("other", "postgres");
    execute(&mut elsewhere, "begin isolation level repeatable read; select 1");
    let findings = pressure(&mut looks, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(finding["fix_sql"].is_null() && text(finding, "cause").contains("does not say"), "{finding:#}");
    execute(&mut elsewhere, "rollback");
    let findings = pressure(&mut looks, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(
        text(finding, "object").contains(&root.to_string()) && text(finding, "cause").contains("Replay of WAL"),
        "{finding:#}"
    );
    execute(&mut looks, text(finding, "fix_sql"));
    wait_until("it is cured", || value::<bool>(&mut looks, text(finding, "verify_sql")));
    replayed(&mut client, &mut looks);
    assert!(tree(&mut looks).is_empty(), "{}", shown(&tree(&mut looks)));
    execute(&mut later, "rollback");

    // A cursor stays on its page, of which VACUUM removes what was never committed.
    execute(&mut later, "begin; declare c cursor for select * from t; fetch 1 from c");
    execute(&mut client, "begin; insert into t select 0 from generate_series(1, 480); rollback");
    execute(&mut client, "vacuum t");
    at(&mut looks, "BufferPin");
    let rows = tree(&mut looks);
    assert_eq!(rows.len(), 2, "{}", shown(&rows));
    assert_eq!(rows[0]["pid"], pid(&mut later), "{}", shown(&rows));
    assert_eq!(text(&rows[1], "waits_for"), "a page that a query looks at", "{:#}", rows[1]);
    execute(&mut later, "rollback");
    replayed(&mut client, &mut looks);
}
