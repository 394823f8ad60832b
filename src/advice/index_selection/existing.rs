//! Existing indexes that are of no use once the chosen ones are there.

use super::search::{Chosen, Search};
use super::{ExistingIndex, Planner, Stage, UselessIndex};
use std::collections::{BTreeMap, BTreeSet};

/// A query that rises by no more does without the index.
const SAME_PERCENT: f64 = 0.1;
/// A longer index costs a little more to read than the one that it replaces.
const REPLACED_PERCENT: f64 = 1.0;

/// Cost of a query with indexes hidden.
type Hidden = BTreeMap<(usize, Vec<u32>), f64>;

impl<P: Planner> Search<'_, P> {
    /// Proved by plans with all of them hidden together, which is no less than each alone. Without time for the whole proof
    /// there is none.
    pub fn find_useless(&mut self, chosen: &Chosen) -> Vec<UselessIndex> {
        let mut hidden = if self.workload.options.drop_indexes { self.perhaps_useless(chosen) } else { Vec::new() };
        let mut known = Hidden::new();
        let mut rises = BTreeMap::new();
        loop {
            let mut needed = BTreeSet::new();
            for query in 0..self.costs.len() {
                let of_query = self.of_tables_read(query, &hidden);
                if of_query.is_empty() || self.costs[query].base().is_none() {
                    continue;
                }
                let Some(rise) = self.rise(chosen, query, &of_query, &mut known) else { return Vec::new() };
                rises.insert(query, rise);
                if rise > self.tolerance(chosen, &of_query) {
                    needed.extend(self.missed(chosen, query, &of_query, &mut known));
                }
            }
            if needed.is_empty() {
                break;
            }
            hidden.retain(|oid| !needed.contains(oid));
        }
        self.reach(Stage::Done);
        let useless = self.workload.indexes.iter().filter(|index| hidden.contains(&index.oid));
        useless
            .map(|index| UselessIndex {
                oid: index.oid,
                bytes: index.bytes,
                replaced_by: self.replacement(chosen, index),
                largest_rise_percent: rises
                    .iter()
                    .filter(|(query, _)| !self.of_tables_read(**query, &[index.oid]).is_empty())
                    .map(|(_, rise)| *rise)
                    .fold(0.0, f64::max),
            })
            .collect()
    }

    /// Droppable, and in no plan or replaced by a chosen index; not where a query that reads the table has no plan.
    fn perhaps_useless(&self, chosen: &Chosen) -> Vec<u32> {
        let queries = 0..self.costs.len();
        let used: BTreeSet<u32> = queries.clone().flat_map(|query| self.existing_used(query, chosen)).collect();
        let unplanned = queries.filter(|query| self.costs[*query].base().is_none());
        let unknown: BTreeSet<u32> = unplanned
            .flat_map(|query| self.workload.queries[query].shape.references.iter().map(|reference| reference.table))
            .collect();
        let indexes = self.workload.indexes.iter();
        indexes
            .filter(|index| index.droppable && !unknown.contains(&index.table))
            .filter(|index| !used.contains(&index.oid) || self.replacement(chosen, index).is_some())
            .map(|index| index.oid)
            .collect()
    }

    pub fn existing_used(&self, query: usize, chosen: &Chosen) -> Vec<u32> {
        let created = self.relevant_of(query, &chosen.indexes);
        let costs = &self.costs[query];
        let known = costs.known(&created).or_else(|| costs.possible(&created));
        known.map(|known| known.existing_used.clone()).unwrap_or_default()
    }

    /// The place of the chosen index that begins with the keys of the existing one and holds its columns.
    pub fn replacement(&self, chosen: &Chosen, index: &ExistingIndex) -> Option<usize> {
        chosen.indexes.iter().position(|number| self.registered[*number as usize].candidate.extends(index))
    }

    fn of_tables_read(&self, query: usize, oids: &[u32]) -> Vec<u32> {
        let references = &self.workload.queries[query].shape.references;
        let indexes = self.workload.indexes.iter().filter(|index| oids.contains(&index.oid));
        let read = indexes.filter(|index| references.iter().any(|reference| reference.table == index.table));
        read.map(|index| index.oid).collect()
    }

    fn tolerance(&self, chosen: &Chosen, hidden: &[u32]) -> f64 {
        let mut indexes = self.workload.indexes.iter().filter(|index| hidden.contains(&index.oid));
        if indexes.any(|index| self.replacement(chosen, index).is_some()) { REPLACED_PERCENT } else { SAME_PERCENT }
    }

    /// Of the query's cost when these are hidden, in percent. None: time is up or planning failed.
    fn rise(&mut self, chosen: &Chosen, query: usize, hidden: &[u32], known: &mut Hidden) -> Option<f64> {
        let place = (query, hidden.to_vec());
        let cost = match known.get(&place) {
            Some(cost) => *cost,
            None if self.planner.time_is_up() => return None,
            None => {
                let created = self.relevant_of(query, &chosen.indexes);
                let created = self.costs[query].numbers(&created);
                let ids: Vec<usize> = created.iter().map(|number| self.registered[*number as usize].id).collect();
                self.statistics.plans += 1;
                let cost = self.planner.plan(query, &ids, hidden)?.cost;
                known.insert(place, cost);
                cost
            }
        };
        Some(100.0 * (cost / chosen.cost[query].max(f64::MIN_POSITIVE) - 1.0))
    }

    /// Of the hidden indexes those that the query misses: that its plan had, or that it misses alone, or else all.
    fn missed(&mut self, chosen: &Chosen, query: usize, hidden: &[u32], known: &mut Hidden) -> Vec<u32> {
        let used = self.existing_used(query, chosen);
        let mut missed: Vec<u32> = hidden.iter().copied().filter(|oid| used.contains(oid)).collect();
        if missed.is_empty() {
            for oid in hidden {
                let rise = self.rise(chosen, query, &[*oid], known);
                if rise.is_none_or(|rise| rise > self.tolerance(chosen, &[*oid])) {
                    missed.push(*oid);
                }
            }
        }
        if missed.is_empty() { hidden.to_vec() } else { missed }
    }
}
