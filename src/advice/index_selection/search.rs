//! The search: what is known, what is chosen, and what a change of it would bring.

use super::candidates::{Proposals, could_serve};
use super::costs::{Costs, Known, Set};
use super::{Candidate, Planner, RunStatistics, Stage, Workload};
use std::collections::BTreeMap;

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
    /// By candidate: queries that might use it.
    pub queries_of: Vec<Vec<u32>>,
    /// By query.
    pub costs: Vec<Costs>,
    /// By query: estimates, which a new plan may change.
    pub estimates: Vec<BTreeMap<Set, (f64, Set)>>,
    /// Candidates that were in some plan, and what they merge into.
    pub active: Vec<u32>,
    /// For a query and a candidate that was in none of its plans: those that were and that it resembles.
    pub stand_ins: BTreeMap<(u32, u32), Set>,
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
    pub used: Vec<Set>,
    /// By query: those that it might use.
    pub relevant: Vec<Set>,
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
    pub changes: Vec<(u32, f64, Set)>,
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
            queries_of: Vec::new(),
            costs: vec![Costs::default(); queries],
            estimates: vec![BTreeMap::new(); queries],
            active: Vec::new(),
            stand_ins: BTreeMap::new(),
            cost_before: 0.0,
            statistics: RunStatistics { candidates: proposals.candidates.len(), ..RunStatistics::default() },
            reached: Stage::Probing,
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
        for (query, of_workload) in self.workload.queries.iter().enumerate() {
            // It also looks for a cancel; half of the relations would do harm.
            let _ = self.planner.time_is_up();
            let used = self.used_by(query);
            self.estimates[query].clear();
            self.relevant[query].clear();
            for number in &used {
                self.stand_ins.remove(&(query as u32, *number));
            }
            for number in &self.active {
                let candidate = &self.registered[*number as usize].candidate;
                let own = self.own[query].binary_search(number).is_ok();
                if own || of_workload.shape.references.iter().any(|reference| could_serve(candidate, reference)) {
                    self.relevant[query].push(*number);
                    if used.binary_search(number).is_err() {
                        let stand_ins = self.stand_ins_for(&used, candidate);
                        self.stand_ins.insert((query as u32, *number), stand_ins);
                    }
                }
            }
        }
        self.list_queries();
    }

    /// Leaves to each query only what was in its plans or resembles that, and returns what all were.
    pub fn narrow(&mut self) -> Vec<Set> {
        let all = self.relevant.clone();
        for (query, relevant) in self.relevant.iter_mut().enumerate() {
            let stand_ins = &self.stand_ins;
            relevant.retain(|number| stand_ins.get(&(query as u32, *number)).is_none_or(|others| !others.is_empty()));
        }
        self.list_queries();
        all
    }

    pub fn list_queries(&mut self) {
        self.queries_of = vec![Vec::new(); self.registered.len()];
        for (query, relevant) in self.relevant.iter().enumerate() {
            for number in relevant {
                self.queries_of[*number as usize].push(query as u32);
            }
        }
    }

    /// Candidates that were in some plan of the query.
    pub fn used_by(&self, query: usize) -> Set {
        let mut used: Set = self.costs[query].plans().iter().flat_map(|plan| plan.used.iter().copied()).collect();
        used.sort_unstable();
        used.dedup();
        used
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

    /// Of the indexes, those that the query might use.
    pub fn relevant_of(&self, query: usize, indexes: &[u32]) -> Set {
        let mut set: Set =
            indexes.iter().copied().filter(|index| self.relevant[query].binary_search(index).is_ok()).collect();
        set.sort_unstable();
        set
    }

    /// Cost and used indexes with exactly these, which the query might use. Without time left: of the best plan known.
    pub fn plan(&mut self, query: usize, created: &Set) -> Option<(f64, Set)> {
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

    pub fn plan_now(&mut self, query: usize, created: &Set) {
        let ids: Vec<usize> = created.iter().map(|number| self.registered[*number as usize].id).collect();
        self.statistics.plans += 1;
        if let Some(planned) = self.planner.plan(query, &ids, &[]) {
            let used = created.iter().zip(&ids).filter(|(_, id)| planned.used.contains(id));
            let used = used.map(|(number, _)| *number).collect();
            self.costs[query].add(created.clone(), used, planned.cost, planned.existing_used);
            self.estimates[query].clear();
        }
    }

    pub fn nothing_chosen(&self) -> Chosen {
        Chosen {
            indexes: Vec::new(),
            cost: self.costs.iter().map(|costs| costs.base().unwrap_or(0.0)).collect(),
            used: vec![Set::new(); self.costs.len()],
            relevant: vec![Set::new(); self.costs.len()],
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
        let moved = change.add.iter().chain(&change.remove);
        let mut affected: Vec<u32> = moved.flat_map(|number| &self.queries_of[*number as usize]).copied().collect();
        affected.sort_unstable();
        affected.dedup();
        let mut effect = Effect { net: -self.added_write_cost(change), ..Effect::default() };
        for query in affected {
            let place = query as usize;
            let created = self.relevant_after(chosen, change, query);
            let new = match by {
                Source::Estimates => Some(self.estimate(place, &created)),
                Source::Plans => self.plan(place, &created),
            };
            if let Some((cost, used)) = new
                && (cost != chosen.cost[place] || used != chosen.used[place])
            {
                let cut = chosen.cost[place] - cost;
                effect.net += self.workload.queries[place].weight * cut;
                effect.largest_cut = effect.largest_cut.max(self.share_of_base(place, cut));
                effect.changes.push((query, cost, used));
            }
        }
        effect
    }

    fn relevant_after(&self, chosen: &Chosen, change: &Move, query: u32) -> Set {
        let mut set = chosen.relevant[query as usize].clone();
        set.retain(|number| !change.remove.contains(number));
        for number in &change.add {
            if self.queries_of[*number as usize].binary_search(&query).is_ok()
                && let Err(place) = set.binary_search(number)
            {
                set.insert(place, *number);
            }
        }
        set
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
        let moved = change.add.iter().chain(&change.remove);
        let mut queries: Vec<u32> = moved.flat_map(|number| &self.queries_of[*number as usize]).copied().collect();
        queries.sort_unstable();
        queries.dedup();
        for query in queries {
            chosen.relevant[query as usize] = self.relevant_after(chosen, change, query);
        }
        for (query, cost, used) in effect.changes {
            chosen.cost[query as usize] = cost;
            chosen.used[query as usize] = used;
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
