//! The report a DBRE would hand over: header, counts, then one section per finding.

use super::{counts, gaps, statistics, suppressed};
use crate::engine::{Reported, Run, Status};
use crate::units::{Bytes, Count};
use serde_json::{Map, Value};
use std::fmt::Write;

pub fn render(run: &Run) -> String {
    let database = &run.facts.database;
    let mut text = format!("# Database report: {}\n\n", database.name);
    let role = if database.in_recovery { "standby" } else { "primary" };
    let ran = run.outcomes.iter().filter(|outcome| matches!(outcome.status, Status::Ran)).count();
    let mut header = vec![
        ("Server", format!("PostgreSQL {}, {role}", database.server_version)),
        ("Checked", format!("{}, {ran} of {} rules", database.now, run.outcomes.len())),
        ("Statistics", statistics(run)),
        ("Findings", counts(run)),
    ];
    header.extend(suppressed(run).map(|suppressed| ("Suppressed", suppressed)));
    header.extend(gaps(run).into_iter().map(|gap| ("Not judged", gap)));
    for (label, value) in header {
        let _ = writeln!(text, "- {label}: {value}");
    }
    for (position, reported) in run.findings.iter().enumerate() {
        finding(&mut text, position + 1, reported);
    }
    text
}

fn finding(text: &mut String, number: usize, reported: &Reported) {
    let finding = &reported.finding;
    let rule = reported.rule.id;
    let _ = writeln!(text, "\n## {number}. [{}] {}\n", finding.severity.name(), finding.summary);
    let _ = writeln!(text, "Rule {rule}, object {}, fingerprint {}\n", code(&finding.object), reported.fingerprint);
    let _ = writeln!(text, "**Root cause.** {}\n", finding.cause);
    let _ = writeln!(text, "**Evidence.** {}\n", figures(&finding.evidence));
    match &finding.fix_sql {
        Some(fix) => block(text, "Solution", fix),
        None => {
            let _ = writeln!(text, "**Solution.** No SQL that is safe in every case: see the root cause.\n");
        }
    }
    if let Some(app_fix) = &finding.app_fix {
        let _ = writeln!(text, "**In the application.** {app_fix}\n");
    }
    if !finding.impact.is_empty() {
        let _ = writeln!(text, "**Impact.** {}\n", impact(&finding.impact));
    }
    let _ = writeln!(text, "**Risk.** {}\n", finding.risk);
    if let Some(rollback) = &reported.rollback_sql {
        block(text, "Rollback", rollback);
    }
    if let Some(verify) = &finding.verify_sql {
        block(text, "Verification", verify);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

fn block(text: &mut String, title: &str, sql: &str) {
    let _ = writeln!(text, "**{title}.**\n\n```sql\n{sql}\n```\n");
}

/// An inline code span; a name may itself hold backquotes.
fn code(name: &str) -> String {
    if name.contains('`') { format!("`` {name} ``") } else { format!("`{name}`") }
}

/// `child public.orders, child_bytes 412 MB, columns a, b`.
fn figures(figures: &Map<String, Value>) -> String {
    let known = figures.iter().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| format!("{name} {}", figure(name, value))).collect::<Vec<_>>().join(", ")
}

fn figure(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) if name.ends_with("_bytes") => match value.as_u64() {
            Some(bytes) => Bytes(bytes).to_string(),
            None => value.to_string(),
        },
        Value::Number(_) => match value.as_u64() {
            Some(count) => Count(count).to_string(),
            None => value.to_string(),
        },
        Value::Array(values) => values.iter().map(|value| figure(name, value)).collect::<Vec<_>>().join(", "),
        Value::Object(object) => format!("({})", figures(object)),
        Value::Bool(_) | Value::Null => value.to_string(),
    }
}

/// `disk_bytes 412 MB (measured) → 8 kB (estimated)`.
fn impact(changes: &Map<String, Value>) -> String {
    let side = |name: &str, side: &Value| match &side["value"] {
        Value::Null => "unknown".to_string(),
        value => format!("{} ({})", figure(name, value), side["basis"].as_str().unwrap_or_default()),
    };
    let shown = changes
        .iter()
        .map(|(name, change)| format!("{name} {} → {}", side(name, &change["before"]), side(name, &change["after"])));
    shown.collect::<Vec<_>>().join(", ")
}
