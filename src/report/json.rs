//! For programs: one object with a version, the header, and the array of findings.

use super::statistics;
use crate::engine::Run;
use serde_json::json;

/// Raised when a key changes its meaning or goes.
const VERSION: u32 = 1;

pub fn render(run: &Run) -> String {
    let database = &run.facts.database;
    let findings: Vec<_> = run
        .findings
        .iter()
        .map(|reported| {
            let finding = &reported.finding;
            json!({
                "fingerprint": reported.fingerprint,
                "rule": reported.rule.id,
                "severity": finding.severity,
                "category": reported.rule.category,
                "object": finding.object,
                "summary": finding.summary,
                "cause": finding.cause,
                "evidence": finding.evidence,
                "impact": finding.impact,
                "fix_sql": finding.fix_sql,
                "app_fix": finding.app_fix,
                "risk": finding.risk,
                "rollback_sql": reported.rollback_sql,
                "verify_sql": finding.verify_sql,
            })
        })
        .collect();
    let not_complete: Vec<_> = run
        .outcomes
        .iter()
        .filter_map(|outcome| {
            Some(json!({"rule": outcome.rule.id, "status": outcome.status_name(), "reason": outcome.reason()?}))
        })
        .collect();
    let report = json!({
        "version": VERSION,
        "database": database.name,
        "server_version": database.server_version,
        "in_recovery": database.in_recovery,
        "generated_at": database.now,
        "statistics": statistics(run),
        "not_complete": not_complete,
        "gaps": run.gaps,
        "suppressed": run.outcomes.iter().map(|outcome| outcome.suppressed).sum::<u64>(),
        "findings": findings,
    });
    serde_json::to_string_pretty(&report).expect("a JSON value can be printed")
}
