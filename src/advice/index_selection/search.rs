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
    /// Candidates that were in some plan, and what they merge into.
    pub active: Vec<u32>,
    /// For a query and a candidate that was not made for it: those made for it that bound what it can bring.
    pub stand_ins: BTreeMap<(u32, u32), Set>,
    /// What a candidate brought a query when last tried, not weighted.
    pub brought: BTreeMap<(u32, u32), f64>,
    /// Without new indexes.
    pub cost_before: f64,
    pub statistics: RunStatistics,
    pub reached: Stage,
}

/// Indexes to create, and what each query then costs.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// In the order of choice.
    pub indexes: Vec<u32>,
    /// Not weighted.
    pub cost: Vec<f64>,
    pub used: Vec<Set>,
    pub bytes: u64,
    pub write_cost: f64,
    /// Cost of queries, weighted, and of writes: what is minimized.
    pub total: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub add: Set,
    pub remove: Set,
}

/// What a move would bring.
pub enum Outcome {
    /// The new cost and indexes used of each query that changes.
    Exact { net: f64, largest_cut: f64, changes: Vec<(u32, f64, Set)> },
    /// At most so much, which is less than was asked for.
    AtMost(f64),
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
            active: Vec::new(),
            stand_ins: BTreeMap::new(),
            brought: BTreeMap::new(),
            cost_before: 0.0,
            statistics: RunStatistics { candidates: proposals.candidates.len(), ..RunStatistics::default() },
            reached: Stage::Probing,
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

    /// Notes which queries the active candidates might serve, beyond those they were made for.
    pub fn relate(&mut self) {
        self.active.sort_unstable();
        self.active.dedup();
        for number in self.active.clone() {
            let candidate = &self.registered[number as usize].candidate;
            for (query, of_workload) in self.workload.queries.iter().enumerate() {
                let own = self.own[query].binary_search(&number).is_ok();
                if !own && !of_workload.shape.references.iter().any(|reference| could_serve(candidate, reference)) {
                    continue;
                }
                let Err(place) = self.relevant[query].binary_search(&number) else { continue };
                self.relevant[query].insert(place, number);
                self.queries_of[number as usize].push(query as u32);
                if !own {
                    let stand_ins = self.stand_ins_for(query, candidate);
                    self.stand_ins.insert((query as u32, number), stand_ins);
                }
            }
        }
    }

    /// Candidates of the query that hold no more columns than the candidate, and begin like it if there are such.
    fn stand_ins_for(&self, query: usize, candidate: &Candidate) -> Set {
        let columns: Vec<i16> = candidate.columns().collect();
        let mut own = self.own[query].clone();
        let other = |number: &u32| &self.registered[*number as usize].candidate;
        own.retain(|number| {
            other(number).table == candidate.table && other(number).columns().all(|column| columns.contains(&column))
        });
        let alike: Set =
            own.iter().copied().filter(|number| other(number).keys.first() == candidate.keys.first()).collect();
        if alike.is_empty() { own } else { alike }
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
        }
    }

    pub fn nothing_chosen(&self) -> Chosen {
        Chosen {
            indexes: Vec::new(),
            cost: self.costs.iter().map(|costs| costs.base().unwrap_or(0.0)).collect(),
            used: vec![Set::new(); self.costs.len()],
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

    /// At least what the query costs with the indexes, as far as candidates made for it tell.
    fn cost_at_least(&self, query: usize, created: &[u32]) -> f64 {
        let mut own = Set::new();
        for number in created {
            match self.stand_ins.get(&(query as u32, *number)) {
                Some(stand_ins) => own.extend(stand_ins),
                None => own.push(*number),
            }
        }
        own.sort_unstable();
        own.dedup();
        self.costs[query].at_least(&own).max(self.costs[query].lowest())
    }

    /// What the move brings, or that it is less than `enough`. Queries are planned in the order of what they might
    /// gain, until that is clear.
    pub fn evaluate(&mut self, chosen: &Chosen, change: &Move, enough: f64) -> Outcome {
        let mut indexes: Vec<u32> = chosen.indexes.iter().copied().filter(|i| !change.remove.contains(i)).collect();
        indexes.extend(&change.add);
        let mut affected: Vec<u32> =
            change.add.iter().flat_map(|number| &self.queries_of[*number as usize]).copied().collect();
        for removed in &change.remove {
            let users = self.queries_of[*removed as usize].iter().copied();
            affected.extend(users.filter(|query| chosen.used[*query as usize].contains(removed)));
        }
        affected.sort_unstable();
        affected.dedup();
        let mut possible = Vec::new();
        let mut net = -self.added_write_cost(change);
        for query in affected {
            let place = query as usize;
            let created = self.relevant_of(place, &indexes);
            let loses = chosen.used[place].iter().any(|used| change.remove.contains(used));
            let most = self.gain_at_most(chosen, change, place, &created);
            if most > 0.0 || loses {
                let weighted = self.workload.queries[place].weight * most;
                net += weighted;
                possible.push((weighted, query, created));
            }
        }
        possible.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let (mut changes, mut largest_cut) = (Vec::new(), 0.0_f64);
        for (most, query, created) in possible {
            if net < enough {
                return Outcome::AtMost(net);
            }
            let place = query as usize;
            let before = chosen.cost[place];
            let Some((cost, used)) = self.plan(place, &created) else { continue };
            if let ([added], []) = (change.add.as_slice(), change.remove.as_slice()) {
                self.brought.insert((query, *added), (before - cost).max(0.0));
            }
            net += self.workload.queries[place].weight * (before - cost) - most;
            largest_cut = largest_cut.max(self.share_of_base(place, before - cost));
            changes.push((query, cost, used));
        }
        Outcome::Exact { net, largest_cut, changes }
    }

    /// Of the cost without new indexes.
    pub fn share_of_base(&self, query: usize, cost: f64) -> f64 {
        self.costs[query].base().map_or(0.0, |base| cost / base.max(f64::MIN_POSITIVE))
    }

    /// Not weighted.
    fn gain_at_most(&self, chosen: &Chosen, change: &Move, query: usize, created: &Set) -> f64 {
        let mut most = chosen.cost[query] - self.cost_at_least(query, created);
        // Indexes serve for each other rather than together: what one brings alone, or brought to fewer, bounds it.
        if !change.add.is_empty() {
            let alone = self.cost_at_least(query, &self.relevant_of(query, &change.add));
            most = most.min(self.costs[query].base().unwrap_or(0.0) - alone);
        }
        if let ([added], []) = (change.add.as_slice(), change.remove.as_slice())
            && let Some(brought) = self.brought.get(&(query as u32, *added))
        {
            most = most.min(*brought);
        }
        most
    }

    pub fn apply(&self, chosen: &mut Chosen, change: &Move, net: f64, changes: Vec<(u32, f64, Set)>) {
        chosen.indexes.retain(|number| !change.remove.contains(number));
        chosen.indexes.extend(&change.add);
        chosen.bytes = (chosen.bytes as i64 + self.added_bytes(change)) as u64;
        chosen.write_cost += self.added_write_cost(change);
        chosen.total -= net;
        for (query, cost, used) in changes {
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
