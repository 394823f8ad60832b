//! What a query would cost, from the plans made so far: a guess where they do not tell.

use super::Planner;
use super::bits::Bits;
use super::search::Search;
use std::rc::Rc;

/// What a candidate saves of what those that it resembles do.
const RESEMBLANCE: f64 = 0.8;

impl<P: Planner> Search<'_, P> {
    /// Cost and used indexes with exactly these, which the query might use, without planning.
    pub fn estimate(&mut self, query: usize, created: &Bits) -> Rc<(f64, Bits)> {
        if let Some(estimate) = self.estimates[query].get(created) {
            return estimate.clone();
        }
        let estimate = Rc::new(self.estimated(query, created));
        self.estimates[query].insert(created.clone(), estimate.clone());
        estimate
    }

    /// What the indexes of each table save alone, added up, but no more than the best plan seen with as many.
    fn estimated(&mut self, query: usize, created: &Bits) -> (f64, Bits) {
        let Some(base) = self.costs[query].base() else { return (0.0, Bits::default()) };
        if let Some(known) = self.costs[query].known(created) {
            self.statistics.cache_hits += 1;
            return (known.cost, known.used.clone());
        }
        let and_alike = self.with_stand_ins(query, created);
        let (mut cost, mut used) = self.alone(query, created, &and_alike, base);
        let tables = || self.of_tables[query].iter().filter(|of_table| of_table.intersects(created));
        if tables().nth(1).is_some() {
            let of_tables: Vec<Bits> = tables().map(|of_table| of_table.and(created)).collect();
            let (saved, all) = self.saved_apart(query, &of_tables, base);
            let together = base - saved * self.share_that_lasts(query, base);
            let guess = self.corrected(query, together, &all);
            if guess < cost {
                (cost, used) = (guess, all);
            }
        }
        let least =
            self.costs[query].at_least(&and_alike).max(self.costs[query].cheapest().map_or(0.0, |plan| plan.cost));
        (cost.max(least).min(base), used)
    }

    /// By the indexes of each table alone, added up, and those used.
    fn saved_apart(&mut self, query: usize, of_tables: &[Bits], base: f64) -> (f64, Bits) {
        let (mut saved, mut all) = (0.0, Bits::default());
        for of_table in of_tables {
            let alone = self.estimate(query, of_table);
            saved += base - alone.0;
            all.add(&alone.1);
        }
        (saved, all)
    }

    /// Of what the indexes of each table save alone, together: where one table's does away with the cost that another's would,
    /// the best plan seen saves less than its parts.
    fn share_that_lasts(&mut self, query: usize, base: f64) -> f64 {
        if let Some(share) = self.shares[query] {
            return share;
        }
        let Some(best) = self.costs[query].cheapest().cloned() else { return 1.0 };
        let of_tables: Vec<Bits> = self.of_tables[query].iter().map(|of_table| of_table.and(&best.used)).collect();
        let share = if of_tables.iter().filter(|of_table| !of_table.is_empty()).count() > 1 {
            let (saved, _) = self.saved_apart(query, &of_tables, base);
            if saved > 0.0 { ((base - best.cost) / saved).min(1.0) } else { 1.0 }
        } else {
            1.0
        };
        self.shares[query] = Some(share);
        share
    }

    /// The best plan seen with these indexes, or with what they resemble, which counts a little less.
    fn alone(&self, query: usize, created: &Bits, and_alike: &Bits, base: f64) -> (f64, Bits) {
        let costs = &self.costs[query];
        let seen = costs.possible(created);
        let (mut cost, mut used) = seen.map_or((base, Bits::default()), |plan| (plan.cost, plan.used.clone()));
        if let Some(like) = costs.possible(and_alike) {
            let resembles = |place: &u32| {
                let stand_ins = self.stand_ins[query].get(place);
                like.used.contains(*place) || stand_ins.is_some_and(|stand_ins| stand_ins.intersects(&like.used))
            };
            let alike: Bits = created.iter().filter(resembles).collect();
            let guess = self.corrected(query, base - (base - like.cost) * RESEMBLANCE, &alike);
            if guess < cost {
                (cost, used) = (guess, alike);
            }
        }
        (cost, used)
    }

    /// Where these were planned, a guess what they cost gives way.
    fn corrected(&self, query: usize, guess: f64, used: &Bits) -> f64 {
        self.costs[query].known(used).map_or(guess, |known| known.cost)
    }

    fn with_stand_ins(&self, query: usize, created: &Bits) -> Bits {
        let mut all = created.clone();
        for place in created.iter() {
            if let Some(stand_ins) = self.stand_ins[query].get(&place) {
                all.add(stand_ins);
            }
        }
        all
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::advice::index_selection::candidates::Proposals;
    use crate::advice::index_selection::simulation::{Simulation, btree, query, table};
    use crate::advice::index_selection::{Workload, WorkloadQuery};
    use crate::facts::query::Reference;

    #[test]
    fn what_the_best_plan_does_not_save_no_other_saves() {
        let references = [1, 2].map(|table| Reference { table, ..Reference::default() });
        let workload = Workload {
            queries: vec![WorkloadQuery { weight: 1.0, shape: query(references.to_vec()) }],
            tables: [(1, table(1e6)), (2, table(1e6))].into(),
            ..Workload::default()
        };
        let candidates = vec![btree(1, &[1], &[]), btree(1, &[2], &[]), btree(2, &[1], &[])];
        let mut planner = Simulation::new(&workload);
        let proposals = Proposals { candidates, of_query: vec![vec![0, 1, 2]] };
        let mut search = Search::new(&workload, &mut planner, proposals);
        for (numbers, cost) in [(vec![], 100.0), (vec![0], 40.0), (vec![1], 50.0), (vec![2], 50.0), (vec![0, 2], 20.0)]
        {
            let places = search.costs[0].places(&numbers);
            search.costs[0].add(places.clone(), places, cost, vec![]);
        }
        search.active = vec![0, 1, 2];
        search.relate();
        let worse = search.costs[0].places(&[1, 2]);
        // Apart they save 50 each, but those of the best plan, which save 60 and 50, save 80 together.
        let estimate = search.estimate(0, &worse).0;
        assert!((estimate - (100.0 - 100.0 * 80.0 / 110.0)).abs() < 1e-9, "{estimate}");
    }
}
