//! Capturing searches harms nobody, whatever happens to tables, databases, workers and servers.

use crate::bursts::{PRELOADED, Preloaded, holds};
use crate::server::{Database, Server, alone, execute, query, refused, run, text, trial, value, wait_until};
use crate::standby::standby_of;
use crate::vector_capture::{ITEMS, ON, captured, one, searching};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>, preloaded: &Preloaded) -> Vec<Trial> {
    vec![
        preloaded.trial("vector_capture::reservoir", reservoir),
        preloaded.trial("vector_capture::retention", retention),
        preloaded.trial("vector_capture::forgetting", forgetting),
        preloaded.trial("vector_capture::privileges", privileges),
        preloaded.trial("vector_capture::dropped_objects", dropped),
        preloaded.trial("vector_capture::dropped_extension", dropped_extension),
        preloaded.trial("vector_capture::dropped_database", dropped_database),
        preloaded.trial("vector_capture::locked_table", locked),
        preloaded.trial("vector_capture::writing_fails", writing_fails),
        preloaded.trial("vector_capture::worker_is_ended", worker_is_ended),
        preloaded.trial("vector_capture::statistics", statistics),
        preloaded.trial("vector_capture::not_dumped", not_dumped),
        trial(server, "vector_capture::not_preloaded", not_preloaded),
        trial(server, "vector_capture::loaded_with_the_session", loaded_with_the_session),
        alone("vector_capture::no_worker_slot", no_slot),
        alone("vector_capture::on_a_standby", on_a_standby),
    ]
}

fn search(client: &mut Client, number: u32) {
    execute(client, &format!("select id from items order by embedding <-> '[{number},1,1]' limit 3"));
}

fn state(client: &mut Client) -> Value {
    value(client, "select to_jsonb(c) from dbre.vector_capture() c")
}

fn worker_is_gone(client: &mut Client) {
    wait_until("the worker has gone", || state(client)["worker"] == "none");
}

fn reservoir(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let set = format!("alter database {} set dbre.vector_queries_per_index = 20", database.name);
    execute(&mut database.connect(), &set);
    let mut client = searching(database);
    for number in 0..300 {
        search(&mut client, number);
    }
    execute(&mut client, "select id from items order by embedding <=> '[1,1,1]' limit 3");
    let searches = "select coalesce(sum(searches), 0)::float8 from dbre.vector_query_counts";
    wait_until("all are counted", || value::<f64>(&mut client, searches) == 301.0);
    let found = captured(&mut client, 21);
    let late = found.iter().filter(|row| {
        let first = text(row, "query_vector").trim_start_matches('[').split(',').next().unwrap().parse::<u32>();
        first.unwrap() >= 150
    });
    assert!((1..=19).contains(&late.count()), "not only the first, and not only the last");
    worker_is_gone(&mut client);
    execute(&mut database.connect(), &set.replace("20", "5"));
    for number in 0..10 {
        search(&mut client, number);
    }
    wait_until("all are counted", || value::<f64>(&mut client, searches) == 311.0);
    captured(&mut client, 6);
}

fn retention(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    for number in 0..8 {
        search(&mut client, number);
    }
    captured(&mut client, 8);
    worker_is_gone(&mut client);
    execute(
        &mut client,
        "update dbre.vector_queries set captured_at = captured_at - interval '31 days' where query_vector < '[6';
         update dbre.vector_query_counts set searches = 80",
    );
    search(&mut client, 9);
    wait_until("they have gone", || value::<i64>(&mut client, "select count(*) from dbre.vector_queries") == 3);
    // 6 of 9 have gone, which stood for 81.
    assert_eq!(value::<f64>(&mut client, "select round(searches) from dbre.vector_query_counts"), 27.0);
    worker_is_gone(&mut client);
    execute(&mut client, &format!("alter database {} set dbre.vector_queries_retention = 0", database.name));
    execute(&mut client, "update dbre.vector_queries set captured_at = '1999-01-01'");
    search(&mut client, 10);
    captured(&mut client, 4);
}

fn forgetting(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(&mut client, "create table other as select id, embedding from items");
    for number in 0..3 {
        search(&mut client, number);
        execute(&mut client, "select id from other order by embedding <-> '[1,1,1]' limit 1");
    }
    captured(&mut client, 6);
    execute(
        &mut client,
        "update dbre.vector_queries set captured_at = now() - interval '2 days' where query_vector = '[0,1,1]'",
    );
    let forget = |client: &mut Client, arguments: &str| {
        value::<i64>(client, &format!("select dbre.forget_vector_queries({arguments})"))
    };
    assert_eq!(forget(&mut client, "older_than => '1 day'"), 1);
    assert_eq!(
        value::<f64>(&mut client, "select searches from dbre.vector_query_counts where relation = 'items'::regclass"),
        2.0
    );
    assert_eq!(forget(&mut client, "'other'"), 3);
    assert_eq!(forget(&mut client, "'other'"), 0);
    assert_eq!(captured(&mut client, 2).len(), 2);
    // What waits, too.
    execute(&mut client, "begin; lock table dbre.vector_queries in share mode");
    search(&mut client, 8);
    assert_eq!(state(&mut client)["waiting"], 1);
    assert_eq!(forget(&mut client, ""), 2);
    execute(&mut client, "commit");
    assert_eq!(state(&mut client)["waiting"], 0);
    search(&mut client, 9);
    captured(&mut client, 1);
    assert_eq!(value::<f64>(&mut client, "select sum(searches) from dbre.vector_query_counts"), 1.0);
}

fn privileges(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ITEMS);
    let [nobody, monitor] = ["nobody", "monitor"].map(|purpose| {
        let name = format!("{purpose}_of_{}", database.name);
        execute(&mut client, &format!("create role {name} login; grant select on items to {name}"));
        name
    });
    execute(&mut client, &format!("grant pg_monitor to {monitor}"));
    let mut session = database.connect_as(&nobody);
    for sql in [
        "select * from dbre.vector_queries",
        "select * from dbre.vector_query_counts",
        "select * from dbre.vector_capture()",
        "select dbre.forget_vector_queries()",
        ON,
    ] {
        assert_eq!(refused(&mut session, sql).code().code(), "42501", "{sql}");
    }
    // Who searches needs no rights on what is written.
    execute(&mut client, &format!("alter role {nobody} set dbre.vector_sample_rate = 1"));
    search(&mut database.connect_as(&nobody), 4);
    holds(&captured(&mut client, 1)[0], json!({"role": nobody, "query_vector": "[4,1,1]"}));
    let mut session = database.connect_as(&monitor);
    assert_eq!(query(&mut session, "select * from dbre.vector_queries").len(), 1);
    assert_eq!(state(&mut session)["stored"], 1);
    for sql in ["select dbre.forget_vector_queries()", "delete from dbre.vector_queries", ON] {
        assert_eq!(refused(&mut session, sql).code().code(), "42501", "{sql}");
    }
    drop(session);
    for role in [nobody, monitor] {
        execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
    }
}

fn dropped(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(&mut client, "begin; lock table dbre.vector_queries in share mode");
    search(&mut client, 1);
    execute(&mut client, "drop index items_l2; commit");
    let found = captured(&mut client, 1);
    assert_eq!(text(&found[0], "query_vector"), "[1,1,1]");
    execute(&mut client, "begin; lock table dbre.vector_queries in share mode");
    search(&mut client, 2);
    execute(
        &mut client,
        "drop table items; commit; create table items as select 1 as id, '[1,2,3]'::vector as embedding",
    );
    search(&mut client, 3);
    wait_until("it is written", || {
        value::<i64>(&mut client, "select count(*) from dbre.vector_queries where query_vector = '[3,1,1]'") == 1
    });
    let dropped = "select count(*) from dbre.vector_queries where query_vector = '[2,1,1]'";
    assert_eq!(value::<i64>(&mut client, dropped), 0);
    assert_eq!(state(&mut client)["dropped"], 1);
    // What its type was is gone as well.
    execute(&mut client, "begin; lock table dbre.vector_queries in share mode");
    search(&mut client, 4);
    execute(&mut client, "drop extension vector cascade; commit");
    wait_until("it is dropped", || state(&mut client)["dropped"] == 2);
    worker_is_gone(&mut client);
    execute(&mut client, "create table u (id int); select * from u order by id");
    assert_eq!(state(&mut client)["failure"], Value::Null);
}

fn dropped_extension(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    for round in 0..6 {
        execute(&mut client, "begin; lock table dbre.vector_queries in share mode");
        search(&mut client, round);
        thread::sleep(Duration::from_millis(u64::from(round) * 100));
        execute(&mut client, "drop extension pg_dbre; commit");
        search(&mut client, 100);
        execute(&mut client, "create extension pg_dbre");
        // What ends while the worker still sees no table goes with what waits for the old one.
        wait_until("the worker writes into the new one", || {
            search(&mut client, 200 + round);
            let wanted =
                format!("select count(*) from dbre.vector_queries where query_vector = '[{},1,1]'", 200 + round);
            value::<i64>(&mut client, &wanted) > 0
        });
    }
    assert_eq!(state(&mut client)["failure"], Value::Null);
    // Anybody may give a table this name.
    execute(
        &mut client,
        "create table copy (like dbre.vector_queries); drop extension pg_dbre; create schema if not exists dbre",
    );
    execute(&mut client, "alter table copy rename to vector_queries; alter table vector_queries set schema dbre");
    search(&mut client, 5);
    thread::sleep(Duration::from_millis(700));
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_queries"), 0);
    execute(&mut client, "drop schema dbre cascade");
}

fn dropped_database(database: &Database) {
    for force in ["", " with (force)"] {
        let other = Database::create(&database.server);
        execute(&mut other.connect(), ITEMS);
        let mut client = searching(&other);
        search(&mut client, 1);
        captured(&mut client, 1);
        search(&mut client, 2);
        drop(client);
        let mut client = database.connect();
        let begun = Instant::now();
        execute(&mut client, &format!("drop database {}{force}", other.name));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        execute(&mut client, &format!("create database {}", other.name));
    }
    execute(&mut database.connect(), ITEMS);
    one(&mut searching(database), "select id from items order by embedding <-> '[1,1,1]' limit 3");
}

fn locked(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    let mut other = database.connect();
    execute(&mut other, "begin; lock table dbre.vector_queries");
    let begun = Instant::now();
    for number in 0..50 {
        search(&mut client, number);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for the lock");
    thread::sleep(Duration::from_millis(600));
    execute(&mut other, "commit");
    captured(&mut client, 50);
    // More than there is room for: dropped, and counted.
    execute(&mut other, "begin; lock table dbre.vector_queries in share mode");
    execute(&mut client, "create table wide as select array_fill(1, array[4000])::vector as v");
    for number in 0..100 {
        execute(
            &mut client,
            &format!("select from wide order by v <-> array_fill({number}, array[4000])::vector limit 1"),
        );
    }
    let dropped = state(&mut client)["dropped"].as_i64().unwrap();
    assert!((30..=45).contains(&dropped), "{dropped} of 100 vectors of 16 kB in 1 MB");
    execute(&mut other, "commit");
    captured(&mut client, 150 - dropped);
}

fn writing_fails(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(&mut client, "alter table dbre.vector_queries add check (query_vector <> '[7,1,1]')");
    search(&mut client, 7);
    wait_until("the worker says so", || !state(&mut client)["failure"].is_null());
    let failed = state(&mut client);
    assert!(text(&failed, "failure").contains("check constraint"), "{failed:#}");
    worker_is_gone(&mut client);
    // Not again for a while.
    search(&mut client, 8);
    thread::sleep(Duration::from_millis(500));
    holds(&state(&mut client), json!({"worker": "none", "dropped": 1, "waiting": 1, "stored": 0}));
    execute(&mut client, "select 1");
}

fn worker_is_ended(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let (mut client, mut other) = (searching(database), database.connect());
    let worker = "from pg_stat_activity where backend_type = 'pg_dbre' and datname = current_database()";
    let mut end = |client: &mut Client, how: &str| {
        execute(client, "begin; lock table dbre.vector_queries in share mode");
        search(&mut searching(database), 1);
        wait_until("there is a worker", || !query(&mut other, &format!("select pid {worker}")).is_empty());
        query(&mut other, &format!("select {how} {worker}"));
    };
    end(&mut client, "pg_cancel_backend(pid)");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(state(&mut client)["worker"], "running");
    execute(&mut client, "commit");
    captured(&mut client, 1);
    // The next of any statements starts another.
    search(&mut client, 2);
    captured(&mut client, 2);
    end(&mut client, "pg_terminate_backend(pid, 30000)");
    execute(&mut client, "commit");
    let stored = "select count(*) from dbre.vector_queries";
    wait_until("what waited is written", || value::<i64>(&mut client, stored) == 3);
    // As does a look at the state, where nobody searches.
    end(&mut client, "pg_terminate_backend(pid, 30000)");
    execute(&mut client, "commit; set dbre.vector_sample_rate = 0");
    assert_eq!(value::<i64>(&mut client, stored), 3);
    let said = state(&mut client);
    assert!(said["waiting"] == 1 && said["worker"] != "none", "{said:#}");
    captured(&mut client, 4);
}

/// Autovacuum hears of what is written while more comes.
fn statistics(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    let inserted = "select n_tup_ins from pg_stat_user_tables where relid = 'dbre.vector_queries'::regclass";
    let begun = Instant::now();
    let mut ran = false;
    for number in 0.. {
        let searched = Instant::now();
        search(&mut client, number);
        thread::sleep(Duration::from_millis(300));
        let runs = state(&mut client)["worker"] == "running";
        // It stays for 2 s.
        assert!(runs || !ran || searched.elapsed() > Duration::from_millis(1500), "it has gone");
        ran |= runs;
        if ran && value::<i64>(&mut client, inserted) > 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is reported");
    }
}

fn not_dumped(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    search(&mut client, 7);
    captured(&mut client, 1);
    let dump = run(database.server.client("pg_dump").args(["-d", &database.name]), "");
    assert!(!dump.contains("[7,1,1]") && !dump.contains("vector_queries"), "{dump}");
}

fn not_preloaded(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    search(&mut client, 1);
    let state = state(&mut client);
    assert!(text(&state, "reason").contains("shared_preload_libraries"), "{state:#}");
    holds(&state, json!({"capturing": false, "captured": 0, "stored": 0, "worker": "none"}));
    assert_eq!(value::<i64>(&mut client, "select dbre.forget_vector_queries()"), 0);
}

fn loaded_with_the_session(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ITEMS);
    execute(&mut client, &format!("alter database {} set session_preload_libraries = 'pg_dbre'", database.name));
    let mut client = searching(database);
    search(&mut client, 3);
    holds(&captured(&mut client, 1)[0], json!({"query_vector": "[3,1,1]"}));
    worker_is_gone(&mut client);
}

fn no_slot() {
    let server = Arc::new(Server::start(&[PRELOADED, "max_worker_processes = 0", "autovacuum = off"]));
    let database = Database::create(&server);
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(&database);
    for number in 0..20 {
        search(&mut client, number);
    }
    let state = state(&mut client);
    assert!(text(&state, "failure").contains("max_worker_processes"), "{state:#}");
    holds(&state, json!({"worker": "none", "captured": 20, "waiting": 20, "stored": 0}));
}

fn on_a_standby() {
    let primary = Arc::new(Server::start(&[PRELOADED, "wal_level = replica", "hot_standby = on", "autovacuum = off"]));
    let database = Database::create(&primary);
    let mut client = searching(&database);
    execute(&mut client, ITEMS);
    let standby = standby_of(&primary);
    search(&mut client, 5);
    captured(&mut client, 1);
    let position: String = value(&mut client, "select pg_current_wal_insert_lsn()::text");
    let mut there = standby.connect(&database.name, "postgres");
    execute(&mut there, ON);
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
    wait_until("the standby has replayed all", || value(&mut there, &replayed));
    search(&mut there, 6);
    let said = state(&mut there);
    assert!(text(&said, "reason").contains("standby"), "{said:#}");
    holds(&said, json!({"capturing": false, "captured": 0, "stored": 1, "worker": "none"}));
    assert_eq!(refused(&mut there, "select dbre.forget_vector_queries()").code().code(), "25006");
}
