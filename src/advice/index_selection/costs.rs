//! What is known of a query's cost from the plans made so far.
//!
//! A plan made with some indexes and using a few of them is the best plan of every set between the two: more to choose from
//! would not have helped, fewer did not matter. So one plan answers for many sets, and bounds the cost of others.

/// Numbers of candidates, ascending.
pub type Set = Vec<u32>;

/// Bounds this close to each other, as a share, count as the cost: the planner itself takes 1% for the same.
const SAME: f64 = 0.002;

#[derive(Clone, Debug)]
pub struct Known {
    pub created: Set,
    pub used: Set,
    pub cost: f64,
    pub existing_used: Vec<u32>,
}

/// The plans made for one query.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    plans: Vec<Known>,
}

impl Costs {
    pub fn add(&mut self, created: Set, used: Set, cost: f64, existing_used: Vec<u32>) {
        self.plans.push(Known { created, used, cost, existing_used });
    }

    /// The best plan known to be possible with the indexes.
    pub fn possible(&self, created: &[u32]) -> Option<&Known> {
        let possible = self.plans.iter().filter(|plan| is_subset(&plan.used, created));
        possible.min_by(|a, b| a.cost.total_cmp(&b.cost).then_with(|| a.used.len().cmp(&b.used.len())))
    }

    /// No plan with the indexes costs less; 0 where nothing is known.
    pub fn at_least(&self, created: &[u32]) -> f64 {
        let bounds = self.plans.iter().filter(|plan| is_subset(created, &plan.created));
        bounds.map(|plan| plan.cost).fold(0.0, f64::max)
    }

    /// The plan with exactly these indexes, where it is known or follows.
    pub fn known(&self, created: &[u32]) -> Option<&Known> {
        // What was planned goes before what follows: the planner is not quite monotone.
        if let Some(same) = self.plans.iter().find(|plan| plan.created == created) {
            return Some(same);
        }
        let possible = self.possible(created)?;
        (possible.cost <= self.at_least(created) * (1.0 + SAME)).then_some(possible)
    }

    /// With no new index; None before the query was planned.
    pub fn base(&self) -> Option<f64> {
        self.plans.iter().find(|plan| plan.created.is_empty()).map(|plan| plan.cost)
    }

    /// The lowest cost seen.
    pub fn lowest(&self) -> f64 {
        self.plans.iter().map(|plan| plan.cost).fold(f64::INFINITY, f64::min)
    }

    pub fn plans(&self) -> &[Known] {
        &self.plans
    }
}

/// Both ascending.
pub fn is_subset(part: &[u32], whole: &[u32]) -> bool {
    let mut whole = whole.iter();
    part.len() <= whole.len() && part.iter().all(|item| whole.any(|other| other == item))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn subsets() {
        assert!(is_subset(&[], &[1]));
        assert!(is_subset(&[1, 3], &[1, 2, 3]));
        assert!(!is_subset(&[1, 4], &[1, 2, 3]));
        assert!(!is_subset(&[1, 2], &[1]));
    }

    #[test]
    fn a_plan_answers_for_all_sets_between_used_and_created() {
        let mut costs = Costs::default();
        costs.add(vec![], vec![], 100.0, vec![]);
        costs.add(vec![1, 2, 3], vec![2], 10.0, vec![]);
        assert_eq!(costs.known(&[2, 3]).map(|plan| plan.cost), Some(10.0));
        assert!(costs.known(&[1, 3]).is_none());
        assert!(costs.known(&[2, 4]).is_none());
        assert_eq!(costs.at_least(&[1, 3]), 10.0);
        assert_eq!(costs.at_least(&[4]), 0.0);
        assert_eq!(costs.possible(&[1, 3, 4]).map(|plan| plan.cost), Some(100.0));
        costs.add(vec![1, 3], vec![], 100.0, vec![]);
        assert_eq!(costs.known(&[1]).map(|plan| plan.cost), Some(100.0), "bounds meet");
    }
}
