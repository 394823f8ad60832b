//! What a search was made with is gone when it ends: nothing of it is looked at.

use crate::bursts::PRELOADED;
use crate::server::{Database, Server, alone, execute, query, value, wait_until};
use crate::vector_capture::{captured, searching};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("vector_capture::pages_that_are_gone", pages),
        alone("vector_capture::functions_left_unfinished", functions),
    ]
}

/// Few buffers, and tables whose pages look like the headers of huge values.
fn server() -> (Arc<Server>, Database) {
    let server = Arc::new(Server::start(&[PRELOADED, "shared_buffers = 1MB", "autovacuum = off", "jit = off"]));
    let database = Database::create(&server);
    execute(
        &mut database.connect(),
        "create extension vector;
         create table given as select g as id, array_fill(g::real, array[20])::vector(20) as v, 'name ' || g as name
         from generate_series(1, 20) g;
         insert into given values (21, null, 'name 21');
         create table items as select g as id, array_fill(g::real, array[20])::vector(20) as v, 'name ' || g % 20 as name
         from generate_series(1, 500) g;
         create index on items using hnsw (v vector_l2_ops);
         do $$ begin
             for number in 1..40 loop
                 execute format('create table other_%s as select %s from generate_series(1, 200)', number,
                                (select string_agg('2147483644 as c' || c, ', ') from generate_series(1, 100) c));
             end loop;
         end $$;
         analyze",
    );
    (server, database)
}

fn read_others(client: &mut Client) {
    for round in 0..80 {
        query(client, &format!("select max(c50) from other_{}", round % 40 + 1));
    }
}

/// Reads all of a cursor, and closes it when its pages are no more in memory.
fn late(client: &mut Client, setting: &str, sql: &str) {
    execute(client, &format!("begin; {setting}; declare c cursor for {sql}"));
    assert!(!query(client, "fetch all from c").is_empty(), "{sql}");
    execute(client, "reset enable_seqscan");
    read_others(client);
    execute(client, "close c; commit");
}

fn pages() {
    let (_server, database) = server();
    let mut client = searching(&database);
    execute(
        &mut client,
        "create function same(vector) returns vector immutable language plpgsql as 'begin return $1; end'",
    );
    let by_index = "set local enable_seqscan = off; set local enable_sort = off";
    let by_sort = "set local enable_indexscan = off";
    for setting in [by_index, by_sort] {
        for sql in [
            "select i.id from given cross join lateral (select id from items order by items.v <-> given.v limit 3) i",
            // The last row has no vector, and there is no search for it.
            "select i.id from given cross join lateral
                 (select id from items where given.v is not null order by items.v <-> given.v limit 3) i",
            "select (select id from items order by items.v <-> given.v limit 1) from given",
            "select i.id from given cross join lateral
                 (select id from items order by items.v <-> (given.v + given.v) limit 3) i",
            "select i.id from given cross join lateral
                 (select id from items order by items.v <-> (select same(given.v)) limit 3) i",
            "select i.id from given cross join lateral
                 (select id from items where name <> given.name order by items.v <-> '[{20}]' limit 3) i",
        ] {
            let constant = ["1"; 20].join(",");
            late(&mut client, setting, &sql.replace("{20}", &constant));
        }
        // A row that was copied.
        late(&mut client, setting, "select id from items order by v <-> (select v from given where id = 7) limit 3");
        late(
            &mut client,
            setting,
            "select id from items where id <> (select 8) order by v <-> (select same(v) from given where id = 7) limit 3",
        );
    }
    let mut found = captured(&mut client, 6);
    found.sort_by_key(|row| row["query_vector"].to_string());
    let vectors: Vec<&Value> = found.iter().map(|row| &row["query_vector"]).collect();
    let repeated = |number: &str| format!("[{}]", [number; 20].join(","));
    let expected = ["1", "1", "7", "7", "7", "7"].map(repeated);
    assert_eq!(vectors, expected.iter().collect::<Vec<_>>());
    for row in &found[..2] {
        assert!(row["filter"].is_null() && row["filter_columns"] == serde_json::json!(["name"]), "{row:#}");
    }
    assert_eq!(found.iter().filter(|row| row["filter"] == "(id <> 8)").count(), 2);
}

/// A SQL function ends with its caller, whose rows have gone by then.
fn functions() {
    let (_server, database) = server();
    let mut client = searching(&database);
    execute(
        &mut client,
        "create function near(vector) returns setof int volatile language sql as 'select id from items order by v <-> $1 limit 3';
         create function nearest(vector) returns int volatile language sql as 'select id from items order by v <-> $1 limit 1';
         create function called(text) returns setof int volatile language sql as 'select id from items where name <> $1';
         create table many as select g as id, array_fill(g::real, array[20])::vector(20) as v, repeat(g::text, 50) as name
         from generate_series(1, 50000) g;
         analyze many; set work_mem = '256MB'; set max_parallel_workers_per_gather = 0",
    );
    for call in ["near(v)", "called(name)", "near(v + v)"] {
        for _ in 0..3 {
            query(&mut client, &format!("select {call} from (select * from many order by id desc) m limit 1"));
        }
    }
    let statements = "select count(*) from dbre.n_plus_one_bursts where query ~ 'name <>'";
    assert_eq!(value::<i64>(&mut client, statements), 0);
    assert_eq!(value::<i64>(&mut client, "select captured from dbre.vector_capture()"), 0);
    // Those that come to their end are seen.
    query(&mut client, "select near(v) from given where id = 5");
    query(&mut client, "select * from near((select v from given where id = 6))");
    query(&mut client, "select nearest(v) from given where id = 7");
    wait_until("they are written", || value::<i64>(&mut client, "select count(*) from dbre.vector_queries") == 3);
    let of = "select string_agg(split_part(query_vector, ',', 1), '' order by id) from dbre.vector_queries";
    assert_eq!(value::<String>(&mut client, of), "[5[6[7");
}
