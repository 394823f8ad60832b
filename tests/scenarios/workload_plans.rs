//! Plans and texts of the worst statements in what `dbre.workload_findings()` answers.

use crate::server::{Database, Server, execute, query, shown, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "workload_plans::what_is_slow_shows_why", slow_shows_why),
        trial(server, "workload_plans::one_fix_for_several_statements_is_told_once", told_once),
        trial(server, "workload_plans::one_index_on_the_same_columns", one_index),
        trial(server, "workload_plans::what_there_was_no_time_for_is_said", no_time),
        trial(server, "workload_plans::tables_dropped_since", dropped),
        trial(server, "workload_plans::plans_of_two_statements_are_two_findings", two_plans),
    ]
}

/// 200,000 rows, an index on nothing but the key.
fn filled(database: &Database) -> Client {
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension pg_stat_statements; set max_parallel_workers_per_gather = 0;
         create table t (id int primary key, a int not null, b text not null);
         insert into t select g, g % 50000, repeat('x', 200) from generate_series(1, 200000) g;
         create function slowly(t) returns text language sql volatile as $$ select $1.b from pg_sleep(0.2) $$",
    );
    execute(&mut client, "vacuum analyze t");
    reset(&mut client);
    client
}

/// Trials beside this one keep their statements.
fn reset(client: &mut Client) {
    let own = "select pg_stat_statements_reset(0, oid) from pg_database where datname = current_database()";
    query(client, own);
}

fn findings(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(f) from dbre.workload_findings({arguments}) f order by f.step");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

fn of_rule<'a>(findings: &'a [Value], rule: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| text(finding, "rule") == rule).collect()
}

fn slow_shows_why(database: &Database) {
    let mut client = filled(database);
    for key in 1..4 {
        query(&mut client, &format!("select slowly(t) from t where a = {key}"));
    }
    let found = findings(&mut client, "");
    let [slow] = of_rule(&found, "slow_query")[..] else { panic!("{}", shown(&found)) };
    let [scan] = of_rule(&found, "sequential_scan_discards_rows")[..] else { panic!("{}", shown(&found)) };
    let plan = text(&slow["evidence"], "plan");
    assert!(plan.contains("Seq Scan on t") && plan.contains("a = "), "{plan}");
    let cause = &slow["evidence"]["found_in_plan_and_text"][0];
    assert_eq!(text(cause, "fingerprint"), text(scan, "fingerprint"));
    assert!(text(slow, "cause").contains(text(scan, "summary")), "{slow:#}");
    assert_eq!(scan["evidence"]["query_id"], slow["evidence"]["query_id"]);
    database.psql(text(scan, "fix_sql"));
    reset(&mut client);
    for key in 1..4 {
        query(&mut client, &format!("select slowly(t) from t where a = {key}"));
    }
    let found = findings(&mut client, "");
    assert!(of_rule(&found, "sequential_scan_discards_rows").is_empty(), "{}", shown(&found));
}

fn told_once(database: &Database) {
    let mut client = filled(database);
    query(&mut client, "select id from t where a = 7");
    query(&mut client, "select b from t where a = 7");
    let found = findings(&mut client, "");
    let [scan] = of_rule(&found, "sequential_scan_discards_rows")[..] else { panic!("{}", shown(&found)) };
    assert_eq!(scan["evidence"]["also_of"].as_array().map(Vec::len), Some(1), "{scan:#}");
}

fn one_index(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "create table s (id int primary key, t_id int not null references t, kind int not null);
         insert into s select g, 1 + g % 100000, g % 3 from generate_series(1, 100000) g",
    );
    execute(&mut client, "vacuum analyze s");
    for key in 1..120 {
        query(&mut client, &format!("select id from s where t_id = {key}"));
    }
    let found = findings(&mut client, "");
    let [lookup] = of_rule(&found, "repeated_lookup_without_index")[..] else { panic!("{}", shown(&found)) };
    let [scan] = of_rule(&found, "sequential_scan_discards_rows")[..] else { panic!("{}", shown(&found)) };
    let (first, second) = if lookup["fix_sql"].is_string() { (lookup, scan) } else { (scan, lookup) };
    assert!(text(first, "fix_sql").contains("(t_id)"), "{}", shown(&found));
    assert_eq!(second["fix_sql"], Value::Null, "{second:#}");
    assert_eq!(second["evidence"]["fixed_by"], first["fingerprint"]);
    database.psql(text(first, "fix_sql"));
    let left = findings(&mut client, "");
    assert!(of_rule(&left, "sequential_scan_discards_rows").is_empty(), "{}", shown(&left));
    assert!(of_rule(&left, "repeated_lookup_without_index").is_empty(), "{}", shown(&left));
}

fn two_plans(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create table u as select * from t");
    execute(&mut client, "analyze u");
    query(&mut client, "select id from t where a = 7");
    query(&mut client, "select id from u where a = 7");
    let found = findings(&mut client, "");
    let scans = of_rule(&found, "sequential_scan_discards_rows");
    assert_eq!(scans.len(), 2, "{}", shown(&found));
    assert_ne!(scans[0]["fingerprint"], scans[1]["fingerprint"]);
    let suppressed = text(scans[0], "fingerprint").to_string();
    query(&mut client, &format!("select dbre.suppress(fingerprint => '{suppressed}', reason => 'known')"));
    let left = findings(&mut client, "");
    assert!(!left.iter().any(|finding| text(finding, "fingerprint") == suppressed), "{}", shown(&left));
}

fn no_time(database: &Database) {
    let mut client = filled(database);
    query(&mut client, "select id from t where a = 7");
    let found = findings(&mut client, "time_limit => '1 us'");
    let told = of_rule(&found, "query_not_planned");
    assert!(told.iter().any(|finding| text(finding, "summary").contains("time_limit")), "{}", shown(&found));
    assert!(of_rule(&found, "sequential_scan_discards_rows").is_empty());
}

fn dropped(database: &Database) {
    let mut client = filled(database);
    query(&mut client, "select id from t where a = 7");
    execute(&mut client, "drop function slowly(t); drop table t");
    let found = findings(&mut client, "");
    let told = of_rule(&found, "query_not_planned");
    assert!(told.iter().any(|finding| text(finding, "object") == "SQLSTATE 42P01"), "{}", shown(&found));
}
