//! Settings and suppressions survive pg_dump and ALTER EXTENSION UPDATE.

use crate::server::{Database, Server, execute, run, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "dump::pg_dump_keeps_settings", dump_and_restore),
        trial(server, "dump::alter_extension_update_keeps_settings", update),
    ]
}

const SETTINGS: &str = "select dbre.configure_rule('foreign_key_without_index', false, 'high', '{\"small_bytes\": 7}');
    select dbre.configure_rule('unused_index', options => '{\"min_statistics_days\": 3}');
    select dbre.suppress('0123456789abcdef', reason => 'it''s known', until => '2100-01-01');
    select dbre.suppress(rule => 'unused_index', object_pattern => 'public.\"Größe\"%', reason => 'seasonal')";

fn settings(database: &Database) -> Value {
    let sql = "select jsonb_build_array((select jsonb_agg(r order by rule) from dbre.rule_settings r),
                                        (select jsonb_agg(s order by reason) from dbre.suppressions s))";
    value(&mut database.connect(), sql)
}

fn dump_and_restore(database: &Database) {
    execute(&mut database.connect(), SETTINGS);
    let before = settings(database);
    assert_eq!((before[0].as_array().unwrap().len(), before[1].as_array().unwrap().len()), (2, 2), "{before}");
    let dump = run(database.server.client("pg_dump").args(["-d", &database.name]), "");
    let copy = Database::empty(&database.server);
    copy.psql(&dump);
    assert_eq!(settings(&copy), before, "{dump}");
    let disabled: bool =
        value(&mut copy.connect(), "select not enabled from dbre.rules where rule = 'foreign_key_without_index'");
    assert!(disabled);
}

fn update(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SETTINGS);
    let before = settings(database);
    execute(&mut client, "alter extension pg_dbre update");
    assert_eq!(settings(database), before);
}
