//! Learning which candidates the planner takes at all, and what they can bring at most.

use super::bits::Bits;
use super::containment::{merged, merged_by_inclusion};
use super::costs::Set;
use super::search::Search;
use super::{Candidate, Planner};
use std::collections::BTreeMap;

/// Candidates of one table that are planned together. Of a query with OR fewer, for the planner tries every index for every
/// arm: its time grows with their product.
const CHUNK: usize = 24;
const LEAST_CHUNK: usize = 5;
/// Plans of a query with smaller and smaller candidates.
const LEVELS: usize = 8;
/// The same with candidates made for other queries, and merged ones.
const LEVELS_OF_OTHERS: usize = 3;
/// A query that gains less than this share of its cost from all that is left is not probed further.
const LITTLE: f64 = 0.02;
/// Merged candidates of one table.
const MAX_MERGED: usize = 60;

impl<P: Planner> Search<'_, P> {
    pub fn probe(&mut self) {
        let mut queries = Vec::new();
        for query in 0..self.workload.queries.len() {
            if self.planner.time_is_up() {
                break;
            }
            self.plan_now(query, &Bits::default());
            if let Some(base) = self.costs[query].base() {
                queries.push((self.workload.queries[query].weight * base, query));
            }
        }
        self.cost_before = queries.iter().map(|(cost, _)| cost).sum();
        queries.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (_, query) in &queries {
            if !self.own[*query].is_empty() {
                self.drop_never_used(*query);
                self.probe_levels(*query, &self.own[*query].clone(), LEVELS);
            }
        }
        self.active = self.costs.iter().flat_map(|costs| costs.numbers(&costs.used())).collect();
        self.relate();
        self.merge();
        self.relate();
        for (_, query) in &queries {
            let mut others = self.relevant[*query].clone();
            others.retain(|number| self.own[*query].binary_search(number).is_err());
            self.probe_levels(*query, &others, LEVELS_OF_OTHERS);
        }
        self.relate();
        self.statistics.tried = self.active.len();
    }

    /// All candidates at once, then without those used and their larger rivals, until what is left brings little; and each
    /// table's alone, and each used one.
    fn probe_levels(&mut self, query: usize, all: &Set, levels: usize) {
        let Some(base) = self.costs[query].base() else { return };
        let mut left = all.clone();
        for level in 0..levels {
            if self.planner.time_is_up() || left.is_empty() {
                return;
            }
            let Some((cost, used)) = self.plan_with(query, &left) else { return };
            if used.is_empty() || base - cost < LITTLE * base {
                break;
            }
            let by_table = self.by_table(&used);
            if level == 0 && by_table.len() > 1 {
                for table in by_table.keys() {
                    let mut of_table = all.clone();
                    of_table.retain(|number| self.table_of(*number) == *table);
                    self.plan_with(query, &of_table);
                }
            }
            for number in &used {
                self.plan_with(query, &vec![*number]);
            }
            left.retain(|number| {
                let rivals = by_table.get(&self.table_of(*number));
                !rivals.is_some_and(|rivals| rivals.iter().any(|used| self.bytes_of(*number) >= self.bytes_of(*used)))
            });
        }
    }

    /// Where a table has very many candidates: a few of each table at a time, and only those used stay.
    fn drop_never_used(&mut self, query: usize) {
        let by_table = self.by_table(&self.own[query].clone());
        let chunk = self.chunk(query);
        let rounds = by_table.values().map(|numbers| numbers.len().div_ceil(chunk)).max().unwrap_or(0);
        if rounds < 2 {
            return;
        }
        let mut kept = Set::new();
        for round in 0..rounds {
            let chunks = by_table
                .values()
                .filter_map(|numbers| numbers.chunks(chunk).nth(round % numbers.len().div_ceil(chunk)));
            let mut left: Set = chunks.flatten().copied().collect();
            left.sort_unstable();
            for _ in 0..LEVELS {
                let Some((_, used)) = self.plan_with(query, &left) else { return };
                if used.is_empty() {
                    break;
                }
                left.retain(|number| !used.contains(number));
                kept.extend(used);
            }
        }
        kept.sort_unstable();
        kept.dedup();
        self.own[query] = kept;
    }

    fn chunk(&self, query: usize) -> usize {
        let mut arms = BTreeMap::<u32, usize>::new();
        for reference in &self.workload.queries[query].shape.references {
            *arms.entry(reference.table).or_default() += 1;
        }
        (CHUNK / arms.into_values().max().unwrap_or(1)).max(LEAST_CHUNK)
    }

    pub fn by_table(&self, numbers: &Set) -> BTreeMap<u32, Set> {
        let mut by_table = BTreeMap::<u32, Set>::new();
        for number in numbers {
            by_table.entry(self.table_of(*number)).or_default().push(*number);
        }
        by_table
    }

    pub fn table_of(&self, number: u32) -> u32 {
        self.registered[number as usize].candidate.table
    }

    pub fn bytes_of(&self, number: u32) -> u64 {
        self.registered[number as usize].bytes
    }

    /// Adds what active candidates of a table merge into with each other and with existing indexes, the most promising
    /// pairs first.
    fn merge(&mut self) {
        let mut promise = BTreeMap::<u32, f64>::new();
        for (query, costs) in self.costs.iter().enumerate() {
            let mut best = BTreeMap::<u32, f64>::new();
            for plan in costs.plans() {
                let gain = (costs.base().unwrap_or(0.0) - plan.cost) / f64::from(plan.used.len().max(1));
                for place in plan.used.iter() {
                    let known = best.entry(costs.number(place)).or_default();
                    *known = known.max(gain);
                }
            }
            for (number, gain) in best {
                *promise.entry(number).or_default() += gain * self.workload.queries[query].weight;
            }
        }
        for (table, mut numbers) in self.by_table(&self.active.clone()) {
            numbers.sort_by(|a, b| promise[b].total_cmp(&promise[a]).then_with(|| a.cmp(b)));
            let new = self.mergers(table, &numbers);
            for candidate in new {
                self.statistics.candidates += 1;
                let number = self.register(candidate);
                self.active.extend(number);
            }
        }
    }

    fn mergers(&self, table: u32, numbers: &[u32]) -> Vec<Candidate> {
        let candidate = |number: &u32| &self.registered[*number as usize].candidate;
        let mut new: Vec<Candidate> = Vec::new();
        let mut add = |candidate: Option<Candidate>| {
            if let Some(candidate) = candidate
                && candidate.included.len() + candidate.keys.len() <= 16
                && !self.number_of.contains_key(&candidate)
                && !self.workload.indexes.iter().any(|index| index.serves(&candidate))
                && !new.contains(&candidate)
            {
                new.push(candidate);
            }
            new.len() >= MAX_MERGED
        };
        for index in self.workload.indexes.iter().filter(|index| index.table == table && index.droppable) {
            for number in numbers {
                add(merged(&index.as_candidate(), candidate(number)));
                add(merged_by_inclusion(&index.as_candidate(), candidate(number)));
            }
        }
        // Pairs by the sum of their ranks.
        for sum in 1..(2 * numbers.len()).saturating_sub(2) {
            for first in 0..=sum.min(numbers.len() - 1) {
                let Some(second) = numbers.get(sum - first) else { continue };
                let first = candidate(&numbers[first]);
                add(merged(first, candidate(second)));
                if add(merged_by_inclusion(first, candidate(second))) {
                    return new;
                }
            }
        }
        new
    }
}
