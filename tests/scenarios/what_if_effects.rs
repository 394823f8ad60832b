//! A what-if plan takes no strong lock, leaves nothing behind, and lives beside what else hooks into the planner.

use crate::server::{Database, Server, execute, query, refused, trial, value, wait_until};
use crate::what_if::{explained, filled, nodes, with_indexes};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "what_if::writes_are_planned_without_locks_or_traces", writes),
        trial(server, "what_if::nothing_survives_an_error_or_a_cancel", nothing_survives),
        trial(server, "what_if::functions_that_run_while_planning_see_real_indexes", functions_while_planning),
        trial(server, "what_if::pg_stat_statements_and_auto_explain_beside_it", statistics_beside),
        trial(server, "what_if::hypopg_beside_it", hypopg_beside),
    ]
}

/// Each finds rows of t by a = 5.
const WRITES: &[&str] = &[
    "update t set b = 'x' where a = 5",
    "update t set (b, d) = (select 'x', 1) where a = 5 returning id",
    "update t x set b = y.b from t y where y.a = 5 and y.id = x.id",
    "delete from t where a = 5",
    "delete from t using (values (1), (2)) v (x) where t.a = 5 and t.d = v.x",
    "delete from only t as x where x.a = 5 returning x.*, 1",
    "insert into t (id, a) select id + 1000000, a from t where a = 5 on conflict (id) do update set a = excluded.a",
    "merge into t using (values (5, 'x')) v (a, b) on t.a = v.a when matched then update set b = v.b when not matched then do nothing",
    "with x as (delete from t where a = 5 returning id) select * from t join x using (id)",
    "with x as (insert into t (id) values (-1) returning id) select * from t where a = 5",
    "with recursive x as (update t set d = 1 where a = 5 returning a) insert into t (id) select a from x",
    "select * from t where a = 5 for update",
    "select * from t where a = 5 for no key update of t skip locked",
    "select * from (select * from t where a = 5 for share) x",
];

fn writes(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create view seen as select id, a, b from t");
    let catalogs = "select (select count(*) from pg_class) + (select count(*) from pg_index) + (select count(*) from pg_attribute)";
    let before: i64 = value(&mut client, catalogs);
    let of_view = ["update seen set b = 'x' where a = 5", "delete from seen where a = 5"];
    for sql in WRITES.iter().chain(&of_view) {
        for begin in ["begin", "begin read only"] {
            execute(&mut client, begin);
            let planned = with_indexes(&mut client, sql, &["create index hyp on t (a)"]);
            assert_eq!(planned["indexes"][0]["used"], true, "{sql}\n-- {planned:#}");
            let (after, before) = (planned["cost_after"].as_f64(), planned["cost_before"].as_f64());
            assert!(after < before, "{sql}\n-- {planned:#}");
            let locks = "select coalesce(string_agg(relation::regclass || ' ' || mode, ', '), '') from pg_locks
                where pid = pg_backend_pid() and locktype <> 'virtualxid' and mode <> 'AccessShareLock'";
            assert_eq!(value::<String>(&mut client, locks), "", "{sql}");
            let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
            assert_eq!(xid, None, "{sql}");
            execute(&mut client, "commit");
        }
    }
    assert_eq!(value::<i64>(&mut client, catalogs), before);
    // A reader does not wait for writers.
    let mut other = database.connect();
    execute(&mut other, "begin; lock table t in exclusive mode");
    execute(&mut client, "set lock_timeout = '1 s'");
    WRITES.iter().for_each(|sql| drop(with_indexes(&mut client, sql, &["create index hyp on t (a)"])));
}

const FAILING: &str = "
    create function fails() returns int language plpgsql immutable as $$ begin raise exception 'while planning'; end $$;
    create function sleeps() returns int language plpgsql immutable as $$ begin perform pg_sleep(60); return 5; end $$;";

fn nothing_survives(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, FAILING);
    execute(&mut client, "create index t_c on t (c)");
    let call = |function: &str| {
        format!(
            "select * from dbre.what_if('select * from t where a = {function}()', '{{create index hyp on t (a)}}', '{{t_c}}')"
        )
    };
    let nothing_left = |client: &mut Client, what: &str| {
        assert_eq!(nodes(&explained(client, "select * from t where a = 5")), ["Seq Scan"], "{what}");
        let hidden = explained(client, "select * from t where c < '2026-01-01 00:05'");
        assert!(hidden.to_string().contains("t_c"), "{what}: {hidden:#}");
    };
    assert_eq!(refused(&mut client, &call("fails")).message(), "while planning");
    nothing_left(&mut client, "an error");

    let caught = format!(
        "do $o$ begin
            begin perform 1 from ({}) x; exception when raise_exception then perform 1; end;
            create table plan as select '' as line limit 0;
            declare line text; begin
                for line in execute 'explain select * from t where a = 5' loop insert into plan values (line); end loop;
            end;
        end $o$",
        call("fails")
    );
    execute(&mut client, &caught);
    let plan: String = value(&mut client, "select string_agg(line, '') from plan");
    assert!(plan.starts_with("Seq Scan"), "{plan}");
    nothing_left(&mut client, "an error that was caught");

    execute(&mut client, "set statement_timeout = '300 ms'");
    let begun = Instant::now();
    assert_eq!(refused(&mut client, &call("sleeps")).code().code(), "57014");
    let caught = format!(
        "do $o$ begin perform 1 from ({}) x; exception when query_canceled then perform 1; end $o$",
        call("sleeps")
    );
    execute(&mut client, &caught);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    execute(&mut client, "reset statement_timeout");
    nothing_left(&mut client, "statement_timeout");

    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let sleeping = call("sleeps");
    let runner = thread::spawn(move || (refused(&mut client, &sleeping), client));
    let mut other = database.connect();
    let asleep = format!("select coalesce(wait_event = 'PgSleep', false) from pg_stat_activity where pid = {pid}");
    wait_until("the planner sleeps", || value(&mut other, &asleep));
    let begun = Instant::now();
    execute(&mut other, &format!("select pg_cancel_backend({pid})"));
    let (error, mut client) = runner.join().unwrap();
    assert!(
        error.code().code() == "57014" && begun.elapsed() < Duration::from_secs(20),
        "{error:?} {:?}",
        begun.elapsed()
    );
    nothing_left(&mut client, "a cancel");
}

/// Such functions run their queries, and a hypothetical index cannot be scanned.
fn functions_while_planning(database: &Database) {
    let mut client = filled(database);
    let functions = [
        ("plpgsql", "begin return (select count(*) from t where a = 5 and d = 2); end"),
        (
            "plpgsql",
            "declare n int; begin execute 'select count(*) from t where a = 5 and d = $1' into n using 2; return n; end",
        ),
        ("sql", "select count(*)::int from t where a = 5 and d = 2"),
        (
            "plpgsql",
            "begin return (select cardinality(indexes_used) from dbre.what_if('select * from t where a = 5 and d = 2', '{create index other on t (d)}')); end",
        ),
    ];
    for (language, body) in functions {
        execute(
            &mut client,
            &format!("create or replace function peeks() returns int language {language} immutable as $f$ {body} $f$"),
        );
        let indexes = ["create index hyp on t (a)", "create index hyp_d on t (a) where d = 2"];
        let planned = with_indexes(&mut client, "select * from t where a = 5 and d = 2 and peeks() >= 0", &indexes);
        let after = nodes(&planned["plan_after_json"][0]["Plan"]);
        assert!(after.contains(&"Bitmap Index Scan hyp_d".to_string()), "{body}\n-- {after:?}");
        assert!(nodes(&explained(&mut client, "select * from t where a = 5")) == ["Seq Scan"], "{body}");
    }
}

fn statistics_beside(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create extension pg_stat_statements; load 'auto_explain'");
    execute(
        &mut client,
        "set pg_stat_statements.track = 'all'; set pg_stat_statements.track_planning = on;
         set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on",
    );
    for sql in ["select 7 as planned, t.* from t where a = 5", "delete from t where a = 5 returning 7 as planned"] {
        let planned = with_indexes(&mut client, sql, &["create index hyp on t (a)"]);
        assert_eq!(planned["indexes"][0]["used"], true, "{planned:#}");
    }
    query(&mut client, "select * from dbre.index_advice(queries => array['select 7 as planned from t where a = 5'])");
    let entries = "select count(*) from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
        and (query like 'select % as planned%' or query like 'delete from t%')";
    assert_eq!(value::<i64>(&mut client, entries), 0);
    query(&mut client, "select 8 as planned from t where a = 5");
    assert_eq!(value::<i64>(&mut client, entries), 1, "it is recorded when it is executed");
}

fn hypopg_beside(database: &Database) {
    let mut client = filled(database);
    if value::<i64>(&mut client, "select count(*) from pg_available_extensions where name = 'hypopg'") == 0 {
        return;
    }
    execute(&mut client, "create extension hypopg; select hypopg_create_index('create index on t (e)')");
    let theirs =
        |client: &mut Client| nodes(&explained(client, "select * from t where e = 5")).join(" ").contains("btree_t_e");
    assert!(theirs(&mut client));
    let ours = with_indexes(&mut client, "select * from t where a = 5 and d = 3", &["create index hyp on t (a)"]);
    assert_eq!(ours["indexes"][0]["used"], true, "{ours:#}");
    assert!(theirs(&mut client), "after what_if");
    query(&mut client, "select * from dbre.index_advice('select * from t where a = 5 and e = 3')");
    assert!(theirs(&mut client), "after index_advice");
    execute(&mut client, "select hypopg_reset()");
    assert!(!theirs(&mut client));
}
