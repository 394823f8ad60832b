//! A private cluster, databases in it, psql, and queries that show their SQL when they fail.

use libtest_mimic::Trial;
use postgres::error::DbError;
use postgres::types::FromSqlOwned;
use postgres::{Client, Config, NoTls, Row};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{env, thread};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A folder that does not exist yet; its path is short, for sockets lie in it.
pub fn fresh_folder() -> PathBuf {
    env::temp_dir().join(format!("pg_dbre_{}_{}", std::process::id(), unique()))
}

pub fn cluster_command() -> Command {
    Command::new(Path::new(ROOT).join("bin/cluster"))
}

/// A program of the PostgreSQL under test.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let config = env::var("PG_CONFIG").unwrap_or("/usr/lib/postgresql/17/bin/pg_config".to_string());
        PathBuf::from(run(Command::new(config).arg("--bindir"), "").trim())
    });
    folder.join(name)
}

/// What the command wrote to its output; a failure shows all that it wrote.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> String {
    try_run(command, input).unwrap_or_else(|failure| panic!("{failure}"))
}

pub fn try_run(command: &mut Command, input: &str) -> Result<String, String> {
    let shown = format!("{command:?}");
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{shown}\n{error}"))?;
    let mut stdin = child.stdin.take().unwrap();
    let written = input.to_string();
    // A child that ends early closes the pipe: its exit status says more than that.
    let writer = thread::spawn(move || drop(stdin.write_all(written.as_bytes())));
    let output = child.wait_with_output().map_err(|error| format!("{shown}\n{error}"))?;
    writer.join().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{shown}\n{input}\n-- {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
}

/// A private cluster; gone when dropped.
pub struct Server {
    pub folder: PathBuf,
}

impl Server {
    pub fn start(settings: &[&str]) -> Server {
        let server = Server { folder: fresh_folder() };
        run(cluster_command().arg("start").arg(&server.folder).args(settings), "");
        server
    }

    pub fn connect(&self, database: &str, user: &str) -> Client {
        self.try_connect(database, user)
            .unwrap_or_else(|error| panic!("cannot connect to {database} as {user}: {error}"))
    }

    fn try_connect(&self, database: &str, user: &str) -> Result<Client, postgres::Error> {
        Config::new().host_path(&self.folder).dbname(database).user(user).connect(NoTls)
    }

    /// Kills a server process, as the kernel does when memory runs out, and waits until the server has recovered from it.
    pub fn crash(&self, pid: i32) {
        let mut witness = self.connect("postgres", "postgres");
        run(Command::new("kill").args(["-KILL", &pid.to_string()]), "");
        // Until the postmaster has seen it, connections are still taken.
        wait_until("the server ends all sessions", || witness.batch_execute("select 1").is_err());
        wait_until("the server has recovered", || self.try_connect("postgres", "postgres").is_ok());
    }

    /// A client program with this cluster as its default.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env("PGHOST", &self.folder).env("PGPORT", "5432").env("PGUSER", "postgres");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server left running is a failure, unless there is one already.
        if let Err(failure) = try_run(cluster_command().arg("stop").arg(&self.folder), "") {
            if thread::panicking() { eprintln!("{failure}") } else { panic!("{failure}") }
        }
    }
}

/// A database of one trial; dropped with it.
pub struct Database {
    pub server: Arc<Server>,
    pub name: String,
}

impl Database {
    pub fn empty(server: &Arc<Server>) -> Database {
        let name = format!("scenario_{}", unique());
        execute(&mut server.connect("postgres", "postgres"), &format!("create database {name}"));
        Database { server: server.clone(), name }
    }

    pub fn create(server: &Arc<Server>) -> Database {
        let database = Database::empty(server);
        execute(&mut database.connect(), "create extension pg_dbre");
        database
    }

    /// All sessions of `database` must have ended.
    pub fn copy(database: &Database) -> Database {
        let name = format!("scenario_{}", unique());
        let server = &database.server;
        let create = format!("create database {name} template {}", database.name);
        execute(&mut server.connect("postgres", "postgres"), &create);
        Database { server: server.clone(), name }
    }

    pub fn connect(&self) -> Client {
        self.server.connect(&self.name, "postgres")
    }

    pub fn connect_as(&self, user: &str) -> Client {
        self.server.connect(&self.name, user)
    }

    /// Runs SQL as a user would, and waits for the session's end, with which its statistics are flushed.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.psql_with(&["-v", "ON_ERROR_STOP=1", "-f", "-"], sql).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[track_caller]
    pub fn psql_file(&self, file: &str, arguments: &[&str]) -> String {
        let path = Path::new(ROOT).join(file);
        let arguments = [&["-v", "ON_ERROR_STOP=1", "-f", path.to_str().unwrap()], arguments].concat();
        self.psql_with(&arguments, "").unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn psql_with(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let name = format!("psql_{}", unique());
        let mut psql = self.server.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-d", &self.name]).args(arguments).env("PGAPPNAME", &name);
        let output = try_run(&mut psql, input);
        let mut client = self.connect();
        let sessions = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
        wait_until("psql's session has ended", || value::<i64>(&mut client, &sessions) == 0);
        output
    }

    /// The rows of `dbre.check(arguments)` in a new session.
    #[track_caller]
    pub fn check(&self, arguments: &str) -> Vec<Value> {
        check(&mut self.connect(), arguments)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // With the roles that are named after it.
        let roles = format!(
            "do $$ declare name text; begin
                 for name in select rolname from pg_roles where rolname ~ '^{}([^0-9]|$)' loop
                     execute format('drop role %I', name);
                 end loop;
             end $$",
            self.name
        );
        let dropped = self.server.try_connect("postgres", "postgres").and_then(|mut client| {
            client.batch_execute(&format!("drop database {} with (force)", self.name))?;
            client.batch_execute(&roles)
        });
        if let Err(error) = dropped {
            eprintln!("drop database {}: {error}", self.name);
        }
    }
}

pub fn trial(server: &Arc<Server>, name: &str, body: fn(&Database)) -> Trial {
    let server = server.clone();
    Trial::test(name, move || {
        body(&Database::create(&server));
        Ok(())
    })
}

/// Starts what servers it needs itself.
pub fn alone(name: &str, body: fn()) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited 30 s in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Who has ended may still be counted for a moment.
pub fn until_alone(client: &mut Client) {
    let others = "select count(*) from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
    wait_until("nobody else is in the database", || value::<i64>(client, others) == 0);
}

/// The error of SQL that is cancelled once it has run for `after`.
#[track_caller]
pub fn cancelled_after(database: &Database, client: &mut Client, after: Duration, sql: &str) -> DbError {
    let cancel = format!("select pg_cancel_backend({})", value::<i32>(client, "select pg_backend_pid()"));
    let mut other = database.connect();
    let error = thread::scope(|scope| {
        let (_running, ended) = mpsc::channel::<()>();
        // A cancel that comes before the SQL has begun is lost.
        scope.spawn(move || {
            while ended.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                query(&mut other, &cancel);
            }
        });
        refused(client, sql)
    });
    // One that came after its end may stop what is next.
    while client.batch_execute("select 1").is_err() {}
    error
}

#[track_caller]
pub fn check(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(f) from dbre.check({arguments}) f");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

#[track_caller]
pub fn execute(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}\n-- {}", describe(&error)));
}

#[track_caller]
pub fn query(client: &mut Client, sql: &str) -> Vec<Row> {
    client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}\n-- {}", describe(&error)))
}

/// The first column of the only row.
#[track_caller]
pub fn value<T: FromSqlOwned>(client: &mut Client, sql: &str) -> T {
    let rows = query(client, sql);
    assert_eq!(rows.len(), 1, "{sql}\n-- {} rows", rows.len());
    rows[0].try_get(0).unwrap_or_else(|error| panic!("{sql}\n-- {error}"))
}

/// The error that the SQL must raise.
#[track_caller]
pub fn refused(client: &mut Client, sql: &str) -> DbError {
    match client.query(sql, &[]) {
        Ok(rows) => panic!("{sql}\n-- no error, {} rows", rows.len()),
        Err(error) => error.as_db_error().unwrap_or_else(|| panic!("{sql}\n-- {error}")).clone(),
    }
}

pub fn describe(error: &postgres::Error) -> String {
    let Some(error) = error.as_db_error() else { return error.to_string() };
    let part = |label: &str, text: Option<&str>| text.map(|t| format!("\n-- {label}: {t}")).unwrap_or_default();
    let (detail, hint, context) = (error.detail(), error.hint(), error.where_());
    let parts = [part("detail", detail), part("hint", hint), part("context", context)].concat();
    format!("{} {}{parts}", error.code().code(), error.message())
}

/// A text column of a finding.
pub fn text<'a>(finding: &'a Value, column: &str) -> &'a str {
    finding[column].as_str().unwrap_or_default()
}

/// `rule object severity`, one a line.
pub fn identities(findings: &[Value]) -> Vec<String> {
    let identity = |f: &Value| format!("{} {} {}", text(f, "rule"), text(f, "object"), text(f, "severity"));
    findings.iter().map(identity).collect()
}

pub fn shown(findings: &[Value]) -> String {
    findings.iter().map(|finding| format!("{finding:#}\n")).collect()
}
