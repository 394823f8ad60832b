//! Who has to end before the others go on: several holders, VACUUM, migrations, other databases, circles; what a fix promises, it does.

use crate::lock_tree::{RULES, least_seconds};
use crate::pool_pressure::{busy, connect, fix, has, only, pressure, server, waiting};
use crate::server::{Database, alone, execute, query, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};

pub fn trials() -> Vec<Trial> {
    vec![
        alone("lock_roots::several_holders", several_holders),
        alone("lock_roots::one_helps_alone", one_helps_alone),
        alone("lock_roots::a_prepared_transaction_and_a_session", prepared_and_session),
        alone("lock_roots::vacuum_and_a_reader", vacuum_and_reader),
        alone("lock_roots::databases_of_one_template", databases),
        alone("lock_roots::behind_a_queue", behind_a_queue),
        alone("lock_roots::a_migration_in_one_transaction", migration),
        alone("lock_roots::ddl_that_holds_one_table_and_waits_for_another", ddl_of_two_tables),
        alone("lock_roots::circles_of_builds_and_of_parallel_workers", circles),
        alone("lock_roots::a_concurrent_build", concurrent_build),
        alone("lock_roots::a_concurrent_build_that_nobody_waits_for", build_alone),
        alone("lock_roots::a_leader_by_an_advisory_lock", leader),
    ]
}

pub fn open(database: &Database, application: &str, sql: &str) -> Client {
    let mut session = connect(database, "postgres", application);
    execute(&mut session, sql);
    session
}

pub fn wait(database: &Database, application: &str, sql: &str) {
    busy(connect(database, "postgres", application), sql);
}

#[track_caller]
pub fn promises(finding: &Value, before: i64, after: i64) {
    let impact = &finding["impact"]["sessions_waiting"];
    let promised = [&impact["before"]["value"], &impact["after"]["value"]];
    assert_eq!(promised, [&json!(before), &json!(after)], "{finding:#}");
}

fn of_rule<'a>(findings: &'a [Value], rule: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["rule"] == rule).collect()
}

#[track_caller]
fn of_application<'a>(findings: &'a [Value], application: &str) -> &'a Value {
    let is = |finding: &&&Value| finding["evidence"]["application_name"] == application;
    of_rule(findings, "sessions_blocked")
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("{application}\n{}", shown(findings)))
}

fn several_holders() {
    let database = server(&["max_connections = 40"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int)");
    let mut readers: Vec<Client> =
        ["r1", "r2"].iter().map(|name| open(&database, name, "begin; select from t limit 1")).collect();
    wait(&database, "mig", "alter table t add x int");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    promises(finding, 1, 0);
    assert_eq!(finding["object"], "holders of relation public.t", "{finding:#}");
    assert!(text(finding, "summary").contains("r1") && text(finding, "summary").contains("r2"), "{finding:#}");
    assert!(text(finding, "cause").contains("to cancel them instead: select"), "{finding:#}");
    let verify = text(finding, "verify_sql");
    assert!(!value::<bool>(&mut client, verify), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    assert!(value::<bool>(&mut client, verify), "{finding:#}");
    readers.clear();
    // Many of them: the words stay short, the fix is whole.
    let columns = "select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'y'";
    let _readers: Vec<Client> = (0..12).map(|_| open(&database, "reader", "begin; select from t limit 1")).collect();
    wait(&database, "mig", "alter table t add y int");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(text(finding, "cause").len() + text(finding, "risk").len() < 4000, "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    wait_until("the migration is through", || value::<i64>(&mut client, columns) == 1);
}

/// Who frees some alone has a finding of its own, which says who holds up the rest.
fn one_helps_alone() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(
        &mut client,
        "create table t (id int primary key, n int); insert into t values (1, 0); create table u (id int)",
    );
    let _first = open(&database, "first", "begin; update t set n = 1; select from u");
    let _second = open(&database, "second", "begin; select from u");
    wait(&database, "one", "update t set n = 2");
    wait(&database, "mig", "alter table u add x int");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    assert_eq!(of_rule(&findings, "sessions_blocked").len(), 2, "{}", shown(&findings));
    let (first, second) = (of_application(&findings, "first"), of_application(&findings, "second"));
    promises(first, 2, 1);
    promises(second, 1, 1);
    assert!(text(first, "cause").contains("lets 1 of 2 go on: the rest also waits for process"), "{first:#}");
    assert!(text(second, "cause").contains("frees nobody: who waits also waits for process"), "{second:#}");
    execute(&mut client, text(first, "fix_sql"));
    waiting(&mut client, 1);
    execute(&mut client, text(second, "fix_sql"));
    waiting(&mut client, 0);
}

fn prepared_and_session() {
    let database = server(&["max_prepared_transactions = 5"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table t (id int)");
    drop(open(&database, "two-phase", "begin; insert into t values (1); prepare transaction 'p'"));
    let mut reader = open(&database, "reader", "begin; select from t");
    let reader = value::<i32>(&mut reader, "select pg_backend_pid()");
    let held = connect(&database, "postgres", "mig");
    busy(held, "alter table t add x int");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let (prepared, session) = (only(&findings, "blocked_by_prepared_transaction"), only(&findings, "sessions_blocked"));
    assert!(text(prepared, "cause").contains(&format!("also waits for process {reader}")), "{prepared:#}");
    assert!(text(session, "cause").contains("also waits for the prepared transaction \"p\""), "{session:#}");
    promises(prepared, 1, 1);
    promises(session, 1, 1);
    execute(&mut client, text(session, "fix_sql"));
    execute(&mut client, "rollback prepared 'p'");
    waiting(&mut client, 0);
}

fn vacuum_and_reader() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table big (id int); insert into big select generate_series(1, 100000)");
    let mut reader = open(&database, "reader", "begin; select from big limit 1");
    let mut nightly = connect(&database, "postgres", "nightly");
    execute(&mut nightly, "set vacuum_cost_limit = 1; set vacuum_cost_delay = 100");
    let vacuum = value::<i32>(&mut nightly, "select pg_backend_pid()");
    busy(nightly, "/* nightly job */ vacuum big");
    let runs = format!("select count(*) from pg_stat_activity where pid = {vacuum} and wait_event = 'VacuumDelay'");
    wait_until("it vacuums", || value::<i64>(&mut client, &runs) == 1);
    wait(&database, "mig", "alter table big add x int");
    waiting(&mut client, 1);
    wait(&database, "web", "select from big limit 1");
    wait(&database, "web", "select from big limit 1");
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "lock_queue_behind_ddl");
    assert!(!has(&findings, "sessions_blocked") && !has(&findings, "vacuum_blocks_ddl"), "{}", shown(&findings));
    promises(finding, 2, 0);
    assert!(text(finding, "cause").contains("a VACUUM: let it finish"), "{finding:#}");
    assert!(text(finding, "cause").contains("has done nothing yet"), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    wait_until("it goes on", || value::<i64>(&mut client, &runs) == 1);
    // The VACUUM alone, whatever its statement begins with.
    execute(&mut reader, "commit");
    wait(&database, "mig", "alter table big add x int");
    waiting(&mut client, 1);
    wait(&database, "web", "select from big limit 1");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "vacuum_blocks_ddl");
    assert!(!has(&findings, "sessions_blocked") && !has(&findings, "lock_queue_behind_ddl"), "{}", shown(&findings));
    promises(finding, 2, 0);
    assert!(text(finding, "cause").contains("which has done nothing yet"), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
}

fn databases() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create database t1");
    execute(&mut database.server.connect("t1", "postgres"), "create table orders (id int)");
    wait_until("nobody is connected to it", || {
        value::<i64>(&mut client, "select count(*) from pg_stat_activity where datname = 't1'") == 0
    });
    execute(&mut client, "create database t2 template t1");
    let mut holders = Vec::new();
    for (number, name) in ["t1", "t2"].into_iter().enumerate() {
        let mut holder = database.server.connect(name, "postgres");
        execute(&mut holder, "begin; select from orders");
        holders.push(holder);
        busy(database.server.connect(name, "postgres"), "alter table orders add x int");
        waiting(&mut client, 2 * number as i64 + 1);
        busy(database.server.connect(name, "postgres"), "select from orders");
        waiting(&mut client, 2 * number as i64 + 2);
    }
    let findings = pressure(&mut client, "").0;
    let mut objects: Vec<&str> =
        of_rule(&findings, "lock_queue_behind_ddl").iter().map(|finding| text(finding, "object")).collect();
    objects.sort_unstable();
    assert!(
        objects.len() == 2 && objects[0].ends_with(" (of database t1)") && objects[1].ends_with(" (of database t2)"),
        "{objects:?}"
    );
    let findings = pressure(&mut client, "'t1'").0;
    execute(&mut client, text(only(&findings, "lock_queue_behind_ddl"), "fix_sql"));
    waiting(&mut client, 2);
    let elsewhere = "select count(*) from pg_stat_activity where datname = 't2' and wait_event_type = 'Lock'";
    assert_eq!(value::<i64>(&mut client, elsewhere), 2);
}

fn behind_a_queue() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table b (id int); create table v (id int)");
    let _a = open(&database, "a", "begin; select from b");
    wait(&database, "m", "alter table b add x int");
    waiting(&mut client, 1);
    let x = open(&database, "x", "begin; lock v in row exclusive mode");
    busy(x, "select from b");
    waiting(&mut client, 2);
    let _c = open(&database, "c", "begin; lock v in row exclusive mode");
    wait(&database, "z", "begin; lock v");
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    assert!(!has(&findings, "advisory_lock_waits"), "{}", shown(&findings));
    let blocked = only(&findings, "sessions_blocked");
    assert_eq!(
        (&blocked["evidence"]["application_name"], &blocked["evidence"]["blocked_directly"]),
        (&json!("c"), &json!(1))
    );
    assert!(text(blocked, "cause").contains("and waits itself"), "{blocked:#}");
    promises(blocked, 1, 1);
    let queue = only(&findings, "lock_queue_behind_ddl");
    execute(&mut client, text(queue, "fix_sql"));
    execute(&mut client, text(blocked, "fix_sql"));
    waiting(&mut client, 0);
}

fn migration() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(&mut client, "create table a (id int); create table b (id int)");
    let _reader = open(&database, "reader", "begin; select from b");
    let written = "begin; alter table a add x int; insert into a select generate_series(1, 1000)";
    busy(open(&database, "mig", written), "alter table b add x int");
    waiting(&mut client, 1);
    wait(&database, "wa", "select from a limit 1");
    wait(&database, "wb", "select from b limit 1");
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "lock_queue_behind_ddl");
    let cause = text(finding, "cause");
    assert!(
        cause.contains("2 sessions would not wait but for this request: 1 behind it in the queue")
            && cause.contains("1 for what its transaction holds already (ACCESS EXCLUSIVE on relation public.a"),
        "{finding:#}"
    );
    assert!(!cause.contains("has done nothing"), "{finding:#}");
    promises(finding, 2, 0);
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
}

fn ddl_of_two_tables() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(
        &mut client,
        "create table orders (id int primary key); create table items (id int, order_id int); insert into orders values (1);
         create table p (id int) partition by range (id); create table p1 partition of p for values from (0) to (10)",
    );
    let whole = "loses nothing but itself";
    let steps = "what earlier statements of that have done is rolled back";
    for (held, before, ddl, behind, lost) in [
        (
            "update orders set id = id",
            "select",
            "alter table items add constraint fk foreign key (order_id) references orders",
            "insert into items values (2, 1)",
            whole,
        ),
        ("select from p1", "select", "alter table p add n int", "select from p", whole),
        (
            "select from p1",
            "begin; alter table items add n int",
            "alter table p1 add m int",
            "select from items",
            steps,
        ),
    ] {
        let mut report = open(&database, "report", &format!("begin; {held}"));
        busy(open(&database, "mig", before), ddl);
        waiting(&mut client, 1);
        wait(&database, "web", behind);
        wait(&database, "web", behind);
        waiting(&mut client, 3);
        let findings = pressure(&mut client, "").0;
        let finding = only(&findings, "lock_queue_behind_ddl");
        assert!(!has(&findings, "sessions_blocked"), "{}", shown(&findings));
        promises(finding, 2, 0);
        assert!(text(finding, "cause").contains("for what its transaction holds already ("), "{finding:#}");
        assert!(text(finding, "cause").contains(lost), "{finding:#}");
        fix(&mut client, finding);
        waiting(&mut client, 0);
        execute(&mut report, "commit");
    }
}

fn circles() {
    let database = server(&["max_connections = 30", "deadlock_timeout = '1h'"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int); create table big as select g from generate_series(1, 20000) g; analyze big;
         create function waits(key int) returns int language plpgsql parallel safe as
         $$ begin perform pg_advisory_xact_lock_shared(key); return key; end $$",
    );
    let parallel = open(
        &database,
        "parallel",
        "set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set \
         min_parallel_table_scan_size = 0; set parallel_leader_participation = off; begin; select pg_advisory_xact_lock(1)",
    );
    let other = open(&database, "other", "begin; select pg_advisory_xact_lock(2)");
    busy(parallel, "select max(waits(2)) from big");
    waiting(&mut client, 2);
    busy(other, "select pg_advisory_xact_lock(1)");
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "deadlock_in_making");
    let verify = text(finding, "verify_sql");
    assert!(!value::<bool>(&mut client, verify), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    assert!(value::<bool>(&mut client, verify), "{finding:#}");
    // A build, which has written nothing as a transaction, is not thrown away.
    let writer = open(&database, "writer", "begin; insert into t values (1)");
    let mut build = connect(&database, "postgres", "build");
    let pid = value::<i32>(&mut build, "select pg_backend_pid()");
    busy(build, "create index concurrently t_id on t (id)");
    waiting(&mut client, 1);
    busy(writer, "alter table t add x int");
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "deadlock_in_making");
    assert!(!text(finding, "fix_sql").contains(&format!("({pid})")), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    let valid = "select count(*) from pg_index where indrelid = 't'::regclass and indisvalid";
    wait_until("the index is built", || value::<i64>(&mut client, valid) == 1);
}

fn concurrent_build() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    execute(
        &mut client,
        "create table t (id int); insert into t select generate_series(1, 1000);
         create function slow(id int) returns int language plpgsql immutable as
         $$ begin perform pg_sleep(0.1); return id; end $$",
    );
    wait(&database, "build", "create index concurrently t_slow on t (slow(id))");
    wait_until("it builds", || {
        value::<i64>(&mut client, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == 1
    });
    wait(&database, "mig", "alter table t add x int");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(text(finding, "app_fix").contains("invalid index"), "{finding:#}");
    assert!(text(finding, "cause").contains("CREATE INDEX CONCURRENTLY of public.t: building index"), "{finding:#}");
    // What waits can wait; the build goes on.
    promises(finding, 1, 0);
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    let builds = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'";
    assert_eq!(query(&mut client, builds).len(), 1);
    // A dump in two sessions.
    execute(&mut client, "create table d (id int)");
    let _dump: Vec<Client> = (0..2).map(|_| open(&database, "pg_dump", "begin; lock d in access share mode")).collect();
    wait(&database, "mig", "alter table d add x int");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(text(finding, "app_fix").starts_with("Let the dump finish"), "{finding:#}");
    execute(&mut client, text(finding, "fix_sql"));
    waiting(&mut client, 0);
    let dumps = "select count(*) from pg_stat_activity where application_name = 'pg_dump'";
    assert_eq!(value::<i64>(&mut client, dumps), 2);
    // A build that waits for the snapshot of a dump: neither is thrown away.
    let _snapshot = open(&database, "pg_dump", "begin isolation level repeatable read; select from d");
    wait(&database, "build", "create index concurrently d_id on d (id)");
    waiting(&mut client, 1);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "sessions_blocked");
    assert!(finding["fix_sql"].is_null(), "{finding:#}");
    promises(finding, 1, 1);
}

fn build_alone() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    least_seconds(&mut client, &RULES);
    query(
        &mut client,
        "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0, \"long_seconds\": 0}')",
    );
    execute(&mut client, "create table t (id int); create table p (id int) partition by range (id)");
    execute(&mut client, "create table p1 partition of p for values from (0) to (10); create index t_id on t (id)");
    let mut report = open(&database, "report", "begin isolation level repeatable read; select from t; select from p");
    for build in [
        "create index concurrently on t (id)",
        "reindex table concurrently t",
        "alter table p detach partition p1 concurrently",
        "drop index concurrently t_id",
    ] {
        wait(&database, "build", build);
        waiting(&mut client, 1);
        let findings = pressure(&mut client, "").0;
        let finding = only(&findings, "sessions_blocked");
        assert_eq!((&finding["severity"], &finding["fix_sql"]), (&json!("low"), &Value::Null), "{finding:#}");
        assert!(text(finding, "cause").contains("To end it all the same: select pg_catalog.pg_term"), "{finding:#}");
        promises(finding, 1, 1);
        // With others behind it, it is a matter like others.
        if build.starts_with("reindex") {
            wait(&database, "mig", "alter table t add x int");
            waiting(&mut client, 2);
            let findings = pressure(&mut client, "").0;
            assert_eq!(only(&findings, "sessions_blocked")["severity"], "high", "{}", shown(&findings));
        }
        let ends =
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name in ('build', 'mig')";
        query(&mut client, ends);
        waiting(&mut client, 0);
    }
    execute(&mut report, "commit");
}

fn leader() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    query(
        &mut client,
        "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0, \"long_seconds\": 0}')",
    );
    let mut leader = open(&database, "leader", "select pg_advisory_lock(42)");
    (0..2).for_each(|_| wait(&database, "follower", "select pg_advisory_lock(42), pg_sleep(600)"));
    waiting(&mut client, 2);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "advisory_lock_waits");
    assert_eq!((&finding["severity"], &finding["fix_sql"]), (&json!("medium"), &Value::Null), "{finding:#}");
    promises(finding, 2, 1);
    let cause = text(finding, "cause");
    assert!(cause.contains("lets 1 of 2 go on: the rest waits on, for whoever gets an advisory lock"), "{finding:#}");
    assert!(cause.contains("may be so by design") && cause.contains("pg_terminate_backend"), "{finding:#}");
    // It works under its lock: to end that is a fix, and still lets one go on.
    execute(&mut leader, "begin");
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "advisory_lock_waits");
    assert_eq!(finding["severity"], "high", "{finding:#}");
    promises(finding, 2, 1);
    fix(&mut client, finding);
    waiting(&mut client, 1);
    // Those that lock for a transaction of one statement go on one after the other.
    let _holder = open(&database, "holder", "begin; select pg_advisory_xact_lock(43)");
    (0..2).for_each(|_| wait(&database, "job", "select pg_advisory_xact_lock(43)"));
    waiting(&mut client, 3);
    let findings = pressure(&mut client, "").0;
    let of_jobs = findings.iter().find(|finding| finding["evidence"]["application_name"] == "holder");
    promises(of_jobs.unwrap_or_else(|| panic!("{}", shown(&findings))), 2, 0);
}
