//! Indexes that are proved to make a query cheaper, in findings on the scans that they serve.

use crate::facts::Facts;
use crate::facts::plan::{Conjunct, Operand, OperandKind, conjuncts};
use crate::facts::query::Part;
use crate::finding::{Finding, Rollback};
use crate::rules::missing_index;
use crate::rules::{condition_disables_index, distance_without_index, limit_planned_wrong, partitions_not_pruned};

/// Of the query's cost; what brings less is not worth an index.
const MIN_GAIN: f64 = 0.1;

/// The finding with the indexes that serve the scan as its fix; None: none was proved to.
pub fn fixed_by_indexes(facts: &Facts, scan: usize, finding: &Finding) -> Option<Finding> {
    if gain(facts) < MIN_GAIN {
        return None;
    }
    let steps =
        facts.explained().steps_of(scan).filter(|step| facts.index_advice().selection.steps[*step].benefit > 0.0);
    let each = steps.map(|step| missing_index::fixing(facts, step, finding.clone()));
    each.reduce(|mut all, next| {
        all.fix_sql = joined(all.fix_sql, next.fix_sql);
        all.verify_sql = joined(all.verify_sql, next.verify_sql);
        all.app_fix = joined(all.app_fix, next.app_fix);
        all.rollback = match (all.rollback, next.rollback) {
            (Rollback::Sql(first), Rollback::Sql(second)) => Rollback::Sql(format!("{first}\n{second}")),
            (first, _) => first,
        };
        all
    })
}

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}\n{second}")),
        (first, second) => first.or(second),
    }
}

/// By how much all indexes of the advice together cut the planner's cost of the query, 0 to 1.
fn gain(facts: &Facts) -> f64 {
    let selection = &facts.index_advice().selection;
    if selection.cost_before > 0.0 { 1.0 - selection.cost_after / selection.cost_before } else { 0.0 }
}

/// `the planner's cost of the query falls from 12,000 to 8`
pub fn costs(facts: &Facts) -> String {
    let selection = &facts.index_advice().selection;
    format!(
        "the planner's cost of {} falls from {} to {}{}",
        if facts.explained().scan_of_query.is_empty() { "the query" } else { "reading what its scans read" },
        super::plan_weight::shown(selection.cost_before),
        super::plan_weight::shown(selection.cost_after),
        if selection.steps.len() > 1 { ", with the indexes of all these findings together" } else { "" }
    )
}

/// A more particular rule tells of this scan.
pub fn is_told_elsewhere(facts: &Facts, scan: usize) -> bool {
    limit_planned_wrong::tells_of(facts, scan)
        || condition_disables_index::tells_of(facts, scan)
        || distance_without_index::tells_of(facts, scan)
        || partitions_not_pruned::tells_of(facts, scan)
}

/// An index among the steps decides a condition of the scan itself: it has a column that is compared bare, or an expression.
pub fn serves_filter(facts: &Facts, scan: usize) -> bool {
    let explained = facts.explained();
    let conditions: Vec<Conjunct> = explained
        .plan
        .subtree(scan)
        .flat_map(|node| explained.node(node).conditions().flat_map(conjuncts).collect::<Vec<_>>())
        .collect();
    let mut steps = explained.steps_of(scan).map(|step| &facts.index_advice().selection.steps[step].candidate);
    steps.any(|candidate| {
        let table = facts.catalog().known(candidate.table);
        candidate.predicate.is_some()
            || candidate.keys.iter().any(|key| match &key.part {
                Part::Expression(_) => true,
                Part::Column(number) => {
                    let name = table.and_then(|table| table.column(*number)).map(|column| column.name.raw());
                    name.is_some_and(|name| conditions.iter().any(|conjunct| compares(conjunct, name)))
                }
            })
    })
}

fn compares(conjunct: &Conjunct, column: &str) -> bool {
    let sides = [Some(&conjunct.left), conjunct.right.as_ref()];
    sides.into_iter().flatten().any(|side| is_column(side, column))
}

fn is_column(operand: &Operand, column: &str) -> bool {
    match &operand.kind {
        OperandKind::Column { name, .. } => name == column,
        OperandKind::Cast { of, .. } => is_column(of, column),
        OperandKind::Or(arms) => arms.iter().flatten().any(|conjunct| compares(conjunct, column)),
        // A pattern or a range of a function's arguments, such as of a text search.
        _ => false,
    }
}
