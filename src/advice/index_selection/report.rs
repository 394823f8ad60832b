//! The outcome, in the order in which the indexes are best created.

use super::search::{Chosen, Search};
use super::{Planner, QueryCost, Selection, Stage, Step, UselessIndex};

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
        let mut benefits = Vec::new();
        let mut cost = self.cost_before;
        while !left.is_empty() {
            let with = |index: u32| {
                let indexes: Vec<u32> = chosen.indexes.iter().copied().chain([index]).collect();
                self.known_cost(&indexes)
            };
            let costs: Vec<f64> = left.iter().map(|index| with(*index)).collect();
            let best = (0..left.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0);
            benefits.push(cost - costs[best]);
            cost = costs[best];
            chosen.indexes.push(left.remove(best));
        }
        benefits
    }

    /// Of all queries with the best plans known.
    fn known_cost(&self, indexes: &[u32]) -> f64 {
        let queries = self.costs.iter().enumerate().filter(|(_, costs)| costs.base().is_some());
        let cost = queries.map(|(query, costs)| {
            let created = self.relevant_of(query, indexes);
            let plan = costs.known(&created).or_else(|| costs.possible(&created));
            self.workload.queries[query].weight * plan.map_or(0.0, |plan| plan.cost)
        });
        cost.sum()
    }

    fn step(&self, chosen: &Chosen, index: u32, benefit: f64) -> Step {
        let registered = &self.registered[index as usize];
        let extended = self.workload.indexes.iter().filter(|existing| registered.candidate.extends(existing));
        Step {
            candidate: registered.candidate.clone(),
            bytes: registered.bytes,
            benefit,
            write_cost: registered.write_cost,
            queries: (0..chosen.used.len()).filter(|query| chosen.used[*query].contains(&index)).collect(),
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
            steps: chosen.used[query].iter().filter_map(place).collect(),
            existing_used: self.existing_used(query, chosen),
        })
    }
}
