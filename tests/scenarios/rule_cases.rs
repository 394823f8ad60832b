//! Every example of every rule: found as often as it says, and gone after its own fix.

use crate::bouncer::{console_in, folder_of};
use crate::rewrites::finding_keeps_rows;
use crate::rule_sessions::Sessions;
use crate::server::{Database, Server, execute, query, shown, text, trial, value, wait_until};
use libtest_mimic::Trial;
use postgres::types::Type;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

/// Rules that need one of these are not among those of dbre.check(): they judge what another function finds or is given.
const INDEX_ADVICE: &str = "index advice (dbre.index_advice())";
const PLAN: &str = "plan (dbre.explain_findings(), dbre.plan_findings())";
const STATEMENT: &str = "statement (dbre.query_findings())";
const STATEMENT_STATISTICS: &str = "statement statistics (dbre.workload_findings())";
const SERVER_LOG: &str = "server log (dbre.log_findings())";
const LOOKUPS: &str = "lookups among the statements (dbre.n_plus_one())";
const MIGRATION: &str = "migration (dbre.migration_findings())";
const CASCADE: &str = "cascade (dbre.cascade_findings())";
const VECTORS: &str = "vectors (dbre.vector_index_advice())";
const ACTIVITY: &str = "activity of this moment (dbre.pool_pressure())";
const PGBOUNCER: &str = "PgBouncer's console (dbre.pgbouncer_pressure())";
const BURSTS: &str = "bursts that the hook has seen (dbre.n_plus_one())";

/// These count what sessions of all databases take: while an example of theirs is judged, no other leaves sessions.
const OF_THE_SERVER: [&str; 2] = ["connection_slots_saturated", "parallel_workers_exhausted"];
static SESSIONS: RwLock<()> = RwLock::new(());

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let database = Database::create(server);
    let rows = query(&mut database.connect(), "select to_jsonb(r) from dbre.rules r");
    let rules: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!rules.is_empty(), "dbre.rules is empty");
    let mut trials = vec![trial(server, "rules::foreign_key_without_index::severities", severities_of_foreign_keys)];
    for rule in rules {
        let id = text(&rule, "rule").to_string();
        for example in rule["examples"].as_array().cloned().unwrap_or_default() {
            let (server, rule) = (server.clone(), rule.clone());
            trials.push(Trial::test(format!("rules::{id}::{}", text(&example, "name")), move || {
                example_holds(&Database::create(&server), &rule, &example);
                Ok(())
            }));
        }
        trials.push(Trial::test(format!("rules::{id}::documentation"), move || {
            is_documented(&rule);
            Ok(())
        }));
    }
    trials
}

fn is_documented(rule: &Value) {
    let id = text(rule, "rule");
    let snake = id
        .split('_')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    assert!(snake && id.as_bytes()[0].is_ascii_lowercase(), "{id:?} is not snake_case");
    for column in ["category", "severity", "since", "condition", "effect", "workaround"] {
        assert!(!text(rule, column).trim().is_empty(), "{id}: {column} is empty");
    }
    let sources = rule["sources"].as_array().unwrap();
    assert!(
        !sources.is_empty() && sources.iter().all(|s| !s.as_str().unwrap().is_empty()),
        "{id}: sources {sources:?}"
    );
    for (name, option) in rule["options"].as_object().unwrap() {
        for key in ["description", "unit"] {
            assert!(!text(option, key).trim().is_empty(), "{id}, option {name}: {key} is empty");
        }
        assert_eq!(option["default"], option["current"], "{id}, option {name}: {option}");
        if let Some(default) = option["default"].as_f64() {
            let bound = |key: &str| option[key].as_f64().unwrap_or_else(|| panic!("{id}, option {name}: no {key}"));
            assert!((bound("min")..=bound("max")).contains(&default), "{id}, option {name}: {option}");
        }
    }
    let examples = rule["examples"].as_array().unwrap();
    assert!(examples.iter().any(|example| example["finds"] != 0), "{id}: no example finds anything");
    assert!(examples.iter().any(|example| example["finds"] == 0), "{id}: no example finds nothing");
    let mut names: Vec<_> = examples.iter().map(|example| text(example, "name")).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), examples.len(), "{id}: two examples of one name among {names:?}");
}

fn needs(rule: &Value, need: &str) -> bool {
    rule["needs"].as_array().unwrap().iter().any(|needed| needed == need)
}

/// What the rule finds: in the database, or in what the example leaves for the function that runs the rule. `settings` are
/// made in the same session.
#[track_caller]
fn found(database: &Database, rule: &Value, settings: &str) -> Vec<Value> {
    let id = text(rule, "rule");
    let needs = |need: &str| needs(rule, need);
    let mut client = database.connect();
    let sql = if needs(INDEX_ADVICE) {
        // An example that needs another limit sets it for its database.
        "select * from dbre.index_advice(
             workload => 'workload',
             time_limit => coalesce(current_setting('example.time_limit', true), '30 s')::interval
         )"
    } else if needs(PLAN) {
        let columns = "select count(*) from pg_attribute where attrelid = 'example'::regclass and attname = 'plan'";
        match value::<i64>(&mut client, columns) {
            0 => {
                "select f.* from example e cross join lateral dbre.explain_findings(
                     e.query, e.analyze, allow_writes => true,
                     time_limit => coalesce(current_setting('example.time_limit', true), '30 s')::interval
                 ) f"
            }
            _ => "select f.* from example e cross join lateral dbre.plan_findings(e.plan) f",
        }
    } else if needs(STATEMENT) {
        "select f.* from example e cross join lateral dbre.query_findings(e.query) f"
    } else if needs(STATEMENT_STATISTICS) {
        "select * from dbre.workload_findings()"
    } else if needs(LOOKUPS) || needs(BURSTS) {
        "select * from dbre.n_plus_one()"
    } else if needs(CASCADE) {
        "select f.* from example e cross join lateral dbre.cascade_findings(e.relation::regclass, e.action) f"
    } else if needs(MIGRATION) {
        "select f.* from example e cross join lateral dbre.migration_findings(e.migration) f"
    } else if needs(VECTORS) {
        &format!("select * from dbre.vector_index_advice({})", example_arguments(&mut client))
    } else if needs(PGBOUNCER) {
        &format!("select * from dbre.pgbouncer_pressure('{}')", console_in(&folder_of(database)))
    } else if needs(ACTIVITY) {
        &format!("select * from dbre.pool_pressure(target_database => '{}')", database.name)
    } else if needs(SERVER_LOG) {
        "select f.* from example_log l cross join lateral dbre.log_findings(since => '-infinity', files => array[l.file]) f"
    } else {
        return database.check(&format!("rules => array['{id}']"));
    };
    execute(&mut client, settings);
    let sql = format!("select to_jsonb(a) from ({sql}) a where a.rule = '{id}' order by a.step");
    query(&mut client, &sql).iter().map(|row| row.get(0)).collect()
}

/// An example that needs arguments sets them for its database.
fn example_arguments(client: &mut postgres::Client) -> String {
    value(client, "select coalesce(current_setting('example.arguments', true), '')")
}

fn example_holds(database: &Database, rule: &Value, example: &Value) {
    let setup = text(example, "setup");
    database.psql(&setup.replace("-- errors expected", "\\set ON_ERROR_STOP off"));
    run_traffic(database);
    write_log(database);
    let needs = |need: &str| needs(rule, need);
    let live = needs(ACTIVITY) || needs(PGBOUNCER);
    let id = text(rule, "rule");
    let alone = OF_THE_SERVER.contains(&id).then(|| SESSIONS.write().unwrap_or_else(PoisonError::into_inner));
    let _among = (live && alone.is_none()).then(|| SESSIONS.read().unwrap_or_else(PoisonError::into_inner));
    let _sessions = live.then(|| Sessions::open(database));
    let found = |settings: &str| found(database, rule, settings);
    let wanted = example["finds"].as_u64().unwrap();
    // A client that waits may wait for its parallel workers to begin; and what is to be proved has little time for it.
    let tries = if live { 50 } else { 3 * usize::from(needs(PLAN)) };
    let found_as = |expected: &dyn Fn(&[Value]) -> bool| {
        let mut findings = found("");
        for _ in 0..tries {
            if expected(&findings) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            findings = found("");
        }
        findings
    };
    let clears = example["fix_clears"] == true;
    let findings = found_as(&|findings| {
        let unproved = needs(PLAN) && clears && distinct_fixes(findings).is_empty();
        findings.len() as u64 == wanted && !unproved
    });
    assert_eq!(findings.len() as u64, wanted, "{setup}\n-- {}", shown(&findings));
    findings.iter().for_each(is_complete);
    findings.iter().for_each(|finding| finding_keeps_rows(database, finding));
    let identities = |findings: &[Value]| -> Vec<(String, String)> {
        findings.iter().map(|f| (text(f, "fingerprint").to_string(), text(f, "object").to_string())).collect()
    };
    let before = identities(&findings);
    let distinct: HashSet<_> = before.iter().map(|(fingerprint, _)| fingerprint).collect();
    assert_eq!(distinct.len(), before.len(), "{setup}\n-- two findings of one fingerprint: {before:#?}");
    let as_before = |findings: &[Value]| identities(findings) == before;
    assert_eq!(before, identities(&found_as(&as_before)), "{setup}\n-- fingerprints changed");

    let fixes = distinct_fixes(&findings);
    if !fixes.is_empty() {
        let examples = rule["examples"].as_array().unwrap();
        assert!(examples.iter().any(|example| example["fix_clears"] == true), "{id} has a fix that no example proves");
    }
    // One finding's fix may serve another's.
    assert!(!clears || !fixes.is_empty(), "{setup}\n-- no fix in {}", shown(&findings));
    if needs(MIGRATION) && clears {
        put_in_place(database, &findings);
        let left = found("");
        assert!(left.is_empty(), "{setup}\n-- with the fixes in place still there: {}", shown(&left));
        return;
    }
    for fix in &fixes {
        database.psql(fix);
    }
    if clears {
        run_traffic(database);
        // Not those that set something for what they do.
        let sets = |fix: &&str| fix.lines().all(|line| line.to_lowercase().starts_with("set "));
        let settings: Vec<&str> = fixes.iter().copied().filter(sets).collect();
        if needs(ACTIVITY) {
            wait_until("a cancelled statement has ended", || {
                let left = found("");
                !left.iter().any(|finding| before.iter().any(|(_, object)| object == text(finding, "object")))
            });
        }
        let left = found(&settings.join("\n"));
        let again = left.iter().any(|finding| before.iter().any(|(_, object)| object == text(finding, "object")));
        assert!(!again, "{setup}\n-- fixed by\n{}\n-- and still there: {}", fixes.join("\n"), shown(&left));
    }
    for finding in &findings {
        verify(database, finding, clears);
    }
    for finding in findings.iter().rev() {
        if let Some(rollback) = finding["rollback_sql"].as_str() {
            database.psql(rollback);
        }
    }
    // The scans of a dropped index do not come back with it.
    let lost =
        |finding: &Value| finding["rollback_sql"].is_null() || finding["evidence"]["index_scans"].as_u64() > Some(0);
    if clears && !findings.iter().any(lost) {
        run_traffic(database);
        assert_eq!(before, identities(&found_as(&as_before)), "{setup}\n-- rolled back {fixes:?}");
    }
}

/// Puts each fix in the place of the statement that its finding names, and runs what comes out of that elsewhere, to show that it
/// runs; `verify_sql` of the findings says there that it worked.
fn put_in_place(database: &Database, findings: &[Value]) {
    let mut client = database.connect();
    let steps =
        query(&mut client, "select s.statement from example e cross join lateral dbre.migration_steps(e.migration) s");
    let mut migration: String = value(&mut client, "select migration from example");
    for finding in findings.iter().filter(|finding| finding["fix_sql"].is_string()) {
        let step = finding["evidence"]["step"].as_u64().unwrap_or_else(|| panic!("no step in {finding:#}"));
        let statement: String = steps[step as usize - 1].get(0);
        assert!(migration.contains(&statement), "{statement:?} is not in {migration:?}");
        migration = migration.replacen(&statement, text(finding, "fix_sql").trim_end_matches(';'), 1);
    }
    drop(client);
    let fixed = Database::copy(database);
    fixed.psql(&migration);
    findings.iter().for_each(|finding| verify(&fixed, finding, true));
    database.connect().execute("update example set migration = $1", &[&migration]).unwrap();
}

fn exists(client: &mut postgres::Client, table: &str) -> bool {
    value(client, &format!("select to_regclass('{table}') is not null"))
}

/// What an example leaves in `traffic (step, query, times)`, sent by one session after the statistics of the database were
/// reset: each query so many times, `%s` in it the number of the time.
fn run_traffic(database: &Database) {
    let mut client = database.connect();
    if !exists(&mut client, "traffic") {
        return;
    }
    let steps = query(&mut client, "select query, times from traffic order by step");
    if exists(&mut client, "pg_stat_statements") {
        let reset =
            "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()))";
        query(&mut client, reset);
    }
    let mut session = database.connect();
    for step in steps {
        let (text, times): (String, i32) = (step.get(0), step.get(1));
        for time in 1..=times {
            execute(&mut session, &text.replace("%s", &time.to_string()));
        }
    }
}

/// The lines that an example leaves in `example (line)`, in a file that `example_log` names.
fn write_log(database: &Database) {
    let mut client = database.connect();
    let lines = "select count(*) from pg_attribute where attrelid = to_regclass('example') and attname = 'line'";
    if value::<i64>(&mut client, lines) == 0 {
        return;
    }
    let lines: Vec<String> = query(&mut client, "select line from example").iter().map(|row| row.get(0)).collect();
    let kind = if lines.first().is_some_and(|line| line.starts_with('{')) { "json" } else { "csv" };
    let file = database.server.folder.join(format!("{}.{kind}", database.name));
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    execute(&mut client, &format!("create table example_log as select '{}' as file", file.display()));
}

fn severities_of_foreign_keys(database: &Database) {
    database.psql(
        "create table parent (id int primary key default 1); insert into parent select generate_series(1, 10);
         create table no_action (id int primary key, ref int references parent);
         create table restricts (id int primary key, ref int references parent on delete restrict);
         create table cascades (id int primary key, ref int references parent on delete cascade);
         create table nulls (id int primary key, ref int references parent on delete set null);
         create table defaults (id int primary key, ref int default 1 references parent on delete set default);
         insert into no_action select n, 1 from generate_series(1, 2000) n;
         insert into restricts table no_action; insert into cascades table no_action;
         insert into nulls table no_action; insert into defaults table no_action;",
    );
    let severities = |small: u32, large: u32| -> Vec<String> {
        let options = format!("{{\"small_bytes\": {small}, \"large_bytes\": {large}}}");
        let configure = format!("select dbre.configure_rule('foreign_key_without_index', options => '{options}')");
        execute(&mut database.connect(), &configure);
        let mut findings = database.check("rules => array['foreign_key_without_index']");
        findings.sort_by_key(|finding| text(finding, "object").to_string());
        findings.iter().map(|finding| text(finding, "severity").to_string()).collect()
    };
    // In order: cascades, defaults, no_action, nulls, restricts. Each takes 72 kB.
    assert_eq!(severities(100_000, 200_000), ["low"; 5]);
    assert_eq!(severities(50_000, 100_000), ["medium"; 5]);
    assert_eq!(severities(1_000, 5_000), ["medium"; 5], "no deletes on the parent");
    database.psql("delete from parent where id = 5");
    assert_eq!(severities(100_000, 200_000), ["low"; 5]);
    assert_eq!(severities(50_000, 100_000), ["medium"; 5]);
    assert_eq!(severities(10_000, 50_000), ["high"; 5]);
    assert_eq!(severities(1_000, 5_000), ["critical", "critical", "high", "critical", "high"]);
}

pub fn is_complete(finding: &Value) {
    for column in ["fingerprint", "rule", "severity", "category", "object", "summary", "cause", "risk"] {
        assert!(!text(finding, column).trim().is_empty(), "{column} is empty: {finding:#}");
    }
    for column in ["fix_sql", "app_fix", "rollback_sql", "verify_sql"] {
        let missing = finding[column].is_null();
        assert!(missing || !text(finding, column).trim().is_empty(), "{column} is empty: {finding:#}");
        let ends = !column.ends_with("_sql") || text(finding, column).ends_with(';');
        assert!(missing || ends, "{column} does not end with a semicolon: {finding:#}");
    }
    assert!(!text(finding, "summary").contains('\n'), "summary has several lines: {finding:#}");
    assert!(finding["evidence"].as_object().is_some_and(|e| !e.is_empty()), "no evidence: {finding:#}");
    assert!(finding["impact"].is_object(), "impact is no object: {finding:#}");
}

pub fn distinct_fixes(findings: &[Value]) -> Vec<&str> {
    let mut fixes = Vec::new();
    for fix in findings.iter().filter_map(|finding| finding["fix_sql"].as_str()) {
        if !fixes.contains(&fix) {
            fixes.push(fix);
        }
    }
    fixes
}

/// `verify_sql` runs; after a fix that clears, every row it returns says so.
pub fn verify(database: &Database, finding: &Value, fixed: bool) {
    let Some(sql) = finding["verify_sql"].as_str() else { return };
    let rows = query(&mut database.connect(), sql);
    if fixed {
        let says_no = |row: &postgres::Row| {
            *row.columns()[0].type_() == Type::BOOL && row.get::<_, Option<bool>>(0) != Some(true)
        };
        assert!(!rows.is_empty() && !rows.iter().any(says_no), "{sql}\n-- after the fix: {rows:?}\n{finding:#}");
    }
}
