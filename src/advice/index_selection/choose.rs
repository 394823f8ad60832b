//! Choosing: greedily, then by trying what else the space of each chosen index could hold.

use super::costs::{Costs, Set};
use super::search::{Chosen, Effect, Move, Search, Source};
use super::{Planner, Stage};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// No index is smaller than its metapage and one page more.
const LEAST_BYTES: f64 = 16384.0;
/// A round that saves a smaller share taught nothing, and is the last.
const WORTH_A_ROUND: f64 = 0.002;
/// Through all chosen indexes, looking for something better in the place of each.
const MAX_PASSES: usize = 2;
/// Moves tried in the space of one index.
const MAX_WAITING: usize = 20;

/// What is greedily maximized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    PerByte,
    /// Per square root of bytes.
    Between,
    Whole,
}

impl Measure {
    fn unit(self, bytes: i64) -> f64 {
        match self {
            Measure::PerByte => (bytes as f64).max(LEAST_BYTES),
            Measure::Between => (bytes as f64).max(LEAST_BYTES).sqrt(),
            Measure::Whole => 1.0,
        }
    }
}

/// A move, by what it can bring at most.
#[derive(PartialEq)]
struct Ranked {
    score: f64,
    place: usize,
}

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.place.cmp(&self.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Planner> Search<'_, P> {
    /// Chooses by estimates, plans the choice, and chooses again with what that taught, until it teaches nothing.
    pub fn choose(&mut self) -> Chosen {
        self.reach(Stage::Choosing);
        let all = self.narrow();
        let mut best = self.nothing_chosen();
        let measures: &[Measure] = match self.workload.options.budget {
            Some(_) => &[Measure::PerByte, Measure::Between, Measure::Whole],
            None => &[Measure::Whole],
        };
        while !self.planner.time_is_up() {
            let before = best.total;
            for from_best in [false, true] {
                let start = if from_best { best.clone() } else { self.nothing_chosen() };
                let mut chosen = start.clone();
                for measure in measures {
                    let other = self.grown(start.clone(), self.first_moves(&start), None, *measure);
                    if other.total < chosen.total {
                        chosen = other;
                    }
                }
                chosen = self.improved(chosen, &measures[..1]);
                self.settle(&mut chosen, false);
                if chosen.total < best.total {
                    best = chosen;
                }
            }
            if best.total >= before * (1.0 - WORTH_A_ROUND) {
                break;
            }
        }
        self.reach(Stage::Improving);
        best = self.without_redundant(best);
        // The last word is the planner's on all that is chosen.
        self.relevant = all;
        self.list_queries();
        for query in 0..self.relevant.len() {
            best.relevant[query] = self.relevant_of(query, &best.indexes);
        }
        self.settle(&mut best, true);
        self.reach(Stage::Dropping);
        best
    }

    pub fn reach(&mut self, stage: Stage) {
        self.is_cut |= self.planner.time_is_up();
        if !self.is_cut {
            self.reached = stage;
        }
        self.planner.enter(stage);
    }

    /// Grows the choice by the best move until none is worth it. What a move brings falls as others are made: only the
    /// foremost is looked at again.
    fn grown(&mut self, mut chosen: Chosen, mut moves: Vec<Move>, taboo: Option<u32>, measure: Measure) -> Chosen {
        let mut queue: BinaryHeap<Ranked> =
            (0..moves.len()).map(|place| Ranked { score: f64::INFINITY, place }).collect();
        while let Some(Ranked { place, .. }) = queue.pop() {
            if self.planner.time_is_up() {
                break;
            }
            let mut change = moves[place].clone();
            change.add.retain(|number| !chosen.indexes.contains(number));
            let is_taboo = taboo.is_some_and(|number| change.add.contains(&number));
            if change.add.is_empty() || is_taboo || !self.allows(&chosen, &change) {
                continue;
            }
            let unit = measure.unit(self.added_bytes(&change));
            let next = queue.peek().map_or(0.0, |next| next.score);
            let effect = self.evaluate(&chosen, &change, Source::Estimates);
            if !self.is_worthwhile(effect.net, effect.largest_cut) {
                continue;
            }
            // Slightly less will do, lest two of the same score wait for each other.
            if effect.net / unit < next * (1.0 - 1e-9) {
                queue.push(Ranked { score: effect.net / unit, place });
                continue;
            }
            self.apply(&mut chosen, &change, effect);
            for replacement in self.replacements(&chosen, &change.add) {
                queue.push(Ranked { score: f64::INFINITY, place: moves.len() });
                moves.push(replacement);
            }
        }
        chosen
    }

    /// Each active candidate alone, and together those that a plan used together: some bring nothing without the other.
    fn first_moves(&self, chosen: &Chosen) -> Vec<Move> {
        let free = |number: &u32| !chosen.indexes.contains(number);
        let alone = self.active.iter().copied().filter(free).map(|number| Move { add: vec![number], remove: vec![] });
        let mut moves: Vec<Move> = alone.collect();
        let of_query = |costs: &Costs| -> Vec<Set> {
            let used = costs.plans().iter().map(|plan| &plan.used).filter(|used| used.len() > 1);
            used.map(|used| costs.numbers(used)).collect()
        };
        let mut together: Vec<Set> = self.costs.iter().flat_map(of_query).collect();
        together.sort();
        together.dedup();
        moves.extend(together.into_iter().map(|used| Move { add: used, remove: vec![] }));
        moves.extend(self.replacements(chosen, &chosen.indexes));
        moves
    }

    /// Wider candidates in the place of chosen ones that they contain or that begin like them.
    fn replacements(&self, chosen: &Chosen, replaced: &[u32]) -> Vec<Move> {
        let candidate = |number: u32| &self.registered[number as usize].candidate;
        let mut moves = Vec::new();
        for old in replaced {
            for new in &self.active {
                let begins_alike = candidate(*new).keys.first() == candidate(*old).keys.first();
                if self.table_of(*new) == self.table_of(*old) && begins_alike && !chosen.indexes.contains(new) {
                    moves.push(Move { add: vec![*new], remove: vec![*old] });
                }
            }
        }
        moves
    }

    /// Swaps until none helps: one index out and others in, then one in and others out.
    fn improved(&mut self, mut best: Chosen, measures: &[Measure]) -> Chosen {
        for _ in 0..MAX_PASSES {
            let before = best.total;
            let waiting = self.waiting(&best);
            self.replace_chosen(&mut best, &waiting, measures);
            self.force_in(&mut best, &waiting, measures);
            if best.total >= before * (1.0 - 1e-6) || self.planner.time_is_up() {
                break;
            }
        }
        best
    }

    /// Takes out one index after the other, those first that bring the least per byte, and fills the space with others of
    /// its table and with the best of what there was no space for.
    fn replace_chosen(&mut self, best: &mut Chosen, waiting: &[Move], measures: &[Measure]) {
        for index in self.by_loss(best) {
            if self.planner.time_is_up() || !best.indexes.contains(&index) {
                continue;
            }
            let without = self.without(best, &[index]);
            let table = self.table_of(index);
            let on_table = self.active.iter().copied().filter(|other| self.table_of(*other) == table);
            let mut moves: Vec<Move> = on_table.map(|other| Move { add: vec![other], remove: vec![] }).collect();
            moves.extend(waiting.iter().filter(|change| self.allows(&without, change)).take(MAX_WAITING).cloned());
            self.keep_better(best, &without, &moves, Some(index), measures);
        }
    }

    /// Makes space for one that there was none for.
    fn force_in(&mut self, best: &mut Chosen, waiting: &[Move], measures: &[Measure]) {
        for change in waiting.iter().take(MAX_WAITING) {
            if self.planner.time_is_up() {
                break;
            }
            let leaving: Vec<u32> =
                self.by_loss(best).into_iter().filter(|index| !change.remove.contains(index)).collect();
            let fitting = (1..=leaving.len()).find_map(|count| {
                let out = Move { add: change.add.clone(), remove: [&change.remove, &leaving[..count]].concat() };
                self.allows(best, &out).then_some(out)
            });
            if let Some(change) = fitting {
                let mut forced = best.clone();
                let effect = self.evaluate(best, &change, Source::Estimates);
                self.apply(&mut forced, &change, effect);
                let mut moves: Vec<Move> =
                    change.remove.iter().map(|index| Move { add: vec![*index], remove: vec![] }).collect();
                moves.extend(waiting.iter().filter(|change| self.allows(&forced, change)).take(MAX_WAITING).cloned());
                self.keep_better(best, &forced, &moves, None, measures);
            }
        }
    }

    fn keep_better(
        &mut self,
        best: &mut Chosen,
        start: &Chosen,
        moves: &[Move],
        taboo: Option<u32>,
        measures: &[Measure],
    ) {
        for measure in measures {
            let other = self.grown(start.clone(), moves.to_vec(), taboo, *measure);
            if other.total < best.total * (1.0 - 1e-6) {
                *best = other;
            }
        }
    }

    fn without(&mut self, chosen: &Chosen, indexes: &[u32]) -> Chosen {
        let change = Move { add: vec![], remove: indexes.to_vec() };
        let effect = self.evaluate(chosen, &change, Source::Estimates);
        let mut without = chosen.clone();
        self.apply(&mut without, &change, effect);
        without
    }

    /// Moves that would bring something if there were space, the best first.
    fn waiting(&mut self, chosen: &Chosen) -> Vec<Move> {
        let mut waiting = Vec::new();
        for change in self.first_moves(chosen) {
            if change.add.iter().any(|number| chosen.indexes.contains(number)) || self.allows(chosen, &change) {
                continue;
            }
            let net = self.evaluate(chosen, &change, Source::Estimates).net;
            if net > 0.0 {
                waiting.push((net, change));
            }
        }
        waiting.sort_by(|a, b| b.0.total_cmp(&a.0));
        waiting.into_iter().map(|(_, change)| change).collect()
    }

    /// Chosen indexes, by what is known to be lost per byte without each.
    fn by_loss(&self, chosen: &Chosen) -> Vec<u32> {
        let mut ranked: Vec<(f64, u32)> = chosen
            .indexes
            .iter()
            .map(|index| (self.known_benefit(chosen, *index) / self.bytes_of(*index).max(1) as f64, *index))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, index)| index).collect()
    }

    /// By how much the cost of queries would rise without the index, by the plans known.
    pub fn known_benefit(&self, chosen: &Chosen, index: u32) -> f64 {
        let rest: Vec<u32> = chosen.indexes.iter().copied().filter(|other| *other != index).collect();
        let users = self.users(chosen, index);
        users
            .filter_map(|query| {
                let possible = self.costs[query].possible(&self.relevant_of(query, &rest))?;
                Some(self.workload.queries[query].weight * (possible.cost - chosen.cost[query]))
            })
            .sum()
    }

    /// Queries whose plan has the index.
    pub fn users(&self, chosen: &Chosen, index: u32) -> impl Iterator<Item = usize> {
        let queries = self.queries_of[index as usize].iter().map(|(query, place)| (*query as usize, *place));
        queries.filter(|(query, place)| chosen.used[*query].contains(*place)).map(|(query, _)| query)
    }

    /// Indexes that others have made redundant go; so do those that are not worth it, and a smaller one does where the
    /// larger is not.
    fn without_redundant(&mut self, mut chosen: Chosen) -> Chosen {
        for index in self.by_loss(&chosen) {
            let narrower = self.narrower(&chosen, index).into_iter().map(|other| vec![other]);
            for add in std::iter::once(vec![]).chain(narrower) {
                let change = Move { add, remove: vec![index] };
                let effect = self.evaluate(&chosen, &change, Source::Estimates);
                if self.is_worthwhile(-effect.net, self.largest_rise(&chosen, &effect)) {
                    continue;
                }
                let effect = self.evaluate(&chosen, &change, Source::Plans);
                if !self.is_worthwhile(-effect.net, self.largest_rise(&chosen, &effect)) {
                    self.apply(&mut chosen, &change, effect);
                    break;
                }
            }
        }
        chosen
    }

    fn largest_rise(&self, chosen: &Chosen, effect: &Effect) -> f64 {
        let rises = effect
            .changes
            .iter()
            .map(|(query, new)| self.share_of_base(*query as usize, new.0 - chosen.cost[*query as usize]));
        rises.fold(0.0, f64::max)
    }

    /// Smaller active candidates that the index contains, the smallest first.
    fn narrower(&self, chosen: &Chosen, index: u32) -> Vec<u32> {
        let candidate = |number: u32| &self.registered[number as usize].candidate;
        let smaller = |other: &u32| {
            self.bytes_of(*other) < self.bytes_of(index)
                && candidate(index).contains(candidate(*other))
                && !chosen.indexes.contains(other)
        };
        let mut narrower: Vec<u32> = self.active.iter().copied().filter(smaller).collect();
        narrower.sort_by_key(|other| (self.bytes_of(*other), *other));
        narrower
    }

    /// Plans each query with the indexes chosen; where its cost follows from other plans, only for the final word.
    fn settle(&mut self, chosen: &mut Chosen, finally: bool) {
        for query in 0..chosen.cost.len() {
            let created = chosen.relevant[query].clone();
            if self.costs[query].base().is_none() || created.is_empty() {
                continue;
            }
            let planned = self.costs[query].planned(&created).is_some();
            if finally && !planned && !self.planner.time_is_up() {
                self.plan_now(query, &created);
            }
            let Some((cost, used)) = self.plan(query, &created) else { continue };
            chosen.total += self.workload.queries[query].weight * (cost - chosen.cost[query]);
            chosen.cost[query] = cost;
            chosen.used[query] = used;
        }
    }
}
