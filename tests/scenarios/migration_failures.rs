//! Migrations that fail: the review finds it before they do.

use crate::migration_differential::{cases, statements};
use crate::migration_truth::Truth;
use crate::server::{Database, ROOT, Server, describe, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![trial(server, "migration_failures::are_foreseen", are_foreseen)]
}

fn are_foreseen(database: &Database) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    let mut truth = Truth::new(database.connect()).unwrap();
    let mut client = database.connect();
    let file = fs::read_to_string(Path::new(ROOT).join("tests/migrations/failures.sql")).unwrap();
    let cases = cases(&file);
    let mut wrong = Vec::new();
    for case in &cases {
        let (state, migration) = case.split_once(' ').unwrap();
        match truth.of(&statements(migration)) {
            Ok(_) => wrong.push(format!("{case}\n  runs")),
            Err(error) if error.code().is_none_or(|code| code.code() != state) => {
                wrong.push(format!("{case}\n  fails otherwise: {}", describe(&error)));
            }
            Err(_) => wrong.extend(foreseen(&mut client, state, migration).err().map(|why| format!("{case}\n  {why}"))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// A finding of at least high severity that names the SQLSTATE.
fn foreseen(client: &mut Client, state: &str, migration: &str) -> Result<(), String> {
    let sql = "select to_jsonb(f) from dbre.migration_findings($1, one_transaction => true) f";
    let rows = client.query(sql, &[&migration]).map_err(|error| format!("review fails: {}", describe(&error)))?;
    let findings: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    let says = |finding: &&Value| finding["evidence"]["sqlstate"] == state;
    let Some(finding) = findings.iter().find(says) else {
        let found: Vec<_> = findings
            .iter()
            .map(|f| format!("{} {} {}", text(f, "rule"), text(f, "severity"), f["evidence"]["sqlstate"]))
            .collect();
        return Err(format!("not foreseen, found: {}", found.join("; ")));
    };
    match text(finding, "severity") {
        "critical" | "high" => Ok(()),
        severity => Err(format!("{} is {severity}", text(finding, "rule"))),
    }
}
