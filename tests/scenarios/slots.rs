//! Replication slots that hold back VACUUM, on servers of their own.

use crate::long_running::findings;
use crate::pool_pressure::alone;
use crate::server::{Database, Server, execute, shown, text, value};
use libtest_mimic::Trial;
use std::sync::Arc;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("slots::they_hold_back_catalogs", slots),
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
    assert!(ids[0]["evidence"]["oldest_holder"].is_null(), "{:#}", ids[0]);
}
