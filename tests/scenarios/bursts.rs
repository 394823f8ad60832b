//! What clients repeat is seen, however they send it; what they don't is not.

use crate::server::{Database, Server, execute, query, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

pub const PRELOADED: &str = "shared_preload_libraries = 'pg_stat_statements,pg_dbre'";

/// Trials in databases of one server that has pg_dbre preloaded; it is started when the first runs, and stopped after the last.
pub struct Preloaded(Arc<OnceLock<Arc<Server>>>);

impl Preloaded {
    pub fn new() -> Preloaded {
        Preloaded(Arc::default())
    }

    pub fn trial(&self, name: &str, body: fn(&Database)) -> Trial {
        let server = self.0.clone();
        Trial::test(name, move || {
            let server = server.get_or_init(|| Arc::new(Server::start(&[PRELOADED, "autovacuum = off"]))).clone();
            let database = Database::create(&server);
            execute(&mut database.connect(), TABLES);
            body(&database);
            Ok(())
        })
    }
}

pub fn trials(server: &Arc<Server>, preloaded: &Preloaded) -> Vec<Trial> {
    vec![
        preloaded.trial("bursts::in_a_transaction", in_a_transaction),
        preloaded.trial("bursts::outside_transactions", outside_transactions),
        preloaded.trial("bursts::protocols", protocols),
        preloaded.trial("bursts::over_several_connections", over_several_connections),
        preloaded.trial("bursts::what_is_none", none),
        preloaded.trial("bursts::batch", batch),
        trial(server, "bursts::not_preloaded", not_preloaded),
    ]
}

pub const TABLES: &str = "
    create table author (id int primary key, name text not null);
    create table post (id int primary key, author_id int not null references author, title text);
    insert into author select g, 'author ' || g from generate_series(1, 100) g;
    insert into post select g, g % 100 + 1, 'post ' || g from generate_series(1, 1000) g;
    create index on post (author_id); analyze author, post";

pub fn bursts(client: &mut Client) -> Vec<Value> {
    // Without this query itself, where a trial repeats it.
    let sql = "select to_jsonb(b) - 'query_id' - 'parent_query_id' from dbre.n_plus_one_bursts b
               where query is null or query !~ 'n_plus_one_bursts' order by query, parent_query";
    query(client, sql).iter().map(|row| row.get(0)).collect()
}

/// The only one.
#[track_caller]
pub fn only(client: &mut Client) -> Value {
    let bursts = bursts(client);
    assert_eq!(bursts.len(), 1, "{}", shown(&bursts));
    bursts[0].clone()
}

#[track_caller]
pub fn holds(burst: &Value, expected: Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(burst[column], *value, "{column} of {burst:#}");
    }
}

pub const LIST: &str = "select id, name from author order by id limit 20";

pub fn lookups(client: &mut Client, times: u32) {
    for id in 1..=times {
        execute(client, &format!("select title from post where author_id = {id}"));
    }
}

fn in_a_transaction(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "begin");
    execute(&mut client, LIST);
    lookups(&mut client, 9);
    assert!(bursts(&mut client).is_empty());
    lookups(&mut client, 1);
    holds(&only(&mut client), json!({"executions": 10, "bursts": 1}));
    for _ in 0..5 {
        lookups(&mut client, 20);
    }
    execute(&mut client, "commit");
    let burst = only(&mut client);
    holds(
        &burst,
        json!({
            "query": "select title from post where author_id = $1", "parent_query": "select id, name from author order by id limit $1",
            "executions": 110, "bursts": 1, "times_per_burst": 110, "most_times": 110, "rows": 1100, "parent_rows": 20,
            "distinct_parameters": 20, "role": "postgres", "application_name": "", "in_transaction": true, "connections": 1,
            "tags": null,
        }),
    );
    assert!((0.01..60_000.0).contains(&burst["total_ms"].as_f64().unwrap()), "{burst:#}");
    let age = "select extract(epoch from clock_timestamp() - last_seen)::float8 from dbre.n_plus_one_bursts";
    assert!((0.0..60.0).contains(&value::<f64>(&mut client, age)));
    // One that is rolled back is one as well.
    execute(&mut client, &format!("begin; {LIST}"));
    lookups(&mut client, 12);
    execute(&mut client, "rollback");
    holds(&only(&mut client), json!({"executions": 122, "bursts": 2, "times_per_burst": 61, "parent_rows": 40}));
    assert_eq!(value::<i64>(&mut client, "select dbre.reset_n_plus_one_bursts()"), 1);
    assert!(bursts(&mut client).is_empty());
}

fn outside_transactions(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "set dbre.n_plus_one_window = '20s'");
    for _ in 0..3 {
        execute(&mut client, LIST);
        lookups(&mut client, 15);
    }
    holds(
        &only(&mut client),
        json!({"executions": 45, "bursts": 3, "most_times": 15, "parent_rows": 60, "in_transaction": false, "connections": 1}),
    );
    execute(&mut client, "select dbre.reset_n_plus_one_bursts(); set dbre.n_plus_one_window = '50ms'");
    for id in 1..=30 {
        execute(&mut client, &format!("select name from author where id = {id}"));
        thread::sleep(Duration::from_millis(15));
    }
    assert!(bursts(&mut client).is_empty(), "never ten in 50 ms");
}

fn protocols(database: &Database) {
    let mut client = database.connect();
    let expect = |client: &mut Client, how: &str, in_transaction: bool| {
        // What a transaction has left is ended by then.
        let burst = bursts(client).into_iter().find(|burst| text(burst, "query").contains("select title"));
        let burst = burst.unwrap_or_else(|| panic!("{how}: none"));
        let seen = burst["executions"].as_i64().unwrap();
        assert!((11..=12).contains(&seen), "{how}: {burst:#}");
        holds(&burst, json!({"distinct_parameters": seen, "in_transaction": in_transaction, "parent_rows": 20}));
        let rows = burst["rows"].as_i64().unwrap();
        assert_eq!(rows, seen * 10, "{how}: {burst:#}");
        execute(client, "select dbre.reset_n_plus_one_bursts(); select pg_sleep(1.1)");
    };
    let sql = "select title from post where author_id = $1";
    for block in [false, true] {
        // Outside of a transaction they are a burst only within a second, which a busy machine may take.
        let lookups = |client: &mut Client, how: &str, look: &dyn Fn(&mut Client, i32)| {
            loop {
                let begun = Instant::now();
                if block {
                    execute(client, "begin");
                }
                query(client, LIST);
                (1..=12).for_each(|id| look(client, id));
                if block {
                    execute(client, "commit");
                }
                if block || begun.elapsed() < Duration::from_millis(900) {
                    break;
                }
                execute(client, "select dbre.reset_n_plus_one_bursts(); select pg_sleep(1.1)");
            }
            expect(client, how, block);
        };
        lookups(&mut client, "extended", &|client, id| drop(client.query(sql, &[&id]).unwrap()));
        let prepared = client.prepare(sql).unwrap();
        lookups(&mut client, "prepared", &|client, id| drop(client.query(&prepared, &[&id]).unwrap()));
        execute(&mut client, "prepare look (int) as select title from post where author_id = $1");
        lookups(&mut client, "execute", &|client, id| execute(client, &format!("execute look ({id})")));
        execute(&mut client, "deallocate look");
    }
    // Fetched in parts, each parent's portal ends after the lookups.
    let mut transaction = client.transaction().unwrap();
    let portal = transaction.bind(sql, &[&1]).unwrap();
    while !transaction.query_portal(&portal, 3).unwrap().is_empty() {}
    transaction.commit().unwrap();
    assert!(bursts(&mut client).is_empty());
}

fn over_several_connections(database: &Database) {
    let mut pool: Vec<_> = (0..5).map(|_| database.connect()).collect();
    let mut client = database.connect();
    for session in &mut pool {
        execute(session, "set application_name = 'pooled'; set dbre.n_plus_one_window = '5s'");
    }
    let all = |pool: &mut Vec<Client>, times: usize| {
        for id in 0..times {
            let place = id % pool.len();
            execute(&mut pool[place], &format!("select name from author where id = {}", id % 100));
        }
    };
    execute(&mut pool[2], "select * from post limit 30");
    all(&mut pool, 30);
    assert!(bursts(&mut client).is_empty(), "the window goes on");
    let mut burst = Vec::new();
    wait_until("the window is over", || {
        burst = bursts(&mut client);
        !burst.is_empty()
    });
    holds(
        &only(&mut client),
        json!({
            "query": "select name from author where id = $1", "parent_query": "select * from post limit $1", "executions": 30,
            "bursts": 1, "most_times": 30, "rows": 29, "parent_rows": 30, "connections": 5, "in_transaction": false,
            "application_name": "pooled", "distinct_parameters": 30,
        }),
    );
    // What many clients ask for, without a list before.
    execute(&mut client, "select dbre.reset_n_plus_one_bursts()");
    for id in 0..40 {
        execute(&mut pool[id % 5], &format!("select title from post where id = {id}"));
    }
    thread::sleep(Duration::from_millis(5200));
    assert!(bursts(&mut client).is_empty(), "{}", shown(&bursts(&mut client)));
    // Requests of other traces, each with a few.
    execute(&mut client, "select dbre.reset_n_plus_one_bursts()");
    for request in 0..10 {
        for id in 0..4 {
            let place = id % pool.len();
            let tag = format!("/*traceparent='00-{request:032x}-00f067aa0ba902b7-01'*/");
            execute(&mut pool[place], &format!("select name from author where id = {id} {tag}"));
        }
    }
    thread::sleep(Duration::from_millis(5200));
    assert!(bursts(&mut client).is_empty(), "{}", shown(&bursts(&mut client)));
    for id in 0..20 {
        let tag = "/*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/";
        execute(&mut pool[id % 5], &format!("select name from author where id = {id} {tag}"));
    }
    wait_until("the window is over", || !bursts(&mut client).is_empty());
    holds(&only(&mut client), json!({"executions": 20, "connections": 5, "parent_query": null}));
    execute(&mut client, "select dbre.reset_n_plus_one_bursts()");
    // One session does as much itself.
    execute(&mut pool[0], LIST);
    lookups(&mut pool[0], 15);
    holds(&only(&mut client), json!({"executions": 15, "connections": 1}));
    thread::sleep(Duration::from_millis(5200));
    holds(&only(&mut client), json!({"executions": 15, "connections": 1, "bursts": 1}));
}

fn none(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create function titles(int) returns bigint language plpgsql as $$
         declare n bigint; begin
             for i in 1..100 loop select count(*) into n from post where author_id = i; end loop; return n;
         end $$;
         begin",
    );
    let lists = format!("{LIST}; {}", "select title from post where author_id = 7; ".repeat(50));
    for sql in [
        "select titles(1)",
        &lists,
        "explain analyze select title from post where author_id = 7",
        "select 1",
        "select now(), current_user",
        "select relname from pg_class where oid = 'post'::regclass",
        "update post set title = 'x' where id = 1",
        "insert into post values (default, 1) on conflict do nothing",
        "select id from post where id = 5 for update skip locked",
        "select * from post",
        "copy (select id from post where id = 5) to stdout",
        "create temp table if not exists copied as select id from post where id = 5",
    ] {
        for time in 0..9 {
            if sql.starts_with("insert") {
                execute(&mut client, &format!("insert into post values ({}, 1)", 5000 + time));
            } else if sql.starts_with("copy") {
                client.copy_out(sql).unwrap();
            } else {
                execute(&mut client, sql);
            }
        }
    }
    execute(&mut client, "select titles(1)");
    execute(&mut client, "select 1");
    execute(&mut client, "select id from post where id = 5 for update skip locked");
    execute(&mut client, "commit");
    assert!(bursts(&mut client).is_empty(), "{}", shown(&bursts(&mut client)));
    // Off, or another threshold.
    for (threshold, times, seen) in [("0", 50, 0), ("60", 59, 0), ("60", 60, 1), ("1", 1, 1), ("1", 2, 2)] {
        execute(&mut client, &format!("set dbre.n_plus_one_threshold = {threshold}; begin"));
        lookups(&mut client, times);
        execute(&mut client, "commit");
        assert_eq!(bursts(&mut client).len().min(2), seen.min(1), "{threshold} {times}");
    }
}

/// A million lookups of one session are one burst, known soon, and completely when the session ends.
fn batch(database: &Database) {
    let mut client = database.connect();
    let mut session = database.connect();
    execute(&mut session, "set dbre.n_plus_one_window = '1min'");
    let prepared = session.prepare("select name from author where id = $1").unwrap();
    for id in 0..5000 {
        session.query(&prepared, &[&(id % 100)]).unwrap();
    }
    let seen = only(&mut client)["executions"].as_i64().unwrap();
    assert!((40..=5000).contains(&seen), "{seen}");
    drop(session);
    wait_until("the session has ended", || {
        let burst = only(&mut client);
        burst["executions"] == 5000 && burst["bursts"] == 1 && burst["parent_query"].is_null()
    });
}

fn not_preloaded(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    execute(&mut client, "begin");
    lookups(&mut client, 50);
    execute(&mut client, "commit");
    assert!(bursts(&mut client).is_empty());
    assert_eq!(value::<i64>(&mut client, "select dbre.reset_n_plus_one_bursts()"), 0);
    let settings =
        "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name like 'dbre.%'";
    let expected = "dbre.activity_history_period=60 dbre.activity_sample_interval=0 dbre.n_plus_one_threshold=10 \
                    dbre.n_plus_one_window=1000 dbre.vector_queries_per_index=1000 \
                    dbre.vector_queries_retention=43200 dbre.vector_sample_rate=0";
    assert_eq!(value::<String>(&mut client, settings), expected);
}
