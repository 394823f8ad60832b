//! dbre.log_findings() on logs that real servers wrote.

use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::{Client, NoTls};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let of_format = |name: &str, destination: &'static str| {
        Trial::test(format!("server_log::what_happened_is_found_{name}"), move || {
            what_happened_is_found(destination);
            Ok(())
        })
    };
    vec![
        of_format("in_csvlog", "csvlog"),
        of_format("in_jsonlog", "jsonlog"),
        of_format("once_in_both", "csvlog, jsonlog"),
        trial(server, "server_log::privileges", privileges),
        trial(server, "server_log::refusals", refusals),
        trial(server, "server_log::no_log_at_all", no_log),
    ]
}

const SETTINGS: &[&str] = &[
    "autovacuum = off",
    "logging_collector = on",
    "log_min_duration_statement = 500",
    "log_lock_waits = on",
    "deadlock_timeout = 200ms",
    "log_temp_files = 0",
    "log_timezone = 'Europe/Berlin'",
    "max_connections = 15",
];

pub fn findings(client: &mut Client, arguments: &str) -> Vec<Value> {
    let rows = query(client, &format!("select to_jsonb(f) from dbre.log_findings({arguments}) f order by step"));
    rows.iter().map(|row| row.get(0)).collect()
}

#[track_caller]
pub fn the<'a>(findings: &'a [Value], rule: &str) -> &'a Value {
    let of_rule: Vec<_> = findings.iter().filter(|finding| finding["rule"] == rule).collect();
    assert_eq!(of_rule.len(), 1, "{rule}: {}", shown(findings));
    of_rule[0]
}

fn what_happened_is_found(destination: &str) {
    let destination = format!("log_destination = '{destination}'");
    let server = Arc::new(Server::start(&[SETTINGS, &[&destination]].concat()));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key, v int); insert into t values (1, 0), (2, 0)");
    execute(&mut client, "select dbre.configure_rule('temp_files_logged', options => '{\"min_bytes\": 1}')");
    // Any other statement may be slow, too.
    let planted = |finding: &Value| {
        let slow = text(finding, "rule") == "slow_statements_logged";
        !slow || ["pg_sleep", "update t set v = ?"].iter().any(|part| text(finding, "summary").contains(part))
    };
    let findings = |client: &mut Client, arguments: &str| -> Vec<Value> {
        findings(client, arguments).into_iter().filter(planted).collect()
    };
    let quiet = findings(&mut client, "");
    assert!(quiet.is_empty(), "{}", shown(&quiet));

    let begun: String = value(&mut client, "select clock_timestamp()::text");
    for time in 1..=3 {
        execute(&mut client, &format!("select {time}, pg_sleep(1.1)"));
    }
    lock_wait(&database);
    deadlock(&database);
    let mut sorting = database.connect();
    execute(&mut sorting, "set work_mem = '64kB'");
    execute(&mut sorting, "select g from generate_series(1, 20000) g order by -g");
    refused(&mut client, "select 1 / 0");
    for _ in 0..3 {
        refused(&mut server.connect("postgres", "postgres"), "select 1 / 0");
    }
    let slots = no_slots(&server, &database);
    let found = findings(&mut client, &format!("since => '{begun}'"));

    let waited = |finding: &&Value| text(finding, "summary").contains("update t set v = ?");
    let (waited, found): (Vec<Value>, Vec<Value>) =
        found.into_iter().partition(|finding| finding["rule"] == "slow_statements_logged" && waited(&finding));
    assert_eq!(waited.len(), 1, "who waits for a lock is slow, too: {}", shown(&waited));
    let slow = the(&found, "slow_statements_logged");
    assert_eq!((&slow["severity"], &slow["evidence"]["count"]), (&"medium".into(), &3.into()), "{slow:#}");
    assert_eq!(slow["evidence"]["query"], "select ?, pg_sleep(?)", "{slow:#}");
    assert!((1100.0..6000.0).contains(&slow["evidence"]["mean_ms"].as_f64().unwrap()), "{slow:#}");
    let wait = the(&found, "lock_waits_logged");
    assert_eq!(text(wait, "object"), "ShareLock on rows of t", "{wait:#}");
    assert!((1000.0..20_000.0).contains(&wait["evidence"]["max_ms"].as_f64().unwrap()), "{wait:#}");
    let deadlock = the(&found, "deadlocks_logged");
    let queries = ["update t set v = 3 where id = 2", "update t set v = 4 where id = 1"];
    let mut once: Vec<&str> =
        deadlock["evidence"]["queries_once"].as_array().unwrap().iter().map(|query| query.as_str().unwrap()).collect();
    once.sort_unstable();
    assert_eq!(once, queries, "{deadlock:#}");
    let temp = the(&found, "temp_files_logged");
    assert!(text(temp, "summary").contains("select g from generate_series(?, ?) g order by -g"), "{temp:#}");
    let error = the(&found, "errors_logged");
    assert_eq!((text(error, "object"), &error["evidence"]["count"]), ("SQLSTATE 22012", &1.into()), "{error:#}");
    let refused = the(&found, "connections_refused");
    assert_eq!(refused["evidence"]["count"], slots, "{refused:#}");
    assert_eq!(found.len(), 6, "{}", shown(&found));

    let later = findings(&mut client, "since => clock_timestamp() + interval '1 s'");
    assert!(later.is_empty(), "{}", shown(&later));
    assert_eq!(findings(&mut client, "since => '-infinity'").len(), 7);

    // What a rotation script leaves.
    let log = server.folder.join("data/log");
    fs::write(log.join("old.csv.gz"), "packed").unwrap();
    let found = findings(&mut client, &format!("since => '{begun}'"));
    assert!(text(the(&found, "log_not_read_whole"), "summary").contains("1 file not read"), "{}", shown(&found));
    fs::remove_file(log.join("old.csv.gz")).unwrap();

    server.crash(value(&mut client, "select pg_backend_pid()"));
    let found = findings(&mut database.connect(), "");
    let crash = the(&found, "server_crashed");
    assert_eq!((text(crash, "severity"), found[0]["rule"].as_str()), ("critical", Some("server_crashed")), "{crash:#}");
    assert!(text(crash, "summary").contains("signal 9"), "{crash:#}");
}

fn lock_wait(database: &Database) {
    let mut holder = database.connect();
    execute(&mut holder, "begin; update t set v = 1 where id = 1");
    let mut waiter = database.connect();
    let waiting = thread::spawn(move || execute(&mut waiter, "update t set v = 2 where id = 1"));
    until_waiting(database);
    thread::sleep(Duration::from_millis(1100));
    execute(&mut holder, "commit");
    waiting.join().unwrap();
}

fn deadlock(database: &Database) {
    let (mut one, mut other) = (database.connect(), database.connect());
    execute(&mut one, "begin; update t set v = 3 where id = 1");
    execute(&mut other, "begin; update t set v = 4 where id = 2");
    let waiting = thread::spawn(move || one.batch_execute("update t set v = 3 where id = 2").is_ok());
    until_waiting(database);
    let ended = other.batch_execute("update t set v = 4 where id = 1").is_ok();
    assert_ne!(waiting.join().unwrap(), ended, "one of both is rolled back");
}

fn until_waiting(database: &Database) {
    let mut client = database.connect();
    wait_until("a session waits for a lock", || {
        value::<i64>(&mut client, "select count(*) from pg_locks where not granted") > 0
    });
}

/// How many connections were refused.
fn no_slots(server: &Server, database: &Database) -> u64 {
    let mut held = Vec::new();
    let host = server.folder.display();
    loop {
        match Client::connect(&format!("host={host} user=postgres dbname={}", database.name), NoTls) {
            Ok(client) => held.push(client),
            Err(_) => break,
        }
        assert!(held.len() < 20);
    }
    1
}

fn privileges(database: &Database) {
    let role = format!("reader_of_{}", database.name);
    let mut owner = database.connect();
    execute(&mut owner, &format!("create role {role} login in role pg_monitor"));
    let mut client = database.connect_as(&role);
    let error = refused(&mut client, "select * from dbre.log_findings()");
    assert_eq!(error.code().code(), "42501");
    assert!(error.hint().unwrap_or_default().contains("pg_read_server_files"), "{error:?}");
    execute(&mut owner, &format!("grant pg_read_server_files to {role}"));
    query(&mut client, "select * from dbre.log_findings()");
}

fn refusals(database: &Database) {
    let mut client = database.connect();
    let folder = database.server.folder.display().to_string();
    let cases = [
        ("since => null", "22004", "since"),
        ("files => '{}'", "22023", "files"),
        ("files => array['']", "22023", "files"),
        ("files => array[null]", "22004", "files"),
        ("files => array['no/such/file.csv']", "58P01", "no/such/file.csv"),
        ("files => array['/dev/zero']", "22023", "it is no regular file"),
        (&format!("files => array['{folder}']"), "22023", "it is no regular file"),
    ];
    for (arguments, code, told) in cases {
        let error = refused(&mut client, &format!("select * from dbre.log_findings({arguments})"));
        assert_eq!(error.code().code(), code, "{arguments}: {error:?}");
        assert!(error.message().contains(told), "{arguments}: {error:?}");
    }
}

fn no_log(database: &Database) {
    let found = findings(&mut database.connect(), "");
    let how = the(&found, "log_not_structured");
    assert_eq!(found.len(), 1, "{}", shown(&found));
    for part in ["logging_collector = 'on'", "log_destination = 'stderr, csvlog'", "log_lock_waits", "pg_reload_conf"] {
        assert!(text(how, "fix_sql").contains(part), "{how:#}");
    }
}
