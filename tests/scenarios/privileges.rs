//! Runs as the caller: what each kind of role can do, and what it is told about the rest.

use crate::server::{Database, Server, check, execute, refused, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;

const DENIED: &str = "42501";

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "privileges::connect_only", connect_only),
        trial(server, "privileges::pg_monitor", monitor),
        trial(server, "privileges::pg_monitor_may_be_given_more", granted),
        trial(server, "privileges::table_owner", table_owner),
        trial(server, "privileges::statement_texts_run_nothing", statement_texts_run_nothing),
    ]
}

/// A login role of this database's trial; it goes with the cluster.
fn role(database: &Database, purpose: &str, attributes: &str) -> String {
    let name = format!("{purpose}_of_{}", database.name);
    execute(&mut database.connect(), &format!("create role {name} login {attributes}"));
    name
}

const TABLES: &str = "create table parent (id int primary key);
    create table child (id int primary key, parent_id int references parent);
    insert into parent select generate_series(1, 100); insert into child select n, n from generate_series(1, 100) n; analyze";

const READING: &[&str] = &[
    "select * from dbre.check()",
    "select * from dbre.findings",
    "select * from dbre.rules",
    "select * from dbre.rules()",
    "select * from dbre.rule_runs()",
    "select dbre.report()",
    "select dbre.report('brief')",
    "select dbre.report('json')",
    "select * from dbre.missing_fk_indexes()",
    "select * from dbre.pool_sizing(4, 2, 2)",
    "select * from dbre.pool_pressure()",
    "select * from dbre.lock_tree",
    "select * from dbre.long_running",
    "select * from dbre.activity_history",
    "select * from dbre.rule_settings",
    "select * from dbre.suppressions",
    "select * from dbre.what_if('select 1')",
    "select * from dbre.index_advice('select 1')",
    "select * from dbre.last_index_advice",
];

const CHANGING: &[&str] = &[
    "select dbre.configure_rule('foreign_key_without_index', false)",
    "select dbre.reset_rule('foreign_key_without_index')",
    "select dbre.suppress('0123456789abcdef', reason => 'why')",
    "select dbre.unsuppress('0123456789abcdef')",
    "insert into dbre.rule_settings (rule) values ('foreign_key_without_index')",
    "delete from dbre.suppressions",
    "select dbre.snapshot_index_advice('select 1')",
    "delete from dbre.index_advice_snapshots",
];

#[track_caller]
fn denied(client: &mut Client, statements: &[&str]) {
    for sql in statements {
        let error = refused(client, sql);
        assert_eq!(error.code().code(), DENIED, "{sql}\n-- {}", error.message());
    }
}

fn connect_only(database: &Database) {
    let role = role(database, "visitor", "");
    execute(&mut database.connect(), TABLES);
    let mut client = database.connect_as(&role);
    denied(&mut client, READING);
    denied(&mut client, CHANGING);
}

fn monitor(database: &Database) {
    let role = role(database, "monitor", "in role pg_monitor");
    execute(&mut database.connect(), TABLES);
    let mut client = database.connect_as(&role);
    for sql in READING {
        if let Err(error) = client.query(*sql, &[]) {
            panic!("{sql}\n-- {error}");
        }
    }
    denied(&mut client, CHANGING);
    let findings = check(&mut client, "rules => array['foreign_key_without_index']");
    assert_eq!(findings.len(), 1, "the catalogs are open to everybody: {findings:?}");
    assert_eq!(text(&findings[0], "object"), "public.child(parent_id)");
    assert!(
        findings[0]["evidence"]["index_bytes"].is_null(),
        "estimated from statistics it may not read: {:#}",
        findings[0]
    );

    // Planner statistics need SELECT on the table.
    let unread = "select not_readable from dbre.rule_runs(rules => array['foreign_key_without_index'])";
    assert_eq!(value::<i64>(&mut client, unread), 2);
    let failed =
        "select coalesce(string_agg(rule || ': ' || reason, '; '), '') from dbre.rule_runs() where status = 'failed'";
    assert_eq!(value::<String>(&mut client, failed), "");
    let report: String = value(&mut client, "select dbre.report()");
    assert!(report.contains("2 tables judged without column statistics: no privilege SELECT"), "{report}");
    execute(&mut database.connect(), &format!("grant select on parent, child to {role}"));
    assert_eq!(value::<i64>(&mut client, unread), 0);
}

fn granted(database: &Database) {
    let role = role(database, "operator", "in role pg_monitor");
    let grants = "grant execute on function dbre.suppress(text, text, text, text, timestamptz),
        dbre.configure_rule(text, boolean, dbre.severity, jsonb) to %; grant insert, update on dbre.suppressions, dbre.rule_settings to %";
    execute(&mut database.connect(), &grants.replace('%', &role));
    let mut client = database.connect_as(&role);
    execute(&mut client, "select dbre.suppress(rule => 'foreign_key_without_index', reason => 'why')");
    execute(&mut client, "select dbre.configure_rule('foreign_key_without_index', severity => 'low')");
    let by: String = value(&mut client, "select created_by from dbre.suppressions");
    assert_eq!(by, role);
}

/// Owns the tables, but was granted nothing on the schema dbre.
fn table_owner(database: &Database) {
    let role = role(database, "owner", "");
    execute(&mut database.connect(), &format!("grant create on schema public to {role}; set role {role}; {TABLES}"));
    let mut client = database.connect_as(&role);
    denied(&mut client, READING);
    denied(&mut client, CHANGING);
    // With reading granted it sees all of its own tables.
    execute(&mut database.connect(), &format!("grant pg_monitor to {role}"));
    let unread = "select not_readable from dbre.rule_runs(rules => array['foreign_key_without_index'])";
    assert_eq!(value::<i64>(&mut database.connect_as(&role), unread), 0);
}

/// The text of another role's statement must not run that role's code with the rights of whoever checks: the input of a
/// domain's value, as parse analysis does it, would call the function in its CHECK.
fn statement_texts_run_nothing(database: &Database) {
    let author = role(database, "author", "");
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; create schema evil authorization {author}; set role {author};
             create sequence evil.calls; grant usage on sequence evil.calls to public;
             create function evil.called(int) returns boolean language plpgsql as
                 'begin perform nextval(''evil.calls''); return true; end';
             create domain evil.d as int check (evil.called(value))"
        ),
    );
    let recursion = "with recursive t(n) as (select 1 union all select n + 1 from t where n < 3)
        cycle n set m to evil._d '{1}' default evil._d '{0}' using path select count(*) from t";
    execute(&mut client, recursion);
    execute(&mut client, "reset role");
    let calls = "select last_value + is_called::int from evil.calls";
    let before: i64 = value(&mut client, calls);
    assert!(before > 1, "the trap does not work");
    assert!(value::<i64>(&mut client, "select count(*) from pg_stat_statements where query like '%cycle n set%'") > 0);
    for sql in READING {
        execute(&mut client, sql);
    }
    assert_eq!(value::<i64>(&mut client, calls), before, "a statement's text was executed");
}
