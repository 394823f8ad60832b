//! Plans while others hold locks, and after an error in the middle.

use crate::server::{Database, execute, query, value, wait_until};
use std::thread;

fn plan(database: &Database, migration: &str) -> Vec<String> {
    let sql = format!("select statement from dbre.migration_plan($mig${migration}$mig$, many_rows => 100)");
    query(&mut database.connect(), &sql).iter().map(|row| row.get(0)).collect()
}

/// Without retries each statement stands as it is, and what waits for transactions to end has no lock_timeout.
pub fn once(database: &Database) {
    execute(
        &mut database.connect(),
        "create table t (id int primary key, v int); insert into t select g, g from generate_series(1, 500) g; analyze",
    );
    let migration = "set lock_timeout = '3s'; create index on t (v); alter table t alter v set not null, add w int";
    let sql = format!(
        "select statement, in_transaction from dbre.migration_plan($mig${migration}$mig$, lock_timeout => '700 ms', lock_retries => 0)"
    );
    let rows = query(&mut database.connect(), &sql);
    let statements: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [
        ("set lock_timeout = '3s';", false),
        ("SET lock_timeout = 0;", false),
        ("create index CONCURRENTLY t_v_idx on t (v);", false),
        ("BEGIN;", true),
        ("SET LOCAL lock_timeout = '700ms';", true),
        ("ALTER TABLE public.t add w int;", true),
        ("ALTER TABLE public.t ADD CONSTRAINT t_v_not_null CHECK (v IS NOT NULL) NOT VALID;", true),
        ("COMMIT;", true),
        ("ALTER TABLE public.t VALIDATE CONSTRAINT t_v_not_null;", false),
        ("BEGIN;", true),
        ("SET LOCAL lock_timeout = '700ms';", true),
        ("ALTER TABLE public.t ALTER COLUMN v SET NOT NULL;", true),
        ("ALTER TABLE public.t DROP CONSTRAINT t_v_not_null;", true),
        ("COMMIT;", true),
    ];
    let expected: Vec<(String, bool)> = expected.map(|(sql, inside)| (sql.to_string(), inside)).into();
    let joined =
        |statements: &[(String, bool)]| statements.iter().map(|(sql, _)| sql.as_str()).collect::<Vec<_>>().join("\n");
    let (mut left, mut right) = (statements.clone(), expected.clone());
    left.sort();
    right.sort();
    assert_eq!(left, right, "{}", joined(&statements));
    database.psql(&joined(&statements));
}

/// A lock that is not to be had makes the plan wait in short attempts, between which others get through; then it goes on.
pub fn retries(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, v int); insert into t select g, g from generate_series(1, 500) g; analyze",
    );
    let plan = plan(database, "alter table t alter v set not null");
    let mut holder = database.connect();
    execute(&mut holder, "begin; select from t");
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let mut client = database.connect();
            plan.iter().for_each(|statement| execute(&mut client, statement));
        });
        let waiting = "select count(*) from pg_locks where relation = 't'::regclass and not granted";
        wait_until("the plan waits", || value::<i64>(&mut client, waiting) == 1);
        // Behind a waiter for ACCESS EXCLUSIVE: it gives way within its lock_timeout.
        execute(&mut client, "set statement_timeout = '60 s'");
        assert_eq!(value::<i64>(&mut client, "select count(*) from t"), 500);
        wait_until("the plan waits again", || value::<i64>(&mut client, waiting) == 1);
        execute(&mut holder, "commit");
        runner.join().unwrap();
    });
    assert!(value::<bool>(
        &mut client,
        "select attnotnull from pg_attribute where attrelid = 't'::regclass and attname = 'v'"
    ));
    assert_eq!(
        value::<i64>(
            &mut client,
            "select count(*) from pg_constraint where conrelid = 't'::regclass and contype = 'c'"
        ),
        0
    );
}

/// Batches that are done stay; run again, the rest is done and nothing twice.
pub fn batches_go_on(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, v text, w text);
         insert into t select g, 'v' || g, 'w' from generate_series(1, 20000) g;
         analyze",
    );
    let plan = plan(database, "update t set w = upper(v) where id > 100");
    let [batches] = plan.as_slice() else { panic!("{plan:?}") };
    execute(&mut client, "alter table t add constraint stop check (w <> 'V12000')");
    client.batch_execute(batches).expect_err("the constraint stops it");
    let done = "select count(*) from t where w = upper(v)";
    let first = value::<i64>(&mut client, done);
    assert!((5000..12000).contains(&first), "{first}");
    execute(&mut client, "alter table t drop constraint stop");
    execute(&mut client, batches);
    assert_eq!(value::<i64>(&mut client, done), 19900);
}
