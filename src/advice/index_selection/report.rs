//! The outcome, in the order in which the indexes are best created.

use super::bits::Bits;
use super::costs::Costs;
use super::search::{Chosen, Search};
use super::{Planner, QueryCost, Selection, Stage, Step, UselessIndex};
use std::collections::BTreeSet;

impl<P: Planner> Search<'_, P> {
    pub fn report(self, mut chosen: Chosen, mut useless: Vec<UselessIndex>) -> Selection {
        let before_ordering = chosen.indexes.clone();
        let benefits = self.order(&mut chosen);
        for replaced_by in useless.iter_mut().filter_map(|index| index.replaced_by.as_mut()) {
            let index = before_ordering[*replaced_by];
            *replaced_by = chosen.indexes.iter().position(|other| *other == index).unwrap_or(*replaced_by);
        }
        let steps = chosen.indexes.iter().zip(benefits);
        let steps: Vec<Step> = steps.map(|(index, benefit)| self.step(&chosen, *index, benefit)).collect();
        let queries = (0..self.costs.len()).map(|query| self.query_cost(&chosen, query)).collect();
        Selection {
            steps,
            useless,
            queries,
            cost_before: self.cost_before,
            cost_after: chosen.total - chosen.write_cost,
            write_cost: chosen.write_cost,
            bytes: chosen.bytes,
            complete: self.reached == Stage::Done,
            reached: self.reached,
            statistics: self.statistics,
        }
    }

    /// Orders the indexes so that each brings the most after those before it, by the plans known, and says how much.
    fn order(&self, chosen: &mut Chosen) -> Vec<f64> {
        let mut left = std::mem::take(&mut chosen.indexes);
        let mut before = vec![Bits::default(); self.costs.len()];
        let mut benefits: Vec<f64> = left.iter().map(|index| self.brings(&before, *index)).collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let best = (0..left.len()).max_by(|a, b| benefits[*a].total_cmp(&benefits[*b]).then(b.cmp(a))).unwrap_or(0);
            let index = left.remove(best);
            ordered.push(benefits.remove(best));
            chosen.indexes.push(index);
            let mut changed = BTreeSet::new();
            for (query, place) in &self.queries_of[index as usize] {
                before[*query as usize].insert(*place);
                changed.insert(*query);
            }
            for (benefit, other) in benefits.iter_mut().zip(&left) {
                if self.queries_of[*other as usize].iter().any(|(query, _)| changed.contains(query)) {
                    *benefit = self.brings(&before, *other);
                }
            }
        }
        ordered
    }

    /// What the index saves after others, by query, with the best plans known.
    fn brings(&self, before: &[Bits], index: u32) -> f64 {
        let known = |costs: &Costs, created: &Bits| {
            costs.known(created).or_else(|| costs.possible(created)).map_or(0.0, |plan| plan.cost)
        };
        let saved = self.queries_of[index as usize].iter().map(|(query, place)| {
            let query = *query as usize;
            let mut with = before[query].clone();
            with.insert(*place);
            let costs = &self.costs[query];
            self.workload.queries[query].weight * (known(costs, &before[query]) - known(costs, &with))
        });
        saved.sum()
    }

    fn step(&self, chosen: &Chosen, index: u32, benefit: f64) -> Step {
        let registered = &self.registered[index as usize];
        let extended = self.workload.indexes.iter().filter(|existing| registered.candidate.extends(existing));
        Step {
            candidate: registered.candidate.clone(),
            bytes: registered.bytes,
            benefit,
            write_cost: registered.write_cost,
            queries: self.users(chosen, index).collect(),
            extends: extended.max_by_key(|existing| (existing.keys.len(), existing.oid)).map(|existing| existing.oid),
            alternatives: self.alternatives(chosen, index),
        }
    }

    fn query_cost(&self, chosen: &Chosen, query: usize) -> Option<QueryCost> {
        let before = self.costs[query].base()?;
        let place = |index: &u32| chosen.indexes.iter().position(|other| other == index);
        Some(QueryCost {
            before,
            after: chosen.cost[query],
            steps: self.costs[query].numbers(&chosen.used[query]).iter().filter_map(place).collect(),
            existing_used: self.existing_used(query, chosen),
        })
    }
}
