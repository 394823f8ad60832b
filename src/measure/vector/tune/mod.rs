//! The cheapest setting with which an index reaches a recall, and what other indexes would give: measured.

mod candidates;
mod notes;
mod queries;
mod ways;

use crate::advice::vector_tuning::{Found, Panel, Summary, Task, best_so_far, on_front, recall_of_rows, search};
use crate::db;
use crate::facts::vector::{Element, Method};
use crate::measure::vector::run::{Searcher, Setting, Source, Target, limited};
use pgrx::pg_sys::Oid;
use queries::{Queries, Trial};
use std::ffi::CStr;
use std::time::{Duration, Instant};
use ways::Way;

pub struct Request<'a> {
    pub index: u32,
    pub target: f64,
    pub k: usize,
    pub sample: usize,
    pub queries: Option<&'a str>,
    pub filter: Option<&'a str>,
    pub confidence: f64,
    /// Build other indexes on a sample of so many rows.
    pub build_rows: Option<u32>,
    pub seed: i64,
    pub begun: Instant,
    pub time_limit: Duration,
    /// Of the caller.
    pub search_path: &'a CStr,
}

/// A way to search, and what it has shown.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    pub recommended: bool,
    pub configuration: String,
    /// None: without an index.
    pub method: Option<Method>,
    pub element: Option<Element>,
    pub setting: Setting,
    pub queries: usize,
    pub recall: Option<f64>,
    pub recall_low: Option<f64>,
    pub ms_p50: Option<f64>,
    pub ms_p95: Option<f64>,
    pub pages: Option<f64>,
    pub index_bytes: Option<u64>,
    pub build_ms: Option<f64>,
    pub basis: String,
    pub on_front: bool,
    /// The target.
    pub reached: bool,
    pub sql: Option<String>,
    pub notes: Vec<String>,
}

impl Tried {
    /// Of an index that is not there.
    fn is_candidate(&self) -> bool {
        self.method.is_some() && self.basis.starts_with(notes::EXTRAPOLATED)
    }
}

/// Of the time, for exact answers.
const EXACT_SHARE: f64 = 0.5;
/// Of the time, for the index that is there when others are built too.
const OWN_SHARE: f64 = 0.45;

/// Of the time, what is worth building another index.
const MUCH_FASTER: f64 = 0.7;

/// Best first. Raises an error for what cannot be measured.
pub fn tune(request: &Request) -> Vec<Tried> {
    let mut searcher = Searcher::open(request.index, request.filter, request.search_path);
    let target = searcher.target.clone();
    let own = request.time_limit.mul_f64(if request.build_rows.is_some() { OWN_SHARE } else { 1.0 });
    let until = request.begun + own;
    let mut queries = Queries::default();
    let exact_until = request.begun + own.mul_f64(EXACT_SHARE);
    let given = (request.queries, request.sample, request.seed);
    let answered =
        limited(exact_until, || queries.read(&mut searcher, given, request.k, request.search_path, exact_until));
    if answered.is_err() {
        searcher.forget_plans();
    }
    if queries.asked.is_empty() {
        return vec![notes::nothing_to_search(&target, &queries)];
    }
    let mut tuning =
        Tuning { request, target, queries, searcher, until, tried: Vec::new(), told: Vec::new(), common: Vec::new() };
    tuning.common = notes::common(&tuning);
    tuning.existing_index();
    tuning.finish()
}

struct Tuning<'a> {
    request: &'a Request<'a>,
    target: Target,
    queries: Queries,
    searcher: Searcher,
    until: Instant,
    tried: Vec<Tried>,
    told: Vec<String>,
    /// What is to be said of all, and was known before.
    common: Vec<String>,
}

/// The best setting of one way to search by an index.
struct Best {
    number: u32,
    reached: bool,
    pages: f64,
    ms: f64,
    /// Of `tried`.
    position: usize,
}

impl Tuning<'_> {
    /// The recall that is asked of these queries.
    fn asked_recall(&self) -> f64 {
        match self.queries.source {
            Some(Source::Sampled) => recall_of_rows(self.request.target),
            _ => self.request.target,
        }
    }

    fn task(&self, way: &Way) -> Task {
        let (least, most) = way.range(&self.target, self.request.k, self.asked_recall());
        Task {
            target: self.asked_recall(),
            confidence: self.request.confidence,
            k: self.request.k as u32,
            queries: self.queries.asked.len(),
            least,
            most,
            start: way.start(&self.target).clamp(least, most),
        }
    }

    fn existing_index(&mut self) {
        let ways = ways::of(&self.target, self.request.filter.is_some(), self.request.k);
        let mut best: Vec<Best> = Vec::new();
        for (position, way) in ways.iter().enumerate() {
            let left = self.until.saturating_duration_since(Instant::now());
            let until = Instant::now() + left.div_f64((ways.len() - position) as f64);
            best.extend(self.way(way, until));
        }
        if best.is_empty() {
            self.told.push("time_limit was over before the index was searched: make it longer".to_string());
        }
        self.exact();
        let chosen = self.recommend(&best);
        if self.request.build_rows.is_some() {
            let told = candidates::add(self, chosen);
            self.told.extend(told);
            self.compare(chosen);
        }
    }

    fn way(&mut self, way: &Way, until: Instant) -> Option<Best> {
        let task = self.task(way);
        let mut panel = Panel::default();
        let setting = |number| way.setting(&self.target, self.request.k, number);
        let mut trial = Trial {
            searcher: &mut self.searcher,
            queries: &self.queries.asked,
            k: self.request.k,
            until,
            setting: &setting,
            short: Default::default(),
        };
        let found = limited(until, || {
            let found = search(&task, &mut trial, &mut panel);
            way.cheaper_and_larger(&task, found, &mut trial, &mut panel)
        });
        let short = trial.short;
        let found = match found {
            Ok(found) => found,
            Err(_) => {
                self.searcher.forget_plans();
                Found::OutOfTime(best_so_far(&task, &panel))
            }
        };
        let (number, reached) = match found {
            Found::Reached(number) => (Some(number), true),
            Found::Unreachable(number) => (Some(number), false),
            Found::OutOfTime(number) => (number, false),
        };
        let summaries: Vec<Summary> = panel.settings().filter_map(|number| panel.summary(&task, number)).collect();
        let greatest = *summaries.iter().find(|seen| Some(seen.setting) == number)?;
        // Where the target is not reached, a smaller setting may do as well as any, for what these queries can tell.
        let as_good = summaries.iter().find(|seen| !reached && seen.recall >= greatest.recall_low).unwrap_or(&greatest);
        let number = as_good.setting;
        let mut best = None;
        for seen in summaries {
            let mut notes = Vec::new();
            if seen.setting == number {
                best = Some(Best { number, reached, pages: seen.pages, ms: seen.ms_p50, position: self.tried.len() });
                let short = short.get(&greatest.setting).copied().unwrap_or(0);
                notes = notes::of_best(self, &task, found, &seen, &greatest, short, panel.runs);
            }
            let setting = way.setting(&self.target, self.request.k, seen.setting);
            self.tried.push(Tried {
                configuration: ways::configuration(&setting),
                method: Some(self.target.method),
                reached: seen.queries == task.queries && seen.recall_low >= task.target,
                element: Some(self.target.element),
                sql: Some(ways::sql(&setting, &self.target, self.request.k)),
                setting,
                queries: seen.queries,
                recall: Some(seen.recall),
                recall_low: Some(seen.recall_low),
                ms_p50: Some(seen.ms_p50),
                ms_p95: Some(seen.ms_p95),
                pages: Some(seen.pages),
                index_bytes: relation_bytes(self.target.index),
                basis: match seen.queries == task.queries {
                    true => "measured".to_string(),
                    false => format!("measured with {} of {} queries", seen.queries, task.queries),
                },
                notes,
                ..Tried::default()
            });
        }
        best
    }

    fn exact(&mut self) {
        let ms = self.queries.exact_ms();
        let n = ms.len();
        let pages = self.queries.asked.iter().map(|asked| asked.exact.pages as f64).sum::<f64>() / n as f64;
        self.tried.push(Tried {
            configuration: "without a vector index".to_string(),
            queries: n,
            recall: Some(1.0),
            recall_low: Some(1.0),
            ms_p50: Some(ms[(n - 1) / 2]),
            ms_p95: Some(ms[((n - 1) as f64 * 0.95).round() as usize]),
            pages: Some(pages),
            index_bytes: Some(0),
            build_ms: Some(0.0),
            basis: "measured".to_string(),
            sql: Some(ways::exact_sql(&self.target, self.request.filter, self.request.k)),
            ..Tried::default()
        });
    }

    /// Pages compare within one index; beside reading the table, time does.
    fn recommend<'b>(&mut self, best: &'b [Best]) -> Option<&'b Best> {
        let reached = best.iter().filter(|best| best.reached).min_by(|a, b| a.pages.total_cmp(&b.pages));
        let exact = self.tried.len() - 1;
        let exact_ms = self.tried[exact].ms_p50.unwrap_or(f64::INFINITY);
        if self.request.filter.is_some() && reached.is_none_or(|best| exact_ms < best.ms) {
            let why = match reached {
                Some(best) => format!("{exact_ms:.2} ms for every answer, against {:.2} ms by the index", best.ms),
                None => "by the index the target is not reached".to_string(),
            };
            self.tried[exact].recommended = true;
            self.tried[exact].notes.push(why);
            return reached;
        }
        let low = |best: &&Best| self.tried[best.position].recall_low.unwrap_or(0.0);
        let chosen = reached.or_else(|| best.iter().max_by(|a, b| low(a).total_cmp(&low(b))));
        let chosen = chosen?;
        let tried = &mut self.tried[chosen.position];
        tried.recommended = true;
        if exact_ms <= chosen.ms {
            tried.notes.push(format!(
                "searching without the index takes {exact_ms:.2} ms and finds all: the index gains nothing at this size"
            ));
        }
        Some(chosen)
    }

    /// Where the index does not reach the target and another one does, that is what to build; where another one searches much
    /// faster, it is told.
    fn compare(&mut self, chosen: Option<&Best>) {
        let built = (0..self.tried.len()).filter(|position| self.tried[*position].is_candidate());
        let ms = |tried: &Tried| tried.ms_p50.unwrap_or(f64::INFINITY);
        let reached = built.filter(|position| self.tried[*position].reached);
        let fastest = reached.min_by(|a, b| ms(&self.tried[*a]).total_cmp(&ms(&self.tried[*b])));
        let Some(fastest) = fastest else { return };
        match chosen {
            Some(chosen) if chosen.reached => {
                let other = &self.tried[fastest];
                if ms(other) < MUCH_FASTER * chosen.ms {
                    let told = format!("{} is expected to take {:.2} ms", other.configuration, ms(other));
                    self.told.push(told);
                }
            }
            _ => {
                self.tried.iter_mut().for_each(|tried| tried.recommended = false);
                self.tried[fastest].recommended = true;
                self.tried[fastest].notes.push(format!(
                    "{} does not reach the target, and on a sample this index does; the note beside its best setting says why",
                    self.target.index_name
                ));
            }
        }
    }

    fn finish(mut self) -> Vec<Tried> {
        let figures = |tried: &Tried| {
            // What is proved.
            let missed = tried.recall_low.map(|recall| 1.0 - recall);
            [missed, tried.ms_p50, tried.pages, tried.index_bytes.map(|bytes| bytes as f64), tried.build_ms]
        };
        let figures: Vec<_> = self.tried.iter().map(figures).collect();
        for (tried, on_front) in self.tried.iter_mut().zip(on_front(&figures)) {
            tried.on_front = on_front;
        }
        let common: Vec<String> = self.common.drain(..).chain(self.told.drain(..)).collect();
        let rank = |tried: &Tried| (!tried.recommended, !tried.on_front);
        self.tried.sort_by(|a, b| {
            let cost = |tried: &Tried| tried.ms_p50.unwrap_or(f64::INFINITY);
            rank(a).cmp(&rank(b)).then(cost(a).total_cmp(&cost(b)))
        });
        // The recommended one, if there is one.
        self.tried.iter_mut().take(1).for_each(|first| first.notes.extend(common.iter().cloned()));
        self.tried
    }
}

fn relation_bytes(relation: u32) -> Option<u64> {
    let sql = "select pg_catalog.pg_relation_size($1)";
    let bytes = db::read(sql, &[Oid::from(relation).into()], |row| row.take_option::<i64>()).pop().flatten();
    bytes.map(|bytes| bytes as u64)
}
