//! What findings on the plan and the text of one statement weigh in the whole workload.

use crate::engine::Reported;
use crate::facts::MeasuredStatement;
use crate::finding::{Finding, Severity};
use crate::rule::Need;
use crate::units::rounded;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// One call that takes as long is waited for.
const WAITED_FOR_MS: f64 = 100.0;
/// Or all calls together take so much of the database's time, and keep so much of a backend busy.
const NOTICED_SHARE: f64 = 0.1;
const NOTICED_BACKENDS: f64 = 0.05;

/// What a statement costs the database.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Of the time of all statements, 0 to 1.
    pub share: f64,
    /// Kept busy on average.
    pub backends: f64,
}

/// Adds whose finding it is, and ranks it by the measured time that it explains: cost alone says little of time.
pub fn weigh(reported: &mut Reported, statement: &MeasuredStatement, load: Load) {
    let finding = &mut reported.finding;
    let explained = finding.evidence.get("share").and_then(Value::as_f64);
    finding.weight = (explained.unwrap_or(0.0) * statement.total_ms) as u64;
    if reported.rule.needs.contains(&Need::Plan) && !matters(explained.unwrap_or(0.0), statement.mean_ms(), load) {
        finding.severity = Severity::low;
    }
    let of = [
        ("query_id", json!(statement.query_id)),
        ("role", json!(statement.role_name)),
        ("calls", json!(statement.calls)),
        ("mean_ms", json!(rounded(statement.mean_ms()))),
        ("total_ms", json!(rounded(statement.total_ms))),
        ("share_of_workload", json!(rounded(load.share))),
    ];
    finding.evidence.extend(of.map(|(key, value)| (key.to_string(), value)));
}

/// The part of its time that a finding explains is worth somebody's attention.
fn matters(explained: f64, mean_ms: f64, load: Load) -> bool {
    explained * mean_ms >= WAITED_FOR_MS
        || (explained * load.share >= NOTICED_SHARE && explained * load.backends >= NOTICED_BACKENDS)
}

/// Findings of one rule on several statements that one fix ends become one: the weightiest, which names the others. What is
/// found of one text that several roles run, too.
pub fn merged(mut findings: Vec<Reported>) -> Vec<Reported> {
    let mut places = HashMap::<(&'static str, String), usize>::new();
    let mut merged: Vec<Reported> = Vec::with_capacity(findings.len());
    findings.sort_by_key(|reported| std::cmp::Reverse(reported.finding.weight));
    for reported in findings {
        let same = reported.finding.fix_sql.clone().unwrap_or_else(|| reported.fingerprint.clone());
        match places.get(&(reported.rule.id, same.clone())) {
            Some(place) => add(&mut merged[*place], &reported),
            None => {
                places.insert((reported.rule.id, same), merged.len());
                merged.push(reported);
            }
        }
    }
    merged
}

fn add(first: &mut Reported, other: &Reported) {
    let finding = &mut first.finding;
    finding.weight += other.finding.weight;
    finding.severity = finding.severity.min(other.finding.severity);
    let evidence = &other.finding.evidence;
    let told = ["query_id", "role", "calls", "mean_ms", "total_ms"]
        .into_iter()
        .filter_map(|key| Some((key.to_string(), evidence.get(key)?.clone())));
    let told = Value::Object(told.collect());
    if let Value::Array(also) = finding.evidence.entry("also_of").or_insert_with(|| json!([])) {
        also.push(told);
    }
}

/// Of findings in their order the first creates an index on some columns of a table: a second one on the same columns, in
/// whatever order, would likely be superfluous.
pub fn indexes_once(findings: &mut [Reported]) {
    let mut creators = HashMap::<Index, (&'static str, String)>::new();
    for reported in findings {
        let Some(index) = reported.finding.fix_sql.as_deref().and_then(index) else { continue };
        match creators.get(&index) {
            None => {
                creators.insert(index, (reported.rule.id, reported.fingerprint.clone()));
            }
            Some((rule, fingerprint)) => {
                let finding = &mut reported.finding;
                finding.cause +=
                    &format!(" The index that {rule} creates (fingerprint {fingerprint}) serves this too.");
                finding.evidence.insert("fixed_by".to_string(), json!(fingerprint));
                (finding.fix_sql, finding.app_fix, finding.verify_sql) = (None, None, None);
                finding.risk = Finding::NO_RISK.to_string();
                reported.rollback_sql = None;
            }
        }
    }
}

/// Table, key columns in any order, and what its definition says behind INCLUDE.
type Index = (String, Vec<String>, String);

/// What the first CREATE INDEX of a fix creates.
fn index(fix: &str) -> Option<Index> {
    static CREATED: LazyLock<Regex> = LazyLock::new(|| {
        let definition =
            r"^CREATE INDEX .*?ON (?:ONLY )?(\S+)(?: USING btree)? \(([^()]*)\)(?: INCLUDE \([^()]*\))?([^;]*);";
        Regex::new(definition).expect("a constant")
    });
    let created = CREATED.captures(fix)?;
    let mut columns: Vec<String> = created[2].split(", ").map(str::to_string).collect();
    columns.sort();
    Some((created[1].to_string(), columns, created[3].to_string()))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn indexes_on_the_same_columns_are_the_same() {
        let of = |fix: &str| index(fix).map(|(table, columns, rest)| format!("{table} {} {rest}", columns.join("+")));
        let first = of("CREATE INDEX CONCURRENTLY t_a_b ON s.t USING btree (a, b);");
        assert_eq!(first.as_deref(), Some("s.t a+b "));
        assert_eq!(of("CREATE INDEX CONCURRENTLY t_b_a ON s.t (b, a);\nANALYZE s.t;"), first);
        assert_eq!(of("CREATE INDEX t_b_a ON ONLY s.t USING btree (b, a);\nCREATE INDEX x ON s.p (b);"), first);
        assert_eq!(of("CREATE INDEX CONCURRENTLY t_a_b ON s.t (a, b) INCLUDE (c);"), first);
        assert_ne!(of("CREATE INDEX CONCURRENTLY t_a_b ON s.t (a, b) WHERE c;"), first);
        assert_ne!(of("CREATE INDEX CONCURRENTLY t_a_b ON s.t (a, b DESC);"), first);
        assert_eq!(of("CREATE INDEX CONCURRENTLY i ON s.t USING gin (a);"), None);
        assert_eq!(of("CREATE UNIQUE INDEX i ON s.t (a);"), None);
        assert_eq!(of("alter system set a = 1;"), None);
    }

    #[test]
    fn what_is_fast_and_rare_does_not_matter() {
        let idle = Load { share: 0.9, backends: 0.001 };
        assert!(!matters(1.0, 5.0, idle));
        assert!(matters(1.0, 150.0, idle));
        assert!(!matters(0.5, 150.0, idle));
        assert!(matters(1.0, 5.0, Load { share: 0.5, backends: 2.0 }));
        assert!(!matters(1.0, 5.0, Load { share: 0.05, backends: 2.0 }));
    }
}
