//! What a measured statement may do to the session that measures it, and how stopping it could go wrong.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::time::Instant;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "explain_faults::limits_nest", limits_nest),
        trial(server, "explain_faults::a_cancel_that_is_caught_comes_again", caught_cancels),
        trial(server, "explain_faults::statement_timeout_is_never_taken_for_the_limit", statement_timeout),
        trial(server, "explain_faults::plans_of_every_kind_can_be_stopped", stopped_anywhere),
        trial(server, "explain_faults::what_runs_to_its_end_is_counted_once", counted_once),
        trial(server, "explain_faults::foreign_partitions_are_not_printed_when_stopped", foreign_partitions),
        trial(server, "explain_faults::constants_stay_as_they_are", constants),
        trial(server, "explain_faults::parameters_of_writes", parameters_of_writes),
        trial(server, "explain_faults::samples_of_mostly_empty_tables_end", empty_tables),
    ]
}

fn filled(database: &Database) -> Client {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, a int, b text);
         insert into t select g, g % 100, md5(g::text) from generate_series(1, 20000) g; create index on t (a);
         create table u (id int, a int, b text); insert into u select * from t;
         create table p (id int, a int, b text) partition by hash (id);
         create table p0 partition of p for values with (modulus 2, remainder 0);
         create table p1 partition of p for values with (modulus 2, remainder 1);
         insert into p select * from t; create index on p (id); analyze t, u, p",
    );
    client
}

fn seconds(client: &mut Client, sql: &str) -> f64 {
    let begun = Instant::now();
    query(client, sql);
    begun.elapsed().as_secs_f64()
}

fn limits_nest(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create function after_inner() returns int language plpgsql as $f$ begin
             perform count(*) from dbre.plan_nodes('select pg_sleep(20)', true, time_limit => '100 ms');
             perform pg_sleep(20); return 1; end $f$;
         create function within_inner() returns int language plpgsql as $f$ begin
             perform count(*) from dbre.plan_nodes('select pg_sleep(20)', true, time_limit => '20 s'); return 1; end $f$",
    );
    for function in ["after_inner", "within_inner"] {
        let sql = format!("select * from dbre.plan_nodes('select {function}()', true, time_limit => '400 ms')");
        let took = seconds(&mut client, &sql);
        assert!((0.4..18.0).contains(&took), "{function}: {took} s");
    }
    // The inner one is all that ends where the outer one has time.
    let sql =
        "select actual_rows from dbre.plan_nodes('select count(*) from dbre.plan_nodes(''select pg_sleep(20)'', true,
        time_limit => ''100 ms'')', true) where node = 0";
    assert_eq!(value::<f64>(&mut client, sql), 1.0);
}

fn caught_cancels(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create function goes_on(fails boolean) returns int language plpgsql as $f$ begin
             begin perform pg_sleep(20); exception when query_canceled then null; end;
             if fails then return 1 / 0; end if;
             perform pg_sleep(20); return 1; end $f$",
    );
    let took =
        seconds(&mut client, "select * from dbre.plan_nodes('select goes_on(false)', true, time_limit => '100 ms')");
    assert!(took < 18.0, "{took} s");
    let error =
        refused(&mut client, "select * from dbre.plan_nodes('select goes_on(true)', true, time_limit => '100 ms')");
    assert_eq!(error.code().code(), "22012", "an error of the statement's own is told: {error:?}");
    // Raised by the statement, and no cancel.
    execute(
        &mut client,
        "create function pretends() returns int language plpgsql as $f$ begin
             raise exception 'no' using errcode = '57014'; end $f$",
    );
    let error = refused(&mut client, "select * from dbre.plan_nodes('select pretends()', true)");
    assert!(error.message().ends_with("no"), "{error:?}");
}

fn statement_timeout(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create function goes_on() returns int language plpgsql as $f$ begin
             while clock_timestamp() < statement_timestamp() + interval '1.5 s' loop
                 begin perform pg_sleep(20); exception when query_canceled then null; end;
             end loop;
             perform pg_sleep(20); return 1; end $f$; set statement_timeout = '1 s'",
    );
    // The second one catches cancels of the limit, and the timeout's.
    for (text, limit) in [("pg_sleep(20)", "20 s"), ("goes_on()", "250 ms")] {
        let sql = format!("select * from dbre.plan_nodes('select {text}', true, time_limit => '{limit}')");
        assert_eq!(refused(&mut client, &sql).code().code(), "57014", "{text}");
    }
}

/// Statements with all kinds of nodes; each is stopped at several moments, alone and with workers.
const STOPPED: &[&str] = &[
    "select x.b, count(distinct y.id) from t x join u y on x.a = y.a group by x.b order by 2, 1",
    "select a, b, count(*) from (select x.a, y.b from t x join u y on x.a = y.a) s group by grouping sets ((a), (b), ())",
    "with c as materialized (select x.id, y.b from t x join u y on x.a = y.a) select count(*) from c x join c y on x.id = y.id + 1",
    "with recursive r (n) as (select 1 union select (n * 7 + 1) % 1000003 from r) select count(*) from r",
    "select id, sum(a) over (partition by b order by id) from (select x.id, x.a, y.b from t x join u y on x.a = y.a) s",
    "select count(*) from t x where x.id not in (select y.id * 3 from u y, u z where z.id < 30)",
    "select (select count(*) from t y where y.a = x.a and y.b > x.b) from t x",
    "select x.id from t x join u y on x.a = y.a intersect select x.id from t x join u y on x.a = y.a",
    "select count(*) from p x join p y on x.a = y.a join t on t.id = x.id where x.b < y.b",
    "select * from (select a, id, b from t order by a limit 15000) x order by a, b || id",
    "update t set b = b || 'x' where id in (select x.id from t x join u y on x.a = y.a)",
    "insert into p select x.id, y.a, x.b from t x join u y on x.a = y.a",
    "insert into t select x.id, y.a, x.b from t x join u y on x.a = y.a on conflict (id) do nothing",
    "with d as (delete from u returning *), i as (insert into p select * from t returning id) select count(*) from d, i",
    "merge into t using (select distinct x.id from t x join u y on x.a = y.a) s on t.id = s.id
     when matched and t.a > 50 then delete when matched then update set a = 5 when not matched then do nothing",
];

fn stopped_anywhere(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
         set min_parallel_index_scan_size = 0; set work_mem = '256kB'; set enable_partitionwise_join = on",
    );
    let session: i32 = value(&mut client, "select pg_backend_pid()");
    for settings in [
        "set max_parallel_workers_per_gather = 0",
        "set max_parallel_workers_per_gather = 2",
        "set enable_hashjoin = off; set enable_hashagg = off",
        "set jit_above_cost = 0; set enable_mergejoin = off",
    ] {
        execute(&mut client, settings);
        for text in STOPPED {
            for milliseconds in [1, 7, 40] {
                let sql = format!(
                    "select * from dbre.plan_nodes($${text}$$, true, allow_writes => true, time_limit => '{milliseconds} ms')"
                );
                let rows = query(&mut client, &sql);
                assert!(!rows.is_empty(), "{text}");
            }
        }
    }
    assert_eq!(value::<i32>(&mut client, "select pg_backend_pid()"), session, "the server did not crash");
    assert_eq!(value::<i64>(&mut client, "select count(*) from t"), 20000);
    let left = "select count(*) from pg_ls_tmpdir() where name like 'pgsql_tmp' || pg_backend_pid() || '.%'";
    assert_eq!(value::<i64>(&mut client, left), 0, "temporary files are gone");
}

fn counted_once(database: &Database) {
    let mut client = filled(database);
    let sql =
        "select loops, actual_rows from dbre.plan_nodes('with d as (update t set a = a where id <= 100 returning id)
        select * from d limit 1', true, allow_writes => true) where type = 'ModifyTable'";
    let rows = query(&mut client, sql);
    let figures: (Option<f64>, Option<f64>) = (rows[0].get(0), rows[0].get(1));
    assert_eq!(figures, (Some(1.0), Some(100.0)));
}

fn foreign_partitions(database: &Database) {
    let mut client = filled(database);
    let folder: String = value(&mut client, "show unix_socket_directories");
    execute(
        &mut client,
        &format!(
            "create extension postgres_fdw; create server elsewhere foreign data wrapper postgres_fdw
             options (host '{folder}', dbname '{}'); create user mapping for current_user server elsewhere;
             create table f (id int, a int) partition by range (id);
             create table f1 partition of f for values from (0) to (10001);
             create table f2_real (id int, a int);
             create foreign table f2 partition of f for values from (10001) to (30000)
                 server elsewhere options (table_name 'f2_real');
             create function dawdle(i int) returns int language plpgsql as 'begin perform pg_sleep(0.001); return i; end';
             insert into f1 select g, g from generate_series(1, 10000) g",
            database.name
        ),
    );
    for limit in [30, 100] {
        let sql = format!(
            "select * from dbre.plan_nodes('update f set a = dawdle(a)', true, allow_writes => true, time_limit => '{limit} ms')"
        );
        assert!(!query(&mut client, &sql).is_empty());
    }
    execute(&mut client, "select 1");
}

fn constants(database: &Database) {
    let mut client = filled(database);
    let sql = "select condition from dbre.plan_nodes($q$select * from t where b = 'money $5 on date $1'$q$, true)";
    assert_eq!(value::<String>(&mut client, sql), "(t.b = 'money $5 on date $1'::text)");
    // No SQL, but what pg_stat_statements makes of it.
    let sql = "select condition from dbre.plan_nodes('select * from t where now() > timestamptz $1', true, params => '{infinity}')
        where condition is not null";
    assert!(value::<String>(&mut client, sql).contains("infinity"));
}

fn parameters_of_writes(database: &Database) {
    let mut client = filled(database);
    for (statement, params) in [
        ("insert into t values ($1, $2)", "{50000,5}"),
        ("delete from t where id = $1 returning $2::text", "{5,x}"),
        ("insert into t values ($1) on conflict (id) do update set a = $2", "{5,7}"),
    ] {
        let sql =
            format!("select * from dbre.plan_nodes('{statement}', true, params => '{params}', allow_writes => true)");
        assert!(query(&mut client, &sql).iter().all(|row| row.get::<_, Option<f64>>("loops").is_some()), "{statement}");
    }
    let error = refused(&mut client, "select * from dbre.plan_nodes('insert into t values ($200000000)')");
    assert_eq!(error.code().code(), "54023", "{error:?}");
    let error =
        refused(&mut client, "select * from dbre.plan_nodes('insert into t values ($1)', true, allow_writes => true)");
    assert!(error.message().starts_with("argument params"), "it was not run: {error:?}");
}

/// A queue that was emptied: few rows on many pages.
fn empty_tables(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table queue (a int, b int, filler text) with (autovacuum_enabled = off);
         insert into queue select g % 7, g % 7, repeat('x', 500) from generate_series(1, 200000) g;
         delete from queue where a <> 0; analyze queue",
    );
    let run = "select * from dbre.plan_nodes('select * from queue where a = 0 and b = 0', true)";
    let sql = "select * from dbre.explain_findings('select * from queue where a = 0 and b = 0', true)";
    let (alone, with_proofs) = (seconds(&mut client, run), seconds(&mut client, sql));
    assert!(with_proofs < alone + 5.0, "{with_proofs} s, {alone} s without proofs");
}
