//! Choosing: greedily, then by trying what else the space of each chosen index could hold.

use super::search::{Chosen, Move, Outcome, Search};
use super::{Planner, Stage};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// No index is smaller than its metapage and one page more.
const LEAST_BYTES: f64 = 16384.0;
/// Improving may take this share of the plans made before it.
const IMPROVEMENT_SHARE: f64 = 0.5;

/// What is greedily maximized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    PerByte,
    Whole,
}

impl Measure {
    fn unit(self, bytes: i64) -> f64 {
        match self {
            Measure::PerByte => (bytes as f64).max(LEAST_BYTES),
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
    pub fn choose(&mut self) -> Chosen {
        self.reach(Stage::Choosing);
        let nothing = self.nothing_chosen();
        let mut best = self.grown(nothing.clone(), &[], Measure::Whole);
        if self.workload.options.budget.is_some() {
            let per_byte = self.grown(nothing, &[], Measure::PerByte);
            if per_byte.total < best.total {
                best = per_byte;
            }
        }
        self.reach(Stage::Improving);
        best = self.improved(best);
        best = self.without_redundant(best);
        self.settle(&mut best);
        self.reach(Stage::Dropping);
        best
    }

    pub fn reach(&mut self, stage: Stage) {
        if !self.planner.time_is_up() {
            self.reached = stage;
        }
    }

    /// Grows the choice by the best move until none is worth it. What a move can bring at most is known before it is
    /// planned, and falls as others are made: only the foremost is ever looked at.
    pub fn grown(&mut self, mut chosen: Chosen, taboo: &[u32], measure: Measure) -> Chosen {
        let mut moves = self.first_moves(&chosen, taboo);
        let mut queue: BinaryHeap<Ranked> =
            (0..moves.len()).map(|place| Ranked { score: f64::INFINITY, place }).collect();
        while let Some(Ranked { place, .. }) = queue.pop() {
            let mut change = moves[place].clone();
            change.add.retain(|number| !chosen.indexes.contains(number));
            if change.add.is_empty() || !self.allows(&chosen, &change) {
                continue;
            }
            let unit = measure.unit(self.added_bytes(&change));
            let next = queue.peek().map_or(0.0, |next| next.score).max(0.0);
            // Slightly less, lest two of the same score wait for each other.
            let enough = if next.is_finite() { next * unit * (1.0 - 1e-9) } else { f64::MAX };
            match self.evaluate(&chosen, &change, enough) {
                Outcome::AtMost(net) if net > 0.0 => queue.push(Ranked { score: net / unit, place }),
                Outcome::AtMost(_) => {}
                Outcome::Exact { net, .. } if net < enough => {
                    if net > 0.0 {
                        queue.push(Ranked { score: net / unit, place });
                    }
                }
                Outcome::Exact { net, largest_cut, changes } if self.is_worthwhile(net, largest_cut) => {
                    self.apply(&mut chosen, &change, net, changes);
                    for replacement in self.replacements(&chosen, &change.add, taboo) {
                        queue.push(Ranked { score: f64::INFINITY, place: moves.len() });
                        moves.push(replacement);
                    }
                }
                Outcome::Exact { .. } => {}
            }
        }
        chosen
    }

    /// Each active candidate alone, and together those that a plan used together: some bring nothing without the other.
    fn first_moves(&self, chosen: &Chosen, taboo: &[u32]) -> Vec<Move> {
        let free = |number: &u32| !taboo.contains(number) && !chosen.indexes.contains(number);
        let alone = self.active.iter().copied().filter(free).map(|number| Move { add: vec![number], remove: vec![] });
        let mut moves: Vec<Move> = alone.collect();
        let plans = self.costs.iter().flat_map(|costs| costs.plans());
        let mut together: Vec<&Vec<u32>> =
            plans.map(|plan| &plan.used).filter(|used| used.len() > 1 && used.iter().all(free)).collect();
        together.sort();
        together.dedup();
        moves.extend(together.into_iter().map(|used| Move { add: used.clone(), remove: vec![] }));
        moves.extend(self.replacements(chosen, &chosen.indexes, taboo));
        moves
    }

    /// Wider candidates in the place of chosen ones that they contain or that begin like them.
    fn replacements(&self, chosen: &Chosen, replaced: &[u32], taboo: &[u32]) -> Vec<Move> {
        let candidate = |number: u32| &self.registered[number as usize].candidate;
        let mut moves = Vec::new();
        for old in replaced {
            for new in &self.active {
                let begins_alike = candidate(*new).keys.first() == candidate(*old).keys.first();
                if self.table_of(*new) == self.table_of(*old)
                    && begins_alike
                    && !taboo.contains(new)
                    && !chosen.indexes.contains(new)
                {
                    moves.push(Move { add: vec![*new], remove: vec![*old] });
                }
            }
        }
        moves
    }

    /// Takes out one index after the other, those first that bring the least per byte, and grows the rest otherwise.
    fn improved(&mut self, mut best: Chosen) -> Chosen {
        let most = self.statistics.plans + (self.statistics.plans as f64 * IMPROVEMENT_SHARE) as usize;
        let measures: &[Measure] = match self.workload.options.budget {
            Some(_) => &[Measure::PerByte, Measure::Whole],
            None => &[Measure::Whole],
        };
        let mut improving = true;
        while improving {
            improving = false;
            for index in self.by_loss(&best) {
                if self.planner.time_is_up() || self.statistics.plans >= most {
                    return best;
                }
                let Some(without) = self.without(&best, index) else { continue };
                for measure in measures {
                    let other = self.grown(without.clone(), &[index], *measure);
                    if other.total < best.total * (1.0 - 1e-6) {
                        best = other;
                        improving = true;
                    }
                }
                if improving {
                    break;
                }
            }
        }
        best
    }

    /// None where that is sure to lose a worthwhile benefit.
    fn changed(&mut self, chosen: &Chosen, change: &Move) -> Option<Chosen> {
        let least = -self.cost_before * (self.workload.options.min_benefit_percent / 100.0).max(1e-9);
        let Outcome::Exact { net, changes, .. } = self.evaluate(chosen, change, least) else { return None };
        let mut other = chosen.clone();
        self.apply(&mut other, change, net, changes);
        Some(other)
    }

    fn without(&mut self, chosen: &Chosen, index: u32) -> Option<Chosen> {
        let change = Move { add: vec![], remove: vec![index] };
        let Outcome::Exact { net, changes, .. } = self.evaluate(chosen, &change, f64::NEG_INFINITY) else {
            return None;
        };
        let mut without = chosen.clone();
        self.apply(&mut without, &change, net, changes);
        Some(without)
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
        let users = self.queries_of[index as usize].iter().map(|query| *query as usize);
        users
            .filter(|query| chosen.used[*query].contains(&index))
            .filter_map(|query| {
                let possible = self.costs[query].possible(&self.relevant_of(query, &rest))?;
                Some(self.workload.queries[query].weight * (possible.cost - chosen.cost[query]))
            })
            .sum()
    }

    /// Indexes that others have made redundant go; so do those that are not worth it, and a smaller one does where the
    /// larger is not.
    fn without_redundant(&mut self, mut chosen: Chosen) -> Chosen {
        for index in self.by_loss(&chosen) {
            let mut changes = vec![Move { add: vec![], remove: vec![index] }];
            changes.extend(
                self.narrower(&chosen, index).into_iter().map(|other| Move { add: vec![other], remove: vec![index] }),
            );
            for change in changes {
                let Some(other) = self.changed(&chosen, &change) else { continue };
                let cuts = (0..chosen.cost.len())
                    .map(|query| self.share_of_base(query, other.cost[query] - chosen.cost[query]));
                let largest_cut = cuts.fold(0.0, f64::max);
                if !self.is_worthwhile(other.total - chosen.total, largest_cut) {
                    chosen = other;
                    break;
                }
            }
        }
        chosen
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

    /// Plans each query with the indexes chosen, where that follows from other plans only.
    fn settle(&mut self, chosen: &mut Chosen) {
        for query in 0..chosen.cost.len() {
            let created = self.relevant_of(query, &chosen.indexes);
            if self.costs[query].base().is_none() || created.is_empty() {
                continue;
            }
            if !self.planner.time_is_up() && !self.costs[query].plans().iter().any(|plan| plan.created == created) {
                self.plan_now(query, &created);
            }
            let Some((cost, used)) = self.plan(query, &created) else { continue };
            chosen.total += self.workload.queries[query].weight * (cost - chosen.cost[query]);
            chosen.cost[query] = cost;
            chosen.used[query] = used;
        }
    }
}
