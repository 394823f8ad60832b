//! Other sessions that drop, lock and cancel; rules that fail; names nobody should use.

use crate::server::{
    Database, Server, check, describe, execute, identities, query, refused, shown, text, trial, value, wait_until,
};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "faults::tables_dropped_during_the_check", dropped_meanwhile),
        trial(server, "faults::a_failed_rule_is_seen_and_the_others_report", failed_rule),
        trial(server, "faults::a_locked_table_does_not_block", locked_table),
        trial(server, "faults::odd_identifiers", odd_identifiers),
        trial(server, "faults::cancel_and_timeout", cancel_and_timeout),
        trial(server, "faults::an_empty_database", empty_database),
        trial(server, "faults::no_strong_locks", no_strong_locks),
        trial(server, "faults::extensions_system_schemas_and_temporary_tables_are_left_out", left_out),
    ]
}

const FAILED: &str = "select coalesce(string_agg(rule || ' ' || sqlstate || ' ' || reason, '; '), '') from dbre.rule_runs() where status = 'failed'";

/// Something for most rules.
const PROBLEMS: &str = "create table parent (id int primary key);
    create table child (id int, parent_id bigint references parent, at timestamptz, tags jsonb);
    create index child_id on child (id); create index child_id_again on child (id); create index child_id_at on child (id, at);
    create index child_expression on child ((tags ->> 'a')) where id > 5; create index child_tags on child (tags);
    create table months (id int, at int, parent_id int references parent) partition by range (at);
    create table months_1 partition of months for values from (0) to (10); create index on months (id); create index on months (id);
    create view seen as select * from child; create materialized view kept as select * from child; create index on kept (id)";

/// Printing the definition of a partitioned index opens its table, which may be gone by then.
const PARTITIONED: &str = "do $$ begin
    create table many (id int, at int) partition by range (at);
    for n in 1..30 loop execute 'create index on many (id)'; end loop;
end $$";

fn dropped_meanwhile(database: &Database) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut client = database.connect();
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                execute(&mut client, "create schema churn; set search_path = churn");
                execute(&mut client, PARTITIONED);
                execute(&mut client, "drop table many");
                PROBLEMS.split(';').for_each(|sql| execute(&mut client, sql));
                execute(&mut client, "drop index child_id_again");
                execute(&mut client, "drop schema churn cascade");
                rounds += 1;
            }
            rounds
        });
        // Ends the other thread on a panic too.
        let _end = SetWhenDropped(&done);
        let mut client = database.connect();
        for _ in 0..30 {
            query(&mut client, "select * from dbre.check()");
            assert_eq!(value::<String>(&mut client, FAILED), "");
            query(&mut client, "select dbre.report(), dbre.missing_fk_indexes()");
        }
        drop(_end);
        let rounds = churn.join().unwrap();
        assert!(rounds >= 2, "only {rounds} rounds of creating and dropping");
    });
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn failed_rule(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, PROBLEMS);
    let others = |findings: Vec<Value>| -> Vec<String> {
        identities(&findings).into_iter().filter(|f| !f.starts_with("foreign_key_without_index ")).collect()
    };
    let before = others(check(&mut client, ""));
    assert!(!before.is_empty(), "nothing is found that another rule could report");
    execute(
        &mut client,
        "insert into dbre.rule_settings (rule, options) values ('foreign_key_without_index', '{\"small_bytes\": \"many\"}')",
    );
    let runs =
        "select coalesce(string_agg(rule || ' ' || sqlstate, '; '), '') from dbre.rule_runs() where status = 'failed'";
    assert_eq!(value::<String>(&mut client, runs), "foreign_key_without_index 22023");
    let reason: String = value(&mut client, FAILED);
    assert!(reason.contains("small_bytes must be a number from 0"), "{reason}");
    assert_eq!(others(check(&mut client, "")), before, "what the other rules find");
    for format in ["markdown", "brief", "json"] {
        let report: String = value(&mut client, &format!("select dbre.report('{format}')"));
        let named = report.contains("foreign_key_without_index") && report.to_lowercase().contains("failed");
        assert!(named, "the failed rule is not named in the report '{format}':\n{report}");
    }
    let sql = "select * from dbre.check(rules => array['foreign_key_without_index'])";
    let error = refused(&mut client, sql);
    assert_eq!(error.code().code(), "XX000", "{sql}\n-- {error}");
    let message = error.message();
    assert!(message.contains("foreign_key_without_index") && message.contains("22023"), "{sql}\n-- {message}");
    assert!(error.hint().is_some_and(|hint| hint.contains("dbre.rule_runs()")), "{sql}\n-- {:?}", error.hint());
    let shown: bool =
        value(&mut client, "select count(*) > 0 from dbre.rules where rule = 'foreign_key_without_index'");
    assert!(shown);
    execute(&mut client, "select dbre.reset_rule('foreign_key_without_index')");
    assert_eq!(value::<String>(&mut client, FAILED), "");
}

fn locked_table(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, PROBLEMS);
    let every = "select count(*) from dbre.rule_runs() where status = 'ran' and not_readable = 1";
    let ran: i64 = value(&mut client, "select count(*) from dbre.rule_runs() where status = 'ran'");
    let mut other = database.connect();
    execute(&mut other, "begin; lock table child in access exclusive mode");
    execute(&mut client, "set statement_timeout = '30s'");
    let begun = Instant::now();
    let findings = check(&mut client, "");
    assert!(begun.elapsed() < Duration::from_secs(20), "check() took {:?}", begun.elapsed());
    let about = |table: &str| findings.iter().any(|finding| text(finding, "object").contains(table));
    assert!(about("public.months") && !about("public.child"), "{:#?}", identities(&findings));
    assert_eq!(value::<i64>(&mut client, every), ran);
    for format in ["markdown", "json"] {
        let report: String = value(&mut client, &format!("select dbre.report('{format}')"));
        assert!(report.contains("1 table left out: locked by another session"), "{report}");
    }
    let report: String = value(&mut client, "select dbre.report('brief')");
    assert!(report.contains("skipped"), "{report}");
    execute(&mut other, "rollback");
    assert_eq!(value::<i64>(&mut client, every), 0);
    let again = identities(&check(&mut client, ""));
    assert!(again.iter().any(|found| found.contains("public.child")), "{again:#?}");
}

const ODD: &[&str] = &[
    "Größe",
    "a b",
    "a.b",
    "say \"yes\"",
    "it's",
    "back\\slash",
    "$1 $$ %s {}",
    "; -- /* `code`",
    "select",
    "UPPER",
    "Ein_Name_von_63_Bytes_der_sehr_lang_ist_und_mit_einem_Ü_endet_üü",
];

/// What a schema of each odd name holds, one line for each rule. %x stands for a name that begins with x and goes on oddly.
const ODD_SCHEMA: &str = r#"
create table %parent (%id bigint primary key); create table %fk (%id int primary key, %ref bigint references %parent);
create table %mis (%id int primary key, %ref int references %parent); create index %mis_ref on %mis (%ref);
create table %dup (%id int primary key, %val int); create index %dup1 on %dup (%val); create index %dup2 on %dup (%val);
create table %red (%id int primary key, %a int, %b int); create index %red1 on %red (%a); create index %red2 on %red (%a, %b);
create table %use (%id int primary key, %a int); create index %use1 on %use (%a); insert into %use select n, n from generate_series(1, 5000) n;
create table %low (%id int primary key, %a text); insert into %low select n, case when n % 100 = 0 then 'it''s' else 'b' end from generate_series(1, 11000) n; create index %low1 on %low (%a);
create table %blo (%id int primary key, %a text); insert into %blo select n, md5(n::text) from generate_series(1, 9000) n; create index %blo1 on %blo (%a); delete from %blo where %id % 10 <> 0;
create table %sma (%id int primary key, %a int); insert into %sma select n, n from generate_series(1, 9) n; create index %sma1 on %sma (%a);
create table %wid (%id int primary key, %a int, %b int, %c int, %d int, %e int); insert into %wid select n, n, n, n, n, n from generate_series(1, 2000) n; create index %wid1 on %wid (%a, %b, %c, %d, %e, %id);
create table %pri (%id int not null, %a int); create unique index %pri1 on %pri (%id); insert into %pri select n, n from generate_series(1, 10) n;
create table %jso (%id int primary key, %tags jsonb); insert into %jso select n, '{}' from generate_series(1, 10) n; create index %jso1 on %jso (%tags);
create table %seq (%id int primary key, %a text); insert into %seq select n, md5(n::text) from generate_series(1, 11000) n;
create table %rar (%id int primary key, %a int); insert into %rar select n, n from generate_series(1, 11000) n; create index %rar1 on %rar (%a); update %rar set %a = %a + 1;
create table %inv (%id int primary key, %a int); insert into %inv values (1, 1), (2, 1);
create table %month (%id int, %at int, %ref bigint references %parent, primary key (%id, %at)) partition by range (%at); create table %m1 partition of %month for values from (0) to (9); create table %m2 partition of %month for values from (9) to (19);
create function %fun(%par text) returns void language plpgsql as $body$ begin execute 'drop table ' || %par; end $body$;
"#;

fn odd_identifiers(database: &Database) {
    let mut setup = "set enable_seqscan = off;".to_string();
    let mut failing = String::new();
    for base in ODD {
        writeln!(setup, "create schema {0}; set search_path = {0};{1}", quoted(base), oddly(ODD_SCHEMA, base)).unwrap();
        writeln!(setup, "analyze; {}", oddly("select * from %rar where %a = 5; set enable_seqscan = on;", base))
            .unwrap();
        for number in 1..=3 {
            writeln!(setup, "{}", oddly("select * from %seq where %a = ", base) + &format!("'{number}' \\g /dev/null"))
                .unwrap();
        }
        writeln!(setup, "set enable_seqscan = off;").unwrap();
        let invalid = oddly("create unique index concurrently %inv1 on %inv (%a);", base);
        writeln!(failing, "set search_path = {}; {invalid}", quoted(base)).unwrap();
    }
    database.psql(&setup);
    database.psql_with(&["-f", "-"], &failing).unwrap();
    let mut client = database.connect();
    // Thresholds at their lowest.
    execute(
        &mut client,
        "select dbre.configure_rule(r.rule, options => jsonb_object_agg(o.key, o.value -> 'min'))
         from dbre.rules r cross join jsonb_each(r.options) o where o.key like 'min\\_%' and o.value ? 'min' group by r.rule",
    );
    let rules = format!("select rule from dbre.rules where {OF_CHECK} order by rule = 'index_name_convention', rule");
    let rules = query(&mut client, &rules);
    let rules: Vec<String> = rules.iter().map(|row| row.get(0)).collect();
    let mut silent = Vec::new();
    for rule in &rules {
        let arguments = format!("rules => array['{rule}']");
        let findings = database.check(&arguments);
        for base in ODD {
            let schema = quoted_if_needed(&mut client, base);
            if !findings.iter().any(|finding| text(finding, "object").starts_with(&format!("{schema}."))) {
                silent.push(format!("{rule} in {schema}"));
            }
        }
        let summaries_of_many_lines = findings.iter().any(|finding| text(finding, "summary").contains('\n'));
        assert!(!summaries_of_many_lines, "{}", shown(&findings));
        fix_verify_roll_back(database, &findings);
    }
    assert!(silent.is_empty(), "rules that found nothing: {silent:#?}");
}

/// Each statement of a finding is run as a user would; the state afterwards is that before.
fn fix_verify_roll_back(database: &Database, findings: &[Value]) {
    let all = |column: &str| -> Vec<&str> { findings.iter().filter_map(|finding| finding[column].as_str()).collect() };
    let mut fixes = all("fix_sql");
    fixes.sort_unstable();
    fixes.dedup();
    database.psql(&fixes.join("\n"));
    let mut client = database.connect();
    for sql in all("verify_sql") {
        query(&mut client, sql);
    }
    let mut rollbacks = all("rollback_sql");
    rollbacks.sort_unstable();
    rollbacks.dedup();
    database.psql(&rollbacks.join("\n"));
}

/// A name as odd as `base`, of at most 63 bytes.
fn quoted(name: &str) -> String {
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("\"{}\"", name[..end].replace('"', "\"\""))
}

fn quoted_if_needed(client: &mut Client, name: &str) -> String {
    let rows = client.query("select quote_ident($1::text::name::text)", &[&name]).unwrap();
    rows[0].get(0)
}

fn oddly(sql: &str, base: &str) -> String {
    let mut odd = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find('%') {
        let after = &rest[at + 1..];
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        odd += &rest[..at];
        // A percent sign before a blank is an operator.
        odd += &if end == 0 { "%".to_string() } else { quoted(&format!("{}{base}", &after[..end])) };
        rest = &after[end..];
    }
    odd + rest
}

const CHECKS: &str = "do $$ begin for n in 1..1000 loop perform count(*) from dbre.check(); end loop; end $$";

fn cancel_and_timeout(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table parent (id int primary key)");
    let tables = "do $$ begin for n in 1..2000 loop
            execute format('create table t%s (id int primary key, a int references parent, b text)', n);
            if n % 500 = 0 then commit; end if;
        end loop; end $$";
    execute(&mut client, tables);
    let limit = Duration::from_secs(20);
    for delay in [1, 10, 30, 60, 100, 150, 210, 280, 360, 450] {
        let mut busy = database.connect();
        let pid: i32 = value(&mut busy, "select pg_backend_pid()");
        let runner = thread::spawn(move || (busy.batch_execute(CHECKS), Instant::now()));
        let state = format!(
            "select coalesce((select state = 'active' and query like 'do %' from pg_stat_activity where pid = {pid}), false)"
        );
        wait_until("the check runs", || value(&mut client, &state));
        thread::sleep(Duration::from_millis(delay));
        let asked = Instant::now();
        assert!(value::<bool>(&mut client, &format!("select pg_cancel_backend({pid})")));
        let (outcome, ended) = runner.join().unwrap();
        stopped(outcome, ended - asked, limit, &format!("pg_cancel_backend after {delay} ms"));
    }
    for timeout in [5, 40, 90, 170, 300] {
        execute(&mut client, &format!("set statement_timeout = {timeout}"));
        let asked = Instant::now() + Duration::from_millis(timeout);
        let outcome = client.batch_execute(CHECKS);
        stopped(outcome, asked.elapsed(), limit, &format!("statement_timeout = {timeout}"));
    }
    execute(&mut client, "reset statement_timeout");
    assert_eq!(value::<String>(&mut client, FAILED), "", "the session works on");
}

#[track_caller]
fn stopped(outcome: Result<(), postgres::Error>, after: Duration, limit: Duration, how: &str) {
    let error = outcome.expect_err(how);
    assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{how}: {}", describe(&error));
    assert!(after < limit, "{how}: stopped {after:?} later");
}

/// The others need what a function finds or is given, which they name.
const OF_CHECK: &str = "not exists (select from unnest(needs) need where need like '%(dbre.%')";

fn empty_database(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "drop schema public");
    let every = "rules => array(select rule from dbre.rules)";
    let findings = check(&mut client, every);
    assert!(findings.is_empty(), "{}", shown(&findings));
    assert_eq!(value::<String>(&mut client, FAILED), "");
    let counted: i64 =
        value(&mut client, "select count(*) from dbre.rule_runs() where status in ('ran', 'skipped') and findings = 0");
    assert_eq!(counted, value::<i64>(&mut client, &format!("select count(*) from dbre.rules where {OF_CHECK}")));
    assert!(query(&mut client, "select * from dbre.missing_fk_indexes()").is_empty());
}

fn no_strong_locks(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, PROBLEMS);
    for sql in [
        "select * from dbre.check(rules => array(select rule from dbre.rules))",
        "select dbre.report()",
        "select * from dbre.rules",
    ] {
        execute(&mut client, "begin");
        assert!(!query(&mut client, sql).is_empty());
        let strong = "select coalesce(string_agg(relation::regclass || ' ' || mode, ', '), '') from pg_locks l
            left join pg_class c on c.oid = l.relation
            where pid = pg_backend_pid() and locktype not in ('virtualxid')
                and (locktype <> 'relation' or mode <> 'AccessShareLock' or c.relnamespace = 'public'::regnamespace)";
        assert_eq!(value::<String>(&mut client, strong), "", "{sql}");
        execute(&mut client, "commit");
    }
    // Whoever alters a table does not wait for a transaction that has checked it.
    execute(&mut client, "begin");
    check(&mut client, "");
    let mut other = database.connect();
    execute(&mut other, "set lock_timeout = '1s'; alter table child add column more int; drop table months cascade");
    execute(&mut client, "commit");
}

fn left_out(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension vector; create extension pg_stat_statements; create schema mine; set search_path = mine",
    );
    execute(&mut client, &PROBLEMS.replace("create view seen as select * from child;", ""));
    let every = "rules => array(select rule from dbre.rules)";
    let before = check(&mut client, every);
    assert!(before.len() >= 4, "{}", shown(&before));
    let foreign = |finding: &&Value| !text(finding, "object").starts_with("mine.");
    let surplus: Vec<_> = before.iter().filter(foreign).cloned().collect();
    assert!(surplus.is_empty(), "{}", shown(&surplus));

    let mut other = database.connect();
    execute(
        &mut other,
        &PROBLEMS
            .replace("create table", "create temp table")
            .replace("create materialized view kept as select * from child; create index on kept (id)", "analyze"),
    );
    assert_eq!(identities(&check(&mut client, every)), identities(&before), "with temporary tables of another session");

    execute(&mut client, "alter extension pg_dbre add table child; alter extension pg_dbre add table months");
    execute(
        &mut client,
        "alter extension pg_dbre add table months_1; alter extension pg_dbre add materialized view kept",
    );
    let after = check(&mut client, every);
    let members: Vec<_> = after
        .iter()
        .filter(|f| ["child", "months", "kept"].iter().any(|t| text(f, "object").contains(t)))
        .cloned()
        .collect();
    assert!(members.is_empty(), "members of an extension: {}", shown(&members));
}
