//! What is known of a query's cost from the plans made so far.
//!
//! A plan made with some indexes and using a few of them is the best plan of every set between the two: more to choose from
//! would not have helped, fewer did not matter. So one plan answers for many sets, and bounds the cost of others.

use super::bits::Bits;
use std::collections::HashMap;

/// Numbers of candidates, ascending.
pub type Set = Vec<u32>;

/// Bounds this close to each other, as a share, count as the cost: the planner itself takes 1% for the same.
const SAME: f64 = 0.002;

#[derive(Clone, Debug)]
pub struct Known {
    pub created: Bits,
    pub used: Bits,
    pub cost: f64,
    pub existing_used: Vec<u32>,
}

/// The plans made for one query. Its candidates have places here, in the order in which they came up.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    plans: Vec<Known>,
    base: Option<f64>,
    /// By place.
    numbers: Vec<u32>,
    places: HashMap<u32, u32>,
}

impl Costs {
    pub fn place(&mut self, number: u32) -> u32 {
        let next = self.numbers.len() as u32;
        let place = *self.places.entry(number).or_insert(next);
        if place == next {
            self.numbers.push(number);
        }
        place
    }

    pub fn places(&mut self, numbers: &[u32]) -> Bits {
        numbers.iter().map(|number| self.place(*number)).collect()
    }

    /// None: it has not come up.
    pub fn known_place(&self, number: u32) -> Option<u32> {
        self.places.get(&number).copied()
    }

    pub fn number(&self, place: u32) -> u32 {
        self.numbers[place as usize]
    }

    pub fn numbers(&self, places: &Bits) -> Set {
        let mut numbers: Set = places.iter().map(|place| self.number(place)).collect();
        numbers.sort_unstable();
        numbers
    }

    pub fn add(&mut self, created: Bits, used: Bits, cost: f64, existing_used: Vec<u32>) {
        if created.is_empty() {
            self.base = self.base.or(Some(cost));
        }
        self.plans.push(Known { created, used, cost, existing_used });
    }

    /// The best plan known to be possible with the indexes.
    pub fn possible(&self, created: &Bits) -> Option<&Known> {
        let possible = self.plans.iter().filter(|plan| plan.used.is_subset(created));
        possible.reduce(|best, plan| {
            let better = plan.cost < best.cost || plan.cost == best.cost && plan.used.len() < best.used.len();
            if better { plan } else { best }
        })
    }

    /// No plan with the indexes costs less; 0 where nothing is known.
    pub fn at_least(&self, created: &Bits) -> f64 {
        let bounds = self.plans.iter().filter(|plan| created.is_subset(&plan.created));
        bounds.map(|plan| plan.cost).fold(0.0, f64::max)
    }

    /// Planned with exactly these.
    pub fn planned(&self, created: &Bits) -> Option<&Known> {
        self.plans.iter().find(|plan| plan.created == *created)
    }

    /// The plan with exactly these indexes, where it is known or follows.
    pub fn known(&self, created: &Bits) -> Option<&Known> {
        // What was planned goes before what follows: the planner is not quite monotone.
        if let Some(same) = self.planned(created) {
            return Some(same);
        }
        let possible = self.possible(created)?;
        (possible.cost <= self.at_least(created) * (1.0 + SAME)).then_some(possible)
    }

    /// With no new index; None before the query was planned.
    pub fn base(&self) -> Option<f64> {
        self.base
    }

    /// The cheapest plan seen.
    pub fn cheapest(&self) -> Option<&Known> {
        self.plans.iter().min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    pub fn plans(&self) -> &[Known] {
        &self.plans
    }

    /// Candidates that were in some plan.
    pub fn used(&self) -> Bits {
        let mut used = Bits::default();
        for plan in &self.plans {
            used.add(&plan.used);
        }
        used
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn bits(places: &[u32]) -> Bits {
        places.iter().copied().collect()
    }

    #[test]
    fn a_plan_answers_for_all_sets_between_used_and_created() {
        let mut costs = Costs::default();
        costs.add(bits(&[]), bits(&[]), 100.0, vec![]);
        costs.add(bits(&[1, 2, 3]), bits(&[2]), 10.0, vec![]);
        assert_eq!(costs.known(&bits(&[2, 3])).map(|plan| plan.cost), Some(10.0));
        assert!(costs.known(&bits(&[1, 3])).is_none());
        assert!(costs.known(&bits(&[2, 4])).is_none());
        assert_eq!(costs.at_least(&bits(&[1, 3])), 10.0);
        assert_eq!(costs.at_least(&bits(&[4])), 0.0);
        assert_eq!(costs.possible(&bits(&[1, 3, 4])).map(|plan| plan.cost), Some(100.0));
        costs.add(bits(&[1, 3]), bits(&[]), 100.0, vec![]);
        assert_eq!(costs.known(&bits(&[1])).map(|plan| plan.cost), Some(100.0), "bounds meet");
    }

    #[test]
    fn candidates_keep_their_places() {
        let mut costs = Costs::default();
        assert_eq!(costs.places(&[70, 9]), bits(&[0, 1]));
        assert_eq!(costs.places(&[8, 9]), bits(&[1, 2]));
        assert_eq!(costs.numbers(&bits(&[0, 1, 2])), [8, 9, 70]);
        assert_eq!((costs.known_place(70), costs.known_place(7)), (Some(0), None));
    }
}
