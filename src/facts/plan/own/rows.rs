//! What row counts mean: shared by processes, cut short by what reads them, or counted twice.

use super::super::{Node, Plan, Relationship};
use super::shape::Shape;

/// A Gather's child starts once in each process, the leader among them if it took part. The bitmap of a parallel scan is
/// made by one of them while the others wait for it.
pub fn processes(plan: &Plan, shape: &Shape) -> Vec<f64> {
    let loops = |i: usize| plan.nodes[i].actual.map_or(0.0, |actual| actual.loops);
    let of = |gather: usize| {
        let started = shape.outer[gather].map_or(0.0, loops);
        if loops(gather) > 0.0 { (started / loops(gather)).max(1.0) } else { 1.0 }
    };
    let mut processes: Vec<f64> = Vec::with_capacity(plan.nodes.len());
    for (node, gather) in plan.nodes.iter().zip(&shape.gather) {
        let parent = node.parent.map(|parent| (&plan.nodes[parent], processes[parent]));
        processes.push(match parent {
            Some((parent, _)) if parent.kind == "Bitmap Heap Scan" && parent.parallel_aware => 1.0,
            Some((parent, of_parent)) if matches!(parent.kind.as_str(), "BitmapAnd" | "BitmapOr") => of_parent,
            _ => gather.map_or(1.0, of),
        });
    }
    processes
}

/// Nodes whose rows are shared out among processes: those that read a parallel scan. Below a Gather there are others,
/// which every process runs in full: the inner side of a nested loop, a hash table that is not shared.
pub fn partial(plan: &Plan, shape: &Shape) -> Vec<bool> {
    let mut partial = vec![false; plan.nodes.len()];
    for (i, node) in plan.nodes.iter().enumerate().rev() {
        let shared = |&child: &usize| {
            let from = &plan.nodes[child].relationship;
            partial[child] && matches!(from, Relationship::Outer | Relationship::Member | Relationship::Subquery)
        };
        let groups_of_each_process = node.partial_mode.as_deref() == Some("Partial");
        partial[i] = shape.gather[i].is_some()
            && !groups_of_each_process
            && (node.parallel_aware || node.children.iter().any(shared));
    }
    partial
}

/// By what the planner divides the rows of a partial node: the leader helps less the more workers it serves.
pub fn divisor(plan: &Plan, i: usize) -> f64 {
    let gather = plan.ancestors(i).find(|&above| plan.nodes[above].kind.starts_with("Gather"));
    let planned = gather.and_then(|gather| plan.nodes[gather].workers_planned).map_or(0.0, f64::from);
    planned + (1.0 - 0.3 * planned).max(0.0)
}

/// Its rows are what the planner estimates: a bitmap of several has none, ModifyTable only what it returns, and what a run
/// condition leaves of a window's rows is not estimated.
pub fn counted(node: &Node) -> bool {
    node.run_condition.is_none() && !matches!(node.kind.as_str(), "BitmapAnd" | "BitmapOr" | "ModifyTable")
}

/// The inner side of a merge join, which is set back to where a group of equal keys began, and counts them again.
pub fn read_again(plan: &Plan, i: usize) -> bool {
    let Some(parent) = plan.nodes[i].parent.map(|parent| &plan.nodes[parent]) else { return false };
    parent.kind == "Merge Join"
        && plan.nodes[i].relationship == Relationship::Inner
        && parent.inner_unique != Some(true)
}

pub fn stopped_early(plan: &Plan, shape: &Shape) -> Vec<bool> {
    let scans = &shape.cte_scans;
    let mut stopped = vec![false; plan.nodes.len()];
    // CTEs stand before what scans them. Each round can only add nodes.
    for _ in 0..ROUNDS {
        let mut changed = false;
        for (i, node) in plan.nodes.iter().enumerate() {
            let now = match (node.parent, node.relationship.cte()) {
                (_, Some(_)) => scans.get(&i).is_some_and(|scans| scans.iter().all(|&scan| stopped[scan])),
                (Some(parent), None) => {
                    (stopped[parent] && !reads_all(&plan.nodes[parent])) || stops(plan, shape, parent, node)
                }
                (None, None) => false,
            };
            changed |= now != stopped[i];
            stopped[i] = now;
        }
        if !changed {
            break;
        }
    }
    stopped
}

/// CTEs that read one another are nested no deeper in any plan that is real.
const ROUNDS: usize = 20;

/// It reads its input to the end before it returns a row.
fn reads_all(node: &Node) -> bool {
    match node.kind.as_str() {
        "Sort" | "Hash" | "Bitmap Heap Scan" | "BitmapAnd" | "BitmapOr" | "ModifyTable" => true,
        "Aggregate" | "SetOp" => node.strategy.as_deref() != Some("Sorted"),
        _ => false,
    }
}

/// The parent may leave rows of the child unread.
fn stops(plan: &Plan, shape: &Shape, parent: usize, child: &Node) -> bool {
    let other = shape.inner[parent].map(|inner| &plan.nodes[inner]);
    let parent = &plan.nodes[parent];
    let join = parent.join_type.as_deref().unwrap_or_default();
    let inner = child.relationship == Relationship::Inner;
    match &child.relationship {
        // EXISTS, for one, takes the first row.
        Relationship::InitPlan(_) => return true,
        Relationship::SubPlan(name) => return !shape.is_hashed(name),
        _ => {}
    }
    match parent.kind.as_str() {
        "Limit" => child.relationship == Relationship::Outer && limit_reached(parent, child),
        "WindowAgg" => parent.run_condition.is_some(),
        // EXPLAIN's text tells only with VERBOSE whether there is one match at most.
        "Nested Loop" => inner && (parent.inner_unique != Some(false) || matches!(join, "Semi" | "Anti")),
        // Each side ends when the other has; a side whose rows without match are needed does not.
        "Merge Join" if inner => !matches!(join, "Right" | "Full" | "Right Anti"),
        "Merge Join" => !matches!(join, "Left" | "Full" | "Anti"),
        // An empty hash table.
        "Hash Join" if !inner => {
            let empty = other.and_then(|inner| inner.actual).is_some_and(|actual| actual.rows == 0.0);
            empty && !matches!(join, "Left" | "Full" | "Anti")
        }
        _ => false,
    }
}

/// EXPLAIN does not tell the limit, but the estimate does: it is never above a known limit, and fewer rows than that
/// mean that the input ended first. Of a limit that the planner did not know it estimates a tenth.
fn limit_reached(limit: &Node, child: &Node) -> bool {
    let Some(actual) = limit.actual else { return true };
    let unknown = (limit.rows - child.rows * 0.1).abs() <= 1.0;
    actual.loops != 1.0 || unknown || actual.rows >= limit.rows
}
