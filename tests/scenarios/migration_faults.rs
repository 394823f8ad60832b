//! Bad input, missing rights, locks of others, cancel: each function answers or refuses, and nothing remains.

use crate::migration_differential::{areas, cases};
use crate::server::{Database, Server, describe, execute, query, refused, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_faults::arguments_are_checked", arguments),
        trial(server, "migration_faults::no_text_is_too_odd", odd_texts),
        trial(server, "migration_faults::what_stands_before_an_error_is_reviewed", error_in_the_middle),
        trial(server, "migration_faults::what_is_no_sql_is_said", no_sql),
        trial(server, "migration_faults::review_takes_no_lock_and_no_transaction_id", only_reads),
        trial(server, "migration_faults::a_role_without_rights", without_rights),
        trial(server, "migration_faults::a_locked_table_does_not_stop_the_review", locked_table),
        trial(server, "migration_faults::cancelled_in_the_middle", cancelled),
        trial(server, "migration_faults::objects_go_meanwhile", objects_go),
        trial(server, "migration_faults::ten_megabytes", ten_megabytes),
    ]
}

/// Functions of one text; `$1` stands for it.
const READING: [&str; 4] = [
    "dbre.migration_findings($1)",
    "dbre.migration_steps($1)",
    "dbre.migration_plan($1)",
    "dbre.migration_rollback($1)",
];

/// These try it.
const TRYING: [&str; 2] =
    ["dbre.migration_dry_run($1, confirm => true)", "dbre.migration_round_trip($1, $1, confirm => true)"];

fn all() -> impl Iterator<Item = &'static str> {
    READING.into_iter().chain(TRYING)
}

fn answer(client: &mut Client, function: &str, text: &str) -> Result<Vec<Value>, postgres::Error> {
    let sql = format!("select to_jsonb(f) from {function} f");
    Ok(client.query(&sql, &[&text])?.iter().map(|row| row.get(0)).collect())
}

/// Call, SQLSTATE, part of the message.
const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("dbre.migration_findings(null)", "22004", "argument sql"),
    ("dbre.migration_steps(null)", "22004", "argument sql"),
    ("dbre.migration_plan(null)", "22004", "argument sql"),
    ("dbre.migration_rollback(null)", "22004", "argument sql"),
    ("dbre.migration_dry_run(null, confirm => true)", "22004", "argument sql"),
    ("dbre.migration_round_trip(null, 'select 1')", "22004", "argument up"),
    ("dbre.migration_round_trip('select 1', null)", "22004", "argument down"),
    ("dbre.migration_findings('select 1', many_rows => 0)", "22023", "argument many_rows"),
    ("dbre.migration_findings('select 1', many_rows => -5)", "22023", "argument many_rows"),
    ("dbre.migration_findings('select 1', many_rows => null)", "22004", "argument many_rows"),
    ("dbre.migration_findings('select 1', many_bytes => 'x')", "22023", "argument many_bytes"),
    ("dbre.migration_findings('select 1', many_bytes => '-1 MB')", "22023", "argument many_bytes"),
    ("dbre.migration_findings('select 1', many_bytes => null)", "22004", "argument many_bytes"),
    ("dbre.migration_findings('select 1', search_path => null)", "22004", "argument search_path"),
    ("dbre.migration_findings('select 1', search_path => 'a, \"')", "22023", "search_path"),
    ("dbre.migration_steps('select 1', search_path => 'a b c')", "22023", "search_path"),
    ("dbre.migration_plan('select 1', format => 'cobol')", "22023", "argument format"),
    ("dbre.migration_plan('select 1', format => null)", "22004", "argument format"),
    ("dbre.migration_dry_run('select 1', confirm => null)", "", "confirm"),
    ("dbre.migration_dry_run('select 1', confirm => true, lock_timeout => '-1 s')", "22023", "argument lock_timeout"),
    ("dbre.migration_dry_run('select 1', confirm => true, time_limit => '-1 s')", "22023", "argument time_limit"),
];

fn arguments(database: &Database) {
    let mut client = database.connect();
    let mut wrong = Vec::new();
    for (call, state, message) in ARGUMENTS {
        let sql = format!("select * from {call}");
        match client.query(&sql, &[]) {
            Ok(rows) => wrong.push(format!("{call}: {} rows", rows.len())),
            Err(error) => {
                let said = error.as_db_error().map(|error| (error.code().code().to_string(), error.hint().is_some()));
                let Some((code, hint)) = said else { panic!("{call}: {error}") };
                let fits = (state.is_empty() || code == *state) && describe(&error).contains(message);
                if !fits || !hint || code.starts_with("XX") {
                    wrong.push(format!("{call}\n  wanted {state} … {message} with a hint\n  {}", describe(&error)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// None of them may end the session, hang, or raise an internal error.
fn odd_texts(database: &Database) {
    database.psql("create table t (a int); insert into t values (1)");
    let deep = |n: usize| format!("select {}1{}", "(".repeat(n), ")".repeat(n));
    let texts: Vec<String> = [
        "",
        " ",
        "\n\n",
        ";",
        ";;;",
        "--",
        "-- only a comment",
        "/* only a comment */",
        "/* not closed",
        "/* /* */",
        "'",
        "\"",
        "$$",
        "$a$ $b$",
        "select 'not closed",
        "select \"not closed",
        "select $$not closed",
        "E'\\",
        "U&'\\",
        "\\",
        "\\i other.sql",
        "\\connect x",
        "\\.",
        "begin",
        "commit",
        "rollback",
        "begin; begin; commit; commit",
        "rollback; rollback to savepoint none",
        "savepoint s; release s",
        "commit and chain",
        "prepare transaction 'x'",
        "commit prepared 'x'",
        "begin; commit prepared 'x'",
        "alter table t",
        "alter",
        "create",
        "drop",
        "select",
        "table t",
        "values (1)",
        "do",
        "do $$",
        "do $$ $$",
        "do 'begin' language none",
        "do language plpgsql 'begin execute ''drop table t''; end'",
        "do $$ begin perform pg_sleep(0); end $$",
        "call none()",
        "execute none",
        "\u{feff}alter table t add column b int",
        "alter table t add column \"\u{1F600}\" int",
        "alter table \"\" add column b int",
        "alter table t add column b int;\r\nalter table t drop column b;\r\n",
        "alter table t add column b int \u{a0};",
        "create table x ()",
        "create table x (a int, a int)",
        "create table x (like x)",
        "create table x (a int references x)",
        "create table x partition of x default",
        "create view v as select * from v",
        "alter table t rename to t",
        "alter table t inherit t",
        "drop table t, t",
        "drop table t; drop table t",
        "create schema; x",
        "create index on t ((a + 1), (a + 1))",
        "grant all on all tables in schema none to none",
        "copy t from stdin;\n1\n2\n\\.\nalter table t add column b int;",
        "copy t from stdin;\n1\n2\n",
        "copy t from stdin",
        "copy t from program 'true'",
        "set search_path = none; alter table t add column b int",
        "set search_path to ''",
        "set lock_timeout = 'x'",
        "set none.none = 1",
        "set statement_timeout = '-5'",
        "select $1",
        "alter table t add column b int default $1",
        "prepare p as select $1; execute p(1)",
        "declare c cursor for select 1; fetch all from c",
        "listen x; notify x; unlisten x",
        "lock table t; lock table none",
        "create function f() returns int language none as ''",
        "create function f() returns int language sql as 'selec'",
        "create function f() returns int language plpgsql as 'begin selec'",
        "alter table pg_class add column b int",
        "drop table pg_class",
        "create table pg_catalog.x (a int)",
        "alter table information_schema.tables rename to x",
        "alter table dbre.rule_settings add column b int",
        "drop extension pg_dbre cascade",
        "drop schema public cascade",
        "drop database postgres",
        "drop owned by current_user cascade",
        "create temp table t (a int); alter table t add column b int default random()",
        "alter table pg_temp.t add column b int",
        "merge into t using t s on t.a = s.a when matched then delete",
        "with x as (insert into t values (1) returning *) select * from x",
        "-- dbre: allow",
        "-- dbre: allow none",
        "-- dbre: allow none why\nalter table t add column b int",
        "-- dbre: allow * x\ndrop table t",
        "-- dbre: forbid x\nselect 1",
        "alter table t alter a type int using (select 1)",
        "alter table t alter a type int using sum(a)",
        "alter table t add check (a > (select 1))",
        "alter table t add check (a = any(none))",
        "alter table t add column b int default a",
        "alter table t add column b int generated always as (c) stored",
        "alter table t alter a set default none()",
        "update t set a = a / 0",
        "delete from t where a = 1 / 0",
        "update t set a = none",
        "select pg_terminate_backend(pg_backend_pid())",
        "select pg_sleep(3600)",
        "alter table t add column b int default 1 / 0",
        "alter table t alter column a type text using pg_sleep(3600)::text",
        "create index on t (a) where pg_sleep(3600) is null",
        "alter table t add check (pg_sleep(3600) is null)",
    ]
    .map(str::to_string)
    .into_iter()
    .chain([
        deep(3000),
        deep(100_000),
        format!("select {}", "a, ".repeat(20_000)),
        format!("alter table t {}", "add column b int, ".repeat(2000)),
    ])
    .chain([
        format!("create table {} (a int)", "x".repeat(300)),
        "alter table t add column b int;".repeat(300),
        "begin;".repeat(2000),
    ])
    .collect();
    let mut wrong = Vec::new();
    let mut client = database.connect();
    execute(&mut client, "set statement_timeout = '30 s'");
    let before = state(&mut client);
    for text in &texts {
        let shown: String = text.chars().take(100).collect();
        for function in all() {
            // It would sleep for real, or end this session.
            if TRYING.contains(&function) && (text.contains("pg_sleep(3600)") || text.contains("pg_terminate")) {
                continue;
            }
            let begun = Instant::now();
            if let Err(error) = answer(&mut client, function, text) {
                let code = error.code().map_or("none", |code| code.code()).to_string();
                if code.starts_with("XX") || code == "57014" || code == "none" || code == "42883" {
                    wrong.push(format!("{function}: {shown}\n  {}", describe(&error)));
                }
                if client.is_closed() {
                    client = database.connect();
                    execute(&mut client, "set statement_timeout = '30 s'");
                }
            }
            if begun.elapsed() > Duration::from_secs(15) {
                wrong.push(format!("{function}: {shown}\n  took {:?}", begun.elapsed()));
            }
        }
    }
    let after = state(&mut client);
    let remains = remains(&before, &after);
    for function in all() {
        let error = answer(&mut client, function, "select 'a\0b'").unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("22021"), "{function}: NUL: {error}");
    }
    assert!(
        remains.is_empty() && wrong.is_empty(),
        "remains: {remains:#?}\n{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What a try could leave behind.
fn state(client: &mut Client) -> BTreeSet<String> {
    let sql =
        // relhasindex is set in place, and stays until VACUUM.
        "select concat_ws(' ', 'relation', oid, relname, relfilenode, relchecks, relnatts) from pg_class
        union all select 'rows ' || count(*) from t
        union all select concat_ws(' ', 'function', oid, proname) from pg_proc
        union all select concat_ws(' ', 'setting', name, setting) from pg_settings where name !~ '^(transaction|plpgsql\\.|dbre\\.)'
        union all select concat_ws(' ', 'event trigger', evtname) from pg_event_trigger
        union all select concat_ws(' ', 'lock', locktype, relation::regclass, mode) from pg_locks
            where pid = pg_backend_pid() and locktype <> 'virtualxid' and mode <> 'AccessShareLock'";
    query(client, sql).iter().map(|row| row.get(0)).collect()
}

fn remains(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    before.symmetric_difference(after).cloned().collect()
}

fn error_in_the_middle(database: &Database) {
    database.psql("create table t (a int); insert into t select generate_series(1, 2000); analyze t");
    let mut client = database.connect();
    let migration = "alter table t add column b uuid default gen_random_uuid();\n\ncreate index on t (a);\n  alter tabel t drop column a;\ndrop table t;\n";
    let steps = answer(&mut client, "dbre.migration_steps($1)", migration).unwrap();
    assert!(steps.len() >= 2, "{steps:#?}");
    assert_eq!((&steps[0]["line"], &steps[1]["line"]), (&1.into(), &3.into()), "{steps:#?}");
    let findings = answer(&mut client, "dbre.migration_findings($1)", migration).unwrap();
    let rules: Vec<_> = findings.iter().map(|finding| text(finding, "rule")).collect();
    for rule in ["column_with_volatile_default", "index_without_concurrently"] {
        assert!(rules.contains(&rule), "{rule} is not among {rules:?}");
    }
    let error = findings.iter().find(|finding| finding["evidence"]["sqlstate"] == "42601");
    let error = error.unwrap_or_else(|| panic!("no finding of 42601 among {findings:#?}"));
    assert_eq!(error["evidence"]["line"], 4, "{error:#}");
    assert_eq!(text(error, "severity"), "high", "{error:#}");
    assert!(error.to_string().contains("tabel"), "{error:#}");
}

/// Text and what the findings must name.
const NO_SQL: &[(&str, &str)] = &[
    (
        "from alembic import op\nimport sqlalchemy as sa\n\ndef upgrade():\n    op.add_column('t', sa.Column('b', sa.Integer()))\n",
        "--sql",
    ),
    (
        "\"\"\"add b\n\nRevision ID: 123\n\"\"\"\nfrom alembic import op\n\nrevision = '123'\n\ndef upgrade() -> None:\n    op.create_index('i', 't', ['a'])\n",
        "--sql",
    ),
    (
        "class Migration(migrations.Migration):\n    operations = [migrations.AddField('t', 'b', models.IntegerField())]\n",
        "sqlmigrate",
    ),
    ("\\set ON_ERROR_STOP on\nalter table t add column b int;\n", "\\set"),
    ("copy t from stdin;\n1\n2\n\\.\n", "COPY"),
    ("", "no statement"),
    ("-- nothing here\n/* nor here */\n", "no statement"),
    ("select 'a", "unterminated"),
];

fn no_sql(database: &Database) {
    database.psql("create table t (a int)");
    let mut client = database.connect();
    let mut wrong = Vec::new();
    for (migration, named) in NO_SQL {
        let findings = answer(&mut client, "dbre.migration_findings($1)", migration).unwrap();
        let said = findings.iter().any(|finding| finding.to_string().to_lowercase().contains(&named.to_lowercase()));
        if !said {
            wrong.push(format!("{migration:?}: {named} is not named in {findings:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let copied = "copy t from stdin;\n1\n2\n\\.\nalter table t add column b uuid default gen_random_uuid();";
    let steps = answer(&mut client, "dbre.migration_steps($1)", copied).unwrap();
    let last = steps.last().unwrap();
    assert_eq!((text(last, "kind"), &last["line"]), ("alter table add column", &5.into()), "{steps:#?}");
}

/// Over every statement of the differential test.
fn only_reads(database: &Database) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    let mut client = database.connect();
    let mut wrong = Vec::new();
    for case in areas().iter().flat_map(|(_, text)| cases(text)) {
        execute(&mut client, "begin");
        for function in READING {
            if let Err(error) = answer(&mut client, function, &case) {
                wrong.push(format!("{function}: {case}\n  {}", describe(&error)));
                execute(&mut client, "rollback; begin");
            }
        }
        let taken: Vec<String> = query(
            &mut client,
            "select concat_ws(' ', locktype, relation::regclass, mode) from pg_locks
             where pid = pg_backend_pid() and mode <> 'AccessShareLock' and locktype <> 'virtualxid'
             union all select 'transaction id' where pg_current_xact_id_if_assigned() is not null",
        )
        .iter()
        .map(|row| row.get(0))
        .collect();
        if !taken.is_empty() {
            wrong.push(format!("{case}\n  {taken:?}"));
        }
        execute(&mut client, "commit");
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

const SECRET: &str = "create schema hidden; create table hidden.t (a int, b text); insert into hidden.t select i, 'secret' || i from generate_series(1, 2000) i;
    create table public.seen (a int primary key); insert into seen select generate_series(1, 2000); create table public.child (a int references seen); analyze;
    create function hidden.answer() returns int language sql as 'select 42';";

fn without_rights(database: &Database) {
    database.psql(SECRET);
    let role = format!("nobody_{}", database.name);
    let monitor = format!("monitor_{}", database.name);
    database.psql(&format!(
        "create role {role} login; create role {monitor} login; grant pg_monitor to {monitor};
         grant usage on schema dbre to {role}; grant execute on all functions in schema dbre to {role}; grant select on all tables in schema dbre to {role}"
    ));
    let texts = [
        "alter table hidden.t add column c int",
        "alter table seen add column c int",
        "drop table hidden.t",
        "update hidden.t set a = 1",
        "delete from seen",
        "create unique index on seen (a)",
        "alter table hidden.t alter column b set not null",
        "alter table seen add column b int default hidden.answer()",
        "select * from hidden.t where b = 'secret5'",
    ];
    let mut wrong = Vec::new();
    for user in [&role, &monitor] {
        let mut client = database.connect_as(user);
        execute(&mut client, "set statement_timeout = '20 s'");
        for migration in texts {
            for function in all() {
                match answer(&mut client, function, migration) {
                    Ok(rows) => {
                        let shown = format!("{rows:?}");
                        let told = shown.replace(migration, "");
                        if told.contains("secret1") || told.contains("secret5'") && !migration.contains("secret5") {
                            wrong.push(format!("{user} {function} {migration} tells data: {shown}"));
                        }
                        if TRYING.contains(&function)
                            && !shown.contains("42501")
                            && !shown.contains("permission")
                            && !shown.contains("owner")
                        {
                            wrong.push(format!("{user} {function} {migration}: {shown}"));
                        }
                    }
                    Err(error) => {
                        let code = error.code().map_or("none", |code| code.code()).to_string();
                        if code != "42501" {
                            wrong.push(format!("{user} {function} {migration}: {}", describe(&error)));
                        } else if READING.contains(&function) {
                            wrong.push(format!(
                                "{user} {function} {migration}: the review as a whole is refused: {}",
                                describe(&error)
                            ));
                        }
                    }
                }
            }
        }
    }
    let rows: i64 = value(&mut database.connect(), "select count(*) from hidden.t where a > 1");
    assert_eq!(rows, 1999, "a try has changed rows");
    database.psql(&format!("drop owned by {role}, {monitor}; drop role {role}; drop role {monitor}"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn locked_table(database: &Database) {
    database.psql("create table t (id int primary key, a int); insert into t select i, i from generate_series(1, 2000) i; create table c (t_id int references t); create view v as select * from t; analyze");
    let mut holder = database.connect();
    execute(&mut holder, "begin; lock table t in access exclusive mode");
    let texts = [
        "alter table t add column b int default random()",
        "alter table t alter column a type bigint",
        "alter table t alter column a set not null",
        "alter table t add check (a > 0)",
        "alter table t add unique (a)",
        "alter table c add foreign key (t_id) references t",
        "create index on t (a)",
        "update t set a = 1",
        "delete from t where id = 1",
        "drop table t cascade",
        "create table x as select * from v",
        "create view w as select * from v",
        "refresh materialized view m",
    ];
    let mut wrong = Vec::new();
    let mut client = database.connect();
    execute(&mut client, "set statement_timeout = '30 s'");
    for migration in texts {
        for function in all() {
            let begun = Instant::now();
            let result = answer(&mut client, function, migration);
            let elapsed = begun.elapsed();
            match result {
                Ok(rows) if elapsed > Duration::from_secs(20) => {
                    wrong.push(format!("{function} {migration}: {elapsed:?}, {} rows", rows.len()))
                }
                Ok(_) => {}
                Err(error) if TRYING.contains(&function) && error.code().is_some_and(|code| code.code() == "55P03") => {
                }
                Err(error) => wrong.push(format!("{function} {migration}: after {elapsed:?} {}", describe(&error))),
            }
        }
    }
    execute(&mut holder, "rollback");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

fn cancelled(database: &Database) {
    database.psql(
        "create table t (a int, b text); insert into t select i, 'b' from generate_series(1, 300000) i; analyze t",
    );
    let long: String = (0..1500).map(|i| format!("create table x{i} (a int primary key, t int); alter table t add column c{i} int; create index on x{i} (t);\n")).collect();
    let slow = "alter table t alter column a type bigint; create index on t (b); alter table t alter column a type int; create index on t (b, a);".repeat(3);
    let mut watcher = database.connect();
    let before = state(&mut watcher);
    for function in all() {
        let text = if TRYING.contains(&function) { &slow } else { &long };
        for wait in [5, 50, 300] {
            let mut client = database.connect();
            let pid: i32 = value(&mut client, "select pg_backend_pid()");
            let (text, called) = (text.clone(), function.to_string());
            let running = thread::spawn(move || (answer(&mut client, &called, &text).map(|rows| rows.len()), client));
            let active = format!("select coalesce(state = 'active', false) from pg_stat_activity where pid = {pid}");
            wait_until("it runs", || value(&mut watcher, &active) || running.is_finished());
            thread::sleep(Duration::from_millis(wait));
            let cancelled = Instant::now();
            let sent: bool = value(&mut watcher, &format!("select pg_cancel_backend({pid})"));
            let (result, mut client) = running.join().unwrap();
            let took = cancelled.elapsed();
            assert!(sent);
            if let Err(error) = &result {
                assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{function}: {}", describe(error));
                assert!(took < Duration::from_secs(15), "{function}: {took:?} until it ended");
            }
            assert_eq!(value::<i32>(&mut client, "select 1"), 1, "{function}");
            let sql = "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and mode <> 'AccessShareLock'";
            assert_eq!(value::<i64>(&mut client, sql), 0, "{function} keeps locks");
        }
    }
    let remains = remains(&before, &state(&mut watcher));
    assert!(remains.is_empty(), "{remains:#?}");
}

fn objects_go(database: &Database) {
    database.psql("create table parent (id int primary key)");
    let other = database.server.clone();
    let name = database.name.clone();
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let churn = thread::spawn(move || {
        let mut client = other.connect(&name, "postgres");
        while !ended.load(Ordering::Relaxed) {
            execute(
                &mut client,
                "create table t (id int primary key, a int references parent, b text default now()::text); create index t_a on t (a);
                 create view v as select id, b from t; insert into t (id) select generate_series(1, 50)",
            );
            execute(
                &mut client,
                "alter table t add constraint positive check (id > 0); drop view v; drop index t_a; drop table t",
            );
        }
    });
    let migration = "alter table t add column c float8 default random(); alter table t alter column b set not null; drop index t_a; drop table t cascade;
        update t set b = 'x'; delete from parent; create unique index on t (b); create view w as select * from v; alter table t drop column a";
    let mut client = database.connect();
    let mut wrong = Vec::new();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(4) || rounds < 4 {
        for function in READING {
            if let Err(error) = answer(&mut client, function, migration) {
                wrong.push(format!("{function}: {}", describe(&error)));
            }
        }
        rounds += 1;
    }
    done.store(true, Ordering::Relaxed);
    churn.join().unwrap();
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ten_megabytes(database: &Database) {
    database.psql("create table t (a int, b text)");
    let megabytes = 10 << 20;
    let comment = format!("-- {}\nalter table t add column c int;", "x".repeat(megabytes));
    let literal = format!("insert into t values (1, '{}'); alter table t add column c int;", "y".repeat(megabytes));
    let row = "(1, 'some text that stands for a row'),\n";
    let rows = format!(
        "insert into t values {}(2, 'last'); alter table t add column c int;",
        row.repeat(megabytes / row.len())
    );
    let mut client = database.connect();
    let mut wrong = Vec::new();
    for (what, migration) in [("comment", &comment), ("literal", &literal), ("rows", &rows)] {
        for function in READING {
            let begun = Instant::now();
            let answered = answer(&mut client, function, migration);
            let elapsed = begun.elapsed();
            if let Err(error) = answered {
                wrong.push(format!("{what} {function}: {}", describe(&error)));
            }
            if elapsed > Duration::from_secs(15) {
                wrong.push(format!("{what} {function}: {elapsed:?}"));
            }
        }
    }
    refused(&mut client, "select * from dbre.migration_steps(null)");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
