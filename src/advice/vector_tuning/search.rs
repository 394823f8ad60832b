//! Galloping over settings with few queries, then all queries near the boundary.

use super::bound::lower_bound;
use super::panel::{Completed, Expected, Panel, Runs, Seen, mean};

/// What is to be found: the least setting of which the recall's lower bound reaches the target.
#[derive(Clone, Debug)]
pub struct Task {
    pub target: f64,
    pub confidence: f64,
    pub k: u32,
    pub queries: usize,
    /// Settings that there are.
    pub least: u32,
    pub most: u32,
    /// A guess.
    pub start: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All queries were run with it, and reach the target.
    Reached(u32),
    /// The greatest setting does not reach the target.
    Unreachable(u32),
    /// The time was up: the best so far, which need not reach the target.
    OutOfTime(Option<u32>),
}

impl Task {
    /// Runs after which what suffices is taken as it is: a tenth of what it takes to run all queries with settings that are a
    /// tenth apart, less those of the last setting and of a last look.
    fn affordable(&self) -> usize {
        let further = |setting: &u32| {
            let next = (setting + 1).max((f64::from(*setting) * 1.1) as u32);
            (next <= self.most).then_some(next)
        };
        let settings = std::iter::successors(Some(self.least), further).count();
        (self.queries as f64 * (settings as f64 / 10.0 - 1.3)).max(0.0) as usize
    }
}

/// Queries for the first look at a setting.
const PILOT: usize = 32;
/// Between two looks at how it stands.
const BATCH: usize = 16;
/// Settings nearer to each other than this are as good.
const NEAR: f64 = 0.95;
/// Standard errors by which a setting is given up before all queries are run.
const SURE: f64 = 2.5;
/// Of the way to the other end.
const STUCK: f64 = 0.6;
const MOST_ROUNDS: usize = 12;

pub fn search(task: &Task, runs: &mut dyn Runs, panel: &mut Panel) -> Found {
    let mut search = Search { task, runs, panel, slope: 1.0 };
    search.find().unwrap_or_else(|| Found::OutOfTime(best_so_far(task, panel)))
}

/// The least setting that reaches the target as far as it was run, else that with the greatest lower bound.
pub fn best_so_far(task: &Task, panel: &Panel) -> Option<u32> {
    let summaries: Vec<_> = panel.settings().filter_map(|setting| panel.summary(task, setting)).collect();
    let reached = summaries.iter().find(|summary| summary.recall_low >= task.target);
    let best = summaries.iter().max_by(|a, b| a.recall_low.total_cmp(&b.recall_low));
    reached.or(best).map(|summary| summary.setting)
}

struct Search<'a> {
    task: &'a Task,
    runs: &'a mut dyn Runs,
    panel: &'a mut Panel,
    /// Misses fall with this power of the setting.
    slope: f64,
}

/// What all queries would show, after some of them were run.
struct Forecast {
    low: f64,
    /// Standard error of what is forecast.
    error: f64,
}

/// A setting, and what its bound leaves to miss.
type Tried = (u32, f64);

impl Search<'_> {
    /// None: the time is up.
    fn find(&mut self) -> Option<Found> {
        let mut setting = self.gallop()?;
        // The greatest that does not reach the target, and the least that does, each with what its bound leaves to miss.
        let (mut fails, mut passes): (Option<Tried>, Option<Tried>) = (None, None);
        // How often the setting sufficed, or (negative) did not, since it was the other way.
        let mut in_a_row: i32 = 0;
        let affordable = self.task.affordable();
        for round in 0.. {
            let verify = round >= MOST_ROUNDS || passes.is_some_and(|(passes, _)| passes == setting);
            let low = self.judge(setting, fails.map_or(0, |(fails, _)| fails), verify)?;
            self.learn_slope(setting);
            match low >= self.task.target {
                true => {
                    passes = Some((setting, 1.0 - low));
                    in_a_row = (in_a_row + 1).max(1);
                }
                false => {
                    in_a_row = (in_a_row - 1).min(-1);
                    fails = Some((setting, 1.0 - low));
                    passes = passes.filter(|(passes, _)| *passes > setting);
                }
            }
            if setting == self.task.most && passes.is_none() {
                return Some(Found::Unreachable(setting));
            }
            let next = self.between(fails, passes, in_a_row);
            let spent = round >= MOST_ROUNDS || self.panel.runs > affordable;
            setting = match passes {
                Some((passes, _)) if spent || f64::from(next) > NEAR * f64::from(passes) => {
                    if self.is_complete(passes) {
                        return Some(Found::Reached(passes));
                    }
                    // It was left when something smaller seemed to do.
                    passes
                }
                _ => next,
            };
        }
        unreachable!("rounds have no end")
    }

    /// The setting that should just reach the target; nearer to the end that has stayed while the other moved.
    fn between(&self, fails: Option<(u32, f64)>, passes: Option<(u32, f64)>, in_a_row: i32) -> u32 {
        let Task { least, most, .. } = *self.task;
        let round_up = |setting: f64| setting.ceil().clamp(f64::from(least), f64::from(most)) as u32;
        match (fails, passes) {
            (Some((fails, more)), Some((passes, less))) => {
                let share = (more / self.allowed()).ln() / (more / less.max(1e-9)).ln();
                let (low, high) = (f64::from(fails), f64::from(passes));
                let share = match in_a_row {
                    ..=-2 => share.max((share * f64::from(-in_a_row)).min(STUCK)),
                    2.. => share.min((1.0 - (1.0 - share) * f64::from(in_a_row)).max(1.0 - STUCK)),
                    _ => share,
                };
                round_up(low * (high / low).powf(share.clamp(0.1, 1.0))).clamp((fails + 1).min(passes), passes)
            }
            (Some((fails, more)), None) => {
                round_up(self.predicted(fails, more).clamp(f64::from(fails) / NEAR, f64::from(fails) * 4.0))
                    .max(fails + 1)
            }
            (None, Some((passes, less))) => {
                round_up(self.predicted(passes, less).clamp(f64::from(passes) / 4.0, f64::from(passes)))
            }
            (None, None) => self.task.start,
        }
        .min(most)
    }

    /// The recall that may be missed.
    fn allowed(&self) -> f64 {
        (1.0 - self.task.target).max(1e-4)
    }

    /// Where few queries see the boundary.
    fn gallop(&mut self) -> Option<u32> {
        let Task { least, most, .. } = *self.task;
        let (mut fails, mut passes): (Option<Tried>, Option<Tried>) = (None, None);
        let mut setting = self.task.start.clamp(least, most);
        loop {
            for query in 0..self.task.queries.min(PILOT) {
                self.seen(query, setting)?;
            }
            let miss = 1.0 - self.forecast(setting).low;
            let at = |factor: f64| ((f64::from(setting) * factor).round() as u32).clamp(least, most);
            match miss <= 1.0 - self.task.target {
                true => passes = Some((setting, miss)),
                false => fails = Some((setting, miss)),
            }
            self.learn_slope(setting);
            let factor = self.predicted(setting, miss) / f64::from(setting);
            setting = match (fails, passes) {
                (Some(_), Some(_)) => return Some(self.between(fails, passes, 0)),
                (None, Some((passes, _))) if passes == least => return Some(least),
                (Some((fails, _)), None) if fails == most => return Some(most),
                (None, _) => at(factor.clamp(0.25, 0.7)).min(setting - 1),
                (Some(_), None) => at(factor.clamp(1.4, 4.0)).max(setting + 1),
            };
        }
    }

    /// The bound of all queries, of which so many are run that it is plain whether the setting reaches the target; all of them
    /// where it is to be verified, and where it reaches the target and nothing much smaller would.
    fn judge(&mut self, setting: u32, fails: u32, verify: bool) -> Option<f64> {
        let mut order: Vec<usize> = (0..self.task.queries).collect();
        order.sort_by_key(|query| self.panel.expected(*query, setting) == Expected::FindsAll);
        for batch in order.chunks(BATCH) {
            for query in batch {
                self.seen(*query, setting)?;
            }
            let forecast = self.forecast(setting);
            let room = SURE * forecast.error;
            if !verify && forecast.low + room < self.task.target {
                return Some(forecast.low);
            }
            let smaller = self.predicted(setting, 1.0 - (forecast.low - room));
            let worth_it =
                smaller < NEAR * NEAR * f64::from(setting) && f64::from(setting) * NEAR > f64::from(fails + 1);
            if !verify && forecast.low - room > self.task.target && worth_it {
                return Some(forecast.low);
            }
        }
        Some(self.forecast(setting).low)
    }

    fn seen(&mut self, query: usize, setting: u32) -> Option<Seen> {
        self.panel.run(self.runs, self.task.queries, query, setting)
    }

    fn is_complete(&self, setting: u32) -> bool {
        self.panel.seen(setting).count() == self.task.queries
    }

    fn forecast(&self, setting: u32) -> Forecast {
        let Completed { recalls, variance } = self.panel.completed(self.task.queries, setting);
        Forecast { low: lower_bound(&recalls, self.task.confidence, self.task.k), error: variance.sqrt() }
    }

    /// The setting that would just reach the target, when this one misses so much.
    fn predicted(&self, setting: u32, miss: f64) -> f64 {
        f64::from(setting) * (miss.max(1e-4) / self.allowed()).powf(1.0 / self.slope)
    }

    /// From queries that were run with this setting and with the one nearest to it.
    fn learn_slope(&mut self, setting: u32) {
        let distance = |other: &u32| (f64::from(*other) / f64::from(setting)).ln().abs();
        // Those very near tell noise.
        let others = self.panel.settings().filter(|other| distance(other) > 0.15);
        let Some(other) = others.min_by(|a, b| distance(a).total_cmp(&distance(b))) else { return };
        let both: Vec<(Seen, Seen)> = (0..self.task.queries)
            .filter_map(|query| Some((self.panel.of(query, setting)?, self.panel.of(query, other)?)))
            .collect();
        let miss = mean(both.iter().map(|(seen, _)| 1.0 - seen.recall));
        let miss_of_other = mean(both.iter().map(|(_, seen)| 1.0 - seen.recall));
        if both.len() >= BATCH && miss > 0.0 && miss_of_other > 0.0 {
            let slope = (miss_of_other / miss).ln() / (f64::from(setting) / f64::from(other)).ln();
            self.slope = slope.clamp(0.4, 2.5);
        }
    }
}
