//! What a query would cost, from the plans made so far: a guess where they do not tell.

use super::Planner;
use super::costs::Set;
use super::search::Search;

/// What a candidate saves of what those that it resembles do.
const RESEMBLANCE: f64 = 0.8;

impl<P: Planner> Search<'_, P> {
    /// Cost and used indexes with exactly these, which the query might use, without planning.
    pub fn estimate(&mut self, query: usize, created: &Set) -> (f64, Set) {
        if let Some(estimate) = self.estimates[query].get(created) {
            return estimate.clone();
        }
        let estimate = self.estimated(query, created);
        self.estimates[query].insert(created.clone(), estimate.clone());
        estimate
    }

    /// What the indexes of each table save alone, added up, but no more than the best plan seen with as many.
    fn estimated(&mut self, query: usize, created: &Set) -> (f64, Set) {
        let Some(base) = self.costs[query].base() else { return (0.0, Set::new()) };
        if let Some(known) = self.costs[query].known(created) {
            self.statistics.cache_hits += 1;
            return (known.cost, known.used.clone());
        }
        let (mut cost, mut used) = self.alone(query, created, base);
        let by_table = self.by_table(created);
        if by_table.len() > 1 {
            let (mut together, mut all) = (base, Set::new());
            for of_table in by_table.values() {
                let (alone, used) = self.estimate(query, of_table);
                together -= base - alone;
                all.extend(used);
            }
            all.sort_unstable();
            let guess = self.corrected(query, together, &all);
            if guess < cost {
                (cost, used) = (guess, all);
            }
        }
        let least = self.costs[query].at_least(&self.with_stand_ins(query, created)).max(self.costs[query].lowest());
        (cost.max(least).min(base), used)
    }

    /// The best plan seen with these indexes, or with what they resemble, which counts a little less.
    fn alone(&self, query: usize, created: &Set, base: f64) -> (f64, Set) {
        let costs = &self.costs[query];
        let seen = costs.possible(created);
        let (mut cost, mut used) = seen.map_or((base, Set::new()), |plan| (plan.cost, plan.used.clone()));
        if let Some(like) = costs.possible(&self.with_stand_ins(query, created)) {
            let resembles = |number: &u32| {
                let stand_ins = self.stand_ins.get(&(query as u32, *number));
                like.used.contains(number)
                    || stand_ins.is_some_and(|stand_ins| stand_ins.iter().any(|other| like.used.contains(other)))
            };
            let alike: Set = created.iter().copied().filter(resembles).collect();
            let guess = self.corrected(query, base - (base - like.cost) * RESEMBLANCE, &alike);
            if guess < cost {
                (cost, used) = (guess, alike);
            }
        }
        (cost, used)
    }

    /// Where these were planned, a guess what they cost gives way.
    fn corrected(&self, query: usize, guess: f64, used: &Set) -> f64 {
        self.costs[query].known(used).map_or(guess, |known| known.cost)
    }

    fn with_stand_ins(&self, query: usize, created: &Set) -> Set {
        let mut all = created.clone();
        for number in created {
            all.extend(self.stand_ins.get(&(query as u32, *number)).into_iter().flatten());
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}
