//! Whom a fix has to let alone: victims of a queue, those that wait by design, and rows that many change one after the other.

use crate::lock_roots::{open, promises, wait};
use crate::lock_tree::{RULES, least_seconds};
use crate::pool_pressure::{busy, connect, fix, only, pressure, server, waiting};
use crate::server::{Database, alone, execute, query, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::thread;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("lock_queues::victims_of_ddl_are_not_cancelled", victims_of_ddl),
        alone("lock_queues::victims_of_vacuum_are_not_cancelled", victims_of_vacuum),
        alone("lock_queues::a_build_with_a_queue_of_its_own", build_and_queue),
        alone("lock_queues::autovacuum_behind_a_build", autovacuum_behind_build),
        alone("lock_queues::a_safe_snapshot", safe_snapshot),
        alone("lock_queues::a_commit_that_waits_for_a_standby", commit_waits),
        alone("lock_queues::a_row_that_all_change", hot_row),
    ]
}

fn jobs(database: &Database, count: i32) {
    for number in 0..count {
        let job = format!("begin; insert into p values ({number}); lock table t in exclusive mode; commit");
        wait(database, "job", &job);
    }
}

fn victims_of_ddl() {
    let database = server(&["max_connections = 40"]);
    let mut client = database.connect();
    execute(&mut client, "create table t (id int); create table p (id int)");
    query(
        &mut client,
        "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0, \"many\": 5}')",
    );
    let _report = open(&database, "report", "begin; select from t");
    wait(&database, "mig", "alter table t add n int");
    waiting(&mut client, 1);
    wait(&database, "index", "create index t_id on t (id)");
    jobs(&database, 4);
    waiting(&mut client, 6);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "lock_queue_behind_ddl");
    promises(finding, 5, 0);
    assert_eq!(finding["severity"], "critical", "{finding:#}");
    assert_eq!(finding["evidence"]["requests"].as_array().map(Vec::len), Some(1), "{finding:#}");
    fix(&mut client, finding);
    let through = "select (select count(*) from p) = 4 and to_regclass('t_id') is not null";
    wait_until("all of them are through", || value::<bool>(&mut client, through));
}

fn victims_of_vacuum() {
    let database = server(&["max_connections = 40"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(
        &mut client,
        "create table t (id int); create table p (id int); insert into t select generate_series(1, 100000)",
    );
    let nightly = open(&database, "nightly", "set vacuum_cost_limit = 1; set vacuum_cost_delay = 100");
    busy(nightly, "vacuum t");
    let vacuums = "select count(*) from pg_stat_progress_vacuum where relid = 't'::regclass";
    wait_until("it vacuums", || value::<i64>(&mut client, vacuums) == 1);
    wait(&database, "mig", "alter table t add n int");
    waiting(&mut client, 1);
    jobs(&database, 3);
    waiting(&mut client, 4);
    // Only behind each other, and behind the VACUUM.
    wait(&database, "one", "select from t limit 1");
    waiting(&mut client, 5);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "vacuum_blocks_ddl");
    promises(finding, 5, 3);
    let fix_sql = text(finding, "fix_sql");
    assert_eq!(fix_sql.matches("pg_cancel_backend").count(), 1, "{finding:#}");
    execute(&mut client, fix_sql);
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "vacuum_blocks_ddl");
    assert!(finding["fix_sql"].is_null(), "{finding:#}");
}

fn build_and_queue() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int)");
    let _report = open(&database, "report", "begin isolation level repeatable read; select 1");
    wait(&database, "build", "create index concurrently on t (id)");
    waiting(&mut client, 1);
    wait(&database, "mig", "alter table t add n int");
    waiting(&mut client, 2);
    ["one", "two"].iter().for_each(|name| wait(&database, name, "select from t"));
    waiting(&mut client, 4);
    let findings = pressure(&mut client, "").0;
    promises(only(&findings, "lock_queue_behind_ddl"), 2, 0);
    // Those behind the build are the matter of the queue: the build itself harms nobody.
    let finding = only(&findings, "sessions_blocked");
    assert_eq!((&finding["severity"], &finding["fix_sql"]), (&json!("low"), &Value::Null), "{finding:#}");
}

fn autovacuum_behind_build() {
    let database = server(&[
        "autovacuum = on",
        "autovacuum_naptime = '1s'",
        "autovacuum_freeze_max_age = 100000",
        "synchronous_commit = off",
    ]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int); create table u (id int)");
    let _report = open(&database, "report", "begin isolation level repeatable read; select 1");
    wait(&database, "build", "create index concurrently on t (id)");
    let _holder = open(&database, "holder", "begin; lock table u in share update exclusive mode");
    waiting(&mut client, 1);
    execute(&mut client, "do $$ begin for i in 1..110000 loop perform pg_current_xact_id(); commit; end loop; end $$");
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let of_application = |application: &str| {
        let is = |evidence: &Value| evidence.to_string().contains(&format!("\"{application}\""));
        let found: Vec<_> = findings
            .iter()
            .filter(|finding| finding["rule"] == "sessions_blocked" && is(&finding["evidence"]))
            .collect();
        assert_eq!(found.len(), 1, "{application}\n{}", shown(&findings));
        found[0]
    };
    let finding = of_application("report");
    assert_eq!((&finding["severity"], &finding["fix_sql"]), (&json!("low"), &Value::Null), "{finding:#}");
    promises(finding, 2, 2);
    let finding = of_application("holder");
    assert_eq!(finding["severity"], "low", "{finding:#}");
}

fn safe_snapshot() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int)");
    let writes = "begin isolation level serializable; insert into t values (1)";
    let mut writers: Vec<Client> = ["app1", "app2"].map(|name| open(&database, name, writes)).into();
    wait(&database, "pg_dump", "begin isolation level serializable read only deferrable; select from t");
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SafeSnapshot'";
    wait_until("it waits for a snapshot", || value::<i64>(&mut client, waits) == 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert_eq!((&finding["severity"], &finding["fix_sql"]), (&json!("low"), &Value::Null), "{finding:#}");
    let app_fix = text(finding, "app_fix");
    assert!(app_fix.contains("waits by design") && !app_fix.contains("lock_timeout"), "{finding:#}");
    writers.clear();
}

fn commit_waits() {
    let database = server(&["max_connections = 30", "synchronous_standby_names = gone", "synchronous_commit = local"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int); insert into t values (1)");
    let first = open(&database, "first", "set synchronous_commit = on");
    busy(first, "update t set id = 2");
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    wait_until("it waits for a standby", || value::<i64>(&mut client, waits) == 1);
    wait(&database, "second", "update t set id = 3");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    let app_fix = text(finding, "app_fix");
    assert!(app_fix.contains("waits_on_commit") && !app_fix.contains("Split"), "{finding:#}");
}

/// Changes the row again and again, until its server ends.
fn changes(mut client: Client) {
    let statements = ["begin; update t set n = n + 1 where id = 1", "select pg_sleep(0.05)", "commit"];
    thread::spawn(move || while statements.iter().all(|sql| client.batch_execute(sql).is_ok()) {});
}

fn hot_row() {
    let database = server(&["max_connections = 60"]);
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key, n int); insert into t values (1, 0)");
    (0..40).for_each(|_| changes(connect(&database, "postgres", "web")));
    let of_rows = |findings: &[Value]| findings.iter().find(|finding| finding["object"] == "rows of public.t").cloned();
    let mut found = None;
    wait_until("statements that wait for the row last", || {
        found = of_rows(&pressure(&mut client, "").0);
        found.is_some()
    });
    let finding = found.unwrap();
    assert_eq!(
        (&finding["rule"], &finding["severity"], &finding["fix_sql"]),
        (&json!("sessions_blocked"), &json!("high"), &Value::Null),
        "{finding:#}"
    );
    assert!(finding["evidence"]["blocked"].as_i64() >= Some(10), "{finding:#}");
    assert!(text(&finding, "summary").contains("the longest for at most "), "{finding:#}");
    let verify = text(&finding, "verify_sql").trim_end_matches(';');
    wait_until("it says that some queue for the row", || !value::<bool>(&mut client, verify));
    // As many, of whom none waits for as long.
    query(&mut client, "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 600}')");
    let findings = pressure(&mut client, "").0;
    assert!(of_rows(&findings).is_none(), "{}", shown(&findings));
}
