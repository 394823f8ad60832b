//! `dbre.check()` and `dbre.rule_runs()`.

use super::arguments::{TextArray, selection};
use crate::db::raise;
use crate::engine::{self, Run, Status};
use crate::facts::Facts;
use crate::finding::severity;
use crate::rule::Need;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::Value;

/// Findings about this database, ordered by severity, then impact.
///
/// Raises an error when a rule failed and none ran; otherwise failures are rows of `dbre.rule_runs()`.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a finding")]
pub fn check(
    categories: default!(Option<TextArray>, "NULL"),
    rules: default!(Option<TextArray>, "NULL"),
    schemas: default!(Option<TextArray>, "NULL"),
    min_severity: default!(Option<severity>, "'low'"),
) -> TableIterator<
    'static,
    (
        name!(fingerprint, String),
        name!(rule, &'static str),
        name!(severity, severity),
        name!(category, &'static str),
        name!(object, String),
        name!(summary, String),
        name!(cause, String),
        name!(evidence, JsonB),
        name!(impact, JsonB),
        name!(fix_sql, Option<String>),
        name!(app_fix, Option<String>),
        name!(risk, String),
        name!(rollback_sql, Option<String>),
        name!(verify_sql, Option<String>),
    ),
> {
    let run = engine::run(&selection(categories, rules, schemas, min_severity));
    refuse_total_failure(&run);
    TableIterator::new(run.findings.into_iter().map(|reported| {
        let finding = reported.finding;
        (
            reported.fingerprint,
            reported.rule.id,
            finding.severity,
            reported.rule.category,
            finding.object,
            finding.summary,
            finding.cause,
            JsonB(Value::Object(finding.evidence)),
            JsonB(Value::Object(finding.impact)),
            finding.fix_sql,
            finding.app_fix,
            finding.risk,
            reported.rollback_sql,
            finding.verify_sql,
        )
    }))
}

/// Raises an error when one of the needs could not be read.
pub fn refuse_unread(facts: &Facts, needs: &[Need]) {
    if let Some(caught) = needs.iter().find_map(|need| facts.failure(*need)) {
        raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("the catalogs could not be read: SQLSTATE {}: {}", caught.sqlstate, caught.message),
            "dbre.rule_runs() shows what can be read.",
        )
    }
}

/// No rule ran, and at least one failed: an empty result would look like a clean database.
pub fn refuse_total_failure(run: &Run) {
    if run.outcomes.iter().any(|outcome| matches!(outcome.status, Status::Ran)) {
        return;
    }
    let failure = run.outcomes.iter().find_map(|outcome| match &outcome.status {
        Status::Failed(caught) => Some((outcome.rule.id, caught)),
        _ => None,
    });
    if let Some((rule, caught)) = failure {
        raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("no rule ran; {rule} failed with SQLSTATE {}: {}", caught.sqlstate, caught.message),
            "dbre.rule_runs() shows what became of every rule.",
        );
    }
}

/// What became of every selected rule: ran, skipped and why, or failed and how. Runs them.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of an outcome")]
pub fn rule_runs(
    categories: default!(Option<TextArray>, "NULL"),
    rules: default!(Option<TextArray>, "NULL"),
    schemas: default!(Option<TextArray>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(rule, &'static str),
        name!(category, &'static str),
        name!(status, &'static str),
        name!(reason, Option<String>),
        name!(sqlstate, Option<String>),
        name!(findings, i64),
        name!(suppressed, i64),
        name!(not_readable, i64),
        name!(ms, f64),
    ),
> {
    let run = engine::run(&selection(categories, rules, schemas, Some(severity::low)));
    TableIterator::new(run.outcomes.into_iter().map(|outcome| {
        let sqlstate = match &outcome.status {
            Status::Failed(caught) => Some(caught.sqlstate.clone()),
            _ => None,
        };
        (
            outcome.rule.id,
            outcome.rule.category,
            outcome.status_name(),
            outcome.reason(),
            sqlstate,
            outcome.findings as i64,
            outcome.suppressed as i64,
            outcome.left_out.tables() as i64,
            outcome.duration.as_micros() as f64 / 1000.0,
        )
    }))
}
