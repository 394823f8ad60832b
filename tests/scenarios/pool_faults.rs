//! What the functions on the live server meet at 3 a.m.: locked catalogs, sessions that come and go, fixes pasted late,
//! cancels at any time, nonsense.

use crate::pool_pressure::{busy, connect, has, only, pressure, server, try_connect, waiting};
use crate::server::{Database, Server, alone, execute, query, refused, shown, text, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(shared: &Arc<Server>) -> Vec<Trial> {
    vec![
        alone("pool_faults::locked_catalogs", locked_catalogs),
        alone("pool_faults::sessions_come_and_go", coming_and_going),
        alone("pool_faults::a_fix_ends_no_other_session", other_session),
        trial(shared, "pool_faults::cancelled_at_any_time", cancelled),
        trial(shared, "pool_faults::arguments", arguments),
        trial(shared, "pool_faults::locks_of_a_call", locks_of_a_call),
    ]
}

/// Those that must answer whatever is locked.
const LOOKS: [&str; 3] = ["dbre.pool_pressure()", "dbre.lock_tree", "dbre.long_running"];

pub const CALLS: [&str; 7] = [
    "dbre.pool_pressure()",
    "dbre.pool_pressure('postgres')",
    "dbre.lock_tree",
    "dbre.long_running",
    "dbre.pool_sizing(4, 2, 2)",
    "dbre.sample_activity('50 ms', '5 ms')",
    "dbre.activity_history",
];

const LOCKABLE: [&str; 23] = [
    "pg_catalog.pg_authid",
    "pg_catalog.pg_database",
    "pg_catalog.pg_db_role_setting",
    "pg_catalog.pg_auth_members",
    "pg_catalog.pg_namespace",
    "pg_catalog.pg_extension",
    "pg_catalog.pg_class",
    "pg_catalog.pg_attribute",
    "pg_catalog.pg_depend",
    "pg_catalog.pg_index",
    "pg_catalog.pg_proc",
    "pg_catalog.pg_type",
    "pg_catalog.pg_replication_origin",
    "pg_catalog.pg_subscription",
    "pg_catalog.pg_stat_activity",
    "pg_catalog.pg_stat_database",
    "pg_catalog.pg_locks",
    "pg_catalog.pg_settings",
    "pg_catalog.pg_roles",
    "public.pg_stat_statements",
    "dbre.rule_settings",
    "dbre.suppressions",
    "public.t",
];

fn locked_catalogs() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension pg_stat_statements; create table t (id int); create role app login; grant select on t to app",
    );
    let mut leaking = connect(&database, "app", "api");
    execute(&mut leaking, "begin; select * from t");
    let mut other = database.connect();
    // A session that has looked before: whoever connects while pg_class is locked waits for it already.
    LOOKS.iter().for_each(|call| drop(query(&mut client, &format!("select * from {call}"))));
    execute(&mut client, "set statement_timeout = '30s'");
    for relation in LOCKABLE.iter().filter(|relation| **relation != "public.t") {
        execute(&mut other, &format!("begin; lock table {relation} in access exclusive mode"));
        for call in LOOKS {
            let begun = Instant::now();
            let rows = client.query(&format!("select * from {call}"), &[]);
            let took = begun.elapsed();
            assert!(rows.is_ok() && took < Duration::from_secs(20), "{call} with {relation} locked: {took:?} {rows:?}");
        }
        let pools = pressure(&mut client, "").1;
        assert!(pools.iter().any(|pool| pool["idle_in_transaction"] == 1), "{relation}: {}", shown(&pools));
        execute(&mut other, "rollback");
    }
    // A table that somebody waits for.
    execute(&mut leaking, "rollback");
    execute(&mut other, "begin; lock table t in access exclusive mode");
    busy(leaking, "select * from t");
    waiting(&mut client, 1);
    for call in LOOKS {
        query(&mut client, &format!("select * from {call}"));
    }
    let tree: Vec<Value> =
        query(&mut client, "select to_jsonb(l) from dbre.lock_tree l").iter().map(|row| row.get(0)).collect();
    assert_eq!(tree.len(), 2, "{}", shown(&tree));
}

/// Nothing that is left locked is anything that an application, or the administrator who repairs it, locks.
fn locks_of_a_call(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension if not exists pg_stat_statements; create table t (id int)");
    for call in LOOKS {
        query(&mut client, &format!("select * from {call}"));
        execute(&mut client, "begin");
        query(&mut client, &format!("select * from {call}"));
        let held: Vec<String> = query(
            &mut client,
            "select locktype || ' ' || coalesce(relation::regclass::text, '') || ' ' || mode
             from pg_lock_status() where pid = pg_backend_pid() and locktype <> 'virtualxid' order by 1",
        )
        .iter()
        .map(|row| row.get(0))
        .collect();
        // The view itself, and the rules' own settings.
        let view = call.trim_end_matches("()");
        let allowed = |lock: &&String| {
            lock.ends_with("AccessShareLock")
                && (lock.contains(view) || lock.contains(" dbre.rule_settings") || lock.contains(" dbre.suppressions"))
        };
        let held: Vec<_> = held.iter().filter(|lock| !allowed(lock)).collect();
        assert!(held.is_empty(), "{call}: {held:?}");
        let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
        assert_eq!(xid, None, "{call}");
        execute(&mut client, "rollback");
    }
}

fn coming_and_going() {
    let database = server(&["max_connections = 60"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, n int); insert into t values (1, 0); create role gone login",
    );
    let mut dropped = connect(&database, "gone", "of a role that is dropped");
    execute(&mut dropped, "begin");
    execute(&mut client, "drop role gone");
    execute(&mut client, "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}')");
    let until = Instant::now() + Duration::from_secs(6);
    thread::scope(|scope| {
        for number in 0..6 {
            let database = &database;
            scope.spawn(move || {
                while Instant::now() < until {
                    let name = format!("churn {number} \"é'\n");
                    let Ok(mut session) = try_connect(database, "postgres", &name) else { continue };
                    let statements = [
                        "begin; select 1",
                        "select * from gone",
                        "begin; update t set n = n + 1; select pg_sleep(0.002); commit",
                        "begin; lock table t; select pg_sleep(0.001)",
                    ];
                    drop(session.batch_execute(statements[number % 4]));
                }
            });
        }
        let mut calls = 0;
        while Instant::now() < until {
            for call in LOOKS {
                query(&mut client, &format!("select * from {call}"));
                calls += 1;
            }
            let (findings, _) = pressure(&mut client, "");
            let left_out = findings.iter().filter_map(|finding| finding["evidence"]["left_out"].as_array()).flatten();
            let failed: Vec<Value> =
                left_out.filter(|what| what.as_str().is_some_and(|what| what.starts_with("rule "))).cloned().collect();
            assert!(failed.is_empty(), "{}", shown(&failed));
        }
        assert!(calls > 0);
    });
    drop(dropped);
}

/// A fix that is pasted late: its session has ended, and others have come.
fn other_session() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role app login; create table t (id int); grant select on t to app;
         select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}')",
    );
    let mut leaking = connect(&database, "app", "api");
    execute(&mut leaking, "begin; select * from t");
    let pid: i32 = value(&mut leaking, "select pg_backend_pid()");
    execute(&mut leaking, "select * from t");
    let (findings, _) = pressure(&mut client, "");
    let fix = text(only(&findings, "transaction_leaked"), "fix_sql").to_string();
    assert!(fix.contains(&pid.to_string()), "{fix}");
    // The same process id with another start is another session.
    let start: String = value(&mut client, &format!("select backend_start::text from pg_stat_get_activity({pid})"));
    assert!(fix.contains(&start), "{fix}");
    let later = fix.replace(&start, "2001-01-01 00:00:00+00");
    let alive = format!("select count(*) from pg_stat_get_activity({pid})");
    execute(&mut client, &later);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(value::<i64>(&mut client, &alive), 1, "another session was ended by {later}");
    // The transaction has ended since: whoever works again is left alone.
    execute(&mut leaking, "commit");
    execute(&mut leaking, "begin; select 1");
    execute(&mut client, &fix);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(value::<i64>(&mut client, &alive), 1, "a session that has gone on was ended by {fix}");
    execute(&mut leaking, "commit");
    assert!(!has(&pressure(&mut client, "").0, "transaction_leaked"));
}

const STATE: &str = "select md5(string_agg(name || setting, ',' order by name)) from pg_settings
    where name not in ('statement_timeout', 'transaction_read_only')";

fn cancelled(database: &Database) {
    let mut client = database.connect();
    CALLS.iter().for_each(|call| drop(query(&mut client, &format!("select * from {call}"))));
    let state: String = value(&mut client, STATE);
    let mut control = database.connect();
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let mut stopped = 0;
    for round in 0..50_u64 {
        for call in CALLS {
            let sql = format!("select count(*) from {call}");
            let outcome = thread::scope(|scope| {
                let asked = scope.spawn(|| client.query(&sql, &[]));
                thread::sleep(Duration::from_micros(round * 150));
                query(&mut control, &format!("select pg_cancel_backend({pid})"));
                asked.join().unwrap()
            });
            if let Err(error) = outcome {
                assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{sql}: {error}");
                stopped += 1;
            }
        }
        // A cancel that came after the call's end stops the next statement.
        while client.batch_execute("select 1").is_err() {}
        assert_eq!(value::<String>(&mut client, STATE), state, "round {round}");
    }
    assert!(stopped > 20, "{stopped}");
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    for call in [
        "pool_pressure('nowhere')",
        "pool_pressure('')",
        "pool_sizing(null, 2, 2)",
        "pool_sizing(4, null, 2)",
        "pool_sizing(4, 2, null)",
        "pool_sizing(-4, 2, 2)",
        "pool_sizing(4, 'NaN', 2)",
        "pool_sizing(4, 'Infinity', 2)",
        "pool_sizing(4, -1, 2)",
        "pool_sizing(2147483647, 2, 2)",
        "pool_sizing(4, 1e300, 2)",
        "pool_sizing(4, 2, -1)",
        "sample_activity(null)",
        "sample_activity('-1 s')",
        "sample_activity('0')",
        "sample_activity('1 s', '0')",
        "sample_activity('1 s', '2 s')",
        "sample_activity('1 s', null)",
        "sample_activity('1000 years')",
        "sample_activity('infinity')",
        "sample_activity('100 ms', '10 ms', 'nowhere')",
        "pgbouncer_pressure(null)",
        "pgbouncer_pressure('')",
        "pgbouncer_pressure('no_such_server')",
        "pgbouncer_pressure('host=/nonexistent port=1 dbname=pgbouncer')",
    ] {
        let sql = format!("select * from dbre.{call}");
        let error = refused(&mut client, &sql);
        let code = error.code().code();
        assert!(!code.starts_with("XX") && code != "42883", "{sql}: {code} {error}");
        assert!(error.hint().is_some(), "{sql}: {code} {error}");
        assert_eq!(value::<i32>(&mut client, "select 1"), 1);
    }
}
