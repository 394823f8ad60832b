//! Query vectors with their exact answers, and searches for them by an index.

use crate::advice::vector_tuning::{Runs, Seen};
use crate::measure::vector::run::{Answer, QueryVector, Searcher, Setting, Source, query_vectors, recall};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::time::Instant;

/// Those that have an answer.
#[derive(Default)]
pub struct Queries {
    pub asked: Vec<Asked>,
    pub source: Option<Source>,
    pub notes: Vec<String>,
    /// All vectors that there were have been searched for.
    pub complete: bool,
}

pub struct Asked {
    pub vector: QueryVector,
    pub exact: Answer,
}

impl Queries {
    /// To be called within `limited`; what there is when that is stopped is kept.
    pub fn read(
        &mut self,
        searcher: &mut Searcher,
        (queries, sample, seed): (Option<&str>, usize, i64),
        k: usize,
        search_path: &CStr,
        until: Instant,
    ) {
        let target = searcher.target.clone();
        let given = query_vectors(&target, queries, sample, seed, search_path);
        self.source = Some(given.source);
        self.notes = given.notes;
        self.ask(searcher, given.vectors, k, until);
    }

    pub fn ask(&mut self, searcher: &mut Searcher, vectors: Vec<QueryVector>, k: usize, until: Instant) {
        let mut unanswered = 0;
        for vector in vectors {
            if Instant::now() >= until {
                return;
            }
            let exact = searcher.exact(&vector, k);
            match exact.rows.is_empty() {
                true => unanswered += 1,
                false => self.asked.push(Asked { vector, exact }),
            }
        }
        if unanswered > 0 {
            self.notes.push(format!("{unanswered} query vectors have no answer: no row has a distance to them"));
        }
        self.complete = true;
    }

    pub fn exact_ms(&self) -> Vec<f64> {
        let mut ms: Vec<f64> = self.asked.iter().map(|asked| asked.exact.ms).collect();
        ms.sort_by(f64::total_cmp);
        ms
    }
}

/// Searches for queries by an index, with settings that differ in one number.
pub struct Trial<'a> {
    pub searcher: &'a mut Searcher,
    pub queries: &'a [Asked],
    pub k: usize,
    pub until: Instant,
    pub setting: &'a dyn Fn(u32) -> Setting,
    /// Searches that returned fewer rows than there are, by the number.
    pub short: BTreeMap<u32, usize>,
}

impl Runs for Trial<'_> {
    fn run(&mut self, query: usize, number: u32) -> Option<Seen> {
        if Instant::now() >= self.until {
            return None;
        }
        let Asked { vector, exact } = &self.queries[query];
        let Answer { rows, ms, pages } = self.searcher.approximate(vector, self.k, &(self.setting)(number));
        if rows.len() < exact.rows.len() {
            *self.short.entry(number).or_default() += 1;
        }
        let recall = recall(&exact.rows, &rows, self.k).expect("queries without an answer are left out");
        Some(Seen { recall, pages: pages as f64, ms })
    }
}
