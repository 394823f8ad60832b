//! Statements that run in no transaction block: a second session watches which tables they lock.

use crate::migration_truth::{MODES, Truth};
use crate::server::{Database, Server, execute, trial, value, wait_until};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![trial(server, "migration_outside::locks_are_those_that_another_session_sees", locks)]
}

/// A statement and what others hold in turn while it is run again and again: it waits, and shows what it wants.
const CASES: &[(&str, &[&str])] = &[
    ("create index concurrently plain_a on plain (a); drop index plain_a", &["plain in share mode"]),
    (
        "create unique index concurrently plain_a on plain (a); drop index plain_a",
        &["plain in share update exclusive mode"],
    ),
    (
        "create index concurrently if not exists customers_name on customers (name)",
        &["customers in share update exclusive mode"],
    ),
    ("drop index concurrently customers_lower_name", &["customers in share update exclusive mode"]),
    ("reindex index concurrently customers_name", &["customers in share update exclusive mode"]),
    ("reindex table concurrently orders", &["orders in share update exclusive mode"]),
    (
        "alter table regions detach partition regions_north concurrently",
        &["only regions in share update exclusive mode", "regions_north in access share mode"],
    ),
    ("vacuum plain", &["plain in share update exclusive mode"]),
    ("vacuum (analyze) fresh", &["fresh in share update exclusive mode"]),
    ("vacuum full plain", &["plain in access share mode"]),
    ("vacuum (full, analyze) logins", &["logins in access share mode"]),
];

const WANTED: &str = "select c.oid::regclass::text, l.mode
    from pg_locks l join pg_class c on c.oid = l.relation
    where l.pid = $1 and l.locktype = 'relation' and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace";

fn locks(database: &Database) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    let truth = Truth::new(database.connect()).unwrap();
    let mut reviewer = database.connect();
    let mut wrong = Vec::new();
    for (script, held) in CASES {
        let (statement, after) = script.split_once("; ").unwrap_or((script, ""));
        let steps = "select locks, rewrites, scans, transaction from dbre.migration_steps($1)";
        let rows = reviewer.query(steps, &[&statement]).unwrap();
        let steps: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let in_transaction = rows.iter().any(|row| row.get::<_, Option<i32>>(3).is_some());
        let mut told = truth.told(&steps).pop().unwrap_or_default().locks;
        told.retain(|relation, _| !is_index(database, relation));
        let seen = watch(database, statement, held);
        if told != seen || in_transaction {
            wrong.push(format!(
                "{statement}\n  review: {told:?}, in a transaction: {in_transaction}\n  really: {seen:?}"
            ));
        }
        execute(&mut database.connect(), after);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_index(database: &Database, relation: &str) -> bool {
    value(
        &mut database.connect(),
        &format!("select relkind in ('i', 'I') from pg_class where oid = '{relation}'::regclass"),
    )
}

/// The strongest mode per table that the statement has or waits for, while another session holds the locks one after the other.
fn watch(database: &Database, statement: &str, held: &[&str]) -> BTreeMap<String, String> {
    let mut holders: Vec<_> = held.iter().map(|_| database.connect()).collect();
    for (holder, lock) in holders.iter_mut().zip(held) {
        execute(holder, &format!("begin; lock table {lock}"));
    }
    let mut watcher = database.connect();
    let mut client = database.connect();
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let text = statement.to_string();
    let running = thread::spawn(move || client.batch_execute(&text).map_err(|error| error.to_string()));
    let mut strongest: BTreeMap<String, usize> = BTreeMap::new();
    for holder in &mut holders {
        let holding: i32 = value(holder, "select pg_backend_pid()");
        let waits = format!("select {holding} = any(pg_blocking_pids({pid}))");
        wait_until("the statement waits", || value(&mut watcher, &waits));
        for row in watcher.query(WANTED, &[&pid]).unwrap() {
            let mode: String = row.get(1);
            if let Some(strength) = MODES.iter().position(|known| *known == mode) {
                let entry = strongest.entry(format!("public.{}", row.get::<_, String>(0))).or_insert(strength);
                *entry = strength.max(*entry);
            }
        }
        execute(holder, "commit");
    }
    running.join().unwrap().unwrap_or_else(|error| panic!("{statement}: {error}"));
    strongest.into_iter().map(|(relation, strength)| (relation, MODES[strength].to_string())).collect()
}
