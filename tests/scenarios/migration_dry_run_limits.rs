//! migration_dry_run(): what it refuses, how long it waits, who may call it.

use crate::migration_dry_run::{dry_run, filled, outcomes};
use crate::server::{Database, Server, execute, query, refused, trial, until_alone, value, wait_until};
use libtest_mimic::Trial;
use postgres::NoTls;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_dry_run::what_cannot_be_undone_is_not_tried", not_tried),
        trial(server, "migration_dry_run::a_locked_table_is_not_waited_for", locked),
        trial(server, "migration_dry_run::time_limits_end_it", time_limits),
        trial(server, "migration_dry_run::a_cancel_in_the_middle_leaves_nothing", canceled),
        trial(server, "migration_dry_run::others_are_not_held_up_unasked", confirmed),
        trial(server, "migration_dry_run::privileges", privileges),
    ]
}

fn not_tried(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "create function hidden() returns void language plpgsql as $$ begin perform setval('orders_id_seq', 1); end $$;
         create function by_trigger() returns trigger language plpgsql as $$ begin perform hidden(); return new; end $$;
         create table watched (a int); create trigger t before insert on watched for each row execute function by_trigger();
         create extension postgres_fdw; create server elsewhere foreign data wrapper postgres_fdw;
         create foreign table remote (a int) server elsewhere",
    );
    let file = std::env::temp_dir().join(format!("{}_by_dry_run", database.name));
    let path = file.display();
    for (sql, why) in [
        ("select setval('orders_id_seq', 1)", "setval"),
        ("select hidden()", "setval"),
        ("do $$ begin perform hidden(); end $$", "setval"),
        ("insert into watched values (1)", "setval"),
        ("create table x (a bigint default setval('orders_id_seq', 1)); insert into x default values", "setval"),
        ("select pg_advisory_lock(7)", "pg_advisory_lock"),
        ("select pg_terminate_backend(pid) from pg_stat_activity", "pg_terminate_backend"),
        ("select pg_reload_conf()", "pg_reload_conf"),
        ("select pg_switch_wal()", "pg_switch_wal"),
        ("select lo_export(1, '/tmp/x')", "lo_export"),
        ("select pg_create_physical_replication_slot('s')", "pg_create_physical_replication_slot"),
        ("select pg_stat_reset()", "pg_stat_reset"),
        (&format!("copy orders to program 'touch {path}'"), "COPY"),
        (&format!("copy orders to '{path}'"), "COPY"),
        (&format!("do $$ begin copy orders to program 'touch {path}'; end $$"), "COPY"),
        (&format!("do $$ begin execute 'copy orders to ''{path}'''; end $$"), "COPY"),
        ("do $$ begin execute 'deallocate all'; end $$", "DEALLOCATE ALL"),
        ("do $$ begin load 'plpgsql'; end $$", "LOAD"),
        ("prepare p as select 1", "not undone"),
        ("deallocate all", "not undone"),
        ("discard all", "not undone"),
        ("load 'plpgsql'", "library"),
        ("checkpoint", "checkpoint"),
        ("alter system set work_mem = '1 GB'", "inside a transaction"),
        ("create database another", "inside a transaction"),
        ("vacuum full orders", "inside a transaction"),
        ("create subscription s connection 'dbname=x' publication p", "another server"),
        ("set transaction isolation level serializable", "isolation level"),
        ("insert into remote values (1)", "foreign tables"),
        ("begin; prepare transaction 'x'", "outlive"),
    ] {
        let rows = dry_run(&mut client, sql);
        let last = rows.last().unwrap();
        assert!(last.status == "not tried" && last.message.contains(why), "{sql}: {} {}", last.status, last.message);
    }
    assert!(!file.exists());
    let handled = "do $$ begin perform hidden(); exception when others then null; end $$";
    let rows = dry_run(&mut client, handled);
    assert!(rows[0].status == "ran" && rows[0].message.contains("setval"), "{}", rows[0].message);
    let left = "select (select last_value from orders_id_seq) || ' ' || (select count(*) from pg_locks where locktype = 'advisory')
         || ' ' || (select count(*) from pg_prepared_statements where name = 'p') || ' ' || (select count(*) from pg_replication_slots)";
    assert_eq!(value::<String>(&mut client, left), "5000 0 0 0");
    // Afterwards all of it is allowed again.
    execute(&mut client, "select hidden(); select pg_advisory_lock(7), pg_advisory_unlock(7)");
}

fn locked(database: &Database) {
    let (mut client, mut other) = (filled(database), database.connect());
    execute(&mut other, "begin; lock table orders in access exclusive mode");
    let begun = Instant::now();
    let sql = "select status, message from dbre.migration_dry_run(
         'set lock_timeout = 0; alter table customers add x int; alter table orders add x int; select 1',
         true, lock_timeout => '200 ms'
     ) order by step";
    execute(&mut client, "begin");
    let rows = query(&mut client, sql);
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited {:?}", begun.elapsed());
    let statuses: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(statuses, ["ran", "ran", "failed", "not tried"]);
    assert!(rows[2].get::<_, String>(1).contains("lock timeout"), "{}", rows[2].get::<_, String>(1));
    // The lock that was had by then is free again, though the transaction goes on.
    execute(&mut other, "set lock_timeout = '2 s'; alter table customers add y int; rollback");
    execute(&mut client, "commit");
    assert_eq!(outcomes(&mut client, "alter table orders add x int"), "ran");
}

fn time_limits(database: &Database) {
    let mut client = filled(database);
    let begun = Instant::now();
    let rows = query(
        &mut client,
        "select status, message from dbre.migration_dry_run(
             'alter table orders add x int; select pg_sleep(60); select 1', true, time_limit => '3 s'
         ) order by step",
    );
    let statuses: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(statuses, ["ran", "failed", "not tried"]);
    assert!(rows[1].get::<_, String>(1).contains("time_limit"), "{}", rows[1].get::<_, String>(1));
    let rows = dry_run(&mut client, "set statement_timeout = '200 ms'; select pg_sleep(60); select 1");
    assert_eq!((rows[1].status.as_str(), rows[2].status.as_str()), ("failed", "not tried"));
    assert!(rows[1].message.contains("statement_timeout"), "{}", rows[1].message);
    assert!(begun.elapsed() < Duration::from_secs(40));
    // That of the caller ends all of it.
    execute(&mut client, "set statement_timeout = '200 ms'");
    let error = refused(&mut client, "select * from dbre.migration_dry_run('create table x (); select pg_sleep(60)')");
    assert_eq!(error.code().code(), "57014", "{error:?}");
    execute(&mut client, "reset statement_timeout");
    assert_eq!(value::<i64>(&mut client, "select count(*) from pg_class where relname = 'x'"), 0);
}

fn canceled(database: &Database) {
    let (mut client, mut other) = (filled(database), database.connect());
    let token = client.cancel_token();
    for transaction in [false, true] {
        let canceling = thread::spawn({
            let (token, server, name) = (token.clone(), database.server.clone(), database.name.clone());
            move || {
                let mut watcher = server.connect(&name, "postgres");
                let locked = "select count(*) from pg_locks where relation = 'orders'::regclass and mode = 'AccessExclusiveLock'";
                wait_until("the table is locked", || value::<i64>(&mut watcher, locked) > 0);
                token.cancel_query(NoTls).unwrap();
            }
        });
        if transaction {
            execute(&mut client, "begin; savepoint before_it");
        }
        let sql = "select * from dbre.migration_dry_run(
             'begin; savepoint s; alter table orders add x int; do $$ begin perform pg_sleep(60); end $$; commit', true)";
        let error = refused(&mut client, sql);
        canceling.join().unwrap();
        assert_eq!(error.code().code(), "57014", "{error:?}");
        if transaction {
            execute(&mut client, "rollback to before_it");
        }
        execute(&mut other, "begin; lock table orders in access exclusive mode nowait; rollback");
        assert_eq!(
            value::<i64>(
                &mut client,
                "select count(*) from pg_attribute where attrelid = 'orders'::regclass and attname = 'x'"
            ),
            0
        );
        assert_eq!(outcomes(&mut client, "alter table orders add x int"), "ran");
        if transaction {
            execute(&mut client, "commit");
        }
    }
}

fn confirmed(database: &Database) {
    let mut client = filled(database);
    let sql = "select status from dbre.migration_dry_run('drop view big_orders; alter table orders add x int; drop table totals')";
    until_alone(&mut client);
    assert_eq!(query(&mut client, sql).len(), 3);
    let _other = database.connect();
    let error = refused(&mut client, sql);
    assert_eq!(error.code().code(), "55000", "{error:?}");
    assert!(error.message().contains("1 other session"), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("confirm => true") && hint.contains("public.orders (ACCESS EXCLUSIVE, about 5000 rows)"),
        "{hint}"
    );
    assert_eq!(query(&mut client, &sql.replace("totals')", "totals', true)")).len(), 3);
}

fn privileges(database: &Database) {
    let mut client = filled(database);
    let role = format!("{}_tester", database.name);
    execute(&mut client, &format!("create role {role} login; grant pg_monitor to {role}"));
    let mut tester = database.connect_as(&role);
    let sql = "select status, message from dbre.migration_dry_run($1, true) order by step";
    let error = tester.query(sql, &[&"select 1"]).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501", "{error:?}");
    execute(
        &mut client,
        &format!(
            "grant execute on function dbre.migration_dry_run(text, boolean, interval, interval, boolean, text) to {role}"
        ),
    );
    for refused in
        ["alter table orders add x int", "select * from orders", "set role postgres", "copy orders to program 'true'"]
    {
        let rows = tester.query(sql, &[&refused]).unwrap();
        let status: String = rows[0].get(0);
        assert!(status == "failed" || refused.starts_with("copy"), "{refused}: {status}");
    }
    let rows =
        tester.query(sql, &[&"create temp table mine (a int); insert into mine values (1); drop table mine"]).unwrap();
    let statuses: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(statuses, ["ran", "ran", "ran"]);
    drop(tester);
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
}
