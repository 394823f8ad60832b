//! What `dbre.pool_sizing()` measures, and from when: nothing that the server has not counted.

use crate::pool_pressure::server;
use crate::server::{alone, execute, query, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::thread;

pub fn trials() -> Vec<Trial> {
    vec![alone("pool_sizing_measures::since_when_is_shown_or_nothing_is_claimed", since_when)]
}

fn row(client: &mut Client, name: &str) -> Option<Value> {
    let sql = format!("select to_jsonb(s) from dbre.pool_sizing(4, 1, 1) s where name = '{name}'");
    query(client, &sql).first().map(|row| row.get(0))
}

/// Less than a minute is counted in all of this.
fn is_known(client: &mut Client) -> bool {
    let missing = row(client, "not_measured").expect("there is something that is not measured");
    let missing = missing["rests_on"].as_str().unwrap();
    let known = missing.contains("pg_stat_database has counted for less than a minute");
    assert_ne!(known, missing.contains("cannot be shown since when"), "{missing}");
    known
}

fn since_when() {
    let database = server(&["max_connections = 10"]);
    let mut client = database.connect();
    assert!(is_known(&mut client), "since the database was made");
    execute(&mut client, "select pg_stat_reset_shared()");
    assert!(!is_known(&mut client), "the counters may be older than all that is known");
    execute(&mut client, "create database younger");
    let mut younger = database.server.connect("younger", "postgres");
    execute(&mut younger, "create extension pg_dbre");
    assert!(is_known(&mut younger), "nothing was discarded since it was made");
    execute(&mut client, "select pg_stat_reset()");
    wait_until("what sessions had not yet reported is possible since then", || is_known(&mut client));
    execute(&mut client, "create table t (id int)");
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| execute(&mut database.connect(), "select pg_sleep(3)"));
        }
    });
    let counted = "select session_time > 14000 from pg_stat_database where datname = current_database()";
    wait_until("the sessions are counted", || value(&mut client, counted));
    // Which sets the time, and leaves 15 s of sessions that were never open in so short a time.
    wait_until("the sum cannot be", || {
        execute(&mut client, "select pg_stat_reset_single_table_counters('t'::regclass)");
        !is_known(&mut client)
    });
    let pid = value(&mut younger, "select pg_backend_pid()");
    database.server.crash(pid);
    assert!(is_known(&mut database.connect()), "all was discarded at one time");
}
