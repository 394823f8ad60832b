//! Which indexes to create for a workload, under a size budget, and which existing ones are then of no use.
//!
//! Candidates come from what the queries ask for ([`crate::facts::query`]); what they bring is the planner's answer, asked
//! for through [`Planner`]. No server is needed here.

mod alternatives;
mod bits;
mod candidates;
mod choose;
mod containment;
mod costs;
mod estimates;
mod existing;
mod key_lists;
mod probe;
mod report;
mod search;
#[cfg(test)]
pub mod simulation;
mod specialized;

use crate::facts::query::{Part, QueryShape};
use std::collections::BTreeMap;

/// An index that might be created.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// OID
    pub table: u32,
    /// Access method, as in `USING`.
    pub method: String,
    pub keys: Vec<Key>,
    /// Attribute numbers, ascending.
    pub included: Vec<i16>,
    /// As printed in `WHERE`.
    pub predicate: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub part: Part,
    /// None: the default of the type for the method.
    pub class: Option<String>,
    /// None: the part's own.
    pub collation: Option<String>,
    pub descending: bool,
    pub nulls_first: bool,
}

/// The server's planner, or one that stands in for it.
pub trait Planner {
    /// Registers a candidate. None when the server refuses it: no such operator class, too wide …
    fn hypothesize(&mut self, candidate: &Candidate) -> Option<Hypothetical>;
    /// Plans the query at this place of the workload with exactly these hypothetical indexes beside the existing ones but
    /// `hidden`. None: planning failed.
    fn plan(&mut self, query: usize, created: &[usize], hidden: &[u32]) -> Option<Planned>;
    /// Of the stage, that is. Also looks for a cancel.
    fn time_is_up(&self) -> bool;
    /// The search goes on to this stage, which has time of its own: what was learned is still made use of.
    fn enter(&mut self, _stage: Stage) {}
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypothetical {
    pub id: usize,
    /// With all partitions.
    pub bytes: u64,
    /// Of keeping it up to date through the whole workload, in planner units and weighted as queries are.
    pub write_cost: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub cost: f64,
    /// Hypothetical indexes in the plan.
    pub used: Vec<usize>,
    /// Existing indexes in the plan, by the OIDs of [`ExistingIndex`]: a partition's index counts as its parent's.
    pub existing_used: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
pub struct Workload {
    pub queries: Vec<WorkloadQuery>,
    /// By OID; a table that is missing here gets no candidates.
    pub tables: BTreeMap<u32, TableStatistics>,
    pub indexes: Vec<ExistingIndex>,
    pub options: Options,
}

#[derive(Clone, Debug, Default)]
pub struct WorkloadQuery {
    /// The planner's cost is multiplied by it: calls, or what makes cost comparable with time.
    pub weight: f64,
    pub shape: QueryShape,
}

/// With all partitions.
#[derive(Clone, Debug, Default)]
pub struct TableStatistics {
    pub pages: f64,
    /// By attribute number.
    pub columns: BTreeMap<i16, ColumnStatistics>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnStatistics {
    /// A number of values, never the negative fraction of `pg_stats`; 0: unknown.
    pub distinct: f64,
    /// 0 to 1
    pub null_fraction: f64,
    /// In bytes.
    pub average_width: f64,
    /// No value is known that is too wide for a btree.
    pub fits_btree: bool,
}

#[derive(Clone, Debug)]
pub struct ExistingIndex {
    pub oid: u32,
    pub table: u32,
    pub method: String,
    pub keys: Vec<Key>,
    pub included: Vec<i16>,
    pub predicate: Option<String>,
    /// Unique and valid.
    pub unique: bool,
    /// No constraint, replica identity or the like needs it and it is not unique: it may be found useless.
    pub droppable: bool,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// For all new indexes together; None: no limit.
    pub budget: Option<u64>,
    /// New ones.
    pub max_indexes_per_table: usize,
    /// A new index must cut the cost of the workload by this much, or that of one query by ten times as much and that of
    /// the workload by a tenth of it; so must what a larger index brings beyond a smaller one that it contains. Shares are
    /// of the cost without new indexes.
    pub min_benefit_percent: f64,
    /// Look for existing indexes that are of no use.
    pub drop_indexes: bool,
    /// Tables of fewer pages get no index. One page is read whole anyway; what more of them are worth the planner says.
    pub min_pages: f64,
    /// Included columns may be this share of the row's width.
    pub max_included_share: f64,
    /// BRIN is proposed from this many pages on.
    pub brin_min_pages: f64,
    /// Beyond it those that serve the fewest queries are left out.
    pub max_candidates: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            budget: None,
            max_indexes_per_table: 5,
            min_benefit_percent: 1.0,
            drop_indexes: true,
            min_pages: 2.0,
            max_included_share: 0.6,
            brin_min_pages: 8192.0,
            max_candidates: 10_000,
        }
    }
}

/// What to create and what to drop. Costs are the planner's, times the weights of the queries where not said otherwise.
#[derive(Clone, Debug)]
pub struct Selection {
    /// In the order of creation: each counts on those before it.
    pub steps: Vec<Step>,
    pub useless: Vec<UselessIndex>,
    /// One for each of the workload; None where the query could not be planned, or time did not suffice.
    pub queries: Vec<Option<QueryCost>>,
    pub cost_before: f64,
    /// Of the queries, without the cost of writes.
    pub cost_after: f64,
    /// Of keeping the new indexes.
    pub write_cost: f64,
    /// Of the new indexes.
    pub bytes: u64,
    /// False: time was up. What is here was planned all the same, but more might have been found.
    pub complete: bool,
    pub reached: Stage,
    pub statistics: RunStatistics,
}

impl Selection {
    pub fn nothing() -> Selection {
        Selection {
            steps: Vec::new(),
            useless: Vec::new(),
            queries: Vec::new(),
            cost_before: 0.0,
            cost_after: 0.0,
            write_cost: 0.0,
            bytes: 0,
            complete: true,
            reached: Stage::Done,
            statistics: RunStatistics::default(),
        }
    }
}

/// An index to create.
#[derive(Clone, Debug)]
pub struct Step {
    pub candidate: Candidate,
    pub bytes: u64,
    /// By which it cuts the cost of queries, after the steps before it.
    pub benefit: f64,
    pub write_cost: f64,
    /// Places in the workload of the queries whose final plan has the index. What they cost before and after is in
    /// [`Selection::queries`].
    pub queries: Vec<usize>,
    /// The longest existing index that it extends and makes redundant by its definition. [`Selection::useless`] says
    /// whether that one can go.
    pub extends: Option<u32>,
    /// At most [`MAX_ALTERNATIVES`].
    pub alternatives: Vec<Alternative>,
}

pub const MAX_ALTERNATIVES: usize = 3;

/// An index that was considered in a step's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    pub candidate: Candidate,
    pub bytes: u64,
    /// In the step's place, as far as plans that were made tell.
    pub benefit: f64,
    pub reason: Rejection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The chosen one does what it does, and more.
    CoveredByChosen,
    /// It is larger and brings no more.
    LargerForNoMore,
    BringsLess,
    /// It brings more, but not for the bytes and writes it costs more.
    LessForItsSize,
    BelowMinimumBenefit,
    OverBudget,
    WritesCostMore,
}

/// Cost of a query, not weighted.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCost {
    pub before: f64,
    /// With all steps.
    pub after: f64,
    /// Steps that are in its final plan, by their places.
    pub steps: Vec<usize>,
    /// Existing indexes in its final plan.
    pub existing_used: Vec<u32>,
}

impl QueryCost {
    /// Planned to be dearer than before, by more than the planner's own indifference of 1%.
    pub fn is_harmed(&self) -> bool {
        self.after > self.before * 1.01
    }
}

/// An existing index without which no query of the workload is planned to cost more.
#[derive(Clone, Debug, PartialEq)]
pub struct UselessIndex {
    pub oid: u32,
    pub bytes: u64,
    /// The step that takes its place: its keys begin with those of the index.
    pub replaced_by: Option<usize>,
    /// Largest rise of a query's cost when it is hidden, with all others that are useless, in percent.
    pub largest_rise_percent: f64,
}

/// What the search was at when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Making candidates of what the queries ask for.
    Proposing,
    /// Learning which candidates the planner takes at all.
    Probing,
    Choosing,
    /// Swapping chosen indexes for others.
    Improving,
    /// Proving existing indexes useless.
    Dropping,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatistics {
    pub candidates: usize,
    /// Those the planner took into some plan, merged ones included.
    pub tried: usize,
    /// Refused by the server.
    pub refused: usize,
    pub plans: usize,
    /// Costs known from plans made before.
    pub cache_hits: usize,
}

/// Minimizes planned cost of the workload plus cost of writes.
pub fn select(workload: &Workload, planner: &mut impl Planner) -> Selection {
    let proposals = candidates::propose(workload, planner);
    let mut search = search::Search::new(workload, planner, proposals);
    search.reach(Stage::Probing);
    search.probe();
    let chosen = search.choose();
    let useless = search.find_useless(&chosen);
    search.report(chosen, useless)
}

#[cfg(test)]
mod unit_tests;
