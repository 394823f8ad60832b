//! A workload with planted problems, all found, the worst first; and one without, in which there is nothing to act on.
//! tests/app/README.md says what is planted and what is expected.

use crate::server::{Database, execute, identities, query, shown, text, value};
use crate::workload_clients::{Sample, about, findings, notable, pgbench, query_ids, runs, sqlalchemy, urgent};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(sample: &Arc<Sample>) -> Vec<Trial> {
    vec![
        sample.trial("workload::planted_queries_are_found_the_worst_first", planted),
        sample.trial("workload::a_well_behaved_workload_has_nothing_of_medium_or_above", well_behaved),
    ]
}

const SEARCH: &str = "%body ilike%";
const DUPLICATES: &str = "%split_part%";
const LONGEST: &str = "%char_length(body) desc%";
const BY_AUTHOR: &str = "select id, task_id, body from app.comments%";
/// What the ORM sends for an object's column that is a reference, and for one that is a collection.
const ASSIGNEE: &str = "SELECT app.users.email AS %";
const COMMENTS: &str = "SELECT app.comments.task_id AS %";

fn planted(database: &Database) {
    let mut client = database.connect();
    query(&mut client, OPTIONS);
    let begun: String = value(&mut client, "select clock_timestamp()::text");
    pgbench(database, "client_api", "comments_by_author", 2, 1000);
    query(&mut client, "select dbre.snapshot_workload()");
    execute(&mut client, "drop index app.comments_tenant_id_author_id_idx");
    pgbench(database, "client_api", "comments_by_author", 2, 1000);
    pgbench(database, "client_reporting", "longest", 1, 10);
    pgbench(database, "client_reporting", "duplicates", 1, 2);
    pgbench(database, "client_api", "search", 4, 100);
    sqlalchemy(database, "client_api", "lazy", 40, "assignees,discussions");

    let mut complaints = Vec::new();
    let client = &mut client;
    statements(client, &mut complaints);
    lookups(client, &mut complaints);
    log(client, &begun, &mut complaints);
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

/// Statistics of a minute are to be believed here.
const OPTIONS: &str = r#"select dbre.configure_rule('query_takes_most_time', options => '{"min_seconds": 10}')"#;

/// What is planted in single statements, in `dbre.workload_findings()` and `dbre.slow_queries`.
fn statements(client: &mut Client, complaints: &mut Vec<String>) {
    let found = findings(client, "workload_findings()");
    let all = [SEARCH, DUPLICATES, BY_AUTHOR, LONGEST];
    let [search, duplicates, by_author, longest] = all.map(|like| query_ids(client, like));
    let lazy = [ASSIGNEE, COMMENTS].map(|like| query_ids(client, like)).concat();
    let mut expect = |what: &str, holds: bool| {
        if !holds {
            complaints.push(format!("{what}, in:\n{}", summaries(&found)));
        }
    };
    let of = |ids: &[String]| -> Vec<Value> { found.iter().filter(|f| about(f, ids)).cloned().collect() };
    let has = |ids: &[String], rule: &str| of(ids).iter().any(|f| f["rule"] == rule);
    let place = |ids: &[String]| found.iter().position(|f| about(f, ids));

    expect("the search takes most time: medium or above", of(&search).iter().any(notable));
    expect("the search comes first", place(&search) == Some(0));
    expect("the report takes more than a second: slow_query", has(&duplicates, "slow_query"));
    expect("the report is medium or above", of(&duplicates).iter().any(notable));
    expect("the sort does not fit: query_spills_to_temp", has(&longest, "query_spills_to_temp"));
    expect("the index is gone: query_slower_than_before", has(&by_author, "query_slower_than_before"));
    let slower = of(&by_author).into_iter().find(|f| f["rule"] == "query_slower_than_before");
    expect("the regression is medium or above", slower.as_ref().is_some_and(notable));
    expect(
        "the index that was dropped is proposed",
        of(&by_author).iter().any(|f| {
            let fix = text(f, "fix_sql").to_lowercase();
            fix.contains("create index") && fix.contains("app.comments") && fix.contains("author_id")
        }),
    );
    let planted = [&search, &duplicates, &by_author, &longest, &lazy].map(Clone::clone).concat();
    let surplus: Vec<Value> = found.iter().filter(|f| notable(f) && !about(f, &planted)).cloned().collect();
    expect(&format!("{:?} was not planted", identities(&surplus)), surplus.is_empty());

    let keys: Vec<_> = found.iter().map(|f| (text(f, "rule"), text(f, "object"))).collect();
    expect("each once", keys.iter().enumerate().all(|(i, key)| !keys[..i].contains(key)));

    found.iter().for_each(|finding| runs(client, finding));
    let ids: Vec<String> =
        query(client, "select query_id::text from dbre.slow_queries where note is null order by rank")
            .iter()
            .map(|row| row.get(0))
            .collect();
    let by_time = "select queryid::text from pg_stat_statements s join pg_database d on d.oid = s.dbid
        where datname = current_database() order by total_exec_time desc limit 4";
    let worst: Vec<String> = query(client, by_time).iter().map(|row| row.get(0)).collect();
    if ids.get(..4) != Some(&worst[..]) || ids[0] != search[0] {
        complaints.push(format!("slow_queries begins with {:?}, not with {worst:?}", ids.get(..4)));
    }
}

/// Lazy loading, in `dbre.n_plus_one()`.
fn lookups(client: &mut Client, complaints: &mut Vec<String>) {
    let found = findings(client, "n_plus_one()");
    found.iter().for_each(|finding| runs(client, finding));
    let mut planted = query_ids(client, BY_AUTHOR);
    for (what, like, loader) in [("a reference", ASSIGNEE, "joinedload"), ("a collection", COMMENTS, "selectinload")] {
        let ids = query_ids(client, like);
        let told: Vec<_> = found.iter().filter(|f| about(f, &ids) && notable(f)).collect();
        if !told.iter().any(|f| text(f, "app_fix").contains(loader)) {
            complaints.push(format!("{what} is loaded lazily: no {loader}, in:\n{}", shown(&found)));
        }
        planted.extend(ids);
    }
    let surplus: Vec<Value> = found.iter().filter(|f| notable(f) && !about(f, &planted)).cloned().collect();
    if !surplus.is_empty() {
        complaints.push(format!("n_plus_one() says what was not planted:\n{}", shown(&surplus)));
    }
}

/// The slow report and the spilling one are in the log; nothing else is.
fn log(client: &mut Client, begun: &str, complaints: &mut Vec<String>) {
    let found = findings(client, &format!("log_findings(since => '{begun}')"));
    // What ends with its portal logs its temporary files without its text.
    let longest = &query_ids(client, LONGEST)[0];
    for (what, of_log) in [("slow", "split_part"), ("temp", longest)] {
        let told = |f: &Value| text(f, "rule").contains(what) && f.to_string().contains(of_log);
        if !found.iter().any(told) {
            complaints.push(format!("{what}: not found in the log:\n{}", shown(&found)));
        }
    }
    let planted = |f: &Value| ["split_part", longest].iter().any(|text| f.to_string().contains(text));
    let surplus: Vec<Value> = found.iter().filter(|f| notable(f) && !planted(f)).cloned().collect();
    if !surplus.is_empty() {
        complaints.push(format!("log_findings() says what was not planted:\n{}", shown(&surplus)));
    }
}

/// The same application with its indexes, eager loading, and a reporting role that has enough memory.
fn well_behaved(database: &Database) {
    let mut client = database.connect();
    query(&mut client, OPTIONS);
    let begun: String = value(&mut client, "select clock_timestamp()::text");
    day(database);
    query(&mut client, "select dbre.snapshot_workload()");
    day(database);

    let calls = ["workload_findings()", "n_plus_one()", &format!("log_findings(since => '{begun}')")];
    let mut complaints = Vec::new();
    for call in calls {
        let surplus: Vec<Value> = findings(&mut client, call).into_iter().filter(notable).collect();
        if !surplus.is_empty() {
            complaints.push(format!("{call}:\n{}", shown(&surplus)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

fn day(database: &Database) {
    pgbench(database, "client_api", "board", 2, 1000);
    pgbench(database, "client_api", "login", 2, 500);
    pgbench(database, "client_api", "discussion", 2, 300);
    pgbench(database, "client_api", "comments_by_author", 2, 500);
    pgbench(database, "client_reporting", "digest", 1, 50);
    sqlalchemy(database, "client_api", "eager", 20, "assignees,discussions,topics,threads");
    sqlalchemy(database, "client_api", "jobs", 10, "");
    sqlalchemy(database, "client_worker", "batch", 10, "");
    sqlalchemy(database, "client_worker", "polling", 10, "");
}

fn summaries(found: &[Value]) -> String {
    let line = |f: &Value| {
        let parts = [text(f, "severity"), text(f, "rule"), text(f, "object"), text(f, "summary")];
        format!("  {}{}\n", parts.join(" | "), if urgent(f) { " (!)" } else { "" })
    };
    found.iter().map(line).collect()
}
