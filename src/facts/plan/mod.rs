//! A plan as EXPLAIN prints it, with what running it measured, as plain data.

mod condition;
#[cfg(test)]
mod corpus;
mod json;
mod memory;
mod own;
mod text;

pub use condition::{Conjunct, Operand, OperandKind, conjuncts};
pub use json::NotAPlan;
pub use own::WRONG;
pub use text::read;

use std::cell::OnceCell;
use std::collections::BTreeMap;

/// One statement's plan.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In EXPLAIN's order: a node stands before its children; the first is the root.
    pub nodes: Vec<Node>,
    pub planning_ms: Option<f64>,
    pub execution_ms: Option<f64>,
    /// What planning itself read.
    pub planning_blocks: Option<Blocks>,
    pub triggers: Vec<Trigger>,
    pub jit: Option<Jit>,
    /// Planner settings that differ from their defaults; None: EXPLAIN was not asked for them.
    pub settings: Option<BTreeMap<String, String>>,
    /// The statement's text, which auto_explain adds.
    pub query: Option<String>,
    /// What follows from the nodes, once asked for: nodes must not change afterwards.
    pub derived: OnceCell<own::Derived>,
}

#[derive(Clone, Debug, Default)]
pub struct Node {
    pub parent: Option<usize>,
    pub children: Vec<usize>,
    pub relationship: Relationship,
    /// `Seq Scan`, as EXPLAIN writes it in JSON.
    pub kind: String,
    /// `Partial`, `Finalize`, `Simple`
    pub partial_mode: Option<String>,
    /// `Sorted`, `Hashed`, `Plain`, `Mixed`
    pub strategy: Option<String>,
    /// `Insert`, `Update`, `Delete`, `Merge` of a ModifyTable
    pub operation: Option<String>,
    /// `Inner`, `Left`, `Semi`, `Anti` …
    pub join_type: Option<String>,
    /// Of a join: the inner side has at most one match.
    pub inner_unique: Option<bool>,
    pub parallel_aware: bool,
    pub relation: Option<Relation>,
    pub index: Option<String>,
    /// `Forward` or `Backward`
    pub scan_direction: Option<String>,
    pub cte: Option<String>,
    pub function: Option<String>,

    pub startup_cost: f64,
    pub total_cost: f64,
    /// Estimated, for one execution.
    pub rows: f64,
    /// Bytes, estimated.
    pub width: f64,
    pub actual: Option<Actual>,
    /// Of the node and all below it, in all executions.
    pub blocks: Option<Blocks>,
    pub wal: Option<Wal>,

    pub filter: Option<String>,
    pub index_cond: Option<String>,
    pub recheck_cond: Option<String>,
    pub hash_cond: Option<String>,
    pub merge_cond: Option<String>,
    pub join_filter: Option<String>,
    pub one_time_filter: Option<String>,
    /// Of an index scan: the distance it is ordered by.
    pub order_by: Option<String>,
    pub sort_key: Vec<String>,
    pub presorted_key: Vec<String>,
    pub group_key: Vec<String>,
    pub cache_key: Option<String>,
    /// Of a WindowAgg: once it fails, no further rows of the partition are needed.
    pub run_condition: Option<String>,
    /// With VERBOSE.
    pub output: Vec<String>,

    /// In one execution, on average, rounded; None: not measured.
    pub rows_removed_by_filter: Option<f64>,
    pub rows_removed_by_join_filter: Option<f64>,
    pub rows_removed_by_recheck: Option<f64>,
    /// In all executions.
    pub heap_fetches: Option<f64>,
    pub exact_heap_blocks: Option<f64>,
    pub lossy_heap_blocks: Option<f64>,
    pub sort: Option<Sort>,
    pub hash: Option<Hash>,
    /// Of a hashed aggregate that spilled.
    pub aggregate: Option<HashedAggregate>,
    pub memoize: Option<Memoize>,
    pub workers_planned: Option<u32>,
    pub workers_launched: Option<u32>,
    /// Partitions that run-time pruning left out before execution.
    pub subplans_removed: Option<u32>,
    /// Time waited for reading and writing of the node and all below it, where track_io_timing is on.
    pub io_ms: Option<f64>,
}

/// How a node serves its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Relationship {
    #[default]
    Root,
    Outer,
    Inner,
    /// Of an Append, a BitmapOr …
    Member,
    Subquery,
    /// Executed once, with its name: `InitPlan 1`, `CTE recent`
    InitPlan(String),
    /// Executed for every row of the parent unless hashed: `SubPlan 2`
    SubPlan(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// With VERBOSE.
    pub schema: Option<String>,
    /// Raw, not quoted.
    pub name: String,
    pub alias: String,
}

/// What EXPLAIN ANALYZE measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Actual {
    /// Mean of an execution, ms; None with TIMING OFF.
    pub startup_ms: Option<f64>,
    pub total_ms: Option<f64>,
    /// Mean of an execution, rounded to an integer by PostgreSQL 17.
    pub rows: f64,
    /// Executions, over all processes; 0: never executed.
    pub loops: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blocks {
    pub shared_hit: f64,
    pub shared_read: f64,
    pub shared_dirtied: f64,
    pub shared_written: f64,
    pub local_hit: f64,
    pub local_read: f64,
    pub temp_read: f64,
    pub temp_written: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wal {
    pub records: f64,
    pub full_page_images: f64,
    pub bytes: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sort {
    /// `quicksort`, `external merge`, `top-N heapsort` …
    pub method: String,
    pub kilobytes: f64,
    pub on_disk: bool,
    /// Of incremental sorts: groups sorted.
    pub groups: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hash {
    pub buckets: f64,
    pub batches: f64,
    pub original_batches: f64,
    pub peak_kilobytes: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HashedAggregate {
    pub batches: f64,
    pub peak_kilobytes: f64,
    pub disk_kilobytes: f64,
    /// Estimated by the planner.
    pub planned_partitions: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memoize {
    pub hits: f64,
    pub misses: f64,
    pub evictions: f64,
    pub overflows: f64,
    pub peak_kilobytes: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trigger {
    pub name: String,
    /// Of a trigger that enforces a constraint.
    pub constraint: Option<String>,
    pub relation: String,
    /// None with TIMING OFF.
    pub ms: Option<f64>,
    pub calls: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jit {
    pub functions: f64,
    pub total_ms: f64,
    pub optimized: bool,
    pub inlined: bool,
}

impl Node {
    /// As printed, whatever they are for.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        let texts = [
            &self.index_cond,
            &self.recheck_cond,
            &self.filter,
            &self.hash_cond,
            &self.merge_cond,
            &self.join_filter,
            &self.one_time_filter,
        ];
        texts.into_iter().flatten().map(String::as_str)
    }
}
