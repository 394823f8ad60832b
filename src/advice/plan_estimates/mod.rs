//! Where row estimates go wrong, and why.

mod cause;
mod finding;

pub use cause::{Cause, Expression};
pub use finding::{ANALYZE_RISK, finding, statistics_name};

use super::plan_weight::Explains;
use crate::facts::plan::{Plan, Relationship, WRONG};
use crate::facts::{Explained, Facts};
use cause::cause;

/// An estimate is told where it goes wrong first: nothing below the node is off by so much.
pub struct Misestimate<'a> {
    pub node: usize,
    /// How many times too few or too many.
    pub error: f64,
    pub actual: f64,
    pub estimated: f64,
    pub cause: Cause<'a>,
    pub explains: Explains,
    /// A join, a sort or a hash table above was planned for another number of rows, or the scan itself.
    pub has_effect: bool,
}

/// Rows below which an estimate does not matter.
const FEW_ROWS: f64 = 100.0;

/// In the order of the plan.
pub fn misestimates(facts: &Facts) -> Vec<Misestimate<'_>> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let starts = (0..plan.nodes.len()).filter(|node| starts(plan, *node));
    let of = |node: usize| {
        let (actual, estimated) = (plan.total_rows(node)?, plan.estimated_total_rows(node));
        let (explains, has_effect) = effect(explained, node);
        if actual.max(estimated) < FEW_ROWS || explains.severity().is_none() {
            return None;
        }
        let cause = cause(facts, node);
        // No index could serve what is computed, whatever the estimate.
        let chose_wrong = !matches!(cause, Cause::Expression(..)) && chose_wrong(plan, node);
        Some(Misestimate {
            node,
            error: plan.estimate_error(node).unwrap_or(1.0),
            actual,
            estimated,
            cause,
            explains,
            has_effect: has_effect || chose_wrong,
        })
    };
    starts.filter_map(of).collect()
}

/// It is off, and no node from which it has its rows is.
fn starts(plan: &Plan, node: usize) -> bool {
    let beside =
        |child: &usize| matches!(plan.nodes[*child].relationship, Relationship::InitPlan(_) | Relationship::SubPlan(_));
    // A bitmap is told at the heap scan, which has the table's name and all conditions.
    let is_bitmap =
        |node: usize| matches!(plan.nodes[node].kind.as_str(), "Bitmap Index Scan" | "BitmapAnd" | "BitmapOr");
    let told_above = is_bitmap(node)
        && plan.nodes[node].parent.is_some_and(|parent| is_bitmap(parent) || plan.is_misestimated(parent));
    // Partitions have more or fewer rows than on average; what counts is all of them.
    let evened_out = plan.nodes[node]
        .parent
        .is_some_and(|parent| plan.nodes[parent].kind.ends_with("Append") && !plan.is_misestimated(parent));
    let children = plan.nodes[node].children.iter().filter(|child| !beside(child));
    plan.is_misestimated(node)
        && !told_above
        && !evened_out
        && !children.clone().any(|child| !is_bitmap(*child) && plan.is_misestimated(*child))
}

/// The time of what was planned for another number of rows: the node, those above it that are off as well, and what a
/// nested loop among them runs for each of its rows.
fn effect(explained: &Explained, start: usize) -> (Explains, bool) {
    let plan = &explained.plan;
    let mut nodes: Vec<usize> = plan.subtree(start).collect();
    let (mut below, mut has_effect) = (start, false);
    for above in plan.ancestors(start) {
        if matches!(plan.nodes[below].relationship, Relationship::InitPlan(_) | Relationship::SubPlan(_)) {
            break;
        }
        let node = &plan.nodes[above];
        let joins = node.kind.ends_with("Join") || node.kind == "Nested Loop";
        let spilled =
            node.sort.as_ref().is_some_and(|sort| sort.on_disk) || node.aggregate.is_some_and(|a| a.batches > 1.0);
        has_effect |= joins || spilled || node.kind == "Hash";
        nodes.push(above);
        if joins && node.kind == "Nested Loop" && node.children.first() == Some(&below) {
            nodes.extend(node.children.iter().skip(1).flat_map(|inner| plan.subtree(*inner)));
        }
        if joins && !plan.is_misestimated(above) {
            break;
        }
        below = above;
    }
    (Explains::by_nodes(explained, &nodes), has_effect)
}

/// A scan that reads the table where an index would have done, or the other way round.
fn chose_wrong(plan: &Plan, scan: usize) -> bool {
    let here = &plan.nodes[scan];
    let kept = plan.total_rows(scan).unwrap_or_default();
    let once = kept / plan.executions(scan).unwrap_or(1.0).max(1.0);
    let reads_all = here.kind == "Seq Scan" && here.rows > WRONG * once && plan.removed_rows(scan) > 9.0 * kept;
    reads_all || (here.kind == "Index Scan" && once > WRONG * here.rows && once >= 10_000.0)
}
