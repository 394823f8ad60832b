//! What runs long, what it is compared with, who holds back VACUUM: with real sessions on servers of their own.

use crate::server::{Database, Server, alone, execute, query, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "long_running::statements_with_what_they_usually_take", usual_times),
        trial(server, "long_running::without_statistics_of_statements", no_statistics),
        trial(server, "long_running::a_role_without_rights_is_told_what_is_hidden", hidden),
        trial(server, "long_running::prepared_and_idle_transactions", transactions),
        trial(server, "long_running::maintenance_with_progress", maintenance),
        alone("long_running::commits_without_a_standby", no_standby),
        alone("long_running::autovacuum_to_prevent_wraparound", wraparound),
        alone("long_running::every_wait_event_has_a_meaning", wait_events),
    ]
}

/// Sends a statement, and waits until it runs.
fn start(database: &Database, application: &str, sql: &str) -> JoinHandle<()> {
    let mut client = database.connect();
    execute(&mut client, &format!("set application_name = '{application}'"));
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let sql = sql.to_string();
    let running = thread::spawn(move || drop(client.batch_execute(&sql)));
    let mut other = database.connect();
    let runs = format!(
        "select count(*) from pg_stat_activity where pid = {pid} and state = 'active' and query not like 'select pg_back%'"
    );
    wait_until(application, || value::<i64>(&mut other, &runs) == 1);
    running
}

fn shown_as(client: &mut Client, application: &str) -> Vec<Value> {
    let sql = format!(
        "select to_jsonb(l) from dbre.long_running l where application_name = '{application}' and database = current_database()"
    );
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

pub fn findings(client: &mut Client, rule: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(f) from dbre.pool_pressure(current_database()) f where rule = '{rule}'");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

fn usual_times(database: &Database) {
    let mut client = database.connect();
    // A schema whose name needs quotes.
    execute(&mut client, "create schema \"Stat s\"; create extension pg_stat_statements schema \"Stat s\"");
    execute(&mut client, "select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 1}')");
    for _ in 0..3 {
        execute(&mut client, "select pg_sleep(0.01)");
    }
    let running = start(database, "web", "select pg_sleep(60.00)");
    let mut rows = Vec::new();
    wait_until("it runs for longer than ten times the longest", || {
        rows = shown_as(&mut client, "web");
        let number = |column: &str| rows.first().and_then(|row| row[column].as_f64()).unwrap_or_default();
        number("statement_seconds") > 1.2 && number("statement_seconds") * 1000.0 > 11.0 * number("longest_ms")
    });
    assert_eq!(rows.len(), 1, "{}", shown(&rows));
    let row = &rows[0];
    assert_eq!((text(row, "kind"), text(row, "wait_event")), ("statement", "Timeout: PgSleep"), "{row:#}");
    let usual = row["usual_ms"].as_f64().unwrap();
    assert!((10.0..5000.0).contains(&usual), "{row:#}");
    assert!(row["statement_seconds"].as_f64().unwrap() >= 1.0 && row["blocked"] == false, "{row:#}");
    let found = findings(&mut client, "long_running_statement");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    // More than ten times as long as ever.
    assert_eq!(text(&found[0], "severity"), "high", "{:#}", found[0]);
    assert!(text(&found[0], "cause").contains("3 runs before"), "{:#}", found[0]);
    assert!(value::<bool>(&mut client, text(row, "end_sql").trim_end_matches(';')));
    running.join().unwrap();
    assert!(shown_as(&mut client, "web").is_empty());
}

fn no_statistics(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 1}')");
    let running = start(database, "line one\nand \"quoted\" 100%", "select pg_sleep(60) /* ä */");
    thread::sleep(Duration::from_millis(1100));
    let rows = query(&mut client, "select to_jsonb(l) from dbre.long_running l where query like '%/* ä */'");
    assert_eq!(rows.len(), 1);
    let row: Value = rows[0].get(0);
    assert!(row["usual_ms"].is_null() && row["longest_ms"].is_null(), "{row:#}");
    let found = findings(&mut client, "long_running_statement");
    assert_eq!((found.len(), text(&found[0], "severity")), (1, "medium"), "{}", shown(&found));
    assert!(text(&found[0], "cause").contains("pg_stat_statements is not installed"), "{:#}", found[0]);
    assert!(!text(&found[0], "summary").contains('\n'));
    execute(&mut client, text(&found[0], "fix_sql"));
    running.join().unwrap();
    assert!(value::<bool>(&mut client, text(&found[0], "verify_sql").trim_end_matches(';')));
}

fn hidden(database: &Database) {
    let mut client = database.connect();
    let role = format!("{}_nobody", database.name);
    execute(
        &mut client,
        &format!(
            "create role {role} login; grant usage on schema dbre to {role}; grant select on dbre.long_running to {role}; grant execute on function dbre.long_running() to {role}"
        ),
    );
    let running = start(database, "secret", "select 'secret', pg_sleep(60)");
    thread::sleep(Duration::from_millis(1100));
    let mut nobody = database.connect_as(&role);
    let rows = shown_as(&mut nobody, "secret");
    assert_eq!(rows.len(), 1, "{}", shown(&rows));
    let row = &rows[0];
    assert_eq!(text(row, "kind"), "hidden", "{row:#}");
    for column in ["state", "query", "query_id", "statement_seconds", "end_sql", "wait_event", "usual_ms"] {
        assert!(row[column].is_null(), "{column}: {row:#}");
    }
    // With rights on statistics, but not to end it.
    execute(&mut client, &format!("grant pg_read_all_stats to {role}"));
    let rows = shown_as(&mut nobody, "secret");
    assert_eq!((text(&rows[0], "kind"), &rows[0]["end_sql"]), ("statement", &Value::Null), "{:#}", rows[0]);
    assert!(text(&rows[0], "query").contains("secret"));
    execute(
        &mut client,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'secret' and datname = current_database()",
    );
    running.join().unwrap();
    drop(nobody);
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
}

fn transactions(database: &Database) {
    let mut client = database.connect();
    let mut idle = database.connect();
    execute(
        &mut idle,
        "set application_name = 'idle'; begin isolation level repeatable read; create table written (id int); select 1",
    );
    let gid = format!("{} with a space", database.name);
    execute(&mut client, &format!("begin; create table prepared (id int); prepare transaction '{gid}'"));
    thread::sleep(Duration::from_millis(1100));
    let rows = query(&mut client, "select to_jsonb(l) from dbre.long_running l where database = current_database()");
    let rows: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    let of = |kind: &str| {
        let rows: Vec<&Value> = rows.iter().filter(|row| text(row, "kind") == kind).collect();
        assert_eq!(rows.len(), 1, "{kind}: {}", shown(&rows.iter().map(|row| (*row).clone()).collect::<Vec<_>>()));
        rows[0].clone()
    };
    let (open, prepared) = (of("idle in transaction"), of("prepared transaction"));
    assert!(
        open["writes"] == true && open["holds_back_vacuum"] == true && open["statement_seconds"].is_null(),
        "{open:#}"
    );
    assert!(text(&open, "end_sql").contains("pg_terminate_backend"), "{open:#}");
    assert!(
        prepared["pid"].is_null() && text(&prepared, "query").contains(&gid) && prepared["end_sql"].is_null(),
        "{prepared:#}"
    );
    assert!(prepared["holds_back_vacuum"] == false && prepared["snapshot_age"].as_i64() > Some(0), "{prepared:#}");
    // Its end frees, and the prepared one is next.
    execute(&mut idle, "rollback");
    let holds: bool = value(
        &mut client,
        "select holds_back_vacuum from dbre.long_running where kind = 'prepared transaction' and database = current_database()",
    );
    assert!(holds);
    execute(&mut client, &format!("rollback prepared '{gid}'"));
}

fn maintenance(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table big as select g as id, md5(g::text) as filler from generate_series(1, 20000) g");
    // A concurrent build waits for the older transaction, which keeps it where it can be seen.
    let mut older = database.connect();
    execute(&mut older, "begin; lock table big in row exclusive mode");
    let running = start(database, "builder", "create index concurrently \"Big one\" on big (filler)");
    let pid: i32 = value(&mut older, "select pg_backend_pid()");
    let expected = format!(
        "CREATE INDEX CONCURRENTLY of public.big: waiting for writers before build, 0 of 1 transactions, waits for process {pid}"
    );
    let mut rows = Vec::new();
    wait_until(&expected, || {
        rows = shown_as(&mut client, "builder");
        rows.iter().any(|row| text(row, "progress") == expected)
    });
    assert_eq!(text(&rows[0], "kind"), "maintenance", "{:#}", rows[0]);
    assert_eq!(
        (rows[0]["progress_percent"].as_f64(), &rows[0]["blocked"]),
        (Some(0.0), &Value::Bool(true)),
        "{:#}",
        rows[0]
    );
    execute(&mut older, "commit");
    running.join().unwrap();
    // VACUUM with pauses.
    execute(&mut client, "delete from big where id % 2 = 0");
    execute(&mut client, &format!("alter database {} set vacuum_cost_delay = 100", database.name));
    execute(&mut client, &format!("alter database {} set vacuum_cost_limit = 4", database.name));
    let running = start(database, "vacuum", "vacuum big");
    let mut rows = Vec::new();
    wait_until("it scans the table", || {
        rows = shown_as(&mut client, "vacuum");
        rows.iter().any(|row| text(row, "progress").starts_with("VACUUM of public.big: scanning heap, "))
    });
    assert!(rows[0]["holds_back_vacuum"] == false && rows[0]["progress_percent"].is_number(), "{:#}", rows[0]);
    let ends = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'vacuum' \
                and datname = current_database()";
    query(&mut client, ends);
    running.join().unwrap();
}

fn no_standby() {
    let server = Arc::new(Server::start(&["autovacuum = off"]));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int); select dbre.configure_rule('waits_on_commit', options => '{\"standby_seconds\": 0}')",
    );
    execute(&mut client, "alter system set synchronous_standby_names = 'nobody'");
    execute(&mut client, "select pg_reload_conf()");
    wait_until("the setting is in force", || {
        value(&mut client, "select current_setting('synchronous_standby_names') = 'nobody'")
    });
    // Until the checkpointer, too, has read it, a commit does not wait.
    let running = start(&database, "web", "do $$ begin loop insert into t values (1); commit; end loop; end $$");
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    wait_until("the commit waits", || value::<i64>(&mut client, waits) == 1);
    let found = findings(&mut client, "waits_on_commit");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert_eq!(text(&found[0], "severity"), "critical", "{:#}", found[0]);
    assert!(text(&found[0], "cause").contains("No standby is connected"), "{:#}", found[0]);
    // Nothing proposes to cancel it: the commit has happened here.
    assert!(found[0]["fix_sql"].is_null());
    assert!(findings(&mut client, "long_running_statement").is_empty());
    execute(&mut client, "alter system reset synchronous_standby_names");
    execute(&mut client, "select pg_reload_conf()");
    query(&mut client, "select pg_terminate_backend(pid, 30000) from pg_stat_activity where application_name = 'web'");
    running.join().unwrap();
    assert!(findings(&mut client, "waits_on_commit").is_empty());
}

fn wraparound() {
    let server = Arc::new(Server::start(&["autovacuum_naptime = 1", "autovacuum_freeze_max_age = 100000"]));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('transaction_ids_run_out', options => '{\"min_age\": 1}')");
    execute(
        &mut client,
        "create table old as select g as id, md5(g::text) as filler from generate_series(1, 100000) g",
    );
    execute(&mut client, "alter table old set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)");
    execute(
        &mut client,
        "create procedure consume() language plpgsql as $$ begin for n in 1..101000 loop perform txid_current(); commit; end loop; end $$",
    );
    execute(&mut client, "set synchronous_commit = off");
    execute(&mut client, "call consume()");
    let runs = "select count(*) from pg_stat_activity where query like 'autovacuum: VACUUM%public.old (to prevent wraparound)'";
    wait_until("autovacuum has come to it", || value::<i64>(&mut client, runs) == 1);
    // Somebody looks for them.
    let mut watch = database.connect();
    query(&mut watch, "select count(*) from pg_stat_activity where query like '%(to prevent wraparound)'");
    let found = findings(&mut client, "transaction_ids_run_out");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    let workers = found[0]["evidence"]["autovacuum_to_prevent_wraparound"].as_array().unwrap().clone();
    assert!(workers.iter().all(|worker| text(worker, "query").starts_with("autovacuum: ")), "{:#}", found[0]);
    let old = workers.iter().find(|worker| text(worker, "query").contains("public.old"));
    let old = old.unwrap_or_else(|| panic!("{:#}", found[0]));
    assert!(old["table_age_transactions"].as_i64() > Some(100_000), "{:#}", found[0]);
    assert!(text(old, "progress").starts_with("VACUUM of public.old"), "{:#}", found[0]);
    thread::sleep(Duration::from_millis(1100));
    let rows = query(
        &mut client,
        "select to_jsonb(l) from dbre.long_running l where kind = 'autovacuum' and query like '%public.old %'",
    );
    let row: Value = rows.first().expect("it runs long").get(0);
    assert!(row["holds_back_vacuum"] == false && row["progress"].is_string(), "{row:#}");
}

#[path = "../../src/advice/wait_events/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the extension uses all of it")]
mod meanings;

fn wait_events() {
    let server = Arc::new(Server::start(&["autovacuum = off"]));
    let mut client = server.connect("postgres", "postgres");
    // The server's own list.
    let events =
        query(&mut client, "select type, name from pg_wait_events where type <> 'Extension' or name = 'Extension'");
    assert!(events.len() > 200);
    let unknown: Vec<String> = events
        .iter()
        .map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)))
        .filter(|(kind, event)| meanings::meaning(kind, event).is_none())
        .map(|(kind, event)| format!("{kind}: {event}"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
