//! explain_findings(), plan_findings() and plan_nodes(): what they refuse, run, undo and stop.

use crate::server::{Database, Server, cancelled_after, execute, query, refused, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "explain::bad_input_is_refused", bad_input),
        trial(server, "explain::garbage_is_no_plan", garbage),
        trial(server, "explain::what_is_run_is_undone", undone),
        trial(server, "explain::planning_alone_locks_and_writes_nothing", only_planned),
        trial(server, "explain::a_stopped_query_shows_what_it_had_done", stopped),
        trial(server, "explain::statement_timeout_and_cancel_end_it", ended),
        trial(server, "explain::settings_of_the_session_are_in_force", settings),
        trial(server, "explain::privileges", privileges),
        trial(server, "explain::nodes_of_a_plan_add_up", nodes),
    ]
}

fn filled(database: &Database) -> Client {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, a int, b text); insert into t select g, g % 100, md5(g::text) from
             generate_series(1, 20000) g; analyze t; create sequence numbers; create view seen as select id, a from t;
         create table noted (at timestamptz default clock_timestamp());
         create function note() returns int language sql as 'insert into noted default values; select 1'",
    );
    client
}

/// Arguments, SQLSTATE, part of the message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("null", "22004", "argument query"),
    ("''", "0A000", "no statement"),
    ("'select 1; select 2'", "0A000", "2 statements"),
    ("'vacuum t'", "0A000", "VACUUM"),
    ("'create table x (a int)'", "0A000", "CREATE TABLE"),
    ("'explain select 1'", "0A000", "EXPLAIN"),
    ("'select * into x from t'", "0A000", "SELECT INTO"),
    ("'selec'", "42601", "syntax error"),
    ("'select * from nowhere'", "42P01", "nowhere"),
    ("'select 1', null", "22004", "argument analyze"),
    ("'select 1', true, time_limit => '0'", "22023", "argument time_limit"),
    ("'select 1', true, time_limit => '2 days'", "22023", "argument time_limit"),
    ("'select 1', true, time_limit => null", "22004", "argument time_limit"),
    ("'select 1', params => '{1}'", "22023", "argument params has 1 values"),
    ("'select * from t where id = $1', params => '{x}'", "22P02", "invalid input syntax"),
    ("'select 1', compare_runs => true", "22023", "argument compare_runs"),
    ("'select 1', allow_writes => null", "22004", "argument allow_writes"),
    ("'select 1', search_path => null", "22004", "argument search_path"),
    ("'delete from t', true", "25006", "argument query writes"),
    ("'insert into t values ($1)', true, allow_writes => true", "22023", "argument params: $1 has no value"),
    ("'with d as (delete from t returning id) select * from d', true", "25006", "read-only transaction"),
    ("'select nextval(''numbers'')', true", "25006", "read-only transaction"),
    ("'select note()', true", "25006", "read-only transaction"),
    ("'select 1 / 0', true", "22012", "division by zero"),
    ("'select 1 / (id - 500) from t', true", "22012", "division by zero"),
];

fn bad_input(database: &Database) {
    let mut client = filled(database);
    for (arguments, sqlstate, message) in REFUSED {
        let error = refused(&mut client, &format!("select * from dbre.explain_findings({arguments})"));
        assert_eq!(error.code().code(), *sqlstate, "{arguments}\n-- {error:?}");
        assert!(error.message().contains(message), "{arguments}\n-- {error:?}");
        // The server's own errors have hints of their own.
        let ours = error.message().starts_with("argument");
        assert!(!ours || error.hint().is_some(), "{arguments}\n-- {error:?}");
    }
    for arguments in ["", "'select 1', plan => '[]'", "plan => 'x', query => 'select 1'"] {
        let error = refused(&mut client, &format!("select * from dbre.plan_nodes({arguments})"));
        assert_eq!(error.code().code(), "22023", "{arguments}\n-- {error:?}");
    }
}

fn garbage(database: &Database) {
    let mut client = database.connect();
    let deep = "[".repeat(1_000_000);
    let texts = [
        "",
        " ",
        "x",
        "[]",
        "{}",
        "null",
        "1",
        "[{}]",
        "{\"Plan\": 1}",
        "{\"Plan\": {}}",
        "[[[]]]",
        "{\"Plan\": {\"Node Type\": 7}}",
        "{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Total Cost\": \"dear\"}}",
        "{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Plans\": 5}}",
        "<explain/>",
        "- Plan:",
        "\u{0}1",
        &deep,
    ];
    for text in texts {
        let text = text.replace('\u{0}', "\\u0000");
        let sql = "select count(*) from dbre.plan_findings($1::text)";
        let error = client.query_one(sql, &[&text]).expect_err(&text[..text.len().min(80)]);
        let error = error.as_db_error().unwrap_or_else(|| panic!("{}", &text[..text.len().min(80)]));
        assert_eq!(error.code().code(), "22023", "{error:?}");
        assert!(error.message().starts_with("argument plan") && error.hint().is_some(), "{error:?}");
    }
    let error = refused(&mut client, "select * from dbre.plan_findings(null::jsonb)");
    assert_eq!(error.code().code(), "22004");
    // Of relations that are not here it says what the plan itself shows.
    let elsewhere = r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "nowhere", "Alias": "n", "Startup Cost": 0,
        "Total Cost": 90000, "Plan Rows": 1, "Plan Width": 8, "Filter": "(x = 5)", "Some Day": {"new": [1]}}}]"#;
    client.query("select * from dbre.plan_findings($1::text)", &[&elsewhere]).unwrap();
}

fn undone(database: &Database) {
    let mut client = filled(database);
    let all = "select count(*) || ' ' || sum(a) from t";
    let before: String = value(&mut client, all);
    for statement in [
        "delete from t where a = 5",
        "update t set a = a + 1",
        "insert into t select id + 100000, a, b from t",
        "merge into t using (select 1 as id) s on t.id = s.id when matched then delete",
        "with d as (delete from t where a = 7 returning *) insert into t select id + 100000, a, b from d",
        "delete from seen where a = 5",
        "select note()",
    ] {
        let sql = format!("select * from dbre.plan_nodes($${statement}$$, true, allow_writes => true)");
        let rows = query(&mut client, &sql);
        assert!(rows.iter().all(|row| row.get::<_, Option<f64>>("loops").is_some()), "{statement}");
        assert_eq!(value::<String>(&mut client, all), before, "{statement}");
        assert_eq!(value::<i64>(&mut client, "select count(*) from noted"), 0, "{statement}");
        query(
            &mut client,
            &format!("select * from dbre.explain_findings($${statement}$$, true, allow_writes => true)"),
        );
    }
    let locks = "select count(*) from pg_locks where pid = pg_backend_pid() and mode like '%Exclusive%' and locktype = 'relation'";
    execute(&mut client, "begin");
    query(&mut client, "select * from dbre.plan_nodes('delete from t', true, allow_writes => true)");
    assert_eq!(value::<i64>(&mut client, locks), 0, "locks of what was undone are gone");
    execute(&mut client, "rollback");
    // A deferred constraint is not checked, for nothing is committed.
    execute(&mut client, "alter table t add unique (a, id) deferrable initially deferred");
    query(
        &mut client,
        "select * from dbre.plan_nodes('update t set id = 1 where id < 3 and false', true, allow_writes => true)",
    );
}

fn only_planned(database: &Database) {
    let mut client = filled(database);
    for statement in ["delete from t where a = 5", "select * from t where a = $1", "insert into t values (1)"] {
        execute(&mut client, "begin read only");
        query(&mut client, &format!("select * from dbre.explain_findings('{statement}')"));
        query(&mut client, &format!("select * from dbre.plan_nodes('{statement}')"));
        let strong = "select count(*) from pg_locks where pid = pg_backend_pid() and locktype <> 'virtualxid'
            and mode <> 'AccessShareLock'";
        assert_eq!(value::<i64>(&mut client, strong), 0, "{statement}");
        let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
        assert_eq!(xid, None, "{statement}");
        execute(&mut client, "commit");
    }
}

fn stopped(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0",
    );
    let endless = "select count(*) from t x, t y, t z where x.a + y.a + z.a > 3";
    for workers in [0, 2] {
        execute(&mut client, &format!("set max_parallel_workers_per_gather = {workers}"));
        for query_text in [endless, "select count(*) from (select x.b from t x, t y order by x.b || y.b) s"] {
            let begun = Instant::now();
            let sql = format!("select * from dbre.plan_nodes('{query_text}', true, time_limit => '1 s')");
            let rows = query(&mut client, &sql);
            assert!(begun.elapsed() < Duration::from_secs(30), "{query_text}: {:?}", begun.elapsed());
            let read: f64 = rows.iter().filter_map(|row| row.get::<_, Option<f64>>("actual_rows")).sum();
            assert!(read > 0.0, "{query_text} with {workers} workers has shown nothing");
        }
    }
    let gone =
        "select count(*) from pg_stat_activity where backend_type = 'parallel worker' and datname = current_database()";
    wait_until("the workers are gone", || value::<i64>(&mut client, gone) == 0);
    // What it says of where the plan comes from.
    execute(
        &mut client,
        "create table u (id int, a int); insert into u select g, g % 10 from generate_series(1, 5000) g",
    );
    let sql =
        "select * from dbre.explain_findings('select count(*) from t x, u y, u z where x.a + y.a + z.a > 3', true,
        time_limit => '200 ms')";
    query(&mut client, sql);
    // Triggers that take long: the plan itself was done.
    execute(
        &mut client,
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.02); return null; end';
         create trigger slow after delete on t for each row execute function slow()",
    );
    let rows = query(
        &mut client,
        "select * from dbre.plan_nodes('delete from t where id < 1000', true, allow_writes => true, time_limit => '1500 ms')",
    );
    assert_eq!(rows[1].get::<_, Option<f64>>("actual_rows"), Some(999.0));
    assert_eq!(value::<i64>(&mut client, "select count(*) from t"), 20000);
    // Planning that takes longer than the limit leaves nothing that was measured.
    execute(
        &mut client,
        "create function dawdle() returns int immutable language plpgsql as 'begin perform pg_sleep(0.5); return 1; end'",
    );
    let rows = query(&mut client, "select * from dbre.plan_nodes('select dawdle()', true, time_limit => '100 ms')");
    assert_eq!(rows[0].get::<_, Option<f64>>("actual_rows"), None);
}

fn ended(database: &Database) {
    let mut client = filled(database);
    let endless =
        "select * from dbre.explain_findings('select count(*) from t x, t y, t z where x.a + y.a + z.a > 3', true)";
    execute(&mut client, "set statement_timeout = '200 ms'");
    let begun = Instant::now();
    assert_eq!(refused(&mut client, endless).code().code(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(20));
    execute(&mut client, "reset statement_timeout");
    let begun = Instant::now();
    assert_eq!(cancelled_after(database, &mut client, Duration::from_millis(300), endless).code().code(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // The limit of one call does not reach into the next statement.
    query(&mut client, "select * from dbre.plan_nodes('select 1', true, time_limit => '100 ms')");
    execute(&mut client, "select pg_sleep(0.3)");
}

fn settings(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "create schema other; create table other.mine (id int); set search_path = other; set enable_seqscan = off",
    );
    let paths = |client: &mut Client, sql: &str| -> String {
        let rows = query(client, &format!("select string_agg(path, ', ') from dbre.plan_nodes({sql})"));
        rows[0].get::<_, Option<String>>(0).unwrap_or_default()
    };
    assert!(paths(&mut client, "'select * from mine', true").contains("other.mine"));
    assert!(paths(&mut client, "'select * from t', search_path => 'public'").contains("public.t"));
    assert!(paths(&mut client, "'select * from public.t where id < 9', true").contains("Index"));
    execute(&mut client, "create temporary table passing (id int); insert into passing values (1)");
    assert!(paths(&mut client, "'select * from passing', true").contains("passing"));
    execute(&mut client, "set datestyle = 'German'");
    let shown = "select * from public.t where now() > ''31.12.1999''::timestamptz";
    assert!(!paths(&mut client, &format!("'{shown}', true")).is_empty());
    assert_eq!(value::<String>(&mut client, "show datestyle"), "German, DMY");
    assert_eq!(value::<String>(&mut client, "show search_path"), "other");
    assert_eq!(value::<String>(&mut client, "show jit"), value::<String>(&mut client, "select current_setting('jit')"));
}

fn privileges(database: &Database) {
    let mut owner = filled(database);
    let role = format!("role_{}", database.name);
    execute(
        &mut owner,
        &format!("create role {role} login; grant pg_monitor to {role}; grant usage on schema dbre to {role}"),
    );
    let mut client = database.connect_as(&role);
    for arguments in ["'select * from t where a = 5'", "'select * from t where a = 5', true"] {
        for function in ["explain_findings", "plan_nodes"] {
            let error = refused(&mut client, &format!("select * from dbre.{function}({arguments})"));
            assert_eq!(error.code().code(), "42501", "{function}({arguments}): {error:?}");
        }
    }
    // A plan from elsewhere may be judged; of the table's values it tells nothing.
    let plan: String = {
        let row = owner.query_one("explain (analyze, format json) select * from t where b = 'x'", &[]).unwrap();
        row.get::<_, serde_json::Value>(0).to_string()
    };
    let findings = client.query("select to_jsonb(f)::text from dbre.plan_findings($1::text) f", &[&plan]).unwrap();
    for finding in findings {
        let finding: String = finding.get(0);
        assert!(!finding.contains("create index"), "{finding}");
    }
    // Row security is that of the caller.
    execute(
        &mut owner,
        &format!(
            "alter table t enable row level security; create policy p on t using (a = 3); grant select on t to {role}"
        ),
    );
    let rows = query(&mut client, "select actual_rows from dbre.plan_nodes('select * from t', true)");
    assert_eq!(rows[0].get::<_, Option<f64>>(0), Some(200.0));
    execute(&mut owner, &format!("drop owned by {role}; drop role {role}"));
}

fn nodes(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "set max_parallel_workers_per_gather = 0");
    for text in [
        "select * from t where a = 5 order by b limit 10",
        "select a, count(*), (select max(y.id) from t y where y.a = x.a) from t x group by a",
        "with c as materialized (select * from t where a < 50) select count(*) from c x join c y on x.id = y.id",
        "select * from t where id in (select id from t where a = 3) union all select * from t where a = 7",
    ] {
        let sql = format!("select sum(own_ms), max(total_ms) from dbre.plan_nodes($${text}$$, true)");
        let row = &query(&mut client, &sql)[0];
        let (sum, root): (f64, f64) = (row.get(0), row.get(1));
        assert!((sum - root).abs() < 0.02 * root + 0.05, "{text}: {sum} ms of the nodes, {root} ms in all");
        let shares: f64 = value(&mut client, &format!("select sum(share) from dbre.plan_nodes($${text}$$)"));
        assert!((shares - 1.0).abs() < 0.01, "{text}: planned shares are {shares}");
    }
}
