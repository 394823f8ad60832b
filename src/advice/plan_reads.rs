//! What scans read, and what becomes of it further up in the plan.

use crate::facts::Facts;
use crate::facts::plan::{Plan, Relationship};

/// Rows that a scan reads, and how many of them the query has a use for.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    pub read: f64,
    pub kept: f64,
    /// By the scan's own filter, rather than by a join above.
    pub own: bool,
}

impl Reads {
    pub fn discarded(self) -> f64 {
        (self.read - self.kept).max(0.0)
    }

    /// Of what is read, 0 to 1.
    pub fn discarded_share(self) -> f64 {
        if self.read > 0.0 { self.discarded() / self.read } else { 0.0 }
    }

    /// Of a scan: measured where it was run, else as the planner expects. None: never executed, or unknown.
    pub fn of(facts: &Facts, scan: usize) -> Option<Reads> {
        let explained = facts.explained();
        let plan = &explained.plan;
        let (read, filtered) = if plan.is_analyzed() {
            let kept = plan.total_rows(scan).filter(|_| plan.executions(scan).is_some_and(|times| times > 0.0))?;
            (kept + plan.removed_rows(scan), kept)
        } else {
            let kept = plan.nodes[scan].rows;
            let whole = match plan.nodes[scan].kind.as_str() {
                "Seq Scan" => explained.statistics_of(scan)?.rows?,
                _ => kept,
            };
            (whole.max(kept), kept)
        };
        let surviving = surviving(plan, scan).unwrap_or(filtered);
        Some(Reads { read, kept: filtered.min(surviving), own: filtered <= surviving.max(read / 10.0) })
    }
}

/// The fewest rows that any join above leaves, up to where rows are made into others.
fn surviving(plan: &Plan, scan: usize) -> Option<f64> {
    const PASSES: [&str; 12] = [
        "Hash",
        "Hash Join",
        "Merge Join",
        "Nested Loop",
        "Gather",
        "Gather Merge",
        "Sort",
        "Incremental Sort",
        "Materialize",
        "Memoize",
        "Append",
        "Subquery Scan",
    ];
    let apart =
        |node: &usize| matches!(plan.nodes[*node].relationship, Relationship::InitPlan(_) | Relationship::SubPlan(_));
    if apart(&scan) {
        return None;
    }
    let above = plan.ancestors(scan).take_while(|above| PASSES.contains(&plan.nodes[*above].kind.as_str()));
    let mut fewest: Option<f64> = None;
    for above in above {
        if plan.nodes[above].kind.ends_with("Join") || plan.nodes[above].kind == "Nested Loop" {
            let rows = plan.total_rows(above).unwrap_or_else(|| plan.estimated_total_rows(above));
            fewest = Some(fewest.map_or(rows, |fewest| fewest.min(rows)));
        }
        if apart(&above) {
            break;
        }
    }
    fewest
}
