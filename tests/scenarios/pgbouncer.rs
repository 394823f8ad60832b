//! `dbre.pgbouncer_pressure()` before a real PgBouncer, and before what only pretends to be one.

use crate::bouncer::{Bouncer, Manner, console_in, folder_of, pretend};
use crate::server::{
    Database, Server, cancelled_after, execute, query, refused, shown, text, trial, value, wait_until,
};
use libtest_mimic::Trial;
use postgres::{Client, NoTls, SimpleQueryMessage};
use serde_json::Value;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "pgbouncer::saturated_by_open_transactions", saturated),
        trial(server, "pgbouncer::saturated_by_a_lock", blocked),
        trial(server, "pgbouncer::paused", |database| paused(database, &format!("PAUSE {}", database.name))),
        trial(server, "pgbouncer::all_paused", |database| paused(database, "PAUSE")),
        trial(server, "pgbouncer::waiting_to_be_let_in", waiting_to_be_let_in),
        trial(server, "pgbouncer::another_pool_has_the_connections", another_pool),
        trial(server, "pgbouncer::its_own_connect_query", connect_query),
        trial(server, "pgbouncer::the_server_refuses", server_refuses),
        trial(server, "pgbouncer::session_mode", session_mode),
        trial(server, "pgbouncer::set_by_the_user", set_by_the_user),
        trial(server, "pgbouncer::pools_made_smaller", pools_made_smaller),
        trial(server, "pgbouncer::size_of_another_user", size_of_another_user),
        trial(server, "pgbouncer::session_mode_where_it_must_stay", session_mode_where_it_must_stay),
        trial(server, "pgbouncer::forced_user", forced_user),
        trial(server, "pgbouncer::limits_of_clients", limits_of_clients),
        trial(server, "pgbouncer::idle_for_a_moment", idle_for_a_moment),
        trial(server, "pgbouncer::database_of_the_star", database_of_the_star),
        trial(server, "pgbouncer::disabled", disabled),
        trial(server, "pgbouncer::passwords_not_looked_up", passwords_not_looked_up),
        trial(server, "pgbouncer::arguments", arguments),
        trial(server, "pgbouncer::credentials", credentials),
        trial(server, "pgbouncer::no_answer", no_answer),
        trial(server, "pgbouncer::dies_in_the_middle", dies),
        trial(server, "pgbouncer::unknown_columns", unknown_columns),
    ]
}

fn prepare(database: &Database, settings: &str) -> (Bouncer, Client) {
    let mut client = database.connect();
    execute(&mut client, "create extension dblink");
    (Bouncer::start(database, settings), client)
}

/// Rows of the function, the pools among them; nothing is left open.
#[track_caller]
fn pressure(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(p) from dbre.pgbouncer_pressure({arguments}) p order by p.step");
    let rows = query(client, &sql).iter().map(|row| row.get(0)).collect();
    nothing_open(client);
    rows
}

#[track_caller]
fn nothing_open(client: &mut Client) {
    let schema: String =
        value(client, "select extnamespace::regnamespace::text from pg_extension where extname = 'dblink'");
    assert!(value::<bool>(client, &format!("select {schema}.dblink_get_connections() is null")));
}

#[track_caller]
fn finding<'a>(rows: &'a [Value], rule: &str) -> &'a Value {
    rows.iter().find(|row| row["rule"] == rule).unwrap_or_else(|| panic!("no {rule} in {}", shown(rows)))
}

fn pools(rows: &[Value]) -> Vec<&Value> {
    rows.iter().filter(|row| row["rule"].is_null()).collect()
}

fn client(bouncer: &Bouncer, database: &Database, user: &str, name: &str) -> Client {
    bouncer.config(&database.name, user).application_name(name).connect(NoTls).unwrap()
}

/// Connected first, as it would wait at login else.
fn send(mut client: Client, sql: &'static str) -> JoinHandle<()> {
    thread::spawn(move || drop(client.batch_execute(sql)))
}

fn saturated(database: &Database) {
    let mut control = database.connect();
    execute(&mut control, "create schema \"Ext\"; create extension dblink schema \"Ext\"");
    let bouncer = Bouncer::start(database, "pool_mode = transaction\ndefault_pool_size = 2");
    let clients: Vec<Client> =
        (0..10).map(|number| client(&bouncer, database, "postgres", ["web", "worker"][number / 6])).collect();
    let mut clients = clients.into_iter();
    let holders: Vec<Client> = clients.by_ref().take(2).collect();
    let holders: Vec<Client> = holders
        .into_iter()
        .map(|mut holder| {
            execute(&mut holder, "begin; create temp table t () on commit drop; select 'the last one'");
            holder
        })
        .collect();
    let waiters: Vec<_> = clients.map(|waiter| send(waiter, "select 1")).collect();
    wait_until("8 clients wait", || bouncer.clients_waiting() == 8);
    thread::sleep(Duration::from_millis(1100));

    let dsn = format!("'{}'", bouncer.dsn());
    execute(&mut control, "begin read only");
    let rows = pressure(&mut control, &dsn);
    execute(&mut control, "commit");
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(text(waiting, "severity"), "high", "{waiting:#}");
    let evidence = &waiting["evidence"];
    assert_eq!(evidence["root"], "pool_full", "{waiting:#}");
    assert_eq!(evidence["clients_waiting"], 8);
    assert_eq!(evidence["sessions_idle_in_transaction"], 2, "{waiting:#}");
    assert_eq!(
        evidence["idle_in_transaction"][0]["last_statement"],
        "begin; create temp table t () on commit drop; select 'the last one'"
    );
    let holder = &evidence["idle_in_transaction"][0];
    assert_eq!((text(holder, "application_name"), text(holder, "client_address")), ("web", "unix"), "{waiting:#}");
    assert!(text(waiting, "cause").contains("2 are idle in a transaction"), "{waiting:#}");
    assert!(text(waiting, "cause").contains("Those that wait: 4 of web at unix, 4 of worker at unix."), "{waiting:#}");
    let of_web = &evidence["waiting"][0];
    assert_eq!((&of_web["clients"], text(of_web, "application_name")), (&4.into(), "web"), "{waiting:#}");
    assert!(of_web["longest_wait_seconds"].as_f64().unwrap() >= 1.0, "{waiting:#}");
    assert!(waiting["fix_sql"].is_null(), "too young to be ended: {waiting:#}");
    let [pool] = pools(&rows)[..] else { panic!("{}", shown(&rows)) };
    assert_eq!((&pool["cl_waiting"], &pool["sv_active"], &pool["pool_size"]), (&8.into(), &2.into(), &2.into()));
    assert_eq!((&pool["database"], text(pool, "user_name")), (&database.name.as_str().into(), "postgres"));
    assert!(pool["maxwait_seconds"].as_f64().unwrap() >= 1.0 && pool["severity"].is_null(), "{pool:#}");

    // The whole server's look has it too.
    let whole = format!("select to_jsonb(p) from dbre.pool_pressure(pgbouncer => {dsn}) p");
    let whole: Vec<Value> = query(&mut control, &whole).iter().map(|row| row.get(0)).collect();
    let same = finding(&whole, "pgbouncer_clients_waiting");
    assert_eq!(same["fingerprint"], waiting["fingerprint"]);

    execute(
        &mut control,
        "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"left_open_seconds\": 1, \"critical_share\": 0.001}')",
    );
    let rows = pressure(&mut control, &dsn);
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(text(waiting, "severity"), "critical");
    database.psql(text(waiting, "fix_sql"));
    assert!(text(waiting, "risk").contains("rolled back"), "{waiting:#}");
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    let freed: Vec<bool> = query(&mut control, text(waiting, "verify_sql")).iter().map(|row| row.get(0)).collect();
    assert_eq!(freed, [true, true]);
    assert_eq!(bouncer.clients_waiting(), 0);
    drop(holders);
}

fn blocked(database: &Database) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction\ndefault_pool_size = 2");
    execute(&mut control, "create table t (a int)");
    let clients: Vec<Client> = (0..3).map(|_| client(&bouncer, database, "postgres", "web")).collect();
    let mut blocker = database.connect();
    execute(&mut blocker, "begin; lock table t");
    let waiters: Vec<_> = clients.into_iter().map(|client| send(client, "select * from t")).collect();
    let blocked =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    wait_until("two wait for the lock", || value::<i64>(&mut control, blocked) == 2);
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    execute(&mut control, "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}')");
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["sessions_waiting_for_locks"], 2, "{waiting:#}");
    // DISABLE refuses new clients: nobody waits because of it.
    bouncer.console().simple_query(&format!("DISABLE {}", database.name)).unwrap();
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    assert_eq!(finding(&rows, "pgbouncer_clients_waiting")["evidence"]["root"], "pool_full", "{}", shown(&rows));
    assert!(text(waiting, "cause").contains("2 wait for locks"), "{waiting:#}");
    execute(&mut blocker, "rollback");
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

fn paused(database: &Database, pause: &str) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction");
    let waiter = client(&bouncer, database, "postgres", "web");
    let mut console = bouncer.console();
    console.simple_query(pause).unwrap();
    let waiter = send(waiter, "select 1");
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    execute(&mut control, "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}')");
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["root"], "paused", "{waiting:#}");
    let out = finding(&rows, "pgbouncer_database_out_of_service");
    assert!(text(out, "severity") == "high" && text(out, "summary").contains("1 client waits"), "{out:#}");
    assert_eq!(out["app_fix"], waiting["app_fix"]);
    console.simple_query(console_command(waiting)).unwrap();
    waiter.join().unwrap();
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    assert!(rows.iter().all(|row| row["rule"] != "pgbouncer_database_out_of_service"), "{}", shown(&rows));
}

#[track_caller]
fn console_command(finding: &Value) -> &str {
    text(finding, "app_fix").split_once("On the console: ").unwrap().1
}

fn disabled(database: &Database) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction");
    let mut web = client(&bouncer, database, "postgres", "web");
    execute(&mut web, "select pg_advisory_lock(1)");
    let mut console = bouncer.console();
    console.simple_query(&format!("DISABLE {}", database.name)).unwrap();
    let refused = bouncer.config(&database.name, "postgres").connect(NoTls).err().expect("no new clients");
    assert!(refused.as_db_error().is_some_and(|error| error.message().contains("is disabled")), "{refused}");
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let out = finding(&rows, "pgbouncer_database_out_of_service");
    assert!(text(out, "severity") == "high" && text(out, "cause").contains("1 is connected"), "{out:#}");
    assert!(rows.iter().all(|row| row["rule"] != "pgbouncer_features_break"), "{}", shown(&rows));
    console.simple_query(console_command(out)).unwrap();
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    assert!(rows.iter().all(|row| row["rule"] != "pgbouncer_database_out_of_service"), "{}", shown(&rows));
    finding(&rows, "pgbouncer_features_break");

    // Its clients are gone, which were in it a moment ago.
    drop(web);
    console.simple_query(&format!("DISABLE {}", database.name)).unwrap();
    wait_until("it is gone", || {
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        let out = finding(&rows, "pgbouncer_database_out_of_service");
        assert_eq!(text(out, "severity"), "high", "{out:#}");
        out["evidence"]["clients"] == 0
    });
}

/// A role of its own, which the PgBouncer knows.
fn pooled_role(database: &Database, bouncer: &Bouncer, control: &mut Client) -> String {
    let role = format!("{}_app", database.name);
    std::fs::write(bouncer.folder.join("users"), format!("\"postgres\" \"\"\n\"{role}\" \"\"\n")).unwrap();
    bouncer.console().simple_query("RELOAD").unwrap();
    execute(control, &format!("create role {role} login"));
    role
}

/// What a line of [users] sets wins over the database's.
fn set_by_the_user(database: &Database) {
    let role = format!("{}_app", database.name);
    let users = format!("[users]\n{role} = pool_mode=session pool_size=2\npostgres = pool_size=1");
    let (bouncer, mut control) = prepare(database, &format!("pool_mode = transaction\n{users}"));
    pooled_role(database, &bouncer, &mut control);
    for (rule, options) in [
        ("pgbouncer_clients_waiting", r#"{"min_seconds": 0}"#),
        ("pgbouncer_session_pooling", r#"{"min_idle_seconds": 0, "min_connections": 2}"#),
    ] {
        execute(&mut control, &format!("select dbre.configure_rule('{rule}', options => '{options}')"));
    }
    let mut kept: Vec<Client> = (0..2).map(|_| client(&bouncer, database, &role, "kept")).collect();
    kept.iter_mut().for_each(|client| execute(client, "select 1"));
    let waiter = send(client(&bouncer, database, &role, "waiter"), "select 1");
    execute(&mut control, "select pg_advisory_lock(1)");
    let [blocked, behind] = [(); 2].map(|_| client(&bouncer, database, "postgres", "jobs"));
    let blocked = send(blocked, "select pg_advisory_lock(1)");
    wait_until("it is blocked", || {
        let waits =
            "select count(*) from pg_stat_activity where wait_event = 'advisory' and datname = current_database()";
        value::<i64>(&mut control, waits) == 1
    });
    let behind = send(behind, "select 1");
    wait_until("two clients wait", || bouncer.clients_waiting() == 2);
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let of = |rule: &str, user: &str| {
        let object = format!("PgBouncer pool {}/{user}", database.name);
        rows.iter()
            .find(|row| row["rule"] == rule && text(row, "object") == object)
            .unwrap_or_else(|| panic!("no {rule} of {object} in {}", shown(&rows)))
    };
    for (rule, user, line) in [
        ("pgbouncer_clients_waiting", role.as_str(), format!("[users] {role} = … pool_mode=transaction")),
        ("pgbouncer_session_pooling", &role, format!("[users] {role} = … pool_mode=transaction")),
        ("pgbouncer_clients_waiting", "postgres", "[users] postgres = … pool_size=…".to_string()),
    ] {
        let found = of(rule, user);
        assert!(text(found, "app_fix").contains(&line), "{found:#}");
    }
    execute(&mut control, "select pg_advisory_unlock(1)");
    drop(kept);
    [waiter, blocked, behind].into_iter().for_each(|client| client.join().unwrap());
    drop(bouncer);
    execute(&mut control, &format!("drop role {role}"));
}

/// Whoever changes the lines that are named is rid of the finding.
fn pools_made_smaller(database: &Database) {
    let (name, role) = (&database.name, format!("{}_app", database.name));
    let line = |other: &str| {
        let folder = database.server.folder.display();
        format!("[databases]\n{name}_{other} = host={folder} port=5432 dbname={name}")
    };
    let own = format!("{} pool_size=1500\n[users]\n{role} = pool_size=2000", line("own"));
    for settings in [
        "default_pool_size = 1000\nreserve_pool_size = 3".to_string(),
        "default_pool_size = 1000\nreserve_pool_size = 900".to_string(),
        "default_pool_size = 0".to_string(),
        "default_pool_size = 2\nreserve_pool_size = 900".to_string(),
        format!("default_pool_size = 1000\nreserve_pool_size = 5\n{own}"),
        format!("default_pool_size = 1000\n{}", own.replace(" pool_size=1500", " max_db_connections=50")),
    ] {
        let mut control = database.connect();
        execute(&mut control, "create extension if not exists dblink");
        let bouncer = Bouncer::start(database, &format!("pool_mode = transaction\n{settings}"));
        let mut clients = vec![client(&bouncer, database, "postgres", "web")];
        if settings.contains("_own") {
            pooled_role(database, &bouncer, &mut control);
            clients.push(client(&bouncer, database, &role, "web"));
            clients.push(bouncer.config(&format!("{name}_own"), "postgres").connect(NoTls).unwrap());
        }
        clients.iter_mut().for_each(|client| execute(client, "select 1"));
        // Room for two connections, of three pools.
        let share = if settings.contains("max_db_connections") {
            "2.5 / current_setting('max_connections')::float"
        } else {
            "1"
        };
        execute(
            &mut control,
            &format!(
                "select dbre.configure_rule('pgbouncer_pool_larger_than_server', options => jsonb_build_object('max_share', {share}))"
            ),
        );
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        let fix = text(finding(&rows, "pgbouncer_pool_larger_than_server"), "app_fix");
        let ini = bouncer.folder.join("pgbouncer.ini");
        let mut changed = std::fs::read_to_string(&ini).unwrap();
        let lines = fix.strip_prefix("pgbouncer.ini: ").unwrap().split_once(';').unwrap().0;
        let lines = lines.split_once(" (").map_or(lines, |(lines, _)| lines).replace(" and ", ", ");
        for line_of in lines.split(", ") {
            let (place, value) = line_of.rsplit_once('=').unwrap();
            let value = value.trim();
            match place.split_once(" = … ") {
                None => {
                    changed = changed.lines().filter(|line| !line.starts_with(place)).collect::<Vec<_>>().join("\n");
                    changed = changed.replace("[pgbouncer]", &format!("[pgbouncer]\n{place} = {value}"));
                }
                Some((place, key)) if place.starts_with("[users]") => {
                    assert_eq!(place, format!("[users] {role}"), "{fix}");
                    changed += &format!("\n[users]\n{role} = {key}={value}\n");
                }
                Some((place, key)) => {
                    assert_eq!(place, format!("[databases] {name}_own"), "{fix}");
                    changed += &format!("\n{} {key}={value}\n", line("own"));
                }
            }
        }
        std::fs::write(&ini, changed).unwrap();
        bouncer.console().simple_query("RELOAD").unwrap();
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        let left: Vec<&Value> = rows.iter().filter(|row| row["rule"] == "pgbouncer_pool_larger_than_server").collect();
        assert!(left.is_empty(), "{settings}: {fix}: {left:#?}");
        drop((clients, bouncer));
        execute(&mut control, &format!("drop role if exists {role}"));
    }
}

/// SHOW USERS repeats what the user before has set.
fn size_of_another_user(database: &Database) {
    let settings = "pool_mode = transaction\ndefault_pool_size = 2\n[users]\naaa = pool_size=10";
    let (bouncer, mut control) = prepare(database, settings);
    execute(
        &mut control,
        "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}');
         select dbre.configure_rule('pgbouncer_pool_larger_than_server',
             options => jsonb_build_object('max_share', 1.5 / current_setting('max_connections')::float))",
    );
    let mut clients = [(); 3].map(|_| client(&bouncer, database, "postgres", "web"));
    clients[..2].iter_mut().for_each(|holder| execute(holder, "begin; select 1"));
    let [holder, another, waiter] = clients;
    let waiter = send(waiter, "select 1");
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["root"], "pool_full", "{waiting:#}");
    let larger = finding(&rows, "pgbouncer_pool_larger_than_server");
    assert_eq!(larger["evidence"]["may_take_connections"], 2, "{larger:#}");
    assert!(text(larger, "app_fix").contains("default_pool_size = 1"), "{larger:#}");
    assert!(!shown(&rows).contains("[users] postgres"), "{}", shown(&rows));
    drop((holder, another));
    waiter.join().unwrap();
}

/// Clients that follow the advice keep what they need, and none waits.
fn session_mode_where_it_must_stay(database: &Database) {
    let name = &database.name;
    let broken = |settings: &str| {
        let mut control = database.connect();
        execute(&mut control, "create extension if not exists dblink");
        let bouncer = Bouncer::start(database, settings);
        let mut jobs = [(); 3].map(|_| client(&bouncer, database, "postgres", "job"));
        execute(&mut jobs[0], "select pg_advisory_lock(1)");
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        (bouncer, text(finding(&rows, "pgbouncer_features_break"), "app_fix").to_string())
    };
    let (bouncer, advised) = broken("pool_mode = transaction\ndefault_pool_size = 2");
    let line = format!("[databases] {name}_session = … dbname={name} pool_mode=session pool_size=3");
    assert!(advised.contains(&line), "{advised}");
    let ini = bouncer.folder.join("pgbouncer.ini");
    let mut changed = std::fs::read_to_string(&ini).unwrap();
    let (place, settings) = line.split_once(" … ").unwrap();
    let server = database.server.folder.display();
    changed += &format!("\n{} host={server} port=5432 {settings}\n", place.replace("] ", "]\n"));
    std::fs::write(&ini, changed).unwrap();
    bouncer.console().simple_query("RELOAD").unwrap();
    let mut jobs = [(); 3].map(|_| bouncer.config(&format!("{name}_session"), "postgres").connect(NoTls).unwrap());
    jobs.iter_mut().for_each(|job| execute(job, "set statement_timeout = '10 s'; select pg_advisory_lock_shared(2)"));
    assert_eq!(bouncer.clients_waiting(), 0);
    drop((jobs, bouncer));

    let (_bouncer, advised) = broken("[users]\npostgres = pool_mode=transaction");
    assert!(advised.contains("[users] postgres = … pool_mode=session"), "{advised}");
    assert!(advised.contains("every database") && advised.contains("pool_size=3"), "{advised}");
}

/// Its pool is the forced user's, whoever logs in.
fn forced_user(database: &Database) {
    let (name, server) = (&database.name, database.server.folder.display());
    let forced = format!("{name}_forced");
    let (bouncer, mut control) = prepare(
        database,
        &format!(
            "pool_mode = transaction\ndefault_pool_size = 1\n\
             [databases]\n{forced} = host={server} port=5432 dbname={name} user=postgres\n\
             [users]\napp = max_user_client_connections=2"
        ),
    );
    execute(&mut control, "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}')");
    let [mut holder, waiter] =
        ["holder", "waiter"].map(|name| bouncer.config(&forced, "app").application_name(name).connect(NoTls).unwrap());
    execute(&mut holder, "begin; select 1");
    let waiter = send(waiter, "select 1");
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    let evidence = &waiting["evidence"];
    assert_eq!(evidence["waiting"][0]["application_name"], "waiter", "{waiting:#}");
    assert_eq!(evidence["idle_in_transaction"][0]["client_address"], "unix", "{waiting:#}");
    let full = finding(&rows, "pgbouncer_client_limit_near");
    assert_eq!(text(full, "object"), "PgBouncer max_user_client_connections of user app");
    assert_eq!(full["evidence"]["clients_waiting"], 1, "{full:#}");
    let line = "[users] app = … max_user_client_connections=4";
    assert!(text(full, "app_fix").starts_with(&format!("pgbouncer.ini: {line} (")), "{full:#}");
    drop(holder);
    waiter.join().unwrap();
}

/// Each is advised as the line that raises it for the one that is near it.
fn limits_of_clients(database: &Database) {
    let (name, server) = (&database.name, database.server.folder.display());
    let own = format!("{name}_own");
    let line = format!("{own} = host={server} port=5432 dbname={name} max_db_client_connections=2");
    for (settings, connected, expected) in [
        (
            "max_db_client_connections = 2".to_string(),
            name,
            format!("[databases] {name} = … max_db_client_connections=4"),
        ),
        (format!("[databases]\n{line}"), &own, format!("[databases] {own} = … max_db_client_connections=4")),
    ] {
        let mut control = database.connect();
        execute(&mut control, "create extension if not exists dblink");
        let bouncer = Bouncer::start(database, &settings);
        let clients = [(); 2].map(|_| bouncer.config(connected, "postgres").connect(NoTls).unwrap());
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        let near = finding(&rows, "pgbouncer_client_limit_near");
        assert!(text(near, "app_fix").starts_with(&format!("pgbouncer.ini: {expected} (")), "{near:#}");
        drop(clients);
    }
}

/// What holds the pool is what most of its sessions are at, not what one of them happens to be at.
fn idle_for_a_moment(database: &Database) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction\ndefault_pool_size = 4");
    execute(&mut control, "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}')");
    let mut quick = client(&bouncer, database, "postgres", "quick");
    let clients = [(); 4].map(|_| client(&bouncer, database, "postgres", "web"));
    let [waiter, slow @ ..] = clients;
    execute(&mut quick, "begin; select 1");
    let slow = slow.map(|client| send(client, "select pg_sleep(600)"));
    let sleeping =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    wait_until("three are slow", || value::<i64>(&mut control, sleeping) == 3);
    let waiter = send(waiter, "select 1");
    wait_until("it has waited for long", || {
        let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        let waiting = rows.iter().find(|row| row["rule"] == "pgbouncer_clients_waiting");
        waiting.is_some_and(|row| row["evidence"]["longest_wait_seconds"].as_f64().unwrap() >= 3.0)
    });
    execute(&mut quick, "select 2");
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["sessions_idle_in_transaction"], 1, "{waiting:#}");
    assert!(text(waiting, "app_fix").starts_with("Shorten what holds the connections"), "{waiting:#}");
    drop((quick, bouncer));
    execute(
        &mut control,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    );
    [waiter].into_iter().chain(slow).for_each(|client| client.join().unwrap());
}

/// PgBouncer forgets the database when it is idle, and keeps its pools.
fn database_of_the_star(database: &Database) {
    let server = database.server.folder.display();
    let star = format!("default_pool_size = 7\nserver_idle_timeout = 1\n[databases]\n* = host={server} port=5432");
    let (bouncer, mut control) = prepare(database, &star);
    execute(&mut bouncer.config("postgres", "postgres").connect(NoTls).unwrap(), "select 1");
    let mut console = bouncer.console();
    wait_until("the database is no longer shown", || {
        let shown = console.simple_query("SHOW DATABASES").unwrap();
        let is_star = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get("name") == Some("postgres"));
        !shown.iter().any(is_star)
    });
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let of_star = pools(&rows).into_iter().find(|pool| pool["database"] == "postgres");
    let of_star = of_star.unwrap_or_else(|| panic!("no such pool: {}", shown(&rows)));
    assert_eq!(of_star["pool_size"], 7, "{of_star:#}");
    assert!(text(of_star, "summary").contains("of 7 server connections"), "{of_star:#}");
}

/// PgBouncer counts no wait of clients whose pool has no connection yet.
fn waiting_to_be_let_in(database: &Database) {
    let nowhere = "pool_mode = transaction\n[databases]\nnowhere = host=/nowhere port=1";
    let (bouncer, mut control) = prepare(database, nowhere);
    let config = bouncer.config("nowhere", "postgres");
    let waiter = thread::spawn(move || drop(config.connect(NoTls)));
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    thread::sleep(Duration::from_millis(2100));
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["root"], "server_connections_not_opened", "{waiting:#}");
    assert!((1.0..30.0).contains(&waiting["evidence"]["longest_wait_seconds"].as_f64().unwrap()), "{waiting:#}");
    drop(bouncer);
    waiter.join().unwrap();
}

/// While PgBouncer looks a client's password up it does not say whose.
fn passwords_not_looked_up(database: &Database) {
    let settings = "auth_type = md5\nauth_user = postgres\npool_mode = transaction\nmax_db_connections = 1\n\
                    auth_query = select rolname::text, rolpassword::text from pg_authid where rolname = $1";
    let (bouncer, mut control) = prepare(database, settings);
    let roles = ["holder", "waiter"].map(|name| format!("{}_{name}", database.name));
    execute(&mut control, "set password_encryption = 'md5'");
    roles.iter().for_each(|role| execute(&mut control, &format!("create role {role} login password 'secret'")));
    execute(
        &mut control,
        "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"left_open_seconds\": 0}')",
    );
    let mut holder = client(&bouncer, database, &roles[0], "web");
    execute(&mut holder, "begin; select 1");
    let config = bouncer.config(&database.name, &roles[1]);
    let waiter = thread::spawn(move || config.connect(NoTls).map(drop).unwrap());
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    thread::sleep(Duration::from_millis(2100));
    let rows = pressure(&mut control, &format!("'{} password=secret'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(text(waiting, "object"), format!("PgBouncer pool {}/postgres", database.name));
    assert_eq!(waiting["evidence"]["root"], "database_limit", "{waiting:#}");
    assert!(text(waiting, "cause").contains("1 client waits to log in"), "{waiting:#}");
    assert!((1.0..30.0).contains(&waiting["evidence"]["longest_wait_seconds"].as_f64().unwrap()), "{waiting:#}");
    database.psql(text(waiting, "fix_sql"));
    waiter.join().unwrap();
    drop((holder, bouncer));
    execute(&mut control, &format!("drop role {}", roles.join(", ")));
}

fn another_pool(database: &Database) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction\nmax_db_connections = 1");
    let role = pooled_role(database, &bouncer, &mut control);
    execute(
        &mut control,
        "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0, \"left_open_seconds\": 0}')",
    );
    let mut holder = client(&bouncer, database, &role, "holder");
    execute(&mut holder, "begin; select 1");
    let config = bouncer.config(&database.name, "postgres");
    let waiter = thread::spawn(move || drop(config.connect(NoTls)));
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert_eq!(waiting["evidence"]["root"], "database_limit", "{waiting:#}");
    assert!(
        text(waiting, "cause").contains(&format!("Pool {}/{role} has most of them: 1.", database.name)),
        "{waiting:#}"
    );
    database.psql(text(waiting, "fix_sql"));
    waiter.join().unwrap();
    drop((holder, bouncer));
    execute(&mut control, &format!("drop role {role}"));
}

fn connect_query(database: &Database) {
    let (name, folder) = (&database.name, database.server.folder.display());
    let line =
        format!("host={folder} port=5432 dbname={name} connect_query='set statement_timeout to 60000' min_pool_size=2");
    let (bouncer, mut control) = prepare(database, &format!("pool_mode = transaction\n[databases]\n{name}_q = {line}"));
    let mut web = bouncer.config(&format!("{name}_q"), "postgres").connect(NoTls).unwrap();
    execute(&mut web, "select 1");
    let opened =
        "select count(*) from pg_stat_activity where datname = current_database() and query like 'set statement%'";
    wait_until("it has opened one more", || value::<i64>(&mut control, opened) > 0);
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    assert!(rows.iter().all(|row| row["rule"] != "pgbouncer_features_break"), "{}", shown(&rows));
    assert_eq!(pools(&rows).len(), 1, "{}", shown(&rows));
}

fn server_refuses(database: &Database) {
    let (bouncer, mut control) = prepare(database, "pool_mode = transaction\ndefault_pool_size = 5");
    let role = pooled_role(database, &bouncer, &mut control);
    execute(&mut control, &format!("alter role {role} connection limit 1"));
    let mut holder = client(&bouncer, database, &role, "holder");
    let waiter = client(&bouncer, database, &role, "waiter");
    execute(&mut holder, "begin");
    let waiter = send(waiter, "select 1");
    wait_until("a client waits", || bouncer.clients_waiting() == 1);
    execute(&mut control, "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}')");
    // While it tries there is one that logs in; it is refused at once.
    let mut rows = Vec::new();
    wait_until("it was refused", || {
        rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
        rows.iter().any(|row| row["evidence"]["root"] == "server_connections_not_opened")
    });
    let waiting = finding(&rows, "pgbouncer_clients_waiting");
    assert!(text(waiting, "cause").contains(&format!("CONNECTION LIMIT 1 of role {role}")), "{waiting:#}");
    drop((holder, bouncer));
    waiter.join().unwrap();
    execute(&mut control, &format!("drop role {role}"));
}

fn session_mode(database: &Database) {
    let (bouncer, mut control) =
        prepare(database, "pool_mode = session\ndefault_pool_size = 2\nmax_prepared_statements = 0");
    execute(
        &mut control,
        "select dbre.configure_rule('pgbouncer_session_pooling', options => '{\"min_idle_seconds\": 0, \"min_connections\": 2}')",
    );
    let mut kept: Vec<Client> = (0..2).map(|_| client(&bouncer, database, "postgres", "kept")).collect();
    kept.iter_mut().for_each(|client| execute(client, "select 1"));
    execute(&mut kept[0], "listen jobs");
    let rows = pressure(&mut control, &format!("'{}'", bouncer.dsn()));
    let idle = finding(&rows, "pgbouncer_session_pooling");
    assert_eq!(idle["evidence"]["connections_idle"], 2, "{idle:#}");
    assert!(text(idle, "app_fix").contains("would break LISTEN"), "{idle:#}");
    let rules: Vec<&str> = rows.iter().map(|row| text(row, "rule")).collect();
    assert!(!rules.contains(&"pgbouncer_features_break"), "nothing breaks in session mode: {}", shown(&rows));
    assert!(!rules.contains(&"pgbouncer_prepared_statements_not_tracked"), "{}", shown(&rows));
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    let call = |argument: &str| format!("select * from dbre.pgbouncer_pressure({argument})");
    let code = |client: &mut Client, argument: &str| {
        let error = refused(client, &call(argument));
        assert!(error.hint().is_some(), "{argument}: no hint: {error}");
        (error.code().code().to_string(), error.message().to_string())
    };
    let (state, message) = code(&mut client, "'host=/nowhere'");
    assert!(state == "55000" && message.contains("dblink"), "{state} {message}");
    execute(&mut client, "create extension dblink");
    for (argument, expected, says) in [
        ("null", "22004", "argument pgbouncer is NULL"),
        ("''", "22023", "argument pgbouncer is empty"),
        ("' '", "22023", "argument pgbouncer is empty"),
        ("'host=/nowhere', null", "22004", "argument time_limit is NULL"),
        ("'host=/nowhere', '0 s'", "22023", "argument time_limit"),
        ("'no_such_server'", "22023", "neither a foreign server"),
        ("'password=hunter2 hunter3 host=/nowhere'", "22023", "neither a foreign server"),
        ("'postgresql://u:hunter2@[::1'", "22023", "neither a foreign server"),
        ("'hunter2=hunter3'", "22023", "neither a foreign server"),
        ("'host=/nowhere password=hunter2'", "08001", "cannot be reached"),
        ("'host=no.such.host.invalid password=hunter2'", "08001", "cannot be reached"),
        // A password that is taken for a host, a port, or another setting.
        ("'postgresql://u:x@hunter2@127.0.0.1:1/pgbouncer'", "08001", "the name of its host has no address"),
        ("'postgresql://u:hunter2/x@127.0.0.1:1/pgbouncer'", "22023", "neither a foreign server"),
        ("'postgresql://u:1/hunter2@127.0.0.1:1/pgbouncer'", "08001", "cannot be reached"),
        ("'host=127.0.0.1 sslmode=hunter2'", "22023", "neither a foreign server"),
        ("'service=hunter2'", "22023", "neither a foreign server"),
        ("'host=/hunter2'", "08001", "cannot be reached: No such file or directory"),
    ] {
        let (state, message) = code(&mut client, argument);
        assert_eq!(state, expected, "{argument}: {message}");
        assert!(message.contains(says) && !message.contains("hunter"), "{argument}: {message}");
        nothing_open(&mut client);
    }
    let whole =
        "select to_jsonb(p) from dbre.pool_pressure(pgbouncer => 'postgresql://u:x@hunter2@127.0.0.1:1/pgbouncer') p";
    let rows: Vec<Value> = query(&mut client, whole).iter().map(|row| row.get(0)).collect();
    let not_read = finding(&rows, "activity_not_read");
    assert!(text(not_read, "summary").contains("PgBouncer's console cannot be reached"), "{not_read:#}");
    assert!(!not_read.to_string().contains("hunter"), "{not_read:#}");
    let postgres = format!("'host={} dbname={} user=postgres'", database.server.folder.display(), database.name);
    let (state, message) = code(&mut client, &postgres);
    assert!(state == "22023" && message.contains("does not lead to PgBouncer's console"), "{state} {message}");
    nothing_open(&mut client);

    let bouncer = Bouncer::start(database, "auth_type = scram-sha-256\nmax_client_conn = 1");
    let dsn = |user: &str, name: &str, password: &str| {
        format!("'host={} port=6432 dbname={name} user={user} password={password}'", bouncer.folder.display())
    };
    let (state, message) = code(&mut client, &dsn("postgres", "pgbouncer", "wrong"));
    assert!(state == "08001" && !message.contains("wrong"), "{state} {message}");
    let (state, message) = code(&mut client, &dsn("app", "pgbouncer", "secret"));
    assert!(state == "08001" && message.contains("not allowed"), "{state} {message}");
    let (state, message) = code(&mut client, &dsn("postgres", &database.name, "secret"));
    assert!(state == "22023" && message.contains("does not lead to PgBouncer's console"), "{state} {message}");
    assert_eq!(
        pressure(&mut client, &dsn("watcher", "pgbouncer", "secret")).len(),
        pressure(&mut client, &dsn("postgres", "pgbouncer", "secret")).len()
    );
    let full = client_of_console(&bouncer, "watcher");
    let rows = pressure(&mut client, &dsn("postgres", "pgbouncer", "secret"));
    assert_eq!(text(finding(&rows, "pgbouncer_client_limit_near"), "severity"), "critical");
    drop(full);
}

fn client_of_console(bouncer: &Bouncer, user: &str) -> Client {
    bouncer.config("pgbouncer", user).connect(NoTls).unwrap()
}

fn credentials(database: &Database) {
    let (bouncer, mut control) = prepare(database, "auth_type = scram-sha-256");
    let role = format!("{}_monitor", database.name);
    let server = format!("host '{}', port '6432', dbname 'pgbouncer'", bouncer.folder.display());
    execute(
        &mut control,
        &format!(
            "create role {role} login in role pg_monitor;
             create server \"the Bouncer\" foreign data wrapper dblink_fdw options ({server});
             grant usage on foreign server \"the Bouncer\" to {role};"
        ),
    );
    let mut monitor = database.connect_as(&role);
    let error = refused(&mut monitor, "select * from dbre.pgbouncer_pressure('the Bouncer')");
    assert_eq!(error.code().code(), "42704", "no user mapping: {error}");
    execute(
        &mut control,
        &format!("create user mapping for {role} server \"the Bouncer\" options (user 'watcher', password 'secret')"),
    );
    pressure(&mut monitor, "'the Bouncer'");
    let error = refused(&mut monitor, &format!("select * from dbre.pgbouncer_pressure('{}')", bouncer.dsn()));
    assert_eq!(error.code().code(), "2F003", "no password: {error}");
    assert!(!error.message().contains("secret"));
    let given = bouncer.dsn().replace("user=postgres", "user=watcher password=secret");
    pressure(&mut monitor, &format!("'{given}'"));
    execute(
        &mut control,
        &format!("alter user mapping for {role} server \"the Bouncer\" options (set password 'wrong')"),
    );
    let error = refused(&mut monitor, "select * from dbre.pgbouncer_pressure('the Bouncer')");
    assert!(error.code().code() == "08001" && !error.message().contains("'wrong'"), "{error}");
    execute(&mut control, &format!("revoke execute on function dblink_connect(text, text) from public"));
    let error = refused(&mut monitor, "select * from dbre.pgbouncer_pressure('the Bouncer')");
    assert_eq!(error.code().code(), "42501", "{error}");
    drop(monitor);
    let nobody = format!("{}_nobody", database.name);
    execute(&mut control, &format!("create role {nobody} login"));
    let error = refused(&mut database.connect_as(&nobody), "select * from dbre.pgbouncer_pressure('the Bouncer')");
    assert_eq!(error.code().code(), "42501", "{error}");
    execute(
        &mut control,
        &format!("drop owned by {role}; drop server \"the Bouncer\" cascade; drop role {role}; drop role {nobody}"),
    );
}

fn pretended(database: &Database, manner: Manner) -> (String, Client) {
    let mut client = database.connect();
    execute(&mut client, "create extension dblink");
    let folder = folder_of(database);
    pretend(&folder, manner);
    (format!("'{}'", console_in(&folder)), client)
}

fn no_answer(database: &Database) {
    let (console, mut client) = pretended(database, Manner::Silent);
    let begun = Instant::now();
    let error = refused(&mut client, &format!("select * from dbre.pgbouncer_pressure({console}, '300 ms')"));
    assert_eq!(error.code().code(), "08001", "{error}");
    assert!(error.message().contains("has not answered within 0.3 s"), "{error}");
    nothing_open(&mut client);
    execute(&mut client, "set statement_timeout = '300 ms'");
    let error = refused(&mut client, &format!("select * from dbre.pgbouncer_pressure({console})"));
    assert_eq!(error.code().code(), "57014", "{error}");
    execute(&mut client, "reset statement_timeout");
    nothing_open(&mut client);
    let call = format!("select * from dbre.pgbouncer_pressure({console}, '1 min')");
    let error = cancelled_after(database, &mut client, Duration::from_millis(300), &call);
    assert_eq!(error.code().code(), "57014", "{error}");
    nothing_open(&mut client);
    assert!(begun.elapsed() < Duration::from_secs(30));
    // As part of a larger transaction, which a handler lets go on.
    execute(
        &mut client,
        &format!(
            "do $$ begin perform * from dbre.pgbouncer_pressure({console}, '100 ms');
             exception when sqlclient_unable_to_establish_sqlconnection then null; end $$"
        ),
    );
    nothing_open(&mut client);
}

fn dies(database: &Database) {
    let (console, mut client) = pretended(database, Manner::Dies);
    let error = refused(&mut client, &format!("select * from dbre.pgbouncer_pressure({console})"));
    assert_eq!(error.code().code(), "08006", "{error}");
    assert!(error.message().contains("has ended the connection"), "{error}");
    nothing_open(&mut client);
}

fn unknown_columns(database: &Database) {
    let (console, mut client) = pretended(database, Manner::Shuffled);
    let rows = pressure(&mut client, &console);
    let [row] = &rows[..] else { panic!("{}", shown(&rows)) };
    assert_eq!(text(row, "rule"), "pgbouncer_not_read", "{row:#}");
    assert_eq!(row["evidence"]["left_out"].as_array().unwrap().len(), 8, "{row:#}");
}
