//! Index advice under limits: a budget, a number, a time; and what it does with bad input.

use crate::index_advice::{WORKLOAD, advice, array, created, filled, of_rule};
use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "index_advice::a_budget_is_kept", budget),
        trial(server, "index_advice::at_most_so_many_for_a_table", most_for_a_table),
        trial(server, "index_advice::the_same_twice", the_same_twice),
        trial(server, "index_advice::time_is_up", time_is_up),
        trial(server, "index_advice::ten_thousand_queries", ten_thousand),
        trial(server, "index_advice::bad_arguments", bad_arguments),
        trial(server, "index_advice::snapshots", snapshots),
        trial(server, "index_advice::validate_index", validate),
    ]
}

fn budget(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    let bytes = |rows: &[Value]| -> u64 {
        of_rule(rows, "missing_index").iter().map(|row| row["evidence"]["estimated_bytes"].as_u64().unwrap()).sum()
    };
    let saved = |rows: &[Value]| -> f64 {
        let workload = &rows[0]["evidence"]["workload"];
        workload["cost_before"].as_f64().unwrap() - workload["cost_after"].as_f64().unwrap()
    };
    let all = advice(&mut client, "workload => 'workload'");
    let (mut less, whole) = (0.0, bytes(&all));
    for share in [10, 3, 2, 1] {
        let limit = whole / share;
        let rows = advice(&mut client, &format!("workload => 'workload', budget => '{limit} bytes'"));
        assert!(bytes(&rows) <= limit, "{limit}: {}", shown(&rows));
        assert!(rows.iter().all(|row| row["evidence"]["workload"]["index_bytes"].as_u64().unwrap() <= limit));
        let more = saved(&rows);
        assert!(more >= less * 0.999, "a larger budget saves less: {less} and {more} with {limit} bytes");
        less = more;
    }
    assert!((less / saved(&all) - 1.0).abs() < 0.02, "{less} and without a limit {}", saved(&all));
    for none in ["0", "1kB"] {
        let rows = advice(&mut client, &format!("workload => 'workload', budget => '{none}'"));
        assert!(created(&rows).is_empty(), "{none}: {}", shown(&rows));
    }
    assert_eq!(created(&advice(&mut client, "workload => 'workload', budget => '100 TB'")), created(&all));
}

fn most_for_a_table(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    let mut before = usize::MAX;
    for most in [5, 2, 1, 0] {
        let rows = advice(&mut client, &format!("workload => 'workload', max_indexes_per_table => {most}"));
        for table in ["public.t", "public.u"] {
            let of_table = |row: &&&Value| text(&row["evidence"], "table") == table;
            let count = of_rule(&rows, "missing_index").iter().filter(of_table).count();
            assert!(count <= most, "{most}: {}", shown(&rows));
        }
        assert!(created(&rows).len() <= before);
        before = created(&rows).len();
    }
    let strict = advice(&mut client, "workload => 'workload', min_benefit_percent => 90");
    assert!(created(&strict).is_empty(), "{}", shown(&strict));
}

/// Without what differs from run to run.
fn comparable(mut rows: Vec<Value>) -> Vec<Value> {
    for row in &mut rows {
        if let Some(workload) = row["evidence"]["workload"].as_object_mut() {
            workload.remove("elapsed_ms");
        }
    }
    rows
}

fn the_same_twice(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    for arguments in [
        "workload => 'workload'",
        "workload => 'workload', budget => '2 MB'",
        "workload => 'workload', parameters => 'generic'",
    ] {
        let first = comparable(advice(&mut client, arguments));
        let again = comparable(advice(&mut client, arguments));
        let elsewhere = comparable(advice(&mut database.connect(), arguments));
        assert!(first == again && first == elsewhere, "{arguments}\n{}\n-- and --\n{}", shown(&first), shown(&again));
    }
}

/// Queries on t, all different.
fn many(number: u32) -> String {
    format!(
        "create table workload as
         select
             format('select b, e from t where a = %s and %I::text > %L order by %I limit %s', g, col, g, other, 1 + g % 9) as query,
             1 + g % 50 as calls,
             5.0 as mean_ms
         from generate_series(1, {number}) g
         cross join lateral (
             select (array['c', 'id', 'e', 'd'])[1 + g % 4] as col, (array['e', 'd', 'b', 'c', 'id'])[1 + g % 5] as other
         ) x"
    )
}

fn time_is_up(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, &many(400));
    for limit in ["1 microsecond", "5 ms", "100 ms"] {
        let begun = Instant::now();
        let rows = advice(&mut client, &format!("workload => 'workload', time_limit => '{limit}'"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{limit}: {:?}", begun.elapsed());
        let said = rows.iter().any(|row| row["evidence"]["workload"]["complete"] == false);
        assert!(said, "{limit}: nothing says that time was up: {}", shown(&rows));
        assert!(of_rule(&rows, "index_without_use").is_empty(), "{limit}: {}", shown(&rows));
        assert!(
            !created(&advice(&mut client, "'select b from t where a = 7'")).is_empty(),
            "the next call has time again"
        );
    }
}

fn ten_thousand(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, &many(10_000));
    let begun = Instant::now();
    let rows = advice(&mut client, "workload => 'workload', max_queries => 10000, time_limit => '6 s'");
    // A debug build, too.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(!rows.is_empty() && rows[0]["evidence"]["workload"]["queries"].as_u64() > Some(100), "{}", shown(&rows));
    let first = advice(&mut client, "workload => 'workload', max_queries => 10");
    assert_eq!(first[0]["evidence"]["workload"]["queries"], 10);
}

fn bad_arguments(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "create table wrong (query text); create table odd (query text, calls text, mean_ms text); insert into odd values ('select 1', 'x', 'y')",
    );
    for (arguments, state, message) in [
        ("budget => 'lots', queries => '{select 1}'", "22023", "argument budget"),
        ("budget => '', queries => '{select 1}'", "22023", "argument budget"),
        ("budget => '-1GB', queries => '{select 1}'", "22023", "argument budget"),
        ("budget => '1e400 GB', queries => '{select 1}'", "22023", "argument budget"),
        ("budget => 'NaN', queries => '{select 1}'", "22023", "argument budget"),
        ("queries => '{}'", "22023", "argument queries"),
        ("queries => array[null]", "22004", "argument queries"),
        ("'select 1', queries => '{select 1}'", "22023", "more than one"),
        ("'select 1', workload => 'wrong'", "22023", "more than one"),
        ("workload => 'nowhere'", "42P01", "nowhere"),
        ("workload => 'wrong'", "42703", "calls"),
        ("workload => 'odd'", "22P02", "x"),
        ("workload => ''", "42601", ""),
        ("workload => 'wrong; drop table wrong'", "", ""),
        ("workload => 'select 1; select 2'", "", ""),
        ("workload => 'wrong) w; drop table wrong; select 1 from (select 1'", "42601", ""),
        ("weigh_by => 'mood', query => 'select 1'", "22023", "argument weigh_by"),
        ("weigh_by => null, query => 'select 1'", "22004", "argument weigh_by"),
        ("parameters => 'none', query => 'select 1'", "22023", "argument parameters"),
        ("max_indexes_per_table => -1, query => 'select 1'", "22023", "argument max_indexes_per_table"),
        ("max_indexes_per_table => null, query => 'select 1'", "22004", "argument max_indexes_per_table"),
        ("max_queries => 0, query => 'select 1'", "22023", "argument max_queries"),
        ("max_queries => 2000000000, query => 'select 1'", "22023", "argument max_queries"),
        ("min_benefit_percent => -1, query => 'select 1'", "22023", "argument min_benefit_percent"),
        ("min_benefit_percent => 'NaN', query => 'select 1'", "22023", "argument min_benefit_percent"),
        ("min_benefit_percent => 'Infinity', query => 'select 1'", "22023", "argument min_benefit_percent"),
        ("drop_indexes => null, query => 'select 1'", "22004", "argument drop_indexes"),
        ("time_limit => '-1 s', query => 'select 1'", "22023", "argument time_limit"),
        ("time_limit => '0', query => 'select 1'", "22023", "argument time_limit"),
        ("time_limit => '1 year', query => 'select 1'", "22023", "argument time_limit"),
        ("time_limit => 'infinity', query => 'select 1'", "22023", "argument time_limit"),
        ("time_limit => null, query => 'select 1'", "22004", "argument time_limit"),
        ("schemas => '{nowhere}', query => 'select 1'", "3F000", "argument schemas"),
        ("schemas => '{}', query => 'select 1'", "22023", "argument schemas"),
        ("search_path => null, query => 'select 1'", "22004", "argument search_path"),
        ("'selec'", "42601", "syntax error"),
        ("'select * from nowhere'", "42P01", "nowhere"),
        ("'select 1; select 2'", "0A000", "2 statements"),
        ("'create table x (a int)'", "0A000", "CREATE TABLE"),
        ("''", "0A000", "no statement"),
    ] {
        let sql = format!("select * from dbre.index_advice({arguments})");
        let error = refused(&mut client, &sql);
        let right = error.code().code().starts_with(state) && error.message().contains(message);
        assert!(right, "{sql}\n-- {} {}, wanted {state} {message}", error.code().code(), error.message());
    }
    let tables: i64 = value(&mut client, "select count(*) from pg_class where relname in ('wrong', 'odd')");
    assert_eq!(tables, 2);
}

fn snapshots(database: &Database) {
    let mut client = filled(database);
    let queries = array(&["select b from t where a = 7", "select * from u where k = 3"]);
    assert_eq!(query(&mut client, "select * from dbre.last_index_advice").len(), 0);
    query(&mut client, &format!("select dbre.snapshot_index_advice(queries => {queries})"));
    let now = advice(&mut client, &format!("queries => {queries}"));
    let kept = query(&mut client, "select to_jsonb(l) - 'taken_at' from dbre.last_index_advice l order by step");
    let kept: Vec<Value> = kept.iter().map(|row| row.get(0)).collect();
    assert_eq!(comparable(kept), comparable(now));
    // The last advice is that there is nothing to do.
    query(&mut client, "select dbre.snapshot_index_advice('select * from t where id = 7')");
    assert_eq!(query(&mut client, "select * from dbre.last_index_advice").len(), 0);
    for _ in 0..25 {
        query(&mut client, "select dbre.snapshot_index_advice('select b from t where a = 7')");
    }
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.index_advice_snapshots"), 20);
    execute(
        &mut client,
        "begin; select dbre.snapshot_index_advice('select 1'); select dbre.snapshot_index_advice('select 1'); commit",
    );
    execute(&mut client, "begin read only");
    assert_eq!(refused(&mut client, "select dbre.snapshot_index_advice('select 1')").code().code(), "25006");
}

fn validate(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create extension pg_stat_statements");
    let sql = "select b from t where a = 7 and e is not null";
    query(
        &mut client,
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)",
    );
    (0..5).for_each(|_| drop(query(&mut client, sql)));
    let rows = advice(&mut client, "");
    let index =
        of_rule(&rows, "missing_index").into_iter().find(|row| row.to_string().contains("a = $1 and e is not null"));
    let index = index.unwrap_or_else(|| panic!("{}", shown(&rows)));
    query(&mut client, "select dbre.snapshot_index_advice()");
    database.psql(text(index, "fix_sql"));
    let words = text(index, "fix_sql").split_whitespace();
    let name = words.skip_while(|word| *word != "CONCURRENTLY").nth(1).unwrap();
    let validated = |client: &mut postgres::Client, arguments: &str| -> Vec<Value> {
        let rows = query(client, &format!("select to_jsonb(v) from dbre.validate_index({arguments}) v"));
        rows.iter().map(|row| row.get(0)).collect()
    };
    let before = validated(&mut client, &format!("'{name}'"));
    let ours = |rows: &[Value]| -> Value {
        let found = rows.iter().find(|row| text(row, "query").contains("e is not null"));
        found.unwrap_or_else(|| panic!("{name}: {rows:#?}")).clone()
    };
    assert_eq!(ours(&before)["used"], true, "{before:#?}");
    assert!(ours(&before)["mean_ms_before"].is_number() && ours(&before)["mean_ms_since"].is_null(), "{before:#?}");
    (0..50).for_each(|_| drop(query(&mut client, sql)));
    let after = ours(&validated(&mut client, &format!("'{name}'")));
    assert_eq!(after["calls_since"], 50, "{after:#}");
    assert!(text(&after, "verdict").starts_with("used"), "{after:#}");
    assert!(after["cost_with"].as_f64() < after["cost_without"].as_f64(), "{after:#}");

    let given = array(&["select * from t where id = 5", "select * from u where k = 7", "selec"]);
    let rows = validated(&mut client, &format!("'{name}', {given}"));
    assert!(rows.iter().all(|row| row["used"] == false) && text(&rows[0], "verdict").contains("no query"), "{rows:#?}");
    execute(
        &mut client,
        "create table p (a int, b int) partition by range (a); create table p1 partition of p for values from (0) to (100000)",
    );
    execute(
        &mut client,
        "insert into p select g, g from generate_series(1, 20000) g; create index p_b on p (b); analyze p",
    );
    for index in ["p_b", "p1_b_idx"] {
        let rows = validated(&mut client, &format!("'{index}', array['select * from p where b = 5']"));
        assert_eq!(rows[0]["used"], true, "{index}: {rows:#?}");
    }

    database.psql_with(&["-f", "-"], "create unique index concurrently broken on t (d)").unwrap();
    for (arguments, state) in [
        ("'broken'", "42809"),
        ("'t'", "42809"),
        ("null", "22004"),
        ("1::oid::regclass", "42809"),
        ("'t_pkey', '{}'", "22023"),
    ] {
        let sql = format!("select * from dbre.validate_index({arguments})");
        let error = refused(&mut client, &sql);
        assert_eq!(error.code().code(), state, "{sql}\n-- {}", error.message());
    }
}
