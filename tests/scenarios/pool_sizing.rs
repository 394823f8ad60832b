//! `dbre.pool_sizing()`: what it prints runs as it is, and its numbers are those of the server.

use crate::server::{Database, ROOT, Server, execute, query, refused, run, trial, until_alone, value, wait_until};
use libtest_mimic::Trial;
use postgres::{Client, Config, NoTls};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "pool_sizing::the_engines_hold_what_they_say", engines),
        trial(server, "pool_sizing::the_deadlock_floor_is_exact", deadlock_floor),
        trial(server, "pool_sizing::timeouts_are_set_and_rolled_back", timeouts),
        trial(server, "pool_sizing::timeouts_that_are_left", timeouts_left),
        trial(server, "pool_sizing::limits_and_other_sessions_come_off", limits),
        trial(server, "pool_sizing::concurrency_is_measured", measured),
        trial(server, "pool_sizing::sessions_that_are_needed", session_features),
        trial(server, "pool_sizing::what_decides_no_pool_mode", undecided),
        trial(server, "pool_sizing::a_dump_decides_no_pool_mode", dump),
        trial(server, "pool_sizing::who_sets_a_role", set_role),
        trial(server, "pool_sizing::what_functions_run", functions),
        trial(server, "pool_sizing::without_rights", without_rights),
        trial(server, "pool_sizing::roles_that_were_dropped", dropped_roles),
        trial(server, "pool_sizing::bad_arguments", bad_arguments),
    ]
}

/// A role of the trial, whose name needs quotes.
fn role(database: &Database, attributes: &str) -> String {
    let name = format!("{} Zoë's \"app\"", database.name);
    execute(&mut database.connect(), &format!("create role {} login {attributes}", quoted(&name)));
    name
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn connect(database: &Database, role: &str) -> Client {
    let mut config = Config::new();
    config.host_path(&database.server.folder).dbname(&database.name).user(role);
    config.connect(NoTls).unwrap_or_else(|error| panic!("cannot connect as {role}: {error}"))
}

#[track_caller]
pub fn rows(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(s) from dbre.pool_sizing({arguments}) s");
    let rows: Vec<Value> = query(client, &sql).iter().map(|row| row.get(0)).collect();
    for (row, step) in rows.iter().zip(1..) {
        assert_eq!(row["step"], step);
        assert!(row["rests_on"].as_str().is_some_and(|text| !text.is_empty()), "{row:#}");
        assert_eq!(row["fix_sql"].is_string(), row["rollback_sql"].is_string() && row["risk"].is_string(), "{row:#}");
    }
    assert_eq!(rows[0]["part"], "answer");
    rows
}

#[track_caller]
pub fn row<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}: {rows:#?}"))
}

#[track_caller]
pub fn number(rows: &[Value], name: &str) -> f64 {
    row(rows, name)["value"].as_f64().unwrap_or_else(|| panic!("{name} is no number"))
}

fn has(rows: &[Value], name: &str) -> bool {
    rows.iter().any(|row| row["name"] == name)
}

/// Takes all connections of the pool at the same time, counts them, and shows that there is not one more.
pub const SYNCHRONOUS: &str = r#"
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
engine.pool._timeout = 0.2
most = engine.pool.size() + engine.pool._max_overflow
held = [engine.connect() for _ in range(most)]
names = {connection.execute(text("show application_name")).scalar() for connection in held}
pids = {connection.execute(text("select pg_backend_pid()")).scalar() for connection in held}
for n in range(20):
    for connection in reversed(held) if n % 3 else held:
        assert connection.execute(text("select cast(:n as int) + 1"), {"n": n}).scalar() == n + 1
        connection.commit()
try:
    engine.connect()
    print("one more")
except TimeoutError:
    print(engine.pool.size(), engine.pool._max_overflow, len(pids), *names)
"#;

pub const ASYNCHRONOUS: &str = r#"
import asyncio
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
async def main():
    engine.pool._timeout = 0.2
    most = engine.pool.size() + engine.pool._max_overflow
    held = [await engine.connect() for _ in range(most)]
    names = {(await connection.execute(text("show application_name"))).scalar() for connection in held}
    pids = {(await connection.execute(text("select pg_backend_pid()"))).scalar() for connection in held}
    for n in range(20):
        # Transactions that may each get another server, with what the driver has prepared.
        for connection in reversed(held) if n % 3 else held:
            assert (await connection.execute(text("select cast(:n as int) + 1"), {"n": n})).scalar() == n + 1
            await connection.commit()
    try:
        await engine.connect()
        print("one more")
    except TimeoutError:
        print(engine.pool.size(), engine.pool._max_overflow, len(pids), *names)
    for connection in held:
        await connection.close()
    await engine.dispose()
asyncio.run(main())
"#;

/// What the printed text and then `more` print, as an application at `host` would run them.
pub fn python(database: &Database, role: &str, host: &str, text: &Value, more: &str) -> String {
    let packages = Path::new(ROOT).join("target/python");
    assert!(packages.join("installed").exists(), "the client's Python packages are missing: run bin/setup");
    let text = text["config"].as_str().unwrap_or_else(|| panic!("no text: {text:#}"));
    let driver = if text.contains("asyncpg") { "postgresql+asyncpg" } else { "postgresql+psycopg" };
    let escaped: String = role.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1").arg("-");
    command.env("DATABASE_URL", format!("{driver}://{escaped}@/{}?host={host}", database.name));
    run(&mut command, &format!("{text}\n{more}")).trim().to_string()
}

fn engines(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    let rows = rows(&mut client, &format!("4, 2, 2, target_role => '{}'", role.replace('\'', "''")));
    assert_eq!(row(&rows, "api_pool_size")["value"], 2);
    assert_eq!(rows[0]["name"], "fits");
    let host = database.server.folder.display().to_string();
    for (name, more, process) in [
        ("api_engine", SYNCHRONOUS, "api"),
        ("background_engine", SYNCHRONOUS, "background"),
        ("api_async_engine", ASYNCHRONOUS, "api"),
        ("background_async_engine", ASYNCHRONOUS, "background"),
    ] {
        let printed = python(database, &role, &host, row(&rows, name), more);
        assert_eq!(printed, format!("2 1 3 {}-{process}", database.name), "{name}");
    }
}

/// Requests in threads, each of which takes a second connection once all hold their first.
const NESTED: &str = r#"
import threading
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError
def requests(number, pool_size, wait):
    engine = create_engine(os.environ["DATABASE_URL"], pool_size=pool_size, max_overflow=0, pool_timeout=wait)
    all_hold_one, failed = threading.Barrier(number), []
    def request():
        try:
            with engine.connect():
                all_hold_one.wait()
                with engine.connect():
                    pass
        except TimeoutError:
            failed.append(1)
    threads = [threading.Thread(target=request) for _ in range(number)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    engine.dispose()
    return len(failed)
print(requests(5, FLOOR, 60), requests(5, FLOOR - 1, 1) > 0)
"#;

fn deadlock_floor(database: &Database) {
    let role = role(database, "");
    let rows = rows(&mut database.connect(), "1, 2, 0, concurrent_requests_per_worker => 5");
    let floor = number(&rows, "deadlock_floor");
    assert!(number(&rows, "api_pool_size") >= floor);
    let host = database.server.folder.display().to_string();
    let printed =
        python(database, &role, &host, row(&rows, "api_engine"), &NESTED.replace("FLOOR", &floor.to_string()));
    assert_eq!(printed, "0 True", "with the floor {floor} none fails, with one less some do");
}

fn timeouts(database: &Database) {
    let role = role(database, "");
    let whose = format!("alter role {} in database {}", quoted(&role), database.name);
    let mut client = database.connect();
    // With what is measured, a longer one is replaced.
    execute(&mut client, "create extension pg_stat_statements");
    let mut session = connect(database, &role);
    (0..25).for_each(|_| execute(&mut session, "select 1"));
    execute(
        &mut client,
        &format!("{whose} set statement_timeout = '10min'; {whose} set idle_in_transaction_session_timeout = '20s'"),
    );
    let arguments = format!("4, 2, 2, target_role => '{}'", role.replace('\'', "''"));
    let advised = rows(&mut client, &arguments);
    let names = ["statement_timeout", "lock_timeout", "transaction_timeout"];
    let shown = |database: &Database| -> Vec<String> {
        let mut session = connect(database, &role);
        names.iter().map(|name| value(&mut session, &format!("show {name}"))).collect()
    };
    let before = shown(database);
    let left = row(&advised, "idle_in_transaction_session_timeout");
    assert!(
        left["fix_sql"].is_null() && left["rests_on"].as_str().unwrap().contains("20 s now, which is left"),
        "{left:#}"
    );
    for name in names {
        database.psql(row(&advised, name)["fix_sql"].as_str().unwrap());
    }
    assert_eq!(shown(database), ["30s", "5s", "5min"]);
    let again = rows(&mut client, &arguments);
    assert!(again.iter().all(|row| row["fix_sql"].is_null()), "{again:#?}");
    for name in names {
        database.psql(row(&advised, name)["rollback_sql"].as_str().unwrap());
    }
    assert_eq!(shown(database), before);
    // A superuser's sessions maintain the database.
    let of_superuser = rows(&mut client, "4, 2, 2, target_role => 'postgres'");
    assert!(of_superuser.iter().all(|row| row["fix_sql"].is_null()) && has(&of_superuser, "role_is_superuser"));
    let engine = row(&of_superuser, "api_async_engine")["config"].as_str().unwrap();
    assert!(!engine.contains("command_timeout") && !has(&of_superuser, "command_timeout"), "{engine}");
    // Each number that is printed has a row that says what it rests on.
    assert_eq!(number(&advised, "command_timeout"), 35.0);
    let printed = [("api_async_engine", "\"command_timeout\": 35,"), ("api_engine", "\"keepalives_idle\": 30,")];
    for (name, line) in printed {
        assert!(row(&advised, name)["config"].as_str().unwrap().contains(line), "{line}");
    }
    assert_eq!((number(&advised, "connect_timeout"), number(&advised, "keepalives_idle")), (5.0, 30.0));
}

/// What is in force for the role, and what comes of it: seconds of the four limits, and of which there is something to set.
fn timeouts_left(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    let arguments = format!("4, 1, 0, target_role => '{}'", role.replace('\'', "''"));
    let names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"];
    for (set, seconds, sets, command_timeout) in [
        ("", [30.0, 5.0, 60.0, 300.0], "slit", Some(35)),
        ("statement_timeout = '3s', transaction_timeout = '20s'", [3.0, 1.5, 10.0, 20.0], "li", Some(8)),
        ("statement_timeout = '5min', lock_timeout = 0", [300.0, 0.0, 60.0, 1200.0], "it", Some(305)),
        ("statement_timeout = 0", [0.0, 5.0, 60.0, 0.0], "li", None),
        ("idle_in_transaction_session_timeout = 0", [30.0, 5.0, 0.0, 0.0], "sl", Some(35)),
        ("idle_in_transaction_session_timeout = '20min'", [30.0, 5.0, 1200.0, 2400.0], "slt", Some(35)),
        ("transaction_timeout = '20s'", [18.0, 5.0, 10.0, 20.0], "sli", Some(23)),
        ("transaction_timeout = '1h'", [30.0, 5.0, 60.0, 3600.0], "sli", Some(35)),
        ("statement_timeout = '1s'", [1.0, 0.0, 60.0, 300.0], "it", Some(6)),
    ] {
        execute(&mut client, &format!("alter role {} reset all", quoted(&role)));
        for setting in set.split(", ").filter(|setting| !setting.is_empty()) {
            execute(&mut client, &format!("alter role {} set {setting}", quoted(&role)));
        }
        let advised = rows(&mut client, &arguments);
        assert_eq!(names.map(|name| number(&advised, name)), seconds, "{set}");
        for (name, letter) in names.iter().zip("slit".chars()) {
            assert_eq!(row(&advised, name)["fix_sql"].is_string(), sets.contains(letter), "{set}: {name}");
        }
        let engine = row(&advised, "api_async_engine")["config"].as_str().unwrap();
        let line = command_timeout.map(|seconds| format!("\"command_timeout\": {seconds},"));
        assert_eq!(engine.lines().map(str::trim).find(|line| line.contains("command_timeout")), line.as_deref());
        for fix in advised.iter().filter_map(|row| row["fix_sql"].as_str()) {
            database.psql(fix);
        }
        let again = rows(&mut client, &arguments);
        assert_eq!(names.map(|name| number(&again, name)), seconds, "{set}: once it is followed");
        assert!(again.iter().all(|row| row["fix_sql"].is_null()), "{set}: {again:#?}");
        execute(&mut client, &format!("alter role {} in database {} reset all", quoted(&role), database.name));
    }
    execute(&mut client, &format!("alter role {} reset all", quoted(&role)));
    let of_database = format!("alter database {} set", database.name);
    execute(&mut client, &format!("{of_database} statement_timeout = '10min'; {of_database} lock_timeout = 0"));
    let advised = rows(&mut client, &arguments);
    assert_eq!(names.map(|name| number(&advised, name)), [600.0, 0.0, 60.0, 2400.0]);
    for name in ["statement_timeout", "lock_timeout"] {
        let left = row(&advised, name);
        assert!(left["fix_sql"].is_null(), "{left:#}");
        assert!(left["rests_on"].as_str().unwrap().contains("set for the database itself: a decision"), "{left:#}");
    }
    execute(&mut client, &format!("alter database {} reset all", database.name));
    execute(&mut client, &format!("alter role {} set idle_session_timeout = '60s'", quoted(&role)));
    for (more, recycle, min_pool_size) in [
        ("pgbouncer => false", 30.0, None),
        ("pool_mode => 'session'", 30.0, Some(0.0)),
        ("pool_mode => 'transaction'", 1800.0, Some(0.0)),
    ] {
        let rows = rows(&mut client, &format!("{arguments}, {more}"));
        assert_eq!(number(&rows, "pool_recycle"), recycle, "{more}");
        assert!(has(&rows, "idle_session_timeout_set"));
        if let Some(least) = min_pool_size {
            assert_eq!(number(&rows, "min_pool_size"), least, "{more}");
            let ini = row(&rows, "pgbouncer_ini")["config"].as_str().unwrap();
            assert!(ini.contains("\n;server_idle_timeout = 30\n") && ini.contains(" min_pool_size=0 "), "{ini}");
        }
    }
}

fn limits(database: &Database) {
    let role = role(database, "connection limit 20");
    let mut client = database.connect();
    let arguments = format!("16, 1, 0, deploy_overlap => 1, target_role => '{}'", role.replace('\'', "''"));
    let slots = |client: &mut Client| number(&rows(client, &arguments), "slots");
    until_alone(&mut client);
    assert_eq!(slots(&mut client), 16.0, "80% of the role's limit");
    execute(&mut client, &format!("alter database {} connection limit 10", database.name));
    assert_eq!(slots(&mut client), 7.0, "80% of the database's limit, less the session that asks");
    let others: Vec<Client> = (0..3).map(|_| database.connect()).collect();
    let of_application: Vec<Client> = (0..2).map(|_| connect(database, &role)).collect();
    let limited = rows(&mut client, &arguments);
    assert_eq!(number(&limited, "slots"), 4.0, "less three others; the application's own do not count");
    assert_eq!(number(&limited, "connections_open_now"), 2.0);
    assert_eq!(limited[0]["name"], "fits_through_pgbouncer", "16 needed");
    assert!(number(&limited, "max_db_connections") <= 4.0);
    let direct = rows(&mut client, &format!("{arguments}, pgbouncer => false"));
    assert_eq!(direct[0]["name"], "does_not_fit");
    assert!(has(&direct, "demand_exceeds_slots") && has(&direct, "more_processes_than_slots"), "{direct:#?}");
    let by_session = rows(&mut client, &format!("{arguments}, pool_mode => 'session'"));
    assert_eq!((&by_session[0]["name"], number(&by_session, "does_not_fit")), (&"does_not_fit".into(), 16.0));
    let why = row(&by_session, "more_processes_than_slots")["rests_on"].as_str().unwrap();
    assert!(why.contains("FATAL: query_wait_timeout"), "{why}");
    drop((others, of_application));
    execute(&mut client, &format!("alter database {} connection limit 2", database.name));
    assert_eq!(number(&rows(&mut client, &arguments), "slots"), 0.0);
}

fn measured(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    execute(&mut connect(database, &role), "select pg_sleep(1)");
    execute(
        &mut client,
        "insert into dbre.workload_snapshots (taken_at, statements, calls, total_ms) values (now() - interval '100 s', 0, 0, 0)",
    );
    let mut open = connect(database, &role);
    execute(&mut open, "begin; select 1");
    // By default it is the role of the sessions that are here.
    let rows = rows(&mut client, "4, 2, 2");
    let assumed = row(&rows, "role_assumed")["rests_on"].as_str().unwrap();
    assert!(assumed.contains(&role), "{assumed}");
    let running = number(&rows, "statements_running_mean");
    assert!((0.005..0.05).contains(&running), "1 s in 100 s: {running}");
    assert_eq!(number(&rows, "connections_held_now"), 1.0);
    assert!(number(&rows, "connections_held_peak") >= 1.0, "what is held now is the least");
    let cores: i64 = value(&mut client, "select value::bigint from dbre.pool_sizing(1, 1, 1) where name = 'cores'");
    assert_eq!(cores as usize, std::thread::available_parallelism().unwrap().get());
    let given = self::rows(&mut client, "1, 1, 1, cores => 64");
    assert_eq!((number(&given, "statements_at_once"), row(&given, "cores")["basis"].as_str()), (129.0, Some("given")));
}

/// The pool mode that is advised, and the warnings.
fn advised(client: &mut Client, role: &str) -> (String, Vec<String>) {
    let arguments = format!("40, 1, 2, pgbouncer => true, target_role => '{}'", role.replace('\'', "''"));
    let rows = rows(client, &arguments);
    let mode = row(&rows, "pool_mode")["rests_on"].as_str().unwrap().split(':').next().unwrap().to_string();
    let warnings =
        rows.iter().filter(|row| row["part"] == "warning").map(|row| row["name"].as_str().unwrap().to_string());
    (mode, warnings.filter(|name| name.ends_with("its_session")).collect())
}

/// Migrations that set what they are told to, and asyncpg's own.
fn undecided(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    let mut session = connect(database, &role);
    (0..3).for_each(|_| execute(&mut session, "select 1"));
    let of = |mode: &str, warnings: &[&str]| (mode.to_string(), warnings.iter().map(|name| name.to_string()).collect());
    query(&mut session, "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new");
    session.query("SELECT set_config('jit', $1, false)", &[&"on"]).unwrap();
    assert_eq!(advised(&mut client, &role), of("transaction", &[]), "asyncpg, which asks for types");
    for text in ["SET statement_timeout = 0", "SET lock_timeout = '5s'", "SET work_mem TO DEFAULT"] {
        execute(&mut session, text);
        assert_eq!(advised(&mut client, &role), of("transaction", &["may_need_its_session"]), "{text}");
    }
    (0..21).for_each(|_| execute(&mut session, "SET work_mem = '5MB'"));
    assert_eq!(advised(&mut client, &role), of("session", &["needs_its_session", "may_need_its_session"]));
}

/// What pg_dump sets, prepares and leaves as its sessions' last statements.
fn dump(database: &Database) {
    let role = role(database, "superuser");
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; create type mood as enum ('calm'); create domain small as int check (value < 9); \
             create function f() returns int language sql as 'select 1'; create table t (id int, s small); \
             grant select (id) on t to {}",
            quoted(&role)
        ),
    );
    let dump = run(database.server.client("pg_dump").args(["-d", &database.name, "-U", &role]), "");
    assert!(dump.contains("CREATE FUNCTION"));
    let prepared: i64 = value(&mut client, "select count(*) from pg_stat_statements where query like 'PREPARE dump%'");
    assert!(prepared > 0);
    assert_eq!(advised(&mut client, &role), ("transaction".to_string(), vec!["may_need_its_session".to_string(); 3]));
}

/// pg_stat_statements has it of the role that is switched to.
fn set_role(database: &Database) {
    let (role, name) = (role(database, ""), &database.name);
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; create role {name}_reporting login; grant {name}_reporting to {}; \
             create role {name}_other login; create role {name}_gone; grant {name}_gone to postgres",
            quoted(&role)
        ),
    );
    let mut session = connect(database, &role);
    execute(&mut session, "select 1");
    let of = |mode: &str, warnings: &[&str]| (mode.to_string(), warnings.iter().map(|name| name.to_string()).collect());
    assert_eq!(advised(&mut client, &role), of("transaction", &[]));
    execute(&mut session, &format!("set role {name}_reporting"));
    assert_eq!(advised(&mut client, &role).0, "session", "it is what the session has run last");
    execute(&mut session, "reset role");
    execute(&mut session, "select 1");
    assert_eq!(advised(&mut client, &role), of("transaction", &["may_need_its_session"]));
    for innocent in ["reporting", "other"].map(|innocent| format!("{name}_{innocent}")) {
        execute(&mut database.connect_as(&innocent), "select 1");
        assert_eq!(advised(&mut client, &innocent), of("transaction", &[]), "{innocent}");
    }
    execute(&mut client, &format!("set role {name}_gone"));
    execute(&mut client, &format!("reset role; drop role {name}_gone"));
    assert!(advised(&mut client, "postgres").1.contains(&"may_need_its_session".to_string()));
    let mut other = database.connect_as(&format!("{name}_other"));
    execute(&mut other, "create temporary sequence s; select nextval('s')");
    execute(&mut other, "select lastval()");
    assert!(advised(&mut client, &format!("{name}_other")).1.contains(&"may_need_its_session".to_string()));
}

fn functions(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension pg_stat_statements;
         create function harmless() returns void language sql begin atomic select pg_advisory_xact_lock(1); end;
         create function listens() returns void language plpgsql as $$ begin listen jobs; end $$",
    );
    let mut session = connect(database, &role);
    execute(&mut session, "select harmless(); do $$ begin perform 1; end $$");
    assert_eq!(advised(&mut client, &role).0, "transaction");
    execute(&mut session, "select listens()");
    execute(&mut session, "select 1");
    assert_eq!(advised(&mut client, &role).0, "session");
    execute(&mut client, "drop function listens(); create function listens() returns int language sql as 'select 1'");
    assert_eq!(advised(&mut client, &role).0, "transaction");
    execute(&mut connect(database, &role), "do $$ begin execute 'listen jobs'; end $$");
    assert_eq!(advised(&mut client, &role).0, "session");
}

fn session_features(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements");
    let arguments =
        format!("40, 1, 2, instances => 4, pgbouncer => true, target_role => '{}'", role.replace('\'', "''"));
    let mode = |client: &mut Client, more: &str| {
        let rows = rows(client, &format!("{arguments}{more}"));
        let config = row(&rows, "pgbouncer_ini")["config"].as_str().unwrap();
        let mode = config.split_once(" pool_mode=").unwrap().1.split(' ').next().unwrap().to_string();
        (mode, has(&rows, "needs_its_session"))
    };
    assert_eq!(mode(&mut client, ""), ("transaction".to_string(), false));
    // Of which the server keeps no more than: select set_config($1, $2, $3).
    let mut tenant = connect(database, &role);
    execute(&mut tenant, "select set_config('app.tenant', '7', false)");
    execute(&mut tenant, "select 1");
    let asked = self::rows(&mut client, &arguments);
    let (why, may) = (row(&asked, "pool_mode"), row(&asked, "may_need_its_session"));
    assert!(why["rests_on"].as_str().unwrap().contains("do not say"), "{why:#}");
    assert!(may["rests_on"].as_str().unwrap().contains("1 call of 1 statement"), "{may:#}");
    assert_eq!(mode(&mut client, ""), ("transaction".to_string(), false));
    execute(&mut tenant, "select set_config('TimeZone', 'UTC', false)");
    assert_eq!(mode(&mut client, ""), ("transaction".to_string(), false));
    let mut listens = connect(database, &role);
    execute(&mut listens, "select pg_advisory_xact_lock(1)");
    assert_eq!(mode(&mut client, ""), ("transaction".to_string(), false));
    execute(&mut listens, "listen jobs");
    assert_eq!(mode(&mut client, ""), ("session".to_string(), true));
    assert_eq!(mode(&mut client, ", pool_mode => 'transaction'"), ("transaction".to_string(), true));
    let mut locks = connect(database, &role);
    execute(&mut locks, "select pg_advisory_lock(7)");
    let rows = rows(&mut client, &arguments);
    let told: Vec<&str> = rows
        .iter()
        .filter(|row| row["name"] == "needs_its_session")
        .filter_map(|row| row["rests_on"].as_str())
        .collect();
    assert!(told.iter().any(|text| text.contains("held now by 1 session in no transaction")), "{told:#?}");
}

fn without_rights(database: &Database) {
    let role = role(database, "");
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements; select 'a secret of postgres'");
    let plain = format!("{}_plain", database.name);
    execute(&mut client, &format!("create role {plain} login; grant usage on schema dbre to {plain}"));
    execute(
        &mut client,
        &format!(
            "grant execute on function dbre.pool_sizing(int, numeric, int, int, numeric, int, text, boolean, text, int, numeric) to {plain}"
        ),
    );
    let _application = connect(database, &role);
    let mut session = connect(database, &plain);
    execute(&mut session, "begin read only");
    let rows = rows(&mut session, "4, 2, 2");
    assert!(has(&rows, "sessions_hidden") && has(&rows, "not_read"), "{rows:#?}");
    assert!(row(&rows, "role_assumed")["rests_on"].is_string());
    assert!(number(&rows, "others") >= 2.0, "hidden sessions take slots, too");
    assert!(!format!("{rows:?}").contains("a secret"));
}

/// Their sessions go on.
fn dropped_roles(database: &Database) {
    let mut client = database.connect();
    let gone = format!("{}_gone", database.name);
    execute(&mut client, &format!("create role {gone} login superuser"));
    let mut sessions: Vec<Client> = (0..2).map(|_| database.connect_as(&gone)).collect();
    let assumed = |client: &mut Client| row(&rows(client, "4, 2, 2"), "role_assumed")["rests_on"].to_string();
    assert!(assumed(&mut client).contains(&gone));
    execute(&mut client, &format!("drop role {gone}"));
    assert!(assumed(&mut client).contains("it is postgres (nobody else"));
    let role = role(database, "");
    let application = connect(database, &role);
    assert!(assumed(&mut client).contains("Zoë"), "the next that there is");
    drop(application);
    // Who still may is the owner of all: PUBLIC.
    execute(
        &mut client,
        "grant usage on schema dbre to public; grant execute on all functions in schema dbre to public; \
         grant select on all tables in schema dbre to public",
    );
    drop(client);
    let mut own = sessions.pop().unwrap();
    drop(sessions);
    let (missing, named) = ("select * from dbre.pool_sizing(4, 2, 2)", "4, 2, 2, target_role => 'postgres'");
    wait_until("nobody else is connected", || {
        let others = "select count(*) from pg_stat_activity where datid = (select oid from pg_database where datname = \
                      current_database()) and pid <> pg_backend_pid()";
        value::<i64>(&mut own, others) == 0
    });
    let error = refused(&mut own, missing);
    assert_eq!(error.code().code(), "42704", "{error}");
    assert!(error.hint().unwrap_or_default().contains("target_role"), "{error}");
    rows(&mut own, named);
}

fn bad_arguments(database: &Database) {
    let (invalid, null) = ("22023", "22004");
    let mut client = database.connect();
    for (arguments, sqlstate, message, hint) in [
        ("null, 2, 2", null, "argument api_workers", "0 to 10000"),
        ("4, null, 2", null, "argument queries_per_request", "0.01 to 100"),
        ("4, 2, null", null, "argument background_workers", "0 to 10000"),
        ("-1, 2, 2", invalid, "argument api_workers is -1", "0 to 10000"),
        ("4, 0, 2", invalid, "argument queries_per_request is 0", "0.01 to 100"),
        ("4, 'NaN', 2", invalid, "argument queries_per_request is NaN", "0.01 to 100"),
        ("4, 'Infinity', 2", invalid, "argument queries_per_request", "0.01 to 100"),
        ("4, 1e300, 2", invalid, "argument queries_per_request", "0.01 to 100"),
        ("0, 2, 0", invalid, "api_workers and background_workers are both 0", "at least 1"),
        ("4, 2, 2, instances => 0", invalid, "argument instances is 0", "1 to 10000"),
        ("4, 2, 2, instances => null", null, "argument instances", "1 to 10000"),
        ("4, 2, 2, deploy_overlap => 0.5", invalid, "argument deploy_overlap is 0.5", "1 to 10"),
        (
            "4, 2, 2, concurrent_requests_per_worker => 0",
            invalid,
            "argument concurrent_requests_per_worker",
            "1 to 1000",
        ),
        ("4, 2, 2, target_role => 'nobody at all'", "42704", "role \"nobody at all\" does not exist", "not quoted"),
        ("4, 2, 2, target_role => ''", "42704", "argument target_role", "not quoted"),
        ("4, 2, 2, cores => 0", invalid, "argument cores is 0", "1 to 10000"),
        ("4, 2, 2, pool_mode => 'statement'", invalid, "argument pool_mode is \"statement\"", "transaction, session"),
        ("4, 2, 2, pool_mode => 'session', pgbouncer => false", invalid, "argument pgbouncer is false", "leave one"),
        ("4, 2, 2, target_utilization => 1.5", invalid, "argument target_utilization is 1.5", "0.1 to 1"),
        ("4, 2, 2, target_utilization => null", null, "argument target_utilization", "0.1 to 1"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.pool_sizing({arguments})"));
        assert_eq!(error.code().code(), sqlstate, "{arguments}: {error}");
        assert!(error.message().contains(message), "{arguments}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{arguments}: {:?}", error.hint());
    }
    // The largest that are allowed.
    let most = "10000, 100, 10000, instances => 10000, deploy_overlap => 10, concurrent_requests_per_worker => 1000";
    assert_eq!(rows(&mut client, &format!("{most}, pgbouncer => false"))[0]["name"], "does_not_fit");
    rows(&mut client, most);
}
