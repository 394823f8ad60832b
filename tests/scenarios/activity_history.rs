//! The recorder of dbre.activity_history, whatever happens to it and to the server.

use crate::activity::{named, running};
use crate::server::{Database, Server, alone, execute, query, refused, shown, text, value, wait_until};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("activity_history::by_a_call", by_a_call),
        alone("activity_history::by_a_setting", by_a_setting),
        alone("activity_history::stopped_and_started_at_a_time", stopped_and_started),
        alone("activity_history::bounded", bounded),
        alone("activity_history::no_worker_slot", no_worker_slot),
        alone("activity_history::on_a_standby", on_a_standby),
        alone("activity_history::privileges", privileges),
        alone("activity_history::what_it_shows_of_a_pool", what_it_shows_of_a_pool),
    ]
}

fn server(settings: &[&str]) -> (Arc<Server>, Database) {
    let server = Arc::new(Server::start(&[settings, &["autovacuum = off"]].concat()));
    let database = Database::create(&server);
    (server, database)
}

fn recording(client: &mut Client) -> Value {
    value(client, "select to_jsonb(r) from dbre.activity_recording() r")
}

fn rows(client: &mut Client, condition: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(h) from dbre.activity_history h where {condition} order by period_start");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

fn samples(client: &mut Client) -> i64 {
    value(client, "select samples from dbre.activity_recording()")
}

/// What is true of every row, whatever the load.
fn consistent(client: &mut Client) {
    let wrong = "select to_jsonb(h) from dbre.activity_history h
        where mean_sessions > most_sessions or mean_in_use > most_in_use or mean_active > most_active
            or breakdown <> 'wait' and (most_active > most_in_use or most_in_use > most_sessions)
            or samples < 1 or samples_missed < 0";
    let wrong: Vec<Value> = query(client, wrong).iter().map(|row| row.get(0)).collect();
    assert!(wrong.is_empty(), "{}", shown(&wrong));
}

fn by_a_call() {
    let (server, database) = server(&["max_connections = 50"]);
    let mut client = database.connect();
    let before = recording(&mut client);
    assert_eq!((&before["recording"], &before["samples"]), (&false.into(), &0.into()));
    assert!(text(&before, "reason").contains("start_activity_history"), "{before:#}");
    assert!(rows(&mut client, "true").is_empty());
    let begun = "select dbre.start_activity_history('20 ms', '1 s')";
    assert!(value::<bool>(&mut client, begun));
    assert!(!value::<bool>(&mut client, begun), "it runs already");
    let sleeping: Vec<_> = (0..3).map(|_| running(named(&database, "sleeps"), "select pg_sleep(6)")).collect();
    let mut open = named(&database, "it's \"open\"");
    execute(&mut open, "begin; select 1");
    for session in sleeping {
        session.join().unwrap();
    }
    let pools = rows(&mut client, "application_name = 'sleeps'");
    let whole = |row: &&Value| row["mean_active"] == 3 && (25..=51).contains(&row["samples"].as_i64().unwrap());
    let whole = pools.iter().find(whole).unwrap_or_else(|| panic!("{}", shown(&pools)));
    assert_eq!((&whole["most_active"], text(whole, "database")), (&3.into(), database.name.as_str()));
    let waits = rows(&mut client, "wait_event = 'PgSleep'");
    assert!(waits.iter().any(|row| row["mean_sessions"] == 3), "{}", shown(&waits));
    let idle = rows(&mut client, "application_name = 'it''s \"open\"' and most_in_use = 1 and most_active = 0");
    assert!(!idle.is_empty());
    consistent(&mut client);
    let said = recording(&mut client);
    assert_eq!((&said["recording"], &said["reason"]), (&true.into(), &Value::Null), "{said:#}");
    assert!(said["share_of_a_core"].as_f64().unwrap() < 0.1, "{said:#}");
    assert!((1..=8 << 20).contains(&said["memory_bytes"].as_i64().unwrap()), "{said:#}");
    // It is in no database, and holds nothing back.
    let worker = "select to_jsonb(a) from pg_stat_activity a where backend_type = 'pg_dbre'";
    let worker: Value = value(&mut client, worker);
    assert!(worker["datname"].is_null() && worker["backend_xmin"].is_null() && worker["backend_xid"].is_null());
    assert_eq!(
        value::<i64>(
            &mut client,
            "select count(*) from pg_locks l join pg_stat_activity a using (pid) where backend_type = 'pg_dbre'"
        ),
        0
    );
    drop(open);
    let gone = Database::create(&server);
    let name = gone.name.clone();
    let mut there = named(&gone, "gone");
    let seen = format!("database = '{name}' and application_name = 'gone'");
    wait_until("it is seen", || !rows(&mut client, &seen).is_empty());
    execute(&mut there, "select 1");
    drop(there);
    drop(gone);
    assert!(rows(&mut client, &format!("database = '{name}'")).is_empty());
    let left = rows(&mut client, "application_name = 'gone'");
    assert!(!left.is_empty() && left.iter().all(|row| row["database"].is_null()), "{}", shown(&left));
    concurrent_readers(&database);
    assert!(value::<bool>(&mut client, "select dbre.stop_activity_history()"));
    assert!(!value::<bool>(&mut client, "select dbre.stop_activity_history()"));
    let (kept, taken) = (rows(&mut client, "true").len(), samples(&mut client));
    thread::sleep(Duration::from_millis(200));
    assert_eq!((rows(&mut client, "true").len(), samples(&mut client)), (kept, taken), "nothing is added");
    assert!(text(&recording(&mut client), "reason").contains("stop_activity_history"));
    // It goes on where it was, and one that is killed comes again; so it does after a crash, which forgets what was recorded.
    assert!(value::<bool>(&mut client, "select dbre.start_activity_history('50 ms', '1 s')"));
    assert!(rows(&mut client, "true").len() >= kept);
    let pid = recording(&mut client)["pid"].as_i64().unwrap();
    execute(&mut client, &format!("select pg_terminate_backend({pid}, 5000)"));
    assert!(text(&recording(&mut client), "reason").contains("starts again"), "{:#}", recording(&mut client));
    wait_until("it has come again", || recording(&mut client)["recording"] == true);
    assert_eq!(text(&recording(&mut client), "sample_interval"), "00:00:00.05");
    server.crash(value(&mut client, "select pg_backend_pid()"));
    let mut client = database.connect();
    wait_until("it records again", || samples(&mut client) > 0);
    assert!(rows(&mut client, "application_name = 'sleeps'").is_empty());
    consistent(&mut client);
}

fn concurrent_readers(database: &Database) {
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let mut client = database.connect();
            thread::spawn(move || {
                for _ in 0..20 {
                    consistent(&mut client);
                    query(&mut client, "select * from dbre.activity_recording()");
                }
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

fn by_a_setting() {
    let (_server, database) = server(&[
        "shared_preload_libraries = 'pg_dbre'",
        "dbre.activity_sample_interval = 50ms",
        "dbre.activity_history_period = 2s",
    ]);
    let mut client = database.connect();
    wait_until("it records", || samples(&mut client) > 5);
    assert_eq!(text(&recording(&mut client), "period"), "00:00:02");
    let reloaded = |client: &mut Client, value: &str| {
        execute(client, &format!("alter system set dbre.activity_sample_interval = {value}"));
        execute(client, "select pg_reload_conf()");
    };
    reloaded(&mut client, "0");
    wait_until("it pauses", || recording(&mut client)["recording"] == false);
    assert_eq!(text(&recording(&mut client), "reason"), "dbre.activity_sample_interval is 0");
    let paused = samples(&mut client);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(samples(&mut client), paused);
    reloaded(&mut client, "'20ms'");
    wait_until("it goes on", || samples(&mut client) > paused + 5);
    assert_eq!(text(&recording(&mut client), "sample_interval"), "00:00:00.02");
    // What is called for counts until the server starts again.
    assert!(!value::<bool>(&mut client, "select dbre.start_activity_history('100 ms', '1 s')"));
    wait_until("it has the other times", || text(&recording(&mut client), "sample_interval") == "00:00:00.1");
    reloaded(&mut client, "'30ms'");
    let now = samples(&mut client);
    wait_until("it goes on", || samples(&mut client) > now + 3);
    assert_eq!(text(&recording(&mut client), "sample_interval"), "00:00:00.1");
    consistent(&mut client);
}

/// Thousands of application names in one period.
/// Two sessions at a time: what is not stopped records.
fn stopped_and_started() {
    let (_server, database) = server(&["shared_preload_libraries = 'pg_dbre'"]);
    let (mut client, mut other) = (database.connect(), database.connect());
    let start = "select dbre.start_activity_history('10 ms', '1 s')";
    let (send, receive) = mpsc::channel::<()>();
    let (done, ended) = mpsc::channel::<()>();
    let stopper = thread::spawn(move || {
        for () in receive {
            query(&mut other, "select dbre.stop_activity_history()");
            done.send(()).unwrap();
        }
    });
    for round in 0..150 {
        query(&mut client, start);
        send.send(()).unwrap();
        thread::sleep(Duration::from_micros(round * 200));
        query(&mut client, start);
        ended.recv().unwrap();
        let mut said = recording(&mut client);
        if said["recording"] == false && !text(&said, "reason").contains("stop_activity_history") {
            thread::sleep(Duration::from_secs(1));
            said = recording(&mut client);
        }
        let stopped = said["reason"].as_str().is_some_and(|reason| reason.contains("stop_activity_history"));
        assert!(stopped || said["recording"] == true, "round {round}: {said:#}");
    }
    drop(send);
    stopper.join().unwrap();
    query(&mut client, start);
    wait_until("it records", || recording(&mut client)["recording"] == true);
}

fn bounded() {
    let (_server, database) = server(&["max_connections = 50"]);
    let mut client = database.connect();
    assert!(value::<bool>(&mut client, "select dbre.start_activity_history('10 ms', '1 h')"));
    let bytes = recording(&mut client)["memory_bytes"].as_i64().unwrap();
    let renaming: Vec<_> = (0..30)
        .map(|number| {
            let sql = format!(
                "do $$ begin for turn in 1..250 loop
                    perform set_config('application_name', '{number} ' || turn, false), pg_sleep(0.01);
                end loop; end $$"
            );
            running(database.connect(), &sql)
        })
        .collect();
    renaming.into_iter().for_each(|session| session.join().unwrap());
    wait_until("it is published", || !rows(&mut client, "breakdown = 'pool' and application_name is null").is_empty());
    // The period goes on: of one moment.
    let (all, pools): (Vec<_>, Vec<_>) =
        rows(&mut client, "breakdown <> 'wait'").into_iter().partition(|row| row["breakdown"] == "all");
    assert_eq!(pools.len(), 1001, "as many as there is room for, and the rest together");
    assert_eq!(recording(&mut client)["memory_bytes"], bytes);
    let sum: f64 = pools.iter().map(|row| row["mean_sessions"].as_f64().unwrap()).sum();
    let all = all[0]["mean_sessions"].as_f64().unwrap();
    assert!((sum - all).abs() < 0.1, "none is lost: {sum} of {all}");
    consistent(&mut client);
    // The caller's own look is bounded as well.
    value::<i64>(&mut client, "select count(*) from dbre.sample_activity('50 ms', '10 ms')");
}

fn no_worker_slot() {
    let (_server, database) = server(&["max_worker_processes = 0"]);
    let mut client = database.connect();
    let error = refused(&mut client, "select dbre.start_activity_history()");
    assert_eq!(error.code().code(), "53400", "{}", error.message());
    assert!(error.hint().unwrap().contains("max_worker_processes"));
    let said = recording(&mut client);
    assert_eq!(said["recording"], false);
    assert!(text(&said, "reason").contains("no background worker free"), "nothing starts again: {said:#}");
    assert!(value::<i64>(&mut client, "select count(*) from dbre.sample_activity('50 ms', '10 ms')") >= 1);
}

fn on_a_standby() {
    let (primary, database) = server(&["wal_level = replica", "hot_standby = on"]);
    let standby = standby_of(&primary);
    let mut there = standby.connect(&database.name, "postgres");
    assert!(value::<bool>(&mut there, "select dbre.start_activity_history('20 ms', '1 s')"));
    wait_until("it records", || samples(&mut there) > 10);
    wait_until("it is published", || !rows(&mut there, "breakdown = 'pool'").is_empty());
    assert_eq!(
        value::<i64>(&mut there, "select count(*) from dbre.sample_activity('50 ms', '10 ms') where breakdown = 'all'"),
        1
    );
    execute(&mut there, "select pg_promote()");
    let then = samples(&mut there);
    wait_until("it goes on", || samples(&mut there) > then + 10);
    assert!(value::<bool>(&mut there, "select dbre.stop_activity_history()"));
}

fn privileges() {
    let (_server, database) = server(&[]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role plain login; grant usage on schema dbre to plain; grant select on dbre.activity_history to plain;
         grant execute on function dbre.activity_history(), dbre.activity_recording() to plain;
         create role watching login in role pg_monitor",
    );
    assert!(value::<bool>(&mut client, "select dbre.start_activity_history('20 ms', '1 s')"));
    let sleeping = running(named(&database, "theirs"), "select pg_sleep(2.5)");
    let own = running(database.connect_as("plain"), "set application_name = 'mine'; select pg_sleep(2.5)");
    sleeping.join().unwrap();
    own.join().unwrap();
    let mut plain = database.connect_as("plain");
    assert!(rows(&mut plain, "breakdown = 'wait'").is_empty());
    let theirs = rows(&mut plain, "application_name = 'theirs'");
    assert!(theirs.iter().all(|row| row["most_sessions"] == 1 && row["most_in_use"].is_null()), "{}", shown(&theirs));
    assert!(rows(&mut plain, "breakdown = 'all'").iter().all(|row| row["mean_active"].is_null()));
    assert!(rows(&mut plain, "application_name = 'mine'").iter().any(|row| row["most_active"] == 1));
    let mut watching = database.connect_as("watching");
    assert!(!rows(&mut watching, "wait_event = 'PgSleep'").is_empty());
    assert!(rows(&mut watching, "application_name = 'theirs'").iter().any(|row| row["most_active"] == 1));
}

/// Connections that are used in turn: at any one moment each has been used just now, and only a recording shows that fewer would do.
fn what_it_shows_of_a_pool() {
    let (_server, database) = server(&[]);
    let mut client = database.connect();
    let oversized = |client: &mut Client| -> Vec<Value> {
        let sql = "select to_jsonb(p) from dbre.pool_pressure() p where rule = 'idle_pool_oversized'";
        query(client, sql).iter().map(|row| row.get(0)).collect()
    };
    let mut web: Vec<_> = (0..9).map(|_| named(&database, "web")).collect();
    assert!(value::<bool>(&mut client, "select dbre.start_activity_history('20 ms', '1 s')"));
    web.iter_mut().for_each(|session| execute(session, "select pg_sleep(0.2)"));
    let published = "select coalesce(sum(samples), 0)::int from dbre.activity_history where breakdown = 'all'";
    wait_until("more than a second is published", || value::<i32>(&mut client, published) > 60);
    assert!(oversized(&mut client).is_empty(), "a second is not enough");
    execute(
        &mut client,
        "select dbre.configure_rule('idle_pool_oversized', options => '{\"min_recorded_seconds\": 1}')",
    );
    let found = oversized(&mut client);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    let evidence = &found[0]["evidence"];
    assert_eq!(
        (&evidence["connections"], &evidence["used_at_most"], &evidence["unused"]),
        (&9.into(), &2.into(), &7.into())
    );
    assert!(text(evidence, "basis").contains("twice the most"), "{evidence:#}");
    assert!(text(&found[0], "summary").contains("of samples"), "{}", shown(&found));
    // What has ended says nothing of now: each was used a moment ago.
    assert!(value::<bool>(&mut client, "select dbre.stop_activity_history()"));
    assert!(oversized(&mut client).is_empty(), "{}", shown(&oversized(&mut client)));
    let start = "select dbre.start_activity_history('20 ms', '1 s')";
    assert!(value::<bool>(&mut client, start));
    wait_until("it is recorded again", || oversized(&mut client).len() == 1);
    // Not to be called unused while they are in use.
    web.iter_mut().for_each(|session| execute(session, "begin"));
    assert!(oversized(&mut client).is_empty(), "{}", shown(&oversized(&mut client)));
    web.iter_mut().for_each(|session| execute(session, "rollback"));
    assert!(value::<bool>(&mut client, "select dbre.stop_activity_history()"));
    assert!(value::<bool>(&mut client, start));
    // Five at once, doubled, are more than there are.
    let busy: Vec<_> = web.drain(..5).map(|session| running(session, "select pg_sleep(1.5)")).collect();
    busy.into_iter().for_each(|session| session.join().unwrap());
    web.extend((0..5).map(|_| named(&database, "web")));
    wait_until("it is published", || !rows(&mut client, "application_name = 'web' and most_in_use = 5").is_empty());
    assert!(oversized(&mut client).is_empty(), "{}", shown(&oversized(&mut client)));
    // Of a service that has just opened its pool what was recorded before says nothing.
    execute(
        &mut client,
        "select dbre.configure_rule('idle_pool_oversized', options => '{\"min_recorded_seconds\": 8}')",
    );
    wait_until("eight seconds are published", || value::<i32>(&mut client, published) > 410);
    let _deployed: Vec<_> = (0..9).map(|_| named(&database, "deployed")).collect();
    wait_until("it is recorded", || !rows(&mut client, "application_name = 'deployed'").is_empty());
    assert!(oversized(&mut client).is_empty(), "{}", shown(&oversized(&mut client)));
}
