//! At most ten lines: what it is about, the counts, what to act on first.

use super::{counts, gaps, statistics, suppressed};
use crate::engine::{Run, Status};
use crate::units::listing;

const LINES: usize = 10;

pub fn render(run: &Run) -> String {
    let database = &run.facts.database;
    let standby = if database.in_recovery { ", standby" } else { "" };
    let mut lines = vec![
        format!("{} on PostgreSQL {}{standby}, {}", database.name, database.server_version, database.now),
        format!("statistics {}", statistics(run)),
    ];
    let mut state = vec![counts(run)];
    let failed = failed(run);
    if !failed.is_empty() {
        state.push(format!("FAILED: {}", listing(&failed)));
    }
    state.extend(suppressed(run));
    match gaps(run).len() - failed.len() {
        0 => {}
        1 => state.push("1 note on what was skipped".to_string()),
        notes => state.push(format!("{notes} notes on what was skipped")),
    }
    lines.push(state.join("; "));
    let room = LINES - lines.len();
    let shown = if run.findings.len() > room { room - 1 } else { run.findings.len() };
    for reported in &run.findings[..shown] {
        lines.push(format!("[{}] {}", reported.finding.severity.name(), reported.finding.summary));
    }
    if shown < run.findings.len() {
        lines.push(format!("… and {} more: select * from dbre.findings", run.findings.len() - shown));
    }
    lines.join("\n") + "\n"
}

/// The ids of the rules that failed.
fn failed(run: &Run) -> Vec<&'static str> {
    let failed = run.outcomes.iter().filter(|outcome| matches!(outcome.status, Status::Failed(_)));
    failed.map(|outcome| outcome.rule.id).collect()
}
