//! Whatever happens to sessions, what they share stays usable.

use crate::bursts::{LIST, PRELOADED, Preloaded, TABLES, bursts, holds, lookups, only};
use crate::server::{Database, Server, alone, execute, query, refused, shown, text, trial, value, wait_until};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use postgres::NoTls;
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>, preloaded: &Preloaded) -> Vec<Trial> {
    vec![
        preloaded.trial("bursts::cancelled", cancelled),
        preloaded.trial("bursts::many_at_a_time", many_at_a_time),
        preloaded.trial("bursts::parallel_query", parallel_query),
        preloaded.trial("bursts::privileges", privileges),
        preloaded.trial("bursts::extension_created_again", created_again),
        preloaded.trial("bursts::in_subtransactions", subtransactions),
        trial(server, "bursts::loaded_with_the_session", loaded_with_the_session),
        alone("bursts::killed_sessions", killed),
        alone("bursts::more_statements_than_entries", many_statements),
        alone("bursts::on_a_standby", on_a_standby),
        alone("bursts::without_query_ids", without_query_ids),
    ]
}

fn cancelled(database: &Database) {
    let mut client = database.connect();
    for _ in 0..3 {
        execute(&mut client, "begin");
        lookups(&mut client, 11);
        execute(&mut client, "set local statement_timeout = '30ms'");
        let error = refused(&mut client, "select pg_sleep(5) from post where id = 1");
        assert_eq!(error.code().code(), "57014");
        execute(&mut client, "rollback");
    }
    holds(&only(&mut client), json!({"executions": 33, "bursts": 3}));
    let token = client.cancel_token();
    let stop = thread::spawn(move || {
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(5));
            token.cancel_query(NoTls).unwrap();
        }
    });
    let mut seen = 0;
    while !stop.is_finished() {
        seen += usize::from(client.batch_execute("select title from post where author_id = 1").is_err());
    }
    stop.join().unwrap();
    // Until no cancel comes any more.
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(2) {
        if client.batch_execute("select pg_sleep(0.05)").is_err() {
            quiet = Instant::now();
        }
    }
    println!("{seen} cancelled");
    lookups(&mut client, 20);
    assert!(only(&mut client)["executions"].as_i64().unwrap() > 53);
}

/// They meet at the locks of what they share, and none gives up.
fn many_at_a_time(database: &Database) {
    let session = |number: usize| {
        let mut client = database.connect();
        for _ in 0..200 {
            execute(&mut client, LIST);
            lookups(&mut client, 2);
        }
        execute(&mut client, &format!("set application_name = 'session {number}'; begin"));
        lookups(&mut client, 12);
        execute(&mut client, "commit");
    };
    thread::scope(|scope| (1..=8).for_each(|number| drop(scope.spawn(move || session(number)))));
    let counted = query(
        &mut database.connect(),
        "select application_name, executions from dbre.n_plus_one_bursts where application_name ~ '^session' order by 1",
    );
    let counted: Vec<(String, i64)> = counted.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(counted, (1..=8).map(|number| (format!("session {number}"), 12)).collect::<Vec<_>>());
}

fn parallel_query(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; begin",
    );
    let plan = query(&mut client, "explain select count(*) from post where title = 'post 1'");
    assert!(plan.iter().any(|line| line.get::<_, String>(0).contains("Workers Planned")));
    for time in 1..=12 {
        execute(&mut client, &format!("select count(*) from post where title = 'post {time}'"));
    }
    execute(&mut client, "commit");
    holds(&only(&mut client), json!({"executions": 12, "rows": 12, "distinct_parameters": 12}));
}

fn privileges(database: &Database) {
    let mut client = database.connect();
    let [nobody, monitor, reader] = ["nobody", "monitor", "reader"].map(|purpose| {
        let name = format!("{purpose}_of_{}", database.name);
        execute(&mut client, &format!("create role {name} login; grant select on author, post to {name}"));
        name
    });
    execute(&mut client, &format!("grant pg_monitor to {monitor}"));
    execute(&mut client, &format!("grant usage on schema dbre to {reader}"));
    execute(&mut client, &format!("grant select on dbre.n_plus_one_bursts to {reader}"));
    execute(&mut client, &format!("grant execute on function dbre.n_plus_one_bursts() to {reader}"));
    let mut own = database.connect_as(&reader);
    for session in [&mut client, &mut own] {
        execute(session, &format!("begin; {LIST}"));
        for id in 1..=12 {
            execute(session, &format!("select title from post where author_id = {id} /*route='secret'*/"));
        }
        execute(session, "commit");
    }
    let seen = bursts(&mut database.connect_as(&monitor));
    assert!(seen.len() == 2 && seen.iter().all(|burst| !burst["query"].is_null() && !burst["tags"].is_null()));
    let seen = bursts(&mut own);
    assert_eq!(seen.len(), 2, "{}", shown(&seen));
    for burst in seen {
        let mine = text(&burst, "role") == reader;
        for column in ["query", "parent_query", "tags"] {
            assert_eq!(burst[column].is_null(), !mine, "{column} of {burst:#}");
        }
        holds(&burst, json!({"executions": 12}));
    }
    let ids = "select count(*) from dbre.n_plus_one_bursts where (query_id is null) <> (query is null)";
    assert_eq!(value::<i64>(&mut own, ids), 0);
    for user in [&monitor, &reader] {
        let mut session = database.connect_as(user);
        assert_eq!(refused(&mut session, "select dbre.reset_n_plus_one_bursts()").code().code(), "42501");
        let setting = "set dbre.n_plus_one_threshold = 0";
        assert_eq!(session.batch_execute(setting).unwrap_err().code().unwrap().code(), "42501");
    }
    let mut session = database.connect_as(&nobody);
    assert_eq!(refused(&mut session, "select * from dbre.n_plus_one_bursts").code().code(), "42501");
    drop((own, session));
    for role in [nobody, monitor, reader] {
        execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
    }
}

fn created_again(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "begin");
    lookups(&mut client, 12);
    execute(&mut client, "commit; drop extension pg_dbre; begin");
    lookups(&mut client, 50);
    execute(&mut client, "commit; create extension pg_dbre");
    holds(&only(&mut client), json!({"executions": 62, "bursts": 2}));
    // Other databases have their own.
    let other = Database::create(&database.server);
    assert!(bursts(&mut other.connect()).is_empty());
    assert_eq!(value::<i64>(&mut other.connect(), "select dbre.reset_n_plus_one_bursts()"), 0);
    only(&mut client);
}

/// The first burst of a session attaches to shared memory, wherever that is.
fn subtransactions(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "begin; savepoint a");
    lookups(&mut client, 12);
    execute(&mut client, "rollback to a; select 1; commit");
    holds(&only(&mut database.connect()), json!({"executions": 12}));
    for isolation in ["serializable read only deferrable", "repeatable read"] {
        let mut client = database.connect();
        execute(&mut client, &format!("begin isolation level {isolation}"));
        lookups(&mut client, 12);
        execute(&mut client, "savepoint a");
        execute(&mut client, "commit");
    }
    holds(&only(&mut client), json!({"executions": 36, "bursts": 3}));
}

fn loaded_with_the_session(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    let role = format!("app_of_{}", database.name);
    execute(&mut client, &format!("create role {role} login; grant select on author, post to {role}"));
    let recording = "select recording from dbre.n_plus_one_recording()";
    assert!(!value::<bool>(&mut client, recording));
    execute(&mut client, &format!("alter role {role} set session_preload_libraries = '$libdir/pg_dbre'"));
    assert!(value::<bool>(&mut client, recording));
    for user in [&role, "postgres"] {
        let mut session = database.connect_as(user);
        execute(&mut session, &format!("begin; {LIST}"));
        lookups(&mut session, 12);
        execute(&mut session, "commit");
    }
    holds(&only(&mut client), json!({"executions": 12, "role": role, "parent_rows": 20}));
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
    let reason: String = value(&mut client, "select reason from dbre.n_plus_one_recording()");
    assert!(reason.contains("shared_preload_libraries"), "{reason}");
}

fn killed() {
    let server = Arc::new(Server::start(&[PRELOADED, "restart_after_crash = on", "autovacuum = off"]));
    let database = Database::create(&server);
    execute(&mut database.connect(), TABLES);
    for round in 0..3 {
        let mut victim = database.connect();
        let pid: i32 = value(&mut victim, "select pg_backend_pid()");
        let busy =
            thread::spawn(move || while victim.batch_execute("select title from post where author_id = 1").is_ok() {});
        thread::sleep(Duration::from_millis(50 + round * 7));
        server.crash(pid);
        busy.join().unwrap();
        let mut client = database.connect();
        assert!(bursts(&mut client).is_empty(), "what was shared began anew");
        execute(&mut client, "begin");
        lookups(&mut client, 12);
        execute(&mut client, "commit");
        holds(&only(&mut client), json!({"executions": 12, "bursts": 1}));
    }
}

fn many_statements() {
    let server = Arc::new(Server::start(&[PRELOADED, "autovacuum = off"]));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, TABLES);
    execute(&mut client, "set dbre.n_plus_one_threshold = 2; begin");
    for number in 0..10_000 {
        let signs: String = (0..14).map(|bit| if number & (1 << bit) == 0 { " + 0" } else { " - 0" }).collect();
        for id in 1..=2 {
            execute(&mut client, &format!("select {number}, id{signs} from post where id = {id}"));
        }
    }
    execute(&mut client, "commit");
    let seen = bursts(&mut client);
    assert!((400..=512).contains(&seen.len()), "{}", seen.len());
    assert!(seen.iter().all(|burst| burst["executions"] == 2 && burst["bursts"] == 1));
    let signs = |number: u32| (0..14).map(move |bit| if number & (1 << bit) == 0 { " + " } else { " - " });
    let of = |number| signs(number).enumerate().map(|(bit, sign)| format!("{sign}${}", bit + 2)).collect::<String>();
    let last = format!("select $1, id{} from post where id = $16", of(9_999));
    assert!(seen.iter().any(|burst| text(burst, "query") == last), "{last}\n{}", shown(&seen[..2]));
    let evicted: i64 = value(&mut client, "select evicted from dbre.n_plus_one_recording()");
    assert_eq!(evicted, 10_000 - seen.len() as i64);
}

fn on_a_standby() {
    let primary = Arc::new(Server::start(&[PRELOADED, "wal_level = replica", "hot_standby = on", "autovacuum = off"]));
    let database = Database::create(&primary);
    let mut client = database.connect();
    execute(&mut client, TABLES);
    let standby = standby_of(&primary);
    let position: String = value(&mut client, "select pg_current_wal_lsn()::text");
    let mut there = standby.connect(&database.name, "postgres");
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
    wait_until("the standby has replayed all", || value(&mut there, &replayed));
    execute(&mut there, &format!("begin; {LIST}"));
    lookups(&mut there, 15);
    execute(&mut there, "commit");
    holds(&only(&mut there), json!({"executions": 15, "parent_rows": 20}));
    assert!(bursts(&mut client).is_empty(), "each server has its own");
}

fn without_query_ids() {
    let server = Arc::new(Server::start(&["shared_preload_libraries = 'pg_dbre'", "autovacuum = off"]));
    let database = Database::create(&server);
    let mut client = database.connect();
    execute(&mut client, TABLES);
    let recording = "select coalesce(reason, '') from dbre.n_plus_one_recording()";
    for (setting, seen, reason) in [
        ("compute_query_id = off", 0, "compute_query_id"),
        ("compute_query_id = auto", 1, ""),
        ("dbre.n_plus_one_threshold = 0", 0, "dbre.n_plus_one_threshold"),
    ] {
        execute(&mut client, &format!("select dbre.reset_n_plus_one_bursts(); set {setting}; begin; {LIST}"));
        lookups(&mut client, 12);
        execute(&mut client, "commit");
        assert_eq!(bursts(&mut client).len(), seen, "{setting}");
        let said: String = value(&mut client, recording);
        assert!(said.contains(reason) && said.is_empty() == reason.is_empty(), "{setting}: {said}");
    }
    execute(&mut client, "set dbre.n_plus_one_threshold = 10; select dbre.reset_n_plus_one_bursts(); begin");
    for id in 1..=12 {
        execute(&mut client, &format!("select title, pg_sleep(0.002) from post where id = {id}"));
    }
    execute(&mut client, "commit");
    let ms = only(&mut client)["total_ms"].as_f64().unwrap();
    assert!((24.0..60_000.0).contains(&ms), "timed without pg_stat_statements: {ms}");
}
