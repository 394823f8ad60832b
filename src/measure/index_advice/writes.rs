//! What writes would cost a new index, in the planner's units, weighted as the queries are.
//!
//! The planner has no costs of writes. What is estimated here: the descent and the new tuple as the planner would charge a
//! scan of one row, and half a page that is dirtied, more where the index does not fit into the cache.

use super::source::SourcedQuery;
use crate::advice::index_selection::Candidate;
use crate::facts::query::{Part, WriteKind};
use crate::facts::{Catalog, Database, Source, Table, statements_days};
use crate::measure::what_if::{Index, planner_costs};
use std::collections::BTreeMap;

/// Writes of one table over the whole workload.
#[derive(Default)]
struct TableWrites {
    /// Rows that go into every index.
    into_all: f64,
    /// Rows updated in place (HOT), which an index on what they set would prevent.
    in_place: f64,
    /// Rows that UPDATE statements of the workload touched, by the columns they set.
    updates: Vec<(Vec<i16>, f64)>,
}

pub struct Writes {
    tables: BTreeMap<u32, TableWrites>,
    /// From planner units to the units of the workload.
    scale: f64,
}

/// Of a page, what an insertion is charged for making it dirty.
const PAGE_SHARE: f64 = 0.5;
/// Insertions into indexes that are not a tree of values: how many descents one costs. For GIN its pending list is counted;
/// for HNSW the search of its neighbours.
const GIN_INSERTIONS: f64 = 3.0;
const HNSW_INSERTIONS: f64 = 200.0;
/// What the planner charges a btree for each page of a descent, in operators.
const PAGE_OPERATORS: f64 = 50.0;

impl Writes {
    pub fn of(catalog: &Catalog, database: &Database, source: Source, queries: &[SourcedQuery]) -> Writes {
        let mut tables: BTreeMap<u32, TableWrites> = BTreeMap::new();
        for query in queries {
            let Some(write) = &query.shape.write else { continue };
            let writes = tables.entry(write.table).or_default();
            let rows = query.calls * query.rows_per_call.unwrap_or(1.0);
            match write.kind {
                WriteKind::Insert if source != Source::Statements => writes.into_all += rows,
                WriteKind::Update | WriteKind::Merge => {
                    if source != Source::Statements {
                        writes.in_place += rows;
                    }
                    writes.updates.push((write.columns.clone(), rows));
                }
                _ => {}
            }
        }
        if source == Source::Statements {
            // Cumulative statistics know writes of every kind, COPY and triggers included; both count since a reset.
            let share = share_of_window(database);
            for table in catalog.tables() {
                let total = |of: fn(&Table) -> crate::units::Count| catalog.total(table, of).0 as f64 * share;
                let writes = tables.entry(table.oid).or_default();
                writes.into_all = total(|leaf| leaf.statistics.index_writes());
                writes.in_place = total(|leaf| leaf.statistics.hot_updates);
            }
        }
        Writes { tables, scale: scale(queries) }
    }

    /// Of keeping `candidate` on `table` through the workload.
    pub fn cost(&self, table: &Table, candidate: &Candidate, index: &Index) -> f64 {
        let Some(writes) = self.tables.get(&candidate.table) else { return 0.0 };
        let all: f64 = writes.updates.iter().map(|(_, rows)| rows).sum();
        let hit = writes.updates.iter().filter(|(columns, _)| columns.iter().any(|column| holds(candidate, *column)));
        let hit: f64 = hit.map(|(_, rows)| rows).sum();
        let no_longer_in_place = if all > 0.0 { writes.in_place * hit / all } else { 0.0 };
        let others = table.indexes.len() as f64;
        let insertions = writes.into_all * index.share() + no_longer_in_place * (1.0 + others);
        insertions * one(candidate, index) * self.scale
    }
}

fn holds(candidate: &Candidate, column: i16) -> bool {
    candidate.included.contains(&column)
        || candidate.keys.iter().any(|key| match &key.part {
            Part::Column(number) => *number == column,
            // What an expression or predicate reads is not told apart: it may be the column.
            Part::Expression(_) => true,
        })
}

/// One insertion, in planner units.
fn one(candidate: &Candidate, index: &Index) -> f64 {
    let costs = planner_costs();
    let descent = index.tuples.max(2.0).log2().ceil() * costs.operator
        + f64::from(index.height + 1) * PAGE_OPERATORS * costs.operator;
    let uncached = (index.bytes.0 as f64 / costs.cache_bytes).min(1.0);
    let page = PAGE_SHARE * costs.sequential_page + uncached * costs.random_page;
    let insertions = match candidate.method.as_str() {
        "gin" => GIN_INSERTIONS,
        "hnsw" => HNSW_INSERTIONS,
        _ => 1.0,
    };
    (descent + 2.0 * costs.index_tuple) * insertions + page
}

/// Workload units per planner unit, over all queries.
fn scale(queries: &[SourcedQuery]) -> f64 {
    let weighted: f64 = queries.iter().map(|query| query.weight * query.cost).sum();
    let planned: f64 = queries.iter().map(|query| query.calls * query.cost).sum();
    if planned > 0.0 { weighted / planned } else { 1.0 }
}

/// pg_stat_statements may have been reset later than the statistics of the tables.
fn share_of_window(database: &Database) -> f64 {
    match (statements_days(database), database.statistics_days) {
        (Some(statements), Some(statistics)) if statistics > 0.0 => (statements / statistics).min(1.0),
        _ => 1.0,
    }
}
