//! Waits for several transactions in turn, of which the server shows one; and replication that waits.

use crate::lock_roots::{open, wait};
use crate::lock_tree::{RULES, least_seconds};
use crate::pool_pressure::{has, only, pressure, server, waiting};
use crate::server::{Database, alone, execute, query, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::process::Stdio;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("lock_turns::a_row_that_several_have_locked", rows),
        alone("lock_turns::a_row_that_one_has_changed", changed),
        alone("lock_turns::builds_that_wait_for_several", builds),
        alone("lock_turns::a_subscription_and_a_slot", replication),
    ]
}

fn after(finding: &Value) -> &Value {
    &finding["impact"]["sessions_waiting"]["after"]["value"]
}

fn family(client: &mut Client) {
    least_seconds(client, &RULES);
    execute(
        client,
        "create table parent (id int primary key, n int); create table child (parent_id int references parent);
         insert into parent values (1, 0), (2, 0)",
    );
}

fn rows() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    family(&mut client);
    let mut children: Vec<Client> =
        ["a", "b", "c"].map(|name| open(&database, name, "begin; insert into child values (1)")).into();
    wait(&database, "one", "delete from parent where id = 1");
    waiting(&mut client, 1);
    wait(&database, "two", "delete from parent where id = 1");
    waiting(&mut client, 2);
    // One after the other is ended, as the finding says.
    for left in [2, 1] {
        let findings = pressure(&mut client, "").0;
        let finding = only(&findings, "sessions_blocked");
        assert!(after(finding).is_null(), "{finding:#}");
        assert_eq!(finding["evidence"]["may_hold_it_up_next_count"], left, "{finding:#}");
        assert!(
            text(finding, "cause").contains("may be shared") && text(finding, "cause").contains(", c)"),
            "{finding:#}"
        );
        let verify = text(finding, "verify_sql");
        execute(&mut client, text(finding, "fix_sql"));
        waiting(&mut client, 2);
        assert!(!value::<bool>(&mut client, verify), "{finding:#}");
    }
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert_eq!(after(finding), 0, "{finding:#}");
    let verify = text(finding, "verify_sql");
    execute(&mut client, text(finding, "fix_sql"));
    wait_until("it says that nobody waits", || value::<bool>(&mut client, verify.trim_end_matches(';')));
    children.clear();
}

fn changed() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    family(&mut client);
    let _changed = open(&database, "changed", "begin; update parent set n = 1 where id = 1");
    // Of another row, but the server does not tell.
    let _child = open(&database, "child", "begin; insert into child values (2)");
    wait(&database, "update", "update parent set n = 2 where id = 1");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    assert_eq!(after(only(&findings, "sessions_blocked")), 0, "{}", shown(&findings));
    execute(&mut client, "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'update'");
    waiting(&mut client, 0);
    wait(&database, "delete", "delete from parent where id = 1");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    assert!(after(only(&findings, "sessions_blocked")).is_null(), "{}", shown(&findings));
}

fn builds() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    family(&mut client);
    let report = "begin isolation level repeatable read; select 1";
    let mut reports: Vec<Client> = ["r1", "r2"].map(|name| open(&database, name, report)).into();
    wait(&database, "build", "create index concurrently on parent (n)");
    waiting(&mut client, 1);
    // With one behind it the build is no matter of its own.
    wait(&database, "mig", "alter table parent add m int");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(
        after(finding).is_null() && text(finding, "cause").contains("each older transaction in turn"),
        "{finding:#}"
    );
    assert_eq!(finding["evidence"]["may_hold_it_up_next_count"], 1, "{finding:#}");
    let verify = text(finding, "verify_sql");
    // How many it has done says less: a query of ours may have been among those it waited for.
    let first: i64 = value(&mut client, "select current_locker_pid from pg_stat_progress_create_index");
    execute(&mut client, text(finding, "fix_sql"));
    let next = format!("select count(*) from pg_stat_progress_create_index where current_locker_pid <> {first}");
    wait_until("it waits for the next", || value::<i64>(&mut client, &next) == 1);
    waiting(&mut client, 2);
    assert!(!value::<bool>(&mut client, verify), "{finding:#}");
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(finding["evidence"]["may_hold_it_up_next"].is_null(), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    reports.clear();
}

fn replication() {
    let database = server(&["max_connections = 30", "wal_level = logical", "max_worker_processes = 16"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create database source");
    let source = Database { server: database.server.clone(), name: "source".to_string() };
    let mut there = source.connect();
    let table = "create table t (id int primary key, n int)";
    execute(&mut client, table);
    execute(&mut there, &format!("{table}; create publication p for table t"));
    query(&mut there, "select pg_create_logical_replication_slot('s', 'pgoutput')");
    let folder = database.server.folder.display();
    execute(
        &mut client,
        &format!(
            "create subscription s connection 'host={folder} dbname=source user=postgres' publication p with (create_slot = false)"
        ),
    );
    let ready = "select count(*) from pg_subscription_rel where srsubstate = 'r'";
    wait_until("the table is copied", || value::<i64>(&mut client, ready) == 1);
    let mut holder = open(&database, "holder", "begin; lock t in share mode");
    execute(&mut there, "insert into t values (1, 0)");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert_eq!(finding["severity"], "high", "{finding:#}");
    assert!(text(finding, "summary").ends_with("; it stops the apply worker of subscription s"), "{finding:#}");
    assert!(text(finding, "cause").contains("Replication stands still with process"), "{finding:#}");
    // Behind DDL.
    execute(&mut holder, "commit");
    waiting(&mut client, 0);
    execute(&mut holder, "begin; select from t");
    wait(&database, "mig", "alter table t add x int");
    waiting(&mut client, 1);
    execute(&mut there, "insert into t values (2, 0)");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    assert!(!has(&findings, "sessions_blocked"), "{}", shown(&findings));
    let finding = only(&findings, "lock_queue_behind_ddl");
    assert_eq!(finding["severity"], "high", "{finding:#}");
    assert!(text(finding, "summary").ends_with("subscription s"), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    // A slot that is created when whoever writes has ended.
    let writers = ["w1", "w2"].map(|name| open(&source, name, "begin; select pg_current_xact_id()"));
    let create = "CREATE_REPLICATION_SLOT later LOGICAL pgoutput";
    let mut psql = database.server.client("psql");
    psql.args(["-X", "-q", "-d", "dbname=source replication=database", "-c", create]).stdout(Stdio::null());
    let mut psql = psql.spawn().unwrap();
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert_eq!(finding["severity"], "high", "{finding:#}");
    assert!(text(finding, "summary").contains("it stops replication slot later"), "{finding:#}");
    assert!(text(finding, "cause").contains("each transaction that writes in turn"), "{finding:#}");
    assert!(after(finding).is_null(), "{finding:#}");
    drop(writers);
    assert!(psql.wait().unwrap().success());
    // Likewise by a client, in SQL.
    let writers = ["w1", "w2"].map(|name| open(&source, name, "begin; select pg_current_xact_id()"));
    wait(&source, "client", "select pg_create_logical_replication_slot('by_sql', 'pgoutput')");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert_eq!(finding["evidence"]["may_hold_it_up_next_count"], 1, "{finding:#}");
    assert!(after(finding).is_null(), "{finding:#}");
    let verify = text(finding, "verify_sql");
    execute(&mut client, text(finding, "fix_sql"));
    let waits_for_next = "select count(*) from dbre.lock_tree where application_name = 'client' and depth = 1";
    wait_until("it waits for the next", || value::<i64>(&mut client, waits_for_next) == 1);
    assert!(!value::<bool>(&mut client, verify), "{finding:#}");
    drop(writers);
    waiting(&mut client, 0);
    execute(&mut client, "drop subscription s");
}
