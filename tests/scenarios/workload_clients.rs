//! The sample application with real clients: its own server, which the trials use one after the other, pgbench and Python.

use crate::server::{Database, ROOT, Server, describe, execute, query, run, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

const SETTINGS: &[&str] = &[
    "shared_preload_libraries = 'pg_stat_statements,pg_dbre'",
    "autovacuum = off",
    "logging_collector = on",
    "log_destination = 'csvlog'",
    "log_min_duration_statement = '1s'",
    "log_lock_waits = on",
    "log_temp_files = 0",
];
/// The application's roles cannot log in; those of its processes can. A sequence that they draw numbers from.
const LOGINS: &str = "
    create role client_api login in role app_api;
    create role client_worker login in role app_worker;
    create role client_reporting login in role app_reporting;
    create sequence app.invoice_numbers;
    grant usage on sequence app.invoice_numbers to client_api;";

/// Started and filled by the first trial, gone with the last one.
#[derive(Default)]
pub struct Sample {
    server: OnceLock<Arc<Server>>,
    turn: Mutex<()>,
}

impl Sample {
    /// A trial in a copy of the sample application's database, with no other traffic on its server.
    pub fn trial(self: &Arc<Self>, name: &str, body: fn(&Database)) -> Trial {
        let (sample, database) = (self.clone(), name.replace("::", "_"));
        Trial::test(name, move || {
            let _turn = sample.turn.lock().unwrap_or_else(|failed| failed.into_inner());
            body(&sample.copy(database));
            Ok(())
        })
    }

    fn copy(&self, name: String) -> Database {
        let server = self.server.get_or_init(|| Arc::new(load())).clone();
        let mut client = server.connect("postgres", "postgres");
        execute(&mut client, &format!("create database {name} template sample"));
        execute(&mut client, "create extension if not exists pg_stat_statements; select pg_stat_statements_reset()");
        Database { server, name }
    }
}

fn load() -> Server {
    let server = Server::start(SETTINGS);
    execute(&mut server.connect("postgres", "postgres"), "create database sample");
    for file in ["roles", "schema", "data"] {
        let path = Path::new(ROOT).join("tests/app").join(file).with_extension("sql");
        let arguments =
            ["-X", "-q", "-o", "/dev/null", "-d", "sample", "-v", "ON_ERROR_STOP=1", "-v", "size=small", "-f"];
        run(server.client("psql").args(arguments).arg(path), "");
    }
    execute(&mut server.connect("sample", "postgres"), &format!("create extension pg_dbre; {LOGINS}"));
    server
}

/// `tests/app/traffic/SCRIPT.sql`, sent `times` times by each of `clients` clients.
pub fn pgbench(database: &Database, user: &str, script: &str, clients: usize, times: usize) {
    let path = Path::new(ROOT).join("tests/app/traffic").join(script).with_extension("sql");
    let mut command = database.server.client("pgbench");
    command.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-t", &times.to_string(), "-f"]).arg(path);
    send(database, user, script, command.arg(&database.name));
}

/// `tests/app/sqlalchemy/client.py COMMAND`; what it read.
pub fn sqlalchemy(database: &Database, user: &str, command: &str, requests: usize, pages: &str) -> String {
    let mut python = python(database, "client.py");
    python.arg(command).args(["--requests", &requests.to_string(), "--pages", pages]);
    send(database, user, command, &mut python)
}

/// A program of `tests/app/sqlalchemy`.
pub fn python(database: &Database, script: &str) -> Command {
    let packages = Path::new(ROOT).join("target/python");
    assert!(packages.join("installed").exists(), "the client's Python packages are missing: run bin/setup");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("PGHOST", &database.server.folder).env("PGPORT", "5432").env("PGDATABASE", &database.name);
    python.arg(Path::new(ROOT).join("tests/app/sqlalchemy").join(script));
    python
}

/// Runs a client of the first tenant, and waits until its sessions have ended and left their figures.
fn send(database: &Database, user: &str, name: &str, command: &mut Command) -> String {
    let output = run(command.env("PGUSER", user).env("PGAPPNAME", name).env("PGOPTIONS", "-c app.tenant_id=1"), "");
    let mut client = database.connect();
    let sessions = format!("select count(*) from pg_stat_activity where usename = '{user}'");
    wait_until("the client's sessions have ended", || value::<i64>(&mut client, &sessions) == 0);
    output
}

#[track_caller]
pub fn findings(client: &mut Client, call: &str) -> Vec<Value> {
    let rows = query(client, &format!("select to_jsonb(f) from dbre.{call} as f"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The ids under which pg_stat_statements counts the statements of this database that are `like` a pattern.
#[track_caller]
pub fn query_ids(client: &mut Client, like: &str) -> Vec<String> {
    let sql = "select queryid::text from pg_stat_statements s join pg_database d on d.oid = s.dbid
        where datname = current_database() and query not like '%pg_stat_statements%' and query like ";
    let ids: Vec<String> = query(client, &format!("{sql}'{like}'")).iter().map(|row| row.get(0)).collect();
    assert!(!ids.is_empty(), "no statement like {like}");
    ids
}

/// Whether a finding is about one of the statements.
pub fn about(finding: &Value, ids: &[String]) -> bool {
    let object = finding["object"].as_str().unwrap_or_default();
    let evidence = &finding["evidence"];
    let statements = evidence["statements"].as_array().into_iter().flatten().map(|statement| &statement["query_id"]);
    let told: Vec<String> = statements.chain([&evidence["query_id"]]).map(Value::to_string).collect();
    ids.iter().any(|id| object.contains(id.as_str()) || told.iter().any(|told| told.trim_matches('"') == id))
}

/// What a finding says to run is SQL that runs here.
#[track_caller]
pub fn runs(client: &mut Client, finding: &Value) {
    if let Some(sql) = finding["verify_sql"].as_str() {
        query(client, sql);
    }
    if let Some(sql) = finding["evidence"]["replacement_query"].as_str() {
        client.prepare(sql).unwrap_or_else(|error| panic!("{sql}\n-- {}", describe(&error)));
    }
}

pub fn urgent(finding: &Value) -> bool {
    finding["severity"] == "critical" || finding["severity"] == "high"
}

pub fn notable(finding: &Value) -> bool {
    urgent(finding) || finding["severity"] == "medium"
}
