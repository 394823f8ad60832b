//! What the hook sees of the sample application's client.

use crate::server::{Database, execute, query, shown, text};
use crate::workload_clients::{Sample, about, findings, notable, pgbench, query_ids, runs, sqlalchemy, urgent};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub fn trials(sample: &Arc<Sample>) -> Vec<Trial> {
    vec![
        sample.trial("workload_bursts::lazy_loading", lazy),
        sample.trial("workload_bursts::lazy_loading_over_an_asynchronous_driver", lazy_async),
        sample.trial("workload_bursts::lazy_loading_on_two_levels", two_levels),
        sample.trial("workload_bursts::eager_loading_is_none", eager),
        sample.trial("workload_bursts::lookups_over_a_pool", pooled),
        sample.trial("workload_bursts::batches_are_not_high", batches),
        sample.trial("workload_bursts::jobs_repeat_what_they_must", jobs),
        sample.trial("workload_bursts::polling_is_not_high", polling),
        sample.trial("workload_bursts::busy_connections_are_not_bursts", busy),
        sample.trial("workload_bursts::tags", tagged),
        sample.trial("workload_bursts::without_them_the_counters_tell", counters),
    ]
}

const REQUESTS: usize = 12;
/// Loads of one object's reference or collection, and the list that they come from.
const ASSIGNEE: &str =
    "SELECT app.users.email AS %WHERE app.users.tenant_id = $1::BIGINT AND app.users.id = $2::BIGINT";
const COMMENTS: &str = "SELECT app.comments.task_id AS %";
const TASKS: &str = "SELECT app.tasks.assignee_id, %";

fn bursts(client: &mut Client) -> Vec<Value> {
    let rows = query(client, "select to_jsonb(b) from dbre.n_plus_one_bursts as b order by executions desc");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The only burst of the statements.
#[track_caller]
fn burst(client: &mut Client, like: &str) -> Value {
    let (ids, all) = (query_ids(client, like), bursts(client));
    let own: Vec<_> = all.iter().filter(|b| ids.contains(&id(b, "query_id"))).collect();
    assert_eq!(own.len(), 1, "{like} in:\n{}", shown(&all));
    own[0].clone()
}

fn id(burst: &Value, column: &str) -> String {
    burst[column].to_string().trim_matches('"').to_string()
}

/// `executions` in all, the `most` of one request, of `bursts` requests.
fn counted(client: &mut Client, distinct_per_page: &str) -> (i64, i64, i64) {
    let sql = format!(
        "with page as (select n, t.* from generate_series(0, {REQUESTS} - 1) n, lateral
            (select * from app.tasks where tenant_id = 1 and id > n * 500 order by id limit 50) t),
        counted as (select n, count(distinct {distinct_per_page}) as times from page group by n)
        select sum(times)::bigint, max(times), count(*) from counted where times >= 10"
    );
    let row = query(client, &sql).remove(0);
    (row.get(0), row.get(1), row.get(2))
}

#[track_caller]
fn shape(burst: &Value, (executions, most, times): (i64, i64, i64), parent_rows: i64) {
    assert_eq!(burst["executions"], executions, "{burst:#}");
    assert_eq!(burst["most_times"], most, "{burst:#}");
    assert_eq!(burst["bursts"], times, "{burst:#}");
    let mean = burst["times_per_burst"].as_f64().unwrap();
    assert!((mean - executions as f64 / times as f64).abs() < 1.0, "{burst:#}");
    assert_eq!(burst["in_transaction"], true, "{burst:#}");
    assert_eq!(burst["role"], "client_api", "{burst:#}");
    assert_eq!(burst["connections"], 1, "{burst:#}");
    assert!(burst["total_ms"].as_f64().unwrap() > 0.0, "{burst:#}");
    let rows = burst["parent_rows"].as_f64().unwrap();
    assert!((rows - parent_rows as f64).abs() < 0.5 || rows == (parent_rows * times) as f64, "{burst:#}");
}

fn lazy(database: &Database) {
    let mut client = database.connect();
    let lazy = sqlalchemy(database, "client_api", "lazy", REQUESTS, "assignees,discussions");
    assert_eq!(lazy, sqlalchemy(database, "client_api", "eager", REQUESTS, "assignees,discussions"));
    let tasks = query_ids(&mut client, TASKS);
    for (like, distinct) in [(ASSIGNEE, "assignee_id"), (COMMENTS, "id")] {
        let expected = counted(&mut client, distinct);
        let burst = burst(&mut client, like);
        shape(&burst, expected, 50);
        assert!(tasks.contains(&id(&burst, "parent_query_id")), "{burst:#}");
        assert_eq!(burst["application_name"], "lazy", "{burst:#}");
        assert!(text(&burst, "parent_query").contains("app.tasks"), "{burst:#}");
        assert!(burst["distinct_parameters"].as_f64().unwrap() > 10.0, "{burst:#}");
    }
    is_told(&mut client, ASSIGNEE, "joinedload");
    is_told(&mut client, COMMENTS, "selectinload");
}

/// `dbre.n_plus_one()` says it, as something to act on, once.
#[track_caller]
fn is_told(client: &mut Client, like: &str, loader: &str) {
    let (ids, found) = (query_ids(client, like), findings(client, "n_plus_one()"));
    let own: Vec<_> = found.iter().filter(|f| about(f, &ids)).collect();
    assert_eq!(own.len(), 1, "{like} in:\n{}", shown(&found));
    assert!(notable(own[0]) && text(own[0], "app_fix").contains(loader), "{:#}", own[0]);
    runs(client, own[0]);
}

fn lazy_async(database: &Database) {
    let mut client = database.connect();
    let lazy = sqlalchemy(database, "client_api", "lazy_async", REQUESTS, "assignees,discussions");
    assert_eq!(lazy, sqlalchemy(database, "client_api", "eager", REQUESTS, "assignees,discussions"));
    for (like, distinct) in [(ASSIGNEE, "assignee_id"), (COMMENTS, "id")] {
        let expected = counted(&mut client, distinct);
        shape(&burst(&mut client, like), expected, 50);
    }
}

fn two_levels(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_api", "lazy", REQUESTS, "threads,topics");
    for like in [
        COMMENTS,
        ASSIGNEE,
        "SELECT app.atoms.topic_id AS %",
        "SELECT app.topics.parent_id AS %AND app.topics.id = $2::BIGINT",
    ] {
        is_told(&mut client, like, if like.contains("= $2") { "joinedload" } else { "selectinload" });
    }
    let topics = query_ids(&mut client, "SELECT app.topics.parent_id, %");
    let atoms = burst(&mut client, "SELECT app.atoms.topic_id AS %");
    assert!(topics.contains(&id(&atoms, "parent_query_id")), "{atoms:#}");
}

fn eager(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_api", "eager", 40, "assignees,discussions,topics,threads");
    assert_eq!(bursts(&mut client), Vec::<Value>::new());
    let found = findings(&mut client, "n_plus_one()");
    assert!(!found.iter().any(notable), "{}", shown(&found));
}

fn pooled(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_api", "pooled", 20, "");
    is_told(&mut client, BY_POOL, "");

    // One request at a time: too few lookups on each connection to be seen there.
    execute(&mut client, "select dbre.reset_n_plus_one_bursts()");
    sqlalchemy(database, "client_api", "pooled_slowly", 6, "");
    // However the lookups fell to the connections, there are enough bursts once the last window is over.
    thread::sleep(Duration::from_millis(1100));
    let ids = query_ids(&mut client, BY_POOL);
    let all = bursts(&mut client);
    let spread = |b: &Value| ids.contains(&id(b, "query_id")) && b["connections"].as_i64().unwrap() > 1;
    let spread = all.iter().find(|b| spread(b)).unwrap_or_else(|| panic!("{}", shown(&all)));
    assert_eq!(spread["in_transaction"], false, "{spread:#}");
    is_told(&mut client, BY_POOL, "");
}

const BY_POOL: &str = "SELECT app.users.display_name %";

fn batches(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_worker", "batch", 20, "");
    sqlalchemy(database, "client_worker", "backfill", 20, "");
    let found = findings(&mut client, "n_plus_one()");
    assert!(!found.iter().any(urgent), "{}", shown(&found));
    // No loop over writes or over rows to lock is a burst of reads.
    let writes = |b: &&Value| !text(b, "query").starts_with("SELECT") || text(b, "query").contains("FOR UPDATE");
    let bursts = bursts(&mut client);
    assert_eq!(bursts.iter().find(writes), None);
}

fn jobs(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_api", "jobs", 40, "");
    let found = findings(&mut client, "n_plus_one()");
    assert!(!found.iter().any(notable), "{}", shown(&found));
}

fn polling(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_worker", "polling", 40, "");
    let found = findings(&mut client, "n_plus_one()");
    assert!(!found.iter().any(urgent), "{}", shown(&found));
}

/// Many small requests a second on one connection: two lookups after each list are not twenty after one.
fn busy(database: &Database) {
    let mut client = database.connect();
    for script in ["board", "login", "discussion", "comments_by_author"] {
        pgbench(database, "client_api", script, 2, 2000);
    }
    let found = findings(&mut client, "n_plus_one()");
    assert!(!found.iter().any(notable), "{}\n{}", shown(&found), shown(&bursts(&mut client)));
}

fn tagged(database: &Database) {
    let mut client = database.connect();
    sqlalchemy(database, "client_api", "tagged", REQUESTS, "assignees");
    let burst = burst(&mut client, &format!("{ASSIGNEE}%"));
    let tags = json!({
        "action": "index", "controller": "tasks", "framework": "fastapi:0.115", "route": "/tasks/{page}?view=it's all",
    });
    assert_eq!(burst["tags"], tags, "{burst:#}");
    assert_eq!(burst["application_name"], "tagged", "{burst:#}");
    let expected = counted(&mut client, "assignee_id");
    shape(&burst, expected, 50);
}

/// pg_stat_statements alone knows calls and rows, of all clients together.
fn counters(database: &Database) {
    let off = format!("alter database {} set dbre.n_plus_one_threshold = 0", database.name);
    execute(&mut database.connect(), &off);
    let mut client = database.connect();
    for script in ["board", "login", "discussion", "comments_by_author"] {
        pgbench(database, "client_api", script, 2, 1000);
    }
    sqlalchemy(database, "client_worker", "batch", 20, "");
    sqlalchemy(database, "client_worker", "backfill", 20, "");
    sqlalchemy(database, "client_worker", "polling", 20, "");
    sqlalchemy(database, "client_api", "eager", 20, "assignees,discussions,topics,threads");
    assert_eq!(bursts(&mut client), Vec::<Value>::new());
    let found = findings(&mut client, "n_plus_one()");
    let wrong = |f: &&Value| urgent(f) || notable(f) && f["evidence"].to_string().contains("client_api");
    let wrong: Vec<_> = found.iter().filter(wrong).cloned().collect();
    assert!(wrong.is_empty(), "{}", shown(&wrong));

    // Among others that could have led to it a lookup is found; alone with its list it is something to act on.
    sqlalchemy(database, "client_api", "lazy", 20, "assignees,discussions");
    let found = findings(&mut client, "n_plus_one()");
    for like in [ASSIGNEE, COMMENTS] {
        let ids = query_ids(&mut client, like);
        assert!(found.iter().any(|f| about(f, &ids)), "{like} in:\n{}", shown(&found));
    }
    for (page, like, loader) in [("assignees", ASSIGNEE, "joinedload"), ("discussions", COMMENTS, "selectinload")] {
        execute(&mut client, "select pg_stat_statements_reset()");
        sqlalchemy(database, "client_api", "lazy", 20, page);
        is_told(&mut client, like, loader);
    }
}
