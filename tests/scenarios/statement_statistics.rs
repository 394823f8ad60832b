//! What is said of pg_stat_statements in whatever state it is, and of a workload with known faults.

use crate::server::{Database, Server, execute, query, refused, run, shown, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "statement_statistics::not_installed", not_installed),
        trial(server, "statement_statistics::an_empty_database", empty),
        trial(server, "statement_statistics::a_known_workload", known_workload),
        trial(server, "statement_statistics::a_dropped_index", dropped_index),
        trial(server, "statement_statistics::snapshots", snapshots),
        trial(server, "statement_statistics::statements_of_functions", nested),
        trial(server, "statement_statistics::texts_of_others", hidden),
        trial(server, "statement_statistics::an_older_extension", outdated),
        trial(server, "statement_statistics::in_another_schema", other_schema),
        trial(server, "statement_statistics::bad_arguments", bad_arguments),
        trial(server, "statement_statistics::cancel", cancel),
    ]
}

#[track_caller]
pub fn findings(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(f) from dbre.workload_findings({arguments}) f order by f.step");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

/// The only finding of the rule.
#[track_caller]
pub fn only<'a>(findings: &'a [Value], rule: &str) -> &'a Value {
    let of: Vec<&Value> = findings.iter().filter(|finding| text(finding, "rule") == rule).collect();
    assert_eq!(of.len(), 1, "{rule} in {}", shown(findings));
    of[0]
}

#[track_caller]
pub fn rules(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| text(finding, "rule")).collect()
}

/// The notes of dbre.slow_queries, and how many queries it shows.
pub fn noted(client: &mut Client) -> (Option<String>, i64) {
    let row = &query(client, "select max(note), count(query_id) from dbre.slow_queries")[0];
    (row.get(0), row.get(1))
}

pub fn times(client: &mut Client, number: usize, sql: &str) {
    for _ in 0..number {
        query(client, sql);
    }
}

fn reset(client: &mut Client) {
    let sql = "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()))";
    query(client, sql);
}

fn not_installed(database: &Database) {
    let mut client = database.connect();
    let found = findings(&mut client, "");
    assert_eq!(rules(&found), ["statements_not_tracked"], "{}", shown(&found));
    assert_eq!(text(&found[0], "fix_sql"), "create extension if not exists pg_stat_statements;");
    let (note, queries) = noted(&mut client);
    assert!(note.is_some_and(|note| note.contains("not installed")) && queries == 0);
    assert_eq!(refused(&mut client, "select dbre.snapshot_workload()").code().code(), "55000");
}

fn empty(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    reset(&mut client);
    let found = findings(&mut client, "");
    assert_eq!(rules(&found), ["statement_statistics_young"], "{}", shown(&found));
    let urgent = found.iter().filter(|finding| text(finding, "severity") != "low").count();
    assert_eq!(urgent, 0, "{}", shown(&found));
}

const TABLES: &str = "create extension pg_stat_statements; set max_parallel_workers_per_gather = 0;
    create table items (id int primary key, owner int, v text);
    insert into items select g, g % 100, md5(g::text) from generate_series(1, 100000) g;
    create index items_v on items (v); analyze items";

fn known_workload(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    reset(&mut client);
    times(&mut client, 6, "select id, pg_sleep(1.1) from items where id = 7");
    times(&mut client, 10, "select id, pg_sleep(0.15) from items where id = 7 and owner > 0");
    times(&mut client, 200, "select v from items where id = 7");
    times(&mut client, 1, "create index items_owner on items (owner)");
    let found = findings(&mut client, "");
    let slow: Vec<&Value> = found.iter().filter(|finding| text(finding, "rule") == "slow_query").collect();
    assert_eq!(slow.len(), 2, "{}", shown(&found));
    assert_eq!(["high", "medium"], [text(slow[0], "severity"), text(slow[1], "severity")]);
    assert!(text(slow[0], "summary").starts_with("select id, pg_sleep($1) from items where id = $2: 6 calls of 1,"));
    assert!(text(slow[0], "summary").contains("% of the database's time; target 100 ms"), "{}", shown(&found));
    assert_eq!(text(&found[0], "rule"), "slow_query", "the slowest comes first: {}", shown(&found));
    let most = only(&found, "query_takes_most_time");
    assert_eq!((text(most, "object"), text(most, "severity")), (text(slow[0], "object"), "medium"));
    let ranked =
        "select query, kind, above_target, rank from dbre.slow_queries where query like 'select%items%' order by rank";
    let ranked: Vec<(String, String, bool, i32)> =
        query(&mut client, ranked).iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(ranked.iter().map(|row| row.2).collect::<Vec<_>>(), [true, true, false], "{ranked:?}");
    assert!(ranked.iter().all(|row| row.1 == "hot"), "{ranked:?}");
    assert_eq!(ranked[0].3, 1);
    let utility = "select kind from dbre.slow_queries where query like 'create index%'";
    assert_eq!(value::<String>(&mut client, utility), "utility");
    let unknown = "select count(*) from dbre.slow_queries where io_ms is not null or planning_ms is not null";
    assert_eq!(value::<i64>(&mut client, unknown), 0, "what is not measured is null");
    // One call says little of the next one; of most of the time it is worth a look.
    times(&mut client, 1, "select id, owner, pg_sleep(0.3) from items where id = 7");
    let once = |client: &mut Client| -> String {
        let found = findings(client, "");
        let of_it = |finding: &&Value| {
            text(finding, "rule") == "slow_query" && text(finding, "summary").contains("owner, pg_sleep")
        };
        text(found.iter().find(of_it).expect("it is slow"), "severity").to_string()
    };
    assert_eq!(once(&mut client), "low");
    reset(&mut client);
    times(&mut client, 1, "select id, owner, pg_sleep(0.3) from items where id = 7");
    assert_eq!(once(&mut client), "medium");
}

fn dropped_index(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    reset(&mut client);
    let lookup = "select id from items where v = md5('7')";
    times(&mut client, 40, lookup);
    times(&mut client, 40, "select v from items where id = 7");
    query(&mut client, "select dbre.snapshot_workload()");
    let found = findings(&mut client, "");
    assert!(!rules(&found).contains(&"query_slower_than_before"), "{}", shown(&found));
    execute(&mut client, "drop index items_v");
    times(&mut client, 40, lookup);
    times(&mut client, 40, "select v from items where id = 7");
    let found = findings(&mut client, "");
    let slower = only(&found, "query_slower_than_before");
    let (before, since) = (&slower["evidence"]["before"], &slower["evidence"]["since"]);
    assert_eq!((before["calls"].as_f64(), since["calls"].as_f64()), (Some(40.0), Some(40.0)), "{slower:#}");
    assert!(
        since["blocks_per_call"].as_f64() > Some(500.0) && before["blocks_per_call"].as_f64() < Some(10.0),
        "{slower:#}"
    );
    assert!(text(slower, "cause").contains("does more work for as many rows"), "{slower:#}");
    // Another index makes it as fast as before; compared with a snapshot of the bad time it is no regression.
    execute(&mut client, "create index items_v on items (v)");
    query(&mut client, "select dbre.snapshot_workload()");
    times(&mut client, 40, lookup);
    let found = findings(&mut client, "");
    assert!(!rules(&found).contains(&"query_slower_than_before"), "{}", shown(&found));
    // Statistics that were reset since are compared whole.
    reset(&mut client);
    execute(&mut client, "drop index items_v");
    times(&mut client, 40, lookup);
    let first = "compare_with => (select min(taken_at) from dbre.workload_snapshots)";
    let found = findings(&mut client, first);
    assert_eq!(only(&found, "query_slower_than_before")["evidence"]["since"]["calls"].as_f64(), Some(40.0));
}

fn snapshots(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    times(&mut client, 3, "select 1 as one");
    times(&mut client, 23, "select dbre.snapshot_workload()");
    let (kept, newest): (i64, bool) = {
        let row = &query(
            &mut client,
            "select count(*), max(taken_at) > now() - interval '1 min' from dbre.workload_snapshots",
        )[0];
        (row.get(0), row.get(1))
    };
    assert_eq!((kept, newest), (20, true));
    let statements = "select count(distinct taken_at) from dbre.workload_snapshot_statements";
    assert_eq!(value::<i64>(&mut client, statements), 20);
    execute(&mut client, "begin; select dbre.snapshot_workload(); select dbre.snapshot_workload(); rollback");
    assert_eq!(value::<i64>(&mut client, statements), 20);
    let dump = run(database.server.client("pg_dump").args(["-d", &database.name]), "");
    let copy = Database::empty(&database.server);
    copy.psql(&dump);
    assert_eq!(value::<i64>(&mut copy.connect(), statements), 20);
    let taker = format!("taker_{}", database.name);
    execute(
        &mut client,
        &format!(
            "create role {taker} login in role pg_monitor; grant execute on function dbre.snapshot_workload() to {taker};
             grant insert, delete on dbre.workload_snapshots, dbre.workload_snapshot_statements to {taker}"
        ),
    );
    query(&mut database.connect_as(&taker), "select dbre.snapshot_workload()");
    assert_eq!(value::<i64>(&mut client, statements), 20);
    execute(&mut client, "begin read only");
    assert_eq!(refused(&mut client, "select dbre.snapshot_workload()").code().code(), "25006");
    execute(&mut client, "rollback");
}

fn nested(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "{TABLES}; alter database {} set pg_stat_statements.track = 'all';
             create function slow() returns void language plpgsql as $$ begin perform pg_sleep(0.6), count(*) from items; end $$",
            database.name
        ),
    );
    let mut client = database.connect();
    reset(&mut client);
    times(&mut client, 6, "select slow()");
    times(&mut client, 2, "select count(*) from dbre.check()");
    let found = findings(&mut client, "");
    let slow: Vec<&Value> = found.iter().filter(|finding| text(finding, "rule") == "slow_query").collect();
    assert_eq!(slow.len(), 2, "{}", shown(&found));
    let inner =
        slow.iter().find(|finding| finding["evidence"]["top_level"] == false).expect("the statement in the function");
    assert!(text(inner, "object").ends_with(" in functions") && inner["evidence"]["counted_twice"].is_string());
    let outer = slow.iter().find(|finding| finding["evidence"]["top_level"] == true).expect("the call");
    assert!(outer["evidence"]["nested_statements_not_in_share"].as_f64() > Some(0.0), "{outer:#}");
    assert!(!found.iter().any(|finding| text(finding, "summary").contains("dbre")), "{}", shown(&found));
    let shares: f64 = value(&mut client, "select sum(share) from dbre.slow_queries where top_level");
    assert!((0.9..=1.01).contains(&shares), "{shares}");
    let own = "select count(*) from dbre.slow_queries where kind <> 'pg_dbre' and query like '%{schema}%' or query like '%/* pg_dbre */%' and kind <> 'pg_dbre'";
    assert_eq!(value::<i64>(&mut client, own), 0);
}

fn hidden(database: &Database) {
    let mut client = database.connect();
    let (blind, sees) = (format!("blind_{}", database.name), format!("sees_{}", database.name));
    execute(
        &mut client,
        &format!(
            "{TABLES}; create role {blind} login; create role {sees} login; grant pg_monitor to {sees};
             grant usage on schema dbre to {blind}; grant select on all tables in schema dbre to {blind};
             grant execute on all functions in schema dbre to {blind}; grant usage on type dbre.severity, dbre.advice to {blind}"
        ),
    );
    reset(&mut client);
    times(&mut client, 6, "select id, pg_sleep(0.2) as secret from items where id = 7");
    let mut by_blind = database.connect_as(&blind);
    query(&mut by_blind, "select 5 as mine");
    let found = findings(&mut by_blind, "");
    let said = only(&found, "statement_texts_hidden");
    assert!(said["evidence"]["hidden_share"].as_f64() > Some(0.5), "{said:#}");
    assert!(!shown(&found).contains("secret") && !rules(&found).contains(&"slow_query"), "{}", shown(&found));
    let seen: Vec<String> =
        query(&mut by_blind, "select query from dbre.slow_queries").iter().map(|row| row.get(0)).collect();
    assert!(!seen.is_empty() && !seen.iter().any(|query| query.contains("secret")), "{seen:?}");
    assert!(noted(&mut by_blind).0.is_some_and(|note| note.contains("of other roles left out")));
    let found = findings(&mut database.connect_as(&sees), "");
    assert!(rules(&found).contains(&"slow_query") && !rules(&found).contains(&"statement_texts_hidden"));
    assert_eq!(refused(&mut database.connect_as(&sees), "select dbre.snapshot_workload()").code().code(), "42501");
}

fn outdated(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements version '1.9'");
    let found = findings(&mut client, "");
    assert_eq!(rules(&found), ["statements_not_tracked"], "{}", shown(&found));
    assert_eq!(text(&found[0], "fix_sql"), "alter extension pg_stat_statements update;");
    assert!(noted(&mut client).0.is_some_and(|note| note.contains("older than this server")));
    let error = refused(&mut client, "select * from dbre.index_advice()");
    assert_eq!((error.code().code(), error.hint()), ("55000", Some("ALTER EXTENSION pg_stat_statements UPDATE;")));
}

fn other_schema(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create schema \"Odd one\"; create extension pg_stat_statements schema \"Odd one\"");
    times(&mut client, 3, "select 1 as one");
    let found = findings(&mut client, "");
    assert!(!rules(&found).contains(&"statements_not_tracked"), "{}", shown(&found));
    query(&mut client, "select dbre.snapshot_workload()");
    assert!(noted(&mut client).1 > 0);
    // Who may not use the schema is told so.
    let stranger = format!("stranger_{}", database.name);
    execute(&mut client, &format!("create role {stranger} login; grant pg_monitor to {stranger}"));
    let error = refused(&mut database.connect_as(&stranger), "select * from dbre.workload_findings()");
    assert_eq!(error.code().code(), "42501");
    assert!(error.message().contains("Odd one") && error.hint().is_some(), "{error:?}");
}

fn bad_arguments(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    for (arguments, code) in [
        ("max_queries => 0", "22023"),
        ("max_queries => null", "22004"),
        ("time_limit => '-1 s'", "22023"),
        ("time_limit => null", "22004"),
        ("compare_with => now()", "22023"),
        ("compare_with => '-infinity'", "22023"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.workload_findings({arguments})"));
        assert_eq!(error.code().code(), code, "{arguments}: {}", error.message());
        assert!(error.message().contains(arguments.split(' ').next().unwrap()) && error.hint().is_some());
    }
    query(&mut client, "select dbre.snapshot_workload()");
    assert_eq!(
        refused(&mut client, "select * from dbre.workload_findings(compare_with => now() - interval '1 day')")
            .code()
            .code(),
        "22023"
    );
    findings(&mut client, "compare_with => 'infinity'");
}

fn cancel(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    for statement in [
        "select count(*) from dbre.workload_findings(), generate_series(1, 1000000000)",
        "select count(*) from dbre.slow_queries a, generate_series(1, 1000000000)",
    ] {
        execute(&mut client, "set statement_timeout = '300 ms'");
        assert_eq!(refused(&mut client, statement).code().code(), "57014");
        execute(&mut client, "reset statement_timeout");
    }
    assert_eq!(value::<i32>(&mut client, "select 1"), 1, "the session goes on");
}
