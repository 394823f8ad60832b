//! The sample application: what was planted is found and can be fixed; the clean variant has nothing to act on.

use crate::rule_cases::{distinct_fixes, verify};
use crate::server::{Database, Server, identities, query, shown, text, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::{Arc, Mutex};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "sample_app::planted_problems_are_found_and_fixed", planted),
        trial(server, "sample_app::the_clean_variant_has_nothing_of_medium_or_above", clean),
    ]
}

fn load(database: &Database, files: &[&str]) {
    static ROLES: Mutex<()> = Mutex::new(());
    {
        let _one_at_a_time = ROLES.lock();
        database.psql_file("tests/app/roles.sql", &[]);
    }
    for file in files {
        database.psql_file(&format!("tests/app/{file}.sql"), &["-v", "size=small"]);
    }
}

fn notable(findings: &[Value]) -> Vec<Value> {
    findings.iter().filter(|finding| text(finding, "severity") != "low").cloned().collect()
}

fn clean(database: &Database) {
    load(database, &["schema", "data", "workload", "planted_options"]);
    let findings = database.check("");
    let notable = notable(&findings);
    assert!(
        notable.is_empty(),
        "on the clean variant:\n{}\n-- all findings:\n{}",
        shown(&notable),
        identities(&findings).join("\n")
    );
    let vectors = vector_findings(database);
    let notable = self::notable(&vectors);
    assert!(notable.is_empty(), "on the clean variant's vectors:\n{}", shown(&notable));
}

fn vector_findings(database: &Database) -> Vec<Value> {
    let sql = "select to_jsonb(f) from dbre.vector_index_advice() f";
    query(&mut database.connect(), sql).iter().map(|row| row.get(0)).collect()
}

/// What was planted among vectors is found, and nothing else of medium or above; its fixes clear it.
fn planted_vectors(database: &Database) {
    let sql = "select rule, object, severity from planted.expected_vectors";
    let rows = query(&mut database.connect(), sql);
    let expected: Vec<[String; 3]> = rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
    let is_planted = |finding: &Value| {
        let planted = |[rule, object, severity]: &[String; 3]| {
            text(finding, "rule") == rule
                && text(finding, "object").starts_with(object)
                && text(finding, "severity") == severity
        };
        expected.iter().any(planted)
    };
    let findings = vector_findings(database);
    let notable = notable(&findings);
    assert!(
        notable.iter().all(is_planted) && notable.len() == expected.len(),
        "planted: {expected:#?}\n-- found: {}",
        shown(&notable)
    );
    for finding in notable.iter().filter(|finding| finding["fix_sql"].is_string()) {
        database.psql(text(finding, "fix_sql"));
        verify(database, finding, true);
        let left = identities(&vector_findings(database));
        assert!(!left.contains(&identity(finding)), "still there after its fix: {finding:#}");
    }
}

fn planted(database: &Database) {
    load(database, &["schema", "data", "planted", "workload", "planted_options"]);
    planted_vectors(database);
    let expected = expected(database);
    let findings = database.check("");
    let found = identities(&findings);
    let missed: Vec<_> = expected.iter().filter(|planted| !found.contains(planted)).collect();
    assert!(missed.is_empty(), "planted, not found: {missed:#?}\n-- found:\n{}", found.join("\n"));
    let surplus: Vec<_> = identities(&notable(&findings)).into_iter().filter(|f| !expected.contains(f)).collect();
    assert!(surplus.is_empty(), "found, not planted: {surplus:#?}");

    // What made a build fail is for the application to repair: no fix of an invalid index can.
    database
        .psql("update app.background_jobs set payload = payload - 'priority' where payload ->> 'priority' = 'urgent';");
    for fix in distinct_fixes(&findings) {
        database.psql(fix);
    }
    let left = database.check("");
    let new: Vec<_> = identities(&notable(&left)).into_iter().filter(|finding| !found.contains(finding)).collect();
    assert!(new.is_empty(), "caused by the fixes: {new:#?}");
    let left = identities(&left);
    let fixed: Vec<_> =
        findings.iter().filter(|f| f["fix_sql"].is_string() && expected.contains(&identity(f))).collect();
    let still: Vec<_> = fixed.iter().map(|f| identity(f)).filter(|f| left.contains(f)).collect();
    assert!(still.is_empty(), "still there after their fixes: {still:#?}\n-- all that is left:\n{}", left.join("\n"));
    fixed.iter().for_each(|finding| verify(database, finding, true));
}

fn identity(finding: &Value) -> String {
    identities(std::slice::from_ref(finding)).remove(0)
}

fn expected(database: &Database) -> Vec<String> {
    let sql = "select concat_ws(' ', rule, object, severity) from planted.expected order by 1";
    query(&mut database.connect(), sql).iter().map(|row| row.get(0)).collect()
}
