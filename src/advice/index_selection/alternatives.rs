//! What was considered in the place of a chosen index, and why it was not taken.

use super::search::{Chosen, Search};
use super::{Alternative, MAX_ALTERNATIVES, Planner, Rejection};

/// Benefits this close to each other, as a share, are the same.
const SAME: f64 = 0.01;

impl<P: Planner> Search<'_, P> {
    /// Those that would bring most in its place, by the plans that were made.
    pub fn alternatives(&self, chosen: &Chosen, index: u32) -> Vec<Alternative> {
        let rest: Vec<u32> = chosen.indexes.iter().copied().filter(|other| *other != index).collect();
        let users: Vec<usize> = self.users(chosen, index).collect();
        let possible = |query: usize, indexes: &[u32]| {
            let possible = self.costs[query].possible(&self.relevant_of(query, indexes));
            possible.map_or(chosen.cost[query], |plan| plan.cost)
        };
        let without: Vec<f64> = users.iter().map(|query| possible(*query, &rest)).collect();
        let benefit = self.known_benefit(chosen, index);
        let mut others: Vec<(f64, f64, u32)> = Vec::new();
        for other in self.active.iter().copied().filter(|other| self.table_of(*other) == self.table_of(index)) {
            if chosen.indexes.contains(&other) {
                continue;
            }
            let indexes: Vec<u32> = rest.iter().copied().chain([other]).collect();
            let (mut brings, mut largest_cut) = (0.0, 0.0_f64);
            for (query, before) in users.iter().zip(&without) {
                let after = possible(*query, &indexes);
                brings += self.workload.queries[*query].weight * (before - after);
                largest_cut = largest_cut.max(self.share_of_base(*query, before - after));
            }
            if brings > 0.0 {
                others.push((brings, largest_cut, other));
            }
        }
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
        others.truncate(MAX_ALTERNATIVES);
        others
            .into_iter()
            .map(|(brings, largest_cut, other)| Alternative {
                candidate: self.registered[other as usize].candidate.clone(),
                bytes: self.bytes_of(other),
                benefit: brings,
                reason: self.rejection(chosen, (index, benefit), (other, brings), largest_cut),
            })
            .collect()
    }

    fn rejection(
        &self,
        chosen: &Chosen,
        (index, benefit): (u32, f64),
        (other, brings): (u32, f64),
        largest_cut: f64,
    ) -> Rejection {
        let registered = |number: u32| &self.registered[number as usize];
        let (own, new) = (registered(index), registered(other));
        let bytes = chosen.bytes - own.bytes + new.bytes;
        let no_more = brings <= benefit * (1.0 + SAME);
        if self.workload.options.budget.is_some_and(|budget| bytes > budget) {
            Rejection::OverBudget
        } else if brings <= new.write_cost {
            Rejection::WritesCostMore
        } else if !self.is_worthwhile(brings - new.write_cost, largest_cut) {
            Rejection::BelowMinimumBenefit
        } else if own.candidate.contains(&new.candidate) {
            Rejection::CoveredByChosen
        } else if new.bytes >= own.bytes && no_more {
            Rejection::LargerForNoMore
        } else if no_more {
            Rejection::BringsLess
        } else {
            Rejection::LessForItsSize
        }
    }
}
