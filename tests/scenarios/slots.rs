//! Replication slots that hold back VACUUM, on servers of their own.

use crate::long_running::findings;
use crate::server::{Database, Server, alone, execute, shown, text, value, wait_until};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("slots::they_hold_back_catalogs", slots),
        alone("slots::of_a_standby_with_a_logical_one", of_standby),
        alone("slots::an_invalidated_one_holds_nothing", invalidated_slot),
    ]
}

fn slots() {
    let server = Arc::new(Server::start(&["autovacuum = off", "wal_level = logical", "max_replication_slots = 4"]));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 5}')");
    execute(&mut client, "select pg_create_logical_replication_slot('slot_of_nobody', 'test_decoding')");
    for _ in 0..10 {
        execute(&mut client, "select txid_current()");
    }
    let found = findings(&mut client, "xmin_held_back");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    let finding = &found[0];
    assert!(finding["evidence"]["catalogs_only"] == true && finding["fix_sql"].is_null(), "{finding:#}");
    assert!(text(finding, "app_fix").contains("pg_drop_replication_slot('slot_of_nobody')"), "{finding:#}");
    assert!(!value::<bool>(&mut client, text(finding, "verify_sql").trim_end_matches(';')));
    // A start sets anew since when it is not in use; only a checkpoint keeps the transaction numbers of a crash.
    execute(&mut client, "checkpoint");
    server.crash(value(&mut client, "select pg_backend_pid()"));
    client = database.connect();
    let again = findings(&mut client, "xmin_held_back");
    assert!(text(&again[0], "cause").contains("not in use for at least"), "{}", shown(&again));
    // A session as old holds back all tables, and nothing does after it: the slot does not reach as far.
    let mut report = database.connect();
    execute(&mut report, "begin isolation level repeatable read; select 1");
    for _ in 0..10 {
        execute(&mut client, "select txid_current()");
    }
    let both = findings(&mut client, "xmin_held_back");
    let of_session = both.iter().find(|finding| finding["evidence"]["catalogs_only"] == false);
    let of_session = of_session.unwrap_or_else(|| panic!("{}", shown(&both)));
    assert_eq!(of_session["impact"]["held_back_transactions"]["after"]["value"], 0, "{of_session:#}");
    assert!(
        text(of_session, "cause").contains("Those of the catalogs alone replication slot slot_of_nobody holds back"),
        "{of_session:#}"
    );
    execute(&mut report, "commit");
    execute(&mut client, "select pg_drop_replication_slot('slot_of_nobody')");
    assert!(findings(&mut client, "xmin_held_back").is_empty());
    assert!(value::<bool>(&mut client, text(finding, "verify_sql").trim_end_matches(';')));
}

/// hot_standby_feedback tells the oldest snapshot of the standby, and what its logical slots need of the catalogs.
fn of_standby() {
    let primary = Arc::new(Server::start(&["autovacuum = off", "wal_level = logical"]));
    let database = Database::create(&primary);
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 20}')");
    execute(&mut client, "select dbre.configure_rule('transaction_ids_run_out', options => '{\"min_age\": 1}')");
    execute(&mut client, "select pg_create_physical_replication_slot('sb1')");
    let standby = standby_of(&primary);
    let mut there = standby.connect(&database.name, "postgres");
    execute(&mut there, "alter system set primary_slot_name = 'sb1'");
    execute(&mut there, "alter system set hot_standby_feedback = on");
    execute(&mut there, "alter system set wal_receiver_status_interval = '1s'");
    execute(&mut there, "select pg_reload_conf()");
    let in_use = "select coalesce((select xmin is not null from pg_replication_slots where active), false)";
    wait_until("the standby uses its slot", || value(&mut client, in_use));
    // It waits for what only the primary writes.
    let made = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (mut client, made) = (database.connect(), made.clone());
        move || {
            while !made.load(Ordering::Relaxed) {
                execute(&mut client, "select pg_log_standby_snapshot()");
                thread::sleep(Duration::from_millis(300));
            }
        }
    });
    execute(&mut there, "select pg_create_logical_replication_slot('of_nobody', 'test_decoding')");
    made.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    for _ in 0..100 {
        execute(&mut client, "select txid_current()");
    }
    let both = "select age(catalog_xmin) > 50 and age(xmin) < 20 from pg_replication_slots";
    wait_until("the catalogs are held back alone", || value::<Option<bool>>(&mut client, both) == Some(true));
    let found = findings(&mut client, "xmin_held_back");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    let finding = &found[0];
    assert_eq!(finding["object"], "replication slot sb1, catalog_xmin", "{finding:#}");
    assert!(finding["evidence"]["catalogs_only"] == true, "{finding:#}");
    assert!(text(finding, "cause").contains("a logical slot on the standby needs the rows"), "{finding:#}");
    let ids = findings(&mut client, "transaction_ids_run_out");
    assert_eq!(ids[0]["evidence"]["oldest_holder_of_catalogs"], "replication slot sb1", "{:#}", ids[0]);
    let verify = text(finding, "verify_sql").trim_end_matches(';');
    assert!(!value::<bool>(&mut client, verify));
    execute(&mut there, "select pg_drop_replication_slot('of_nobody')");
    wait_until("the slot has advanced", || value(&mut client, verify));
    assert!(findings(&mut client, "xmin_held_back").is_empty());
}

/// The view shows still what it held back.
fn invalidated_slot() {
    let settings =
        ["autovacuum = off", "wal_level = logical", "max_replication_slots = 4", "max_slot_wal_keep_size = 1"];
    let server = Arc::new(Server::start(&settings));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 5}')");
    execute(&mut client, "select dbre.configure_rule('transaction_ids_run_out', options => '{\"min_age\": 1}')");
    execute(&mut client, "select pg_create_logical_replication_slot('lost', 'test_decoding'); create table t (id int)");
    for _ in 0..10 {
        execute(&mut client, "insert into t values (1)");
    }
    assert_eq!(findings(&mut client, "xmin_held_back").len(), 1);
    for _ in 0..3 {
        execute(&mut client, "insert into t values (1)");
        execute(&mut client, "select pg_switch_wal()");
    }
    execute(&mut client, "checkpoint");
    let shows = "select age(catalog_xmin) > 10 from pg_replication_slots where invalidation_reason = 'wal_removed'";
    assert!(value::<bool>(&mut client, shows));
    let found = findings(&mut client, "xmin_held_back");
    assert!(found.is_empty(), "{}", shown(&found));
    let ids = findings(&mut client, "transaction_ids_run_out");
    assert!(ids[0]["evidence"]["oldest_holder_of_catalogs"].is_null(), "{:#}", ids[0]);
}
