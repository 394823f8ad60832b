//! migration_dry_run(): what it runs, what it refuses, and that nothing remains.

use crate::server::{Database, Server, describe, execute, refused, run, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_dry_run::bad_input_is_refused", bad_input),
        trial(server, "migration_dry_run::nothing_remains", nothing_remains),
        trial(server, "migration_dry_run::transactions_are_followed", transactions),
        trial(server, "migration_dry_run::locks_are_those_of_each_statement", locks),
    ]
}

pub fn filled(database: &Database) -> Client {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table customers (id serial primary key, name text not null);
         create table orders (
             id serial primary key,
             customer_id int references customers deferrable initially deferred,
             total numeric(10, 2) default 0,
             note text
         );
         create index orders_note on orders (note);
         create view big_orders as select id, total from orders where total > 100;
         create materialized view totals as select customer_id, sum(total) from orders group by 1;
         create type status as enum ('new', 'paid');
         insert into customers (name) select 'c' || g from generate_series(1, 100) g;
         insert into orders (customer_id, total, note) select 1 + g % 100, g, 'n' from generate_series(1, 5000) g;
         analyze",
    );
    client
}

pub struct Row {
    pub status: String,
    locks: Value,
    rewrites: Vec<String>,
    scans: Vec<String>,
    pub message: String,
}

pub fn dry_run(client: &mut Client, sql: &str) -> Vec<Row> {
    let query = "select status, locks, rewrites, scans, message from dbre.migration_dry_run($1, true) order by step";
    let rows = client.query(query, &[&sql]).unwrap_or_else(|error| panic!("{sql}\n-- {}", describe(&error)));
    let rows = rows.iter().map(|row| Row {
        status: row.get(0),
        locks: row.get(1),
        rewrites: row.get(2),
        scans: row.get::<_, Value>(3).as_array().unwrap().iter().map(|scan| scan["relation"].to_string()).collect(),
        message: row.get::<_, Option<String>>(4).unwrap_or_default(),
    });
    rows.collect()
}

/// `ran failed not_tried`: of all steps.
pub fn outcomes(client: &mut Client, sql: &str) -> String {
    dry_run(client, sql).iter().map(|row| row.status.replace(' ', "_")).collect::<Vec<_>>().join(" ")
}

fn bad_input(database: &Database) {
    let mut client = filled(database);
    for (arguments, sqlstate, message) in [
        ("null", "22004", "argument sql"),
        ("''", "22023", "argument sql holds no SQL statement"),
        ("' -- nothing'", "22023", "argument sql holds no SQL statement"),
        ("'select 1', null", "22004", "argument confirm"),
        ("'select 1', lock_timeout => null", "22004", "argument lock_timeout"),
        ("'select 1', lock_timeout => '0'", "22023", "argument lock_timeout"),
        ("'select 1', time_limit => '-1 s'", "22023", "argument time_limit"),
        ("'select 1', search_path => null", "22004", "argument search_path"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.migration_dry_run({arguments})"));
        assert_eq!(error.code().code(), sqlstate, "{arguments}\n-- {error:?}");
        assert!(error.message().contains(message) && error.hint().is_some(), "{arguments}\n-- {error:?}");
    }
    execute(&mut client, "begin read only");
    let error = refused(&mut client, "select * from dbre.migration_dry_run('select 1')");
    assert_eq!(error.code().code(), "25006", "{error:?}");
    execute(&mut client, "rollback");
    let nested = "select * from dbre.migration_dry_run('select 1')";
    let rows = dry_run(&mut client, nested);
    assert!(rows[0].status == "not tried" && rows[0].message.contains("migration_dry_run"), "{}", rows[0].message);
    // What the calling query reads cannot be altered.
    let own = "select d.status, d.message from (select 1 from orders limit 1) o,
         lateral dbre.migration_dry_run('alter table orders add x int', true) d";
    let row = client.query_one(own, &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "failed", "{}", row.get::<_, String>(1));
    let broken = outcomes(&mut client, "create table made (a int); creat table x (); drop table made");
    assert_eq!(broken, "ran failed not_tried");
}

/// Something of everything that leaves a trace.
const MIGRATION: &str = "
    set lock_timeout = '5 s';
    set search_path = public, pg_catalog;
    begin;
    set local work_mem = '7 MB';
    set local role service_role_name;
    reset role;
    alter table orders add column token uuid default gen_random_uuid();
    alter table orders alter column total type numeric(12, 3) using total + 1;
    create index on orders (token);
    create unlogged table scratch as select * from orders;
    drop table customers cascade;
    alter type status rename to state;
    insert into orders (note) values ('x');
    update orders set note = 'changed';
    truncate orders;
    create temp table mine (a int);
    comment on table orders is 'changed';
    grant all on orders to public;
    create schema extra create table inside (a int);
    create function extra.f() returns int language sql as 'select 1';
    commit;
    create materialized view others as select 1 as a;
    refresh materialized view others;
    notify somebody, 'something';
    listen somebody;
    create extension if not exists pg_stat_statements;
    create role nobody_needs;
    alter database current_database_name set work_mem = '1 GB';
    drop schema extra cascade;
";

/// Without the lines that are different each time.
pub fn dump(database: &Database) -> Vec<String> {
    let dump = run(database.server.client("pg_dump").args(["-d", &database.name]), "");
    dump.lines().filter(|line| !line.starts_with('\\')).map(str::to_string).collect()
}

fn nothing_remains(database: &Database) {
    let mut client = filled(database);
    // Roles are the cluster's.
    let role = format!("{}_service", database.name);
    execute(&mut client, &format!("create role {role}"));
    execute(
        &mut client,
        "create table dropped (name text); create function note_drop() returns event_trigger language plpgsql as
             $$ begin insert into dropped select object_identity from pg_event_trigger_dropped_objects(); end $$;
         create event trigger note_drop on sql_drop execute function note_drop()",
    );
    let migration = MIGRATION.replace("alter type status", "alter type public.status");
    let migration = migration.replace("current_database_name", &database.name).replace("service_role_name", &role);
    let migration = migration.replace("nobody_needs", &format!("{role}_not_needed"));
    // A view is in the way of the type change.
    let migration = migration.replacen(
        "alter table orders alter",
        "drop view big_orders; drop materialized view totals; alter table orders alter",
        1,
    );
    let state = |client: &mut Client| -> (String, String, i64, String) {
        let rows = "select count(*) || ' ' || sum(total) || ' ' || max(note) from orders";
        let settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings";
        (
            value(client, rows),
            value(client, settings),
            value(
                client,
                "select count(*) from pg_class, pg_listening_channels() where pg_listening_channels is not null",
            ),
            value(client, "select current_user || (select count(*) from dropped)"),
        )
    };
    let dump = || dump(database);
    // Settings of libraries are there from when they are first used.
    execute(&mut client, "do $$ begin end $$; load 'pg_dbre'");
    let before = (dump(), state(&mut client));
    execute(&mut client, "begin");
    let rows = dry_run(&mut client, &migration);
    for row in &rows {
        assert_eq!(row.status, "ran", "{}", row.message);
    }
    let used_up = rows.iter().filter(|row| row.message.contains("public.orders_id_seq")).count();
    assert_eq!(used_up, 1);
    let held = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relnamespace = 'public'::regnamespace and c.relkind <> 'S'";
    assert_eq!(value::<i64>(&mut client, held), 0, "locks remain");
    execute(&mut client, "commit");
    let mut after = (dump(), state(&mut client));
    // What is said: the value that INSERT took.
    for line in &mut after.0 {
        *line = line.replace("setval('public.orders_id_seq', 5001,", "setval('public.orders_id_seq', 5000,");
    }
    let differs = before.0.iter().zip(&after.0).find(|(before, after)| before != after);
    assert!(differs.is_none() && before.0.len() == after.0.len(), "the dump differs: {differs:?}");
    assert!(before.1 == after.1, "rows, settings, channels, role or what a trigger noted differ");
    assert_eq!(client.notifications().len(), 0, "a notification was sent");
    let made = format!("select count(*) from pg_roles where rolname = '{role}_not_needed'");
    assert_eq!(value::<i64>(&mut client, &made), 0);
    // The session is as it was: hooks are gone, names are found.
    execute(&mut client, "alter table orders add column after_all int default 1; drop table customers cascade");
    execute(&mut client, &format!("drop role {role}"));
}

fn transactions(database: &Database) {
    let mut client = filled(database);
    for (sql, expected) in [
        ("begin; create table a (i int); commit; drop table a", "ran ran ran ran"),
        ("begin; create table a (i int); rollback; drop table a", "ran ran ran failed"),
        ("begin; create table a (i int); rollback; create table a (i int)", "ran ran ran ran"),
        ("create table a (i int); commit; rollback; drop table a", "ran ran ran ran"),
        ("begin; begin; create table a (i int); commit; drop table a", "ran ran ran ran ran"),
        ("begin; create table a (i int)", "ran ran"),
        (
            "begin; create table a (i int); savepoint s; drop table a; rollback to s; drop table a; release s; commit; drop table a",
            "ran ran ran ran ran ran ran ran failed",
        ),
        (
            "begin; savepoint s; create table a (i int); savepoint t; drop table a; rollback to s; create table a (i int); commit; drop table a",
            "ran ran ran ran ran ran ran ran ran",
        ),
        ("begin; savepoint s; savepoint s; release s; rollback to s; commit", "ran ran ran ran ran ran"),
        ("begin; savepoint s; release s; rollback to s; commit", "ran ran ran failed not_tried"),
        ("begin; rollback to nowhere; commit", "ran failed not_tried"),
        ("savepoint s", "failed"),
        ("lock table orders", "failed"),
        ("begin; lock table orders; commit", "ran ran ran"),
        (
            "begin; create table a (i int); commit and chain; drop table a; rollback; drop table a",
            "ran ran ran ran ran ran",
        ),
        ("begin; select 1 / 0; select 1; commit; select 1", "ran failed not_tried not_tried not_tried"),
        ("select 1 / 0; select 1", "failed not_tried"),
        // Constraints that wait for the end of the transaction.
        ("begin; insert into orders (customer_id) values (0); commit; select 1", "ran ran failed not_tried"),
        ("insert into orders (customer_id) values (0); select 1", "failed not_tried"),
        (
            "begin; insert into orders (customer_id) values (0); delete from orders where customer_id = 0; commit; select 1",
            "ran ran ran ran ran",
        ),
        (
            "begin; insert into orders (customer_id) values (1); commit; alter table orders add x int; \
             begin; insert into orders (customer_id) values (0); update orders set customer_id = 1 where customer_id = 0; commit",
            "ran ran ran ran ran ran ran ran",
        ),
        ("begin; insert into orders (customer_id) values (1); alter table orders add x int", "ran ran failed"),
        (
            "begin; insert into orders (customer_id) values (0); set constraints all immediate; select 1",
            "ran ran failed not_tried",
        ),
        // Enum values.
        ("begin; alter type status add value 'late'; select 'late'::status; commit", "ran ran failed not_tried"),
        ("alter type status add value 'late'; select 'late'::status; select 1", "ran not_tried ran"),
        // SET LOCAL ends with its transaction, SET does not.
        (
            "begin; set local search_path = nowhere; commit; select * from orders limit 1; \
             set search_path = nowhere; select * from orders limit 1",
            "ran ran ran ran ran failed",
        ),
        ("begin; set search_path = nowhere; rollback; select * from orders limit 1", "ran ran ran ran"),
        // What only the absence of a transaction allows.
        ("create index concurrently i on orders (total); drop index i", "not_tried ran"),
        ("drop index concurrently orders_note; create index orders_note on orders (note)", "not_tried ran"),
        ("begin; create index concurrently i on orders (total); commit", "ran failed not_tried"),
        ("create unique index concurrently i on orders (note); select 1", "failed not_tried"),
        (
            "reindex index concurrently orders_note; vacuum orders; reindex schema public; select 1",
            "not_tried not_tried not_tried ran",
        ),
        ("begin; vacuum orders", "ran failed"),
        ("refresh materialized view totals; do $$ begin commit; end $$; select 1", "ran not_tried ran"),
    ] {
        assert_eq!(outcomes(&mut client, sql), expected, "{sql}");
    }
    let wrapped = "select status from dbre.migration_dry_run($1, true, one_transaction => true) order by step";
    let rows = client.query(wrapped, &[&"create index concurrently i on orders (note)"]).unwrap();
    assert_eq!(rows[0].get::<_, String>(0), "failed");
    let rows = client.query(wrapped, &[&"insert into orders (customer_id) values (0); select 1"]).unwrap();
    let statuses: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(statuses, ["ran", "failed"], "the runner's COMMIT");
}

fn locks(database: &Database) {
    let mut client = filled(database);
    let lock = |relation: &str, mode: &str| json!({"relation": format!("public.{relation}"), "mode": mode});
    let rows = dry_run(
        &mut client,
        "begin; alter table orders add column late int default random(); alter table orders alter note set statistics 10;
         create table fresh (a int references customers); create index on orders (late); drop index orders_note; commit;
         insert into orders (customer_id) values (1); alter table customers validate constraint none",
    );
    let with_indexes: Vec<Value> =
        ["orders", "orders_note", "orders_pkey"].map(|name| lock(name, "AccessExclusiveLock")).into();
    assert_eq!(rows[1].locks, Value::Array(with_indexes));
    assert_eq!((rows[1].rewrites.as_slice(), rows[1].scans.len()), (["public.orders".to_string()].as_slice(), 1));
    assert_eq!(rows[2].locks, json!([lock("orders", "ShareUpdateExclusiveLock")]), "held already, and taken again");
    assert_eq!(
        rows[3].locks,
        json!([lock("customers", "ShareRowExclusiveLock")]),
        "the new table was not there before"
    );
    assert_eq!(rows[4].locks, json!([lock("orders", "ShareLock")]));
    assert!(rows[4].rewrites.is_empty() && rows[4].scans.len() == 1);
    assert_eq!(
        rows[5].locks,
        json!([lock("orders", "AccessExclusiveLock"), lock("orders_note", "AccessExclusiveLock")])
    );
    assert_eq!(
        rows[7].locks,
        json!([lock("customers", "RowShareLock"), lock("orders", "RowExclusiveLock")]),
        "also at its end"
    );
    assert_eq!(rows[8].status, "failed");
    assert_eq!(rows[8].locks, json!([]));
}
