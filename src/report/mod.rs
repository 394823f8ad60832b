//! Renderings of a run.

mod brief;
mod json;
mod markdown;

use crate::engine::{Run, Status};
use crate::finding::Severity;
use crate::units::{Count, Days};

type Render = fn(&Run) -> String;

pub const FORMATS: [(&str, Render); 3] =
    [("markdown", markdown::render), ("brief", brief::render), ("json", json::render)];

/// `2 critical, 3 high`; `no findings`.
fn counts(run: &Run) -> String {
    let of = |severity| run.findings.iter().filter(|reported| reported.finding.severity == severity).count();
    let shown: Vec<_> = Severity::ALL
        .into_iter()
        .map(|severity| (of(severity), severity.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if shown.is_empty() { "no findings".to_string() } else { shown.join(", ") }
}

/// `since 2026-11-01 08:00 UTC (20 days)`: since when cumulative statistics count.
fn statistics(run: &Run) -> String {
    let database = &run.facts.database;
    match (&database.statistics_since, database.statistics_days) {
        (Some(since), Some(days)) => format!("since {since} ({})", Days(days)),
        (Some(since), None) => format!("since {since}"),
        (None, Some(days)) => format!("never reset ({})", Days(days)),
        (None, None) => "never reset".to_string(),
    }
}

/// What the reader must know was not judged, one line each.
fn gaps(run: &Run) -> Vec<String> {
    let mut gaps: Vec<String> = run
        .outcomes
        .iter()
        .filter_map(|outcome| {
            let reason = outcome.reason()?;
            match &outcome.status {
                Status::Failed(caught) => Some(format!("{} FAILED ({}): {reason}", outcome.rule.id, caught.sqlstate)),
                Status::Skipped(_) => Some(format!("{} skipped: {reason}", outcome.rule.id)),
                Status::Ran => None,
            }
        })
        .collect();
    // Rules of the same needs leave the same tables out.
    let mut left_out: Vec<String> = run.outcomes.iter().filter_map(|outcome| outcome.left_out.reason()).collect();
    left_out.sort();
    left_out.dedup();
    gaps.extend(left_out);
    gaps.extend(run.gaps.iter().cloned());
    gaps
}

/// `3 findings suppressed`, if any.
fn suppressed(run: &Run) -> Option<String> {
    let suppressed = run.outcomes.iter().map(|outcome| outcome.suppressed).sum();
    (suppressed > 0).then(|| format!("{} suppressed", Count(suppressed).of("finding")))
}
