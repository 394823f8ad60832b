//! What each node itself took: EXPLAIN's figures are of a node and all below it.

mod charge;
mod label;
mod rows;
mod shape;

use super::{Actual, Blocks, Node, Plan, Relationship, Wal};
use charge::Charge;
use shape::Shape;

/// So many times too few or too many rows: from here on an estimate is wrong.
pub const WRONG: f64 = 10.0;

/// What follows from all nodes of a plan together, by node.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// Processes that shared the node's work: more than one below a Gather.
    processes: Vec<f64>,
    /// The processes' rows together are the node's.
    partial: Vec<bool>,
    stopped_early: Vec<bool>,
    own_ms: Option<Vec<f64>>,
    own_cost: Vec<f64>,
    own_blocks: Option<Vec<Blocks>>,
    own_wal: Option<Vec<Wal>>,
    own_io_ms: Option<Vec<f64>>,
    paths: Vec<String>,
}

impl Derived {
    fn of(plan: &Plan) -> Derived {
        let shape = Shape::of(plan);
        let processes = rows::processes(plan, &shape);
        let charge = Charge::of(plan, &shape);
        let time = |i: usize| time(&plan.nodes[i], processes[i]);
        let blocks =
            |figure: fn(&Blocks) -> f64| charge.own(|i| plan.nodes[i].blocks.as_ref().map(figure).unwrap_or_default());
        let wal = |figure: fn(&Wal) -> f64| charge.own(|i| plan.nodes[i].wal.as_ref().map(figure).unwrap_or_default());
        let root = plan.nodes.first();
        Derived {
            partial: rows::partial(plan, &shape),
            stopped_early: rows::stopped_early(plan, &shape),
            own_ms: root.and_then(|root| self::time(root, 1.0)).map(|_| charge.own(|i| time(i).unwrap_or_default())),
            own_cost: charge::cost(plan, &shape),
            own_blocks: root.and_then(|root| root.blocks).map(|_| own_blocks(plan, blocks)),
            own_wal: root.and_then(|root| root.wal).map(|_| {
                let records = wal(|wal| wal.records);
                let images = wal(|wal| wal.full_page_images);
                let bytes = wal(|wal| wal.bytes);
                (0..plan.nodes.len())
                    .map(|i| Wal { records: records[i], full_page_images: images[i], bytes: bytes[i] })
                    .collect()
            }),
            own_io_ms: root
                .and_then(|root| root.io_ms)
                .map(|_| charge.own(|i| plan.nodes[i].io_ms.unwrap_or_default() / processes[i])),
            paths: label::paths(plan),
            processes,
        }
    }
}

fn own_blocks(plan: &Plan, own: impl Fn(fn(&Blocks) -> f64) -> Vec<f64>) -> Vec<Blocks> {
    let shared_hit = own(|blocks| blocks.shared_hit);
    let shared_read = own(|blocks| blocks.shared_read);
    let shared_dirtied = own(|blocks| blocks.shared_dirtied);
    let shared_written = own(|blocks| blocks.shared_written);
    let local_hit = own(|blocks| blocks.local_hit);
    let local_read = own(|blocks| blocks.local_read);
    let temp_read = own(|blocks| blocks.temp_read);
    let temp_written = own(|blocks| blocks.temp_written);
    let of = |i: usize| Blocks {
        shared_hit: shared_hit[i],
        shared_read: shared_read[i],
        shared_dirtied: shared_dirtied[i],
        shared_written: shared_written[i],
        local_hit: local_hit[i],
        local_read: local_read[i],
        temp_read: temp_read[i],
        temp_written: temp_written[i],
    };
    (0..plan.nodes.len()).map(of).collect()
}

/// The node with all below it, in all its executions. Its processes worked side by side: their mean is what passed.
fn time(node: &Node, processes: f64) -> Option<f64> {
    let actual = node.actual?;
    Some(actual.total_ms? * actual.loops / processes)
}

impl Plan {
    fn derived(&self) -> &Derived {
        self.derived.get_or_init(|| Derived::of(self))
    }

    /// EXPLAIN ANALYZE made it.
    pub fn is_analyzed(&self) -> bool {
        self.nodes.first().is_some_and(|root| root.actual.is_some())
    }

    /// Without planning; of a plan whose statement did not tell, its root's time.
    pub fn execution_ms(&self) -> Option<f64> {
        self.execution_ms.or_else(|| self.total_ms(0))
    }

    /// Of the node and all below it, in all executions; None: not measured.
    pub fn total_ms(&self, i: usize) -> Option<f64> {
        time(self.nodes.get(i)?, self.derived().processes[i])
    }

    /// Of the node itself, in all executions. A CTE's time is that of the CTE's own nodes, not of the nodes that read it.
    pub fn own_ms(&self, i: usize) -> Option<f64> {
        self.derived().own_ms.as_ref().map(|own| own[i])
    }

    /// The part of the root's cost that is the node's own.
    pub fn own_cost(&self, i: usize) -> f64 {
        self.derived().own_cost[i]
    }

    pub fn own_blocks(&self, i: usize) -> Option<Blocks> {
        self.derived().own_blocks.as_ref().map(|own| own[i])
    }

    pub fn own_wal(&self, i: usize) -> Option<Wal> {
        self.derived().own_wal.as_ref().map(|own| own[i])
    }

    pub fn own_io_ms(&self, i: usize) -> Option<f64> {
        self.derived().own_io_ms.as_ref().map(|own| own[i])
    }

    /// The node's own part of the execution's time; of a plan without times, of the root's cost.
    pub fn share(&self, i: usize) -> f64 {
        let (own, all) = match (self.own_ms(i), self.total_ms(0)) {
            (Some(own), Some(root)) => (own, self.execution_ms.unwrap_or_default().max(root)),
            _ => (self.own_cost(i), self.nodes[0].total_cost),
        };
        if all > 0.0 { (own / all).min(1.0) } else { 0.0 }
    }

    /// From the node's parent to the root.
    pub fn ancestors(&self, i: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.nodes[i].parent, |&parent| self.nodes[parent].parent)
    }

    /// The node and all below it, in EXPLAIN's order.
    pub fn subtree(&self, i: usize) -> impl Iterator<Item = usize> {
        let mut open = vec![i];
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(self.nodes[next].children.iter().rev());
            Some(next)
        })
    }

    /// How often the node was started; the processes that share one start of it count once.
    pub fn executions(&self, i: usize) -> Option<f64> {
        let Actual { loops, .. } = self.nodes[i].actual?;
        Some(if self.derived().partial[i] { loops / self.derived().processes[i] } else { loops })
    }

    /// Where the node stands, for people: `Limit > Sort > Seq Scan on public.orders o`. No two nodes have the same.
    pub fn path(&self, i: usize) -> &str {
        &self.derived().paths[i]
    }

    /// What consumed the node's rows may have had enough before the node was through: fewer rows than estimated say nothing.
    pub fn stopped_early(&self, i: usize) -> bool {
        self.derived().stopped_early[i]
    }

    /// In all executions and processes.
    pub fn total_rows(&self, i: usize) -> Option<f64> {
        self.nodes[i].actual.map(|actual| actual.rows * actual.loops)
    }

    /// In as many executions as there were, or in one.
    pub fn estimated_total_rows(&self, i: usize) -> f64 {
        self.estimated_rows(i) * self.executions(i).unwrap_or(1.0)
    }

    /// In one execution; of all processes that share it.
    fn estimated_rows(&self, i: usize) -> f64 {
        let divisor = if self.derived().partial[i] { rows::divisor(self, i) } else { 1.0 };
        self.nodes[i].rows * divisor
    }

    /// How many times too few or too many rows were estimated, at least 1; None where the count says nothing.
    pub fn estimate_error(&self, i: usize) -> Option<f64> {
        let executions = self.executions(i).filter(|&executions| executions > 0.0)?;
        if !rows::counted(&self.nodes[i]) {
            return None;
        }
        let actual = (self.total_rows(i)? / executions).max(1.0);
        let estimated = self.estimated_rows(i).max(1.0);
        let unknown = match actual < estimated {
            true => self.stopped_early(i),
            false => rows::read_again(self, i),
        };
        (!unknown).then(|| (actual / estimated).max(estimated / actual))
    }

    /// Its estimate is wrong.
    pub fn is_misestimated(&self, i: usize) -> bool {
        self.estimate_error(i).is_some_and(|error| error >= WRONG)
    }

    /// Read and then dropped by a filter, a join filter or a recheck, in all executions.
    pub fn removed_rows(&self, i: usize) -> f64 {
        let node = &self.nodes[i];
        let removed = [node.rows_removed_by_filter, node.rows_removed_by_join_filter, node.rows_removed_by_recheck];
        removed.into_iter().flatten().fold(0.0, |sum, rows| sum + rows) * node.actual.map_or(0.0, |actual| actual.loops)
    }
}

impl Relationship {
    /// Its name where it is a plan beside the tree of its parent: `InitPlan 1`, `CTE recent`, `SubPlan 2`
    pub fn name(&self) -> Option<&str> {
        match self {
            Relationship::InitPlan(name) | Relationship::SubPlan(name) => Some(name.split(" (returns").next()?),
            _ => None,
        }
    }

    /// The name of the CTE.
    pub fn cte(&self) -> Option<&str> {
        match self {
            Relationship::InitPlan(name) => name.strip_prefix("CTE "),
            _ => None,
        }
    }
}

#[cfg(test)]
mod unit_tests;
