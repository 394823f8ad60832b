//! The search: what is known, what is chosen, and what a change of it would bring.

use super::bits::Bits;
use super::candidates::{Proposals, could_serve};
use super::costs::{Costs, Known, Set};
use super::{Candidate, Planner, RunStatistics, Stage, Workload};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A candidate that the server took.
pub struct Registered {
    pub candidate: Candidate,
    /// Of the planner.
    pub id: usize,
    pub bytes: u64,
    pub write_cost: f64,
}

pub struct Search<'a, P: Planner> {
    pub workload: &'a Workload,
    pub planner: &'a mut P,
    /// By number.
    pub registered: Vec<Registered>,
    pub number_of: BTreeMap<Candidate, u32>,
    /// By query: those made for it.
    pub own: Vec<Set>,
    /// By query: those that it might use.
    pub relevant: Vec<Set>,
    /// By query: those of each table among them, by their places in its costs.
    pub of_tables: Vec<Vec<Bits>>,
    /// By candidate: queries that might use it, and its place among their candidates.
    pub queries_of: Vec<Vec<(u32, u32)>>,
    /// By query.
    pub costs: Vec<Costs>,
    /// By query: estimates, which a new plan may change.
    pub estimates: Vec<HashMap<Bits, Rc<(f64, Bits)>>>,
    /// By query, as long as no new plan was made: see `share_that_lasts`.
    pub shares: Vec<Option<f64>>,
    /// Candidates that were in some plan, and what they merge into.
    pub active: Vec<u32>,
    /// By query, for the place of a candidate that was in none of its plans: those that were and that it resembles.
    pub stand_ins: Vec<HashMap<u32, Bits>>,
    /// Without new indexes.
    pub cost_before: f64,
    pub statistics: RunStatistics,
    pub reached: Stage,
    /// A stage had too little time.
    pub is_cut: bool,
}

/// Indexes to create, and what each query then costs.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// In the order of choice.
    pub indexes: Vec<u32>,
    /// Not weighted.
    pub cost: Vec<f64>,
    pub used: Vec<Bits>,
    /// By query: those that it might use.
    pub relevant: Vec<Bits>,
    pub bytes: u64,
    pub write_cost: f64,
    /// Cost of queries, weighted, and of writes: what is minimized.
    pub total: f64,
}

/// Where costs come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    Estimates,
    Plans,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub add: Set,
    pub remove: Set,
}

/// What a move would bring.
#[derive(Clone, Debug, Default)]
pub struct Effect {
    /// Less cost of queries and writes.
    pub net: f64,
    /// Largest cut of a query's cost, as a share of what it costs without new indexes.
    pub largest_cut: f64,
    /// The new cost and indexes used of each query that changes.
    pub changes: Vec<(u32, Rc<(f64, Bits)>)>,
}

impl<'a, P: Planner> Search<'a, P> {
    pub fn new(workload: &'a Workload, planner: &'a mut P, proposals: Proposals) -> Search<'a, P> {
        let queries = workload.queries.len();
        let mut search = Search {
            workload,
            planner,
            registered: Vec::new(),
            number_of: BTreeMap::new(),
            own: vec![Set::new(); queries],
            relevant: vec![Set::new(); queries],
            of_tables: vec![Vec::new(); queries],
            queries_of: Vec::new(),
            costs: vec![Costs::default(); queries],
            estimates: vec![HashMap::new(); queries],
            shares: vec![None; queries],
            active: Vec::new(),
            stand_ins: vec![HashMap::new(); queries],
            cost_before: 0.0,
            statistics: RunStatistics { candidates: proposals.candidates.len(), ..RunStatistics::default() },
            reached: Stage::Proposing,
            is_cut: false,
        };
        let numbers: Vec<Option<u32>> =
            proposals.candidates.into_iter().map(|candidate| search.register(candidate)).collect();
        for (query, places) in proposals.of_query.iter().enumerate() {
            search.own[query] = places.iter().filter_map(|place| numbers[*place as usize]).collect();
        }
        search
    }

    /// The number of a candidate that the server takes and that fits the budget alone.
    pub fn register(&mut self, candidate: Candidate) -> Option<u32> {
        if let Some(number) = self.number_of.get(&candidate) {
            return Some(*number);
        }
        if self.planner.time_is_up() {
            return None;
        }
        let Some(hypothetical) = self.planner.hypothesize(&candidate) else {
            self.statistics.refused += 1;
            return None;
        };
        if self.workload.options.budget.is_some_and(|budget| hypothetical.bytes > budget) {
            return None;
        }
        let number = self.registered.len() as u32;
        self.number_of.insert(candidate.clone(), number);
        self.registered.push(Registered {
            candidate,
            id: hypothetical.id,
            bytes: hypothetical.bytes,
            write_cost: hypothetical.write_cost,
        });
        self.queries_of.push(Vec::new());
        Some(number)
    }

    /// Notes which queries the active candidates might serve, and what is known of that.
    pub fn relate(&mut self) {
        self.active.sort_unstable();
        self.active.dedup();
        let by_table = self.by_table(&self.active.clone());
        for (query, of_workload) in self.workload.queries.iter().enumerate() {
            // It also looks for a cancel; half of the relations would do harm.
            let _ = self.planner.time_is_up();
            let used = self.costs[query].numbers(&self.costs[query].used());
            self.forget_estimates(query);
            self.relevant[query].clear();
            self.stand_ins[query].clear();
            let references = &of_workload.shape.references;
            let mut tables: Vec<u32> = references.iter().map(|reference| reference.table).collect();
            tables.sort_unstable();
            tables.dedup();
            for number in tables.iter().filter_map(|table| by_table.get(table)).flatten() {
                let candidate = &self.registered[*number as usize].candidate;
                let own = self.own[query].binary_search(number).is_ok();
                if own || references.iter().any(|reference| could_serve(candidate, reference)) {
                    self.relevant[query].push(*number);
                    if used.binary_search(number).is_err() {
                        let stand_ins = self.stand_ins_for(&used, candidate);
                        let stand_ins = self.costs[query].places(&stand_ins);
                        let place = self.costs[query].place(*number);
                        self.stand_ins[query].insert(place, stand_ins);
                    }
                }
            }
            self.relevant[query].sort_unstable();
        }
        self.list_queries();
    }

    /// Leaves to each query only what was in its plans or resembles that, and returns what all were.
    pub fn narrow(&mut self) -> Vec<Set> {
        let all = self.relevant.clone();
        for (query, relevant) in self.relevant.iter_mut().enumerate() {
            let (costs, stand_ins) = (&self.costs[query], &self.stand_ins[query]);
            let others = |number: u32| stand_ins.get(&costs.known_place(number)?);
            relevant.retain(|number| others(*number).is_none_or(|others| !others.is_empty()));
        }
        self.list_queries();
        all
    }

    pub fn list_queries(&mut self) {
        self.queries_of = vec![Vec::new(); self.registered.len()];
        for query in 0..self.relevant.len() {
            let by_table = self.by_table(&self.relevant[query]);
            self.of_tables[query] = by_table.values().map(|numbers| self.costs[query].places(numbers)).collect();
            for number in &self.relevant[query] {
                let place = self.costs[query].place(*number);
                self.queries_of[*number as usize].push((query as u32, place));
            }
        }
    }

    /// Those used that hold no more columns than the candidate and begin like it; if none does, that hold no more.
    fn stand_ins_for(&self, used: &Set, candidate: &Candidate) -> Set {
        let columns: Vec<i16> = candidate.columns().collect();
        let other = |number: &u32| &self.registered[*number as usize].candidate;
        let within: Set = used
            .iter()
            .copied()
            .filter(|number| other(number).table == candidate.table)
            .filter(|number| other(number).columns().all(|column| columns.contains(&column)))
            .collect();
        let alike: Set =
            within.iter().copied().filter(|number| other(number).keys.first() == candidate.keys.first()).collect();
        if alike.is_empty() { within } else { alike }
    }

    /// Of the indexes, those that the query might use, by their places.
    pub fn relevant_of(&self, query: usize, indexes: &[u32]) -> Bits {
        let place = |index: &u32| {
            let relevant = self.relevant[query].binary_search(index).is_ok();
            if relevant { self.costs[query].known_place(*index) } else { None }
        };
        indexes.iter().filter_map(place).collect()
    }

    /// Cost and used indexes with exactly these, which the query might use. Without time left: of the best plan known.
    pub fn plan(&mut self, query: usize, created: &Bits) -> Option<(f64, Bits)> {
        let result = |known: &Known| (known.cost, known.used.clone());
        if let Some(known) = self.costs[query].known(created) {
            self.statistics.cache_hits += 1;
            return Some(result(known));
        }
        if !self.planner.time_is_up() {
            self.plan_now(query, created);
        }
        self.costs[query].known(created).or_else(|| self.costs[query].possible(created)).map(result)
    }

    /// The same, by numbers.
    pub fn plan_with(&mut self, query: usize, created: &Set) -> Option<(f64, Set)> {
        let places = self.costs[query].places(created);
        let (cost, used) = self.plan(query, &places)?;
        Some((cost, self.costs[query].numbers(&used)))
    }

    pub fn plan_now(&mut self, query: usize, created: &Bits) {
        let numbers = self.costs[query].numbers(created);
        let ids: Vec<usize> = numbers.iter().map(|number| self.registered[*number as usize].id).collect();
        self.statistics.plans += 1;
        if let Some(planned) = self.planner.plan(query, &ids, &[]) {
            let used = numbers.iter().zip(&ids).filter(|(_, id)| planned.used.contains(id));
            let used: Set = used.map(|(number, _)| *number).collect();
            let used = self.costs[query].places(&used);
            self.costs[query].add(created.clone(), used, planned.cost, planned.existing_used);
            self.forget_estimates(query);
        }
    }

    fn forget_estimates(&mut self, query: usize) {
        self.estimates[query].clear();
        self.shares[query] = None;
    }

    pub fn nothing_chosen(&self) -> Chosen {
        Chosen {
            indexes: Vec::new(),
            cost: self.costs.iter().map(|costs| costs.base().unwrap_or(0.0)).collect(),
            used: vec![Bits::default(); self.costs.len()],
            relevant: vec![Bits::default(); self.costs.len()],
            bytes: 0,
            write_cost: 0.0,
            total: self.cost_before,
        }
    }

    /// Bytes that a move adds; negative where it frees some.
    pub fn added_bytes(&self, change: &Move) -> i64 {
        let bytes = |set: &Set| set.iter().map(|number| self.registered[*number as usize].bytes as i64).sum::<i64>();
        bytes(&change.add) - bytes(&change.remove)
    }

    fn added_write_cost(&self, change: &Move) -> f64 {
        let cost = |set: &Set| set.iter().map(|number| self.registered[*number as usize].write_cost).sum::<f64>();
        cost(&change.add) - cost(&change.remove)
    }

    /// It applies, fits the budget, and leaves no table with too many.
    pub fn allows(&self, chosen: &Chosen, change: &Move) -> bool {
        let options = &self.workload.options;
        let has = |number: &u32| chosen.indexes.contains(number);
        if change.add.iter().any(has) || !change.remove.iter().all(has) {
            return false;
        }
        let bytes = chosen.bytes as i64 + self.added_bytes(change);
        if options.budget.is_some_and(|budget| bytes > budget as i64) {
            return false;
        }
        let table = |number: &u32| self.registered[*number as usize].candidate.table;
        change.add.iter().all(|added| {
            let on_table = |set: &[u32]| set.iter().filter(|number| table(number) == table(added)).count();
            on_table(&chosen.indexes) + on_table(&change.add)
                <= options.max_indexes_per_table + on_table(&change.remove)
        })
    }

    /// What the move brings, by estimates or by plans.
    pub fn evaluate(&mut self, chosen: &Chosen, change: &Move, by: Source) -> Effect {
        let mut effect = Effect { net: -self.added_write_cost(change), ..Effect::default() };
        for (query, created) in self.relevant_after(chosen, change) {
            let place = query as usize;
            let new = match by {
                Source::Estimates => Some(self.estimate(place, &created)),
                Source::Plans => self.plan(place, &created).map(Rc::new),
            };
            if let Some(new) = new
                && (new.0 != chosen.cost[place] || new.1 != chosen.used[place])
            {
                let cut = chosen.cost[place] - new.0;
                effect.net += self.workload.queries[place].weight * cut;
                effect.largest_cut = effect.largest_cut.max(self.share_of_base(place, cut));
                effect.changes.push((query, new));
            }
        }
        effect
    }

    /// Queries that might use what is added or removed, ascending, and which of the chosen each might use then.
    fn relevant_after(&self, chosen: &Chosen, change: &Move) -> Vec<(u32, Bits)> {
        let of = |set: &'_ Set, is_added: bool| -> Vec<(u32, bool, u32)> {
            let queries = set.iter().flat_map(|number| &self.queries_of[*number as usize]);
            queries.map(|(query, place)| (*query, is_added, *place)).collect()
        };
        let mut moved = of(&change.remove, false);
        moved.extend(of(&change.add, true));
        // What is removed goes first.
        moved.sort_unstable();
        let mut after: Vec<(u32, Bits)> = Vec::new();
        for (query, is_added, place) in moved {
            if after.last().is_none_or(|(last, _)| *last != query) {
                after.push((query, chosen.relevant[query as usize].clone()));
            }
            if let Some((_, created)) = after.last_mut() {
                if is_added { created.insert(place) } else { created.remove(place) }
            }
        }
        after
    }

    /// Of the cost without new indexes.
    pub fn share_of_base(&self, query: usize, cost: f64) -> f64 {
        self.costs[query].base().map_or(0.0, |base| cost / base.max(f64::MIN_POSITIVE))
    }

    pub fn apply(&self, chosen: &mut Chosen, change: &Move, effect: Effect) {
        chosen.indexes.retain(|number| !change.remove.contains(number));
        chosen.indexes.extend(&change.add);
        chosen.bytes = (chosen.bytes as i64 + self.added_bytes(change)) as u64;
        chosen.write_cost += self.added_write_cost(change);
        chosen.total -= effect.net;
        for (query, created) in self.relevant_after(chosen, change) {
            chosen.relevant[query as usize] = created;
        }
        for (query, new) in effect.changes {
            chosen.cost[query as usize] = new.0;
            chosen.used[query as usize] = new.1.clone();
        }
    }

    /// Enough to be worth an index: see [`super::Options::min_benefit_percent`].
    pub fn is_worthwhile(&self, net: f64, largest_cut: f64) -> bool {
        let share = self.workload.options.min_benefit_percent / 100.0;
        net > self.cost_before * 1e-9
            && (net >= share * self.cost_before
                || largest_cut >= 10.0 * share && net >= share / 10.0 * self.cost_before)
    }
}
