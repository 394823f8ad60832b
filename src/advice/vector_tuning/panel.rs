//! What single queries have shown with single settings.

use super::bound::{lower_bound, normal_quantile};
use super::search::Task;
use std::collections::BTreeMap;

/// One query with one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub recall: f64,
    pub pages: f64,
    pub ms: f64,
}

/// Runs queries: on a server, or in a simulation.
pub trait Runs {
    /// None: the time is up.
    fn run(&mut self, query: usize, setting: u32) -> Option<Seen>;
}

/// Queries (by number) with settings (ef_search or probes), as far as they were run.
#[derive(Default)]
pub struct Panel {
    seen: BTreeMap<u32, Vec<Option<Seen>>>,
    pub runs: usize,
}

/// What is known of a query before it is run with a setting. Recall grows with the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Unknown,
    /// It found all with a larger setting, and nothing smaller is known to suffice.
    FoundByLarger,
    /// It missed something with a smaller setting, and nothing larger is known to suffice.
    MissedBySmaller,
    /// It missed something with a larger setting.
    Misses,
    /// It found all with a smaller setting.
    FindsAll,
}

impl Expected {
    pub const ALL: [Expected; 5] =
        [Expected::Unknown, Expected::FoundByLarger, Expected::MissedBySmaller, Expected::Misses, Expected::FindsAll];
}

impl Panel {
    /// None: the time is up. A query is run but once with a setting.
    pub fn run(&mut self, runs: &mut dyn Runs, queries: usize, query: usize, setting: u32) -> Option<Seen> {
        let row = self.seen.entry(setting).or_insert_with(|| vec![None; queries]);
        if row[query].is_none() {
            row[query] = Some(runs.run(query, setting)?);
            self.runs += 1;
        }
        row[query]
    }

    pub fn seen(&self, setting: u32) -> impl Iterator<Item = Seen> {
        self.seen.get(&setting).into_iter().flatten().flatten().copied()
    }

    pub fn of(&self, query: usize, setting: u32) -> Option<Seen> {
        self.seen.get(&setting)?[query]
    }

    pub fn settings(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.seen.keys().copied()
    }

    pub fn expected(&self, query: usize, setting: u32) -> Expected {
        let smaller = self.seen.range(..setting).rev().find_map(|(_, row)| row[query]);
        let larger = self.seen.range(setting + 1..).find_map(|(_, row)| row[query]);
        match (smaller, larger) {
            (Some(seen), _) if seen.recall >= 1.0 => Expected::FindsAll,
            (_, Some(seen)) if seen.recall < 1.0 => Expected::Misses,
            (_, Some(_)) => Expected::FoundByLarger,
            (Some(_), None) => Expected::MissedBySmaller,
            (None, None) => Expected::Unknown,
        }
    }

    /// The recall of all queries: those that were not run with the setting are taken to be as those that were, of which the same
    /// is known.
    pub fn completed(&self, queries: usize, setting: u32) -> Completed {
        let mut completed = Completed { recalls: Vec::with_capacity(queries), variance: 0.0 };
        let whole: Vec<f64> = self.seen(setting).map(|seen| seen.recall).collect();
        for expected in Expected::ALL {
            let members: Vec<usize> = (0..queries).filter(|query| self.expected(*query, setting) == expected).collect();
            let seen: Vec<f64> = members.iter().filter_map(|query| Some(self.of(*query, setting)?.recall)).collect();
            let (n, rest, weight) = (seen.len(), members.len() - seen.len(), members.len() as f64 / queries as f64);
            completed.recalls.extend(&seen);
            if rest == 0 {
                continue;
            }
            match expected {
                Expected::FindsAll => completed.recalls.extend(std::iter::repeat_n(1.0, rest)),
                // As all others that were run.
                _ if n == 0 => {
                    completed.recalls.extend(whole.iter().cycle().take(rest));
                    completed.variance += weight.powi(2) / 4.0;
                }
                _ => {
                    completed.recalls.extend(seen.iter().cycle().take(rest));
                    let average = mean(seen.iter().copied());
                    let spread = mean(seen.iter().map(|recall| (recall - average).powi(2))).max(1e-4);
                    completed.variance += weight.powi(2) * spread / n as f64 * (rest as f64 / members.len() as f64);
                }
            }
        }
        completed
    }

    pub fn summary(&self, task: &Task, setting: u32) -> Option<Summary> {
        let seen: Vec<Seen> = self.seen(setting).collect();
        let row = self.seen.get(&setting)?;
        let first = row.iter().take_while(|seen| seen.is_some()).count();
        let Completed { recalls, variance } = match first == seen.len() {
            // The first ones are as good as any others, whatever recall does from setting to setting.
            true => Completed { recalls: seen.iter().map(|seen| seen.recall).collect(), variance: 0.0 },
            false => self.completed(task.queries, setting),
        };
        let forecast = normal_quantile(task.confidence) * variance.sqrt();
        let mut ms: Vec<f64> = seen.iter().map(|seen| seen.ms).collect();
        ms.sort_by(f64::total_cmp);
        let n = seen.len();
        (n > 0).then(|| Summary {
            setting,
            queries: n,
            recall: mean(recalls.iter().copied()),
            recall_low: (lower_bound(&recalls, task.confidence, task.k) - forecast).max(0.0),
            pages: mean(seen.iter().map(|seen| seen.pages)),
            ms_p50: ms[(n - 1) / 2],
            ms_p95: ms[((n - 1) as f64 * 0.95).round() as usize],
        })
    }
}

pub struct Completed {
    pub recalls: Vec<f64>,
    /// Of their mean, for those that were not run.
    pub variance: f64,
}

/// What is known of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub setting: u32,
    /// That were run with it.
    pub queries: usize,
    pub recall: f64,
    pub recall_low: f64,
    pub pages: f64,
    pub ms_p50: f64,
    pub ms_p95: f64,
}

pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}
