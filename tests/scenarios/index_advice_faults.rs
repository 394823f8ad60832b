//! Index advice while others drop, lock and cancel; on what pg_stat_statements really holds; with little at hand.

use crate::index_advice::{WORKLOAD, advice, array, created, filled, of_rule};
use crate::server::{Database, Server, execute, query, refused, shown, trial, value, wait_until};
use libtest_mimic::Trial;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "index_advice::tables_dropped_meanwhile", dropped_meanwhile),
        trial(server, "index_advice::two_sessions_at_once", two_sessions),
        trial(server, "index_advice::cancel_and_timeout", cancel_and_timeout),
        trial(server, "index_advice::statements_too_deep", too_deep),
        trial(server, "index_advice::without_pg_stat_statements", without_statements),
        trial(server, "index_advice::what_pg_stat_statements_holds", recorded_statements),
        trial(server, "index_advice::leaves_nothing", leaves_nothing),
    ]
}

/// Ends the other threads on a panic too.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn dropped_meanwhile(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    execute(
        &mut client,
        "insert into workload select format('select * from churn%s where a = %s', 1 + g % 3, g), 5, 5 from generate_series(1, 30) g",
    );
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut other = database.connect();
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for table in ["churn1", "churn2"] {
                    execute(&mut other, &format!("create table {table} as select g as a, g as b from generate_series(1, 3000) g"));
                    execute(&mut other, &format!("create index on {table} (b)"));
                }
                execute(&mut other, "create table churn3 (a int, b int) partition by range (a); create table churn3_1 partition of churn3 for values from (0) to (9)");
                execute(&mut other, "create index on churn3 (b); alter table churn1 drop column b; drop table churn3_1");
                execute(&mut other, "drop table churn1, churn2, churn3");
                rounds += 1;
            }
            rounds
        });
        let end = SetWhenDropped(&done);
        let begun = Instant::now();
        let mut answers = 0;
        while begun.elapsed() < Duration::from_secs(4) || answers < 3 {
            let rows = advice(&mut client, "workload => 'workload'");
            assert!(created(&rows).len() >= 4, "{}", shown(&rows));
            answers += 1;
            // One query's own error may be raised, but never takes the session with it.
            let single = client.query("select * from dbre.index_advice('select * from churn1 where a = 5')", &[]);
            let gone = single.as_ref().err().and_then(|error| error.as_db_error());
            assert!(
                single.is_ok()
                    || gone.is_some_and(|error| error.code().code() == "42P01" || error.code().code() == "XX000"),
                "{single:?}"
            );
            assert_eq!(value::<i32>(&mut client, "select 1"), 1);
        }
        drop(end);
        let rounds = churn.join().unwrap();
        assert!(rounds >= 1, "tables came and went {rounds} times");
    });
}

fn two_sessions(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    let alone = created(&advice(&mut client, "workload => 'workload'")).join("\n");
    thread::scope(|scope| {
        let sessions: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut own = database.connect();
                    (0..5).map(|_| created(&advice(&mut own, "workload => 'workload'")).join("\n")).collect::<Vec<_>>()
                })
            })
            .collect();
        for session in sessions {
            assert!(session.join().unwrap().iter().all(|answer| *answer == alone));
        }
    });
}

const LONG: &str = "create table workload as
    select format('select t.b from t join u on u.t_id = t.id join t x on x.a = u.k where t.a = %s and u.k > %s and x.e = %s order by t.c limit %s', g, g, g, g) as query,
        10 as calls, 5.0 as mean_ms from generate_series(1, 3000) g";

fn cancel_and_timeout(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, LONG);
    let call = "select * from dbre.index_advice(workload => 'workload', max_queries => 3000, time_limit => '1 min')";
    for milliseconds in [100, 700] {
        execute(&mut client, &format!("set statement_timeout = {milliseconds}"));
        let begun = Instant::now();
        assert_eq!(refused(&mut client, call).code().code(), "57014");
        assert!(
            begun.elapsed() < Duration::from_millis(milliseconds + 20_000),
            "{milliseconds} ms: {:?}",
            begun.elapsed()
        );
    }
    execute(&mut client, "reset statement_timeout");
    let caught = format!(
        "do $$ begin perform set_config('statement_timeout', '300', true); begin perform 1 from ({call}) x; exception when query_canceled then perform 1; end; end $$"
    );
    execute(&mut client, &caught);
    for delay in [50, 1500] {
        let mut busy = database.connect();
        let pid: i32 = value(&mut busy, "select pg_backend_pid()");
        let runner = thread::spawn(move || (refused(&mut busy, call), Instant::now(), busy));
        let active = format!(
            "select coalesce((select state = 'active' and query like '%index_advice%' from pg_stat_activity where pid = {pid}), false)"
        );
        wait_until("it advises", || value(&mut client, &active));
        thread::sleep(Duration::from_millis(delay));
        let begun = Instant::now();
        execute(&mut client, &format!("select pg_cancel_backend({pid})"));
        let (error, ended, mut busy) = runner.join().unwrap();
        assert_eq!(error.code().code(), "57014");
        assert!(ended - begun < Duration::from_secs(20), "after {delay} ms: {:?}", ended - begun);
        assert!(!created(&advice(&mut busy, "'select b from t where a = 7'")).is_empty(), "the session goes on");
        assert_eq!(value::<String>(&mut busy, "select current_user::text"), "postgres");
    }
}

/// Such a text is not planned; the others are, and the session is as it was.
fn too_deep(database: &Database) {
    let mut client = filled(database);
    for deep in [
        "'select a from t where a = 1' || repeat(' + 1', 20000)",
        "'select a from t where a = 1' || repeat(' + a', 3000)",
        "'select a from t where ' || repeat('not ', 3000) || 'true'",
        "'select a from t where ' || repeat('-(', 2500) || 'a' || repeat(')', 2500) || ' = 4'",
        "'select 1' || repeat(' union all select a from t', 20000)",
        "'update t set a = 1' || repeat(' + (select 1)', 5000)",
        "repeat('select * from (', 2000) || 'select 1' || repeat(') x', 2000)",
    ] {
        let rows = advice(&mut client, &format!("queries => array[{deep}, 'select b from t where a = 7']"));
        assert!(!created(&rows).is_empty(), "{deep}\n{}", shown(&rows));
        assert_eq!(value::<i32>(&mut client, "select 1"), 1, "{deep}");
        execute(&mut client, "create table usable (a int); drop table usable");
        assert_eq!(value::<String>(&mut client, "select current_user::text"), "postgres", "{deep}");
        query(&mut client, "select * from dbre.check()");
    }
}

fn without_statements(database: &Database) {
    let mut client = filled(database);
    for call in ["index_advice()", "validate_index('t_pkey')", "snapshot_index_advice()"] {
        let error = refused(&mut client, &format!("select * from dbre.{call}"));
        assert_eq!(error.code().code(), "55000", "{call}\n-- {}", error.message());
        let hint = error.hint().unwrap_or_default();
        assert!(
            hint.contains("CREATE EXTENSION pg_stat_statements") && hint.contains("shared_preload_libraries"),
            "{hint}"
        );
    }
    assert!(!created(&advice(&mut client, "'select b from t where a = 7'")).is_empty());
    assert_eq!(
        query(&mut client, "select * from dbre.validate_index('t_pkey', array['select * from t where id = 7'])").len(),
        1
    );
    // In another schema it is found, too.
    execute(&mut client, "create schema \"Ext\"; create extension pg_stat_statements schema \"Ext\"");
    query(&mut client, "select b from t where a = 7");
    let rows = advice(&mut client, "");
    assert!(created(&rows).iter().any(|index| index.starts_with("USING btree (a)")), "{}", shown(&rows));
}

/// Statements as it normalizes them: constants of types that are written before them, lists, utility statements.
const RECORDED: &[(&str, &str)] = &[
    ("select b from t where c > timestamptz '2026-01-21' - interval '1 hour'", "(c)"),
    ("select count(*) from t where a = 7 and c < date '2026-01-01' + interval '3' day", "(a, c)"),
    ("select b from u join t on t.id = u.t_id where u.k in (1, 2, 3)", "(k"),
    ("select * from t where tags @> array['y5']", "gin (tags)"),
    ("select * from t where b like 'abc%'", "(b "),
    ("select count(*) from t where extract(month from c at time zone 'UTC') = 13", ""),
    ("select count(*) from t where j @> jsonb '{\"k\": 5}' and id > bigint '3'", "gin (j"),
    ("delete from u where t_id = 77 and k = 5", "t_id"),
];

fn recorded_statements(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create extension pg_stat_statements");
    query(
        &mut client,
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)",
    );
    for (sql, _) in RECORDED {
        (0..3).for_each(|_| drop(query(&mut client, sql)));
    }
    execute(
        &mut client,
        "set work_mem = '4MB'; analyze small; begin; declare c cursor for select * from t; fetch 3 from c; close c; commit; create temp table x (a int); prepare p as select * from u where k = $1; execute p (5); deallocate p; explain select * from t",
    );
    query(&mut client, "select now() - interval '3 days', date '2026-01-01' + 5, extract(year from now())");
    let rows = advice(&mut client, "min_benefit_percent => 0, max_indexes_per_table => 20");
    let proposed = created(&rows);
    for (sql, index) in RECORDED {
        assert!(proposed.iter().any(|created| created.contains(index)), "{sql}: {index} is not among {proposed:?}");
    }
    let not_planned = of_rule(&rows, "query_not_planned");
    assert!(not_planned.is_empty(), "{}", shown(&not_planned.into_iter().cloned().collect::<Vec<_>>()));
}

fn leaves_nothing(database: &Database) {
    let mut client = filled(database);
    let texts = array(&[
        "select b from t where a = 7",
        "update t set d = 1 where e = 7",
        "delete from u using t where t.id = u.t_id and t.a = 5",
        "selec",
    ]);
    for call in [
        format!("index_advice(queries => {texts})"),
        "suggest_index('t', '{a}')".to_string(),
        format!("validate_index('t_pkey', {texts})"),
    ] {
        execute(&mut client, "begin read only");
        query(&mut client, &format!("select * from dbre.{call}"));
        let locks = "select coalesce(string_agg(relation::regclass || ' ' || mode, ', '), '') from pg_locks
            where pid = pg_backend_pid() and locktype <> 'virtualxid' and mode <> 'AccessShareLock'";
        assert_eq!(value::<String>(&mut client, locks), "", "{call}");
        assert_eq!(
            value::<Option<String>>(&mut client, "select pg_current_xact_id_if_assigned()::text"),
            None,
            "{call}"
        );
        execute(&mut client, "commit");
        let plan: serde_json::Value = value(&mut client, "explain (format json) select b from t where a = 7");
        assert_eq!(plan[0]["Plan"]["Node Type"], "Seq Scan", "{call}");
    }
}
