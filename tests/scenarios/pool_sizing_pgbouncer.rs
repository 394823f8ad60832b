//! What `dbre.pool_sizing()` prints for pgbouncer.ini: PgBouncer takes it, and what it serves already stays as it was.

use crate::bouncer::Bouncer;
use crate::pool_sizing::{ASYNCHRONOUS, SYNCHRONOUS, number, python, quoted, row, rows};
use crate::server::{Database, Server, execute, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "pool_sizing_pgbouncer::takes_the_fragment", fragment),
        trial(server, "pool_sizing_pgbouncer::keeps_what_it_serves_already", another_database),
        trial(server, "pool_sizing_pgbouncer::takes_every_name", names_of_databases),
    ]
}

fn fragment(database: &Database) {
    let role = format!("{}_app", database.name);
    let mut client = database.connect();
    execute(&mut client, &format!("create role {role} login"));
    for mode in ["transaction", "session"] {
        let arguments = format!("8, 1.5, 1, instances => 2, target_role => '{role}', pool_mode => '{mode}'");
        let rows = rows(&mut client, &arguments);
        let text = row(&rows, "pgbouncer_ini")["config"].as_str().unwrap();
        let bouncer = bouncer(database, &role, text);
        assert_own(&bouncer, &database.name, mode, &rows);
        let in_force = config(&bouncer);
        assert_eq!(in_force["max_client_conn"], number(&rows, "max_client_conn").to_string());
        assert_eq!(in_force["query_wait_timeout"], number(&rows, "query_wait_timeout").to_string());
        let host = format!("{}&port=6432", bouncer.folder.display());
        for (name, more) in [("api_engine", SYNCHRONOUS), ("api_async_engine", ASYNCHRONOUS)] {
            let printed = python(database, &role, &host, row(&rows, name), more);
            let (size, overflow) = (number(&rows, "api_pool_size"), number(&rows, "api_max_overflow"));
            let expected = format!("{size} {overflow} {} {}-api", size + overflow, database.name);
            assert_eq!(printed, expected, "{mode} {name}");
        }
    }
}

/// One that pools by session, for more clients than the new application has.
fn another_database(database: &Database) {
    let legacy = format!(
        "pool_mode = session\ndefault_pool_size = 40\nmax_client_conn = 200\nquery_wait_timeout = 77\n\
         max_prepared_statements = 33\n[databases]\nlegacy = host={} port=5432 dbname={}\n",
        database.server.folder.display(),
        database.name
    );
    let bouncer = Bouncer::start(database, &legacy);
    let _clients: Vec<Client> = (0..60).map(|_| bouncer.config("legacy", "postgres").connect(NoTls).unwrap()).collect();
    let before = (config(&bouncer), of_database(&bouncer, "legacy"));
    for mode in ["session", "transaction"] {
        let rows = rows(&mut database.connect(), &format!("4, 1, 1, pool_mode => '{mode}'"));
        let printed = printed(database, &rows);
        let (databases, settings) = printed.split_once("[pgbouncer]").unwrap();
        let (of_all, databases_before) = legacy.split_once("[databases]").unwrap();
        bouncer.write(
            &format!("{databases_before}{}", databases.replace("[databases]", "")),
            &format!("{of_all}{settings}"),
        );
        bouncer.console().batch_execute("RELOAD").unwrap();
        assert_own(&bouncer, &database.name, mode, &rows);
        assert_eq!((config(&bouncer), of_database(&bouncer, "legacy")), before);
        bouncer.config("legacy", "postgres").connect(NoTls).expect("one client more");
    }
}

/// PgBouncer's file has no quotes for names of databases.
fn names_of_databases(database: &Database) {
    let server = &database.server;
    let rename = |from: &str, to: &str| {
        let rename = format!("alter database {} rename to {}", quoted(from), quoted(to));
        let mut client = server.connect("postgres", "postgres");
        wait_until("nobody is connected to the database", || client.batch_execute(&rename).is_ok());
    };
    for name in ["my-app.1", "Weird", "We\"ird 'x; d%b\\ ", "Zoë # = *", "商店", "two\nlines", "-", "pgbouncer"] {
        // Other trials have databases, too.
        let name = if name == "pgbouncer" { name.to_string() } else { format!("{}{name}", database.name) };
        rename(&database.name, &name);
        let ini =
            row(&rows(&mut server.connect(&name, "postgres"), "4, 1, 0, pgbouncer => true"), "pgbouncer_ini")["config"]
                .as_str()
                .unwrap()
                .to_string();
        let line = ini.lines().find(|line| line.contains(" = host=")).unwrap();
        let key = line.split_once(" = ").unwrap().0;
        let bouncer = bouncer(database, "postgres", &ini);
        let reached = bouncer.config(if key == "*" { &name } else { key }, "postgres").connect(NoTls);
        let mut reached = reached.unwrap_or_else(|error| panic!("{name}: {error}\n{ini}"));
        assert_eq!(value::<String>(&mut reached, "select current_database()::text"), name);
        drop((reached, bouncer));
        rename(&name, &database.name);
    }
}

/// For the server of the trial.
fn printed(database: &Database, rows: &[serde_json::Value]) -> String {
    of_server(database, row(rows, "pgbouncer_ini")["config"].as_str().unwrap())
}

fn of_server(database: &Database, printed: &str) -> String {
    let text = printed.replace("host=127.0.0.1", &format!("host={}", database.server.folder.display()));
    assert_ne!(printed, text);
    text
}

/// With the printed lines, of which it takes all: those for all of its databases, too.
fn bouncer(database: &Database, role: &str, printed: &str) -> Bouncer {
    let fragment = of_server(database, printed);
    // A second section of the same name would put the settings of the first one back to their defaults.
    let (databases, settings) = fragment.split_once("[pgbouncer]").unwrap();
    let in_force =
        |line: &str| line.strip_prefix(';').filter(|line| !line.starts_with(' ')).unwrap_or(line).to_string();
    let settings: Vec<String> = settings.lines().map(in_force).collect();
    let users = database.server.folder.join(format!("{}.users", database.name));
    fs::write(&users, format!("\"{role}\" \"\"\n\"postgres\" \"\"\n")).unwrap();
    let settings = format!("{}\nauth_type = trust\nauth_file = {}\n{databases}", settings.join("\n"), users.display());
    let bouncer = Bouncer::start(database, &settings);
    let log = fs::read_to_string(bouncer.folder.join("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("WARNING") && !log.contains("unknown"), "{log}");
    bouncer
}

/// The database's own sizes are those of the rows.
#[track_caller]
fn assert_own(bouncer: &Bouncer, database: &str, mode: &str, rows: &[serde_json::Value]) {
    let own = of_database(bouncer, database);
    let size = |name| number(rows, name).to_string();
    let rows = ["pool_size", "min_pool_size", "reserve_pool_size", "max_db_connections"].map(size);
    assert_eq!(own, [mode.to_string()].into_iter().chain(rows).collect::<Vec<_>>());
}

fn rows_shown(bouncer: &Bouncer, command: &str) -> Vec<SimpleQueryRow> {
    let messages = bouncer.console().simple_query(command).unwrap();
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn config(bouncer: &Bouncer) -> BTreeMap<String, String> {
    let pair = |row: SimpleQueryRow| Some((row.get(0)?.to_string(), row.get(1).unwrap_or_default().to_string()));
    rows_shown(bouncer, "SHOW CONFIG").into_iter().filter_map(pair).collect()
}

/// Its mode, where it has one of its own, and its sizes.
#[track_caller]
fn of_database(bouncer: &Bouncer, name: &str) -> Vec<String> {
    let shown = rows_shown(bouncer, "SHOW DATABASES");
    let row = shown.iter().find(|row| row.get("name") == Some(name)).unwrap_or_else(|| panic!("no database {name}"));
    // The name before 1.24 is the other.
    let has = |name: &str| row.columns().iter().any(|column| column.name() == name);
    let reserve = if has("reserve_pool_size") { "reserve_pool_size" } else { "reserve_pool" };
    let columns = ["pool_mode", "pool_size", "min_pool_size", reserve, "max_connections"];
    columns.iter().map(|column| row.get(*column).unwrap_or_default().to_string()).collect()
}
