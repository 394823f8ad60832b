//! Recall of a vector index, measured: each query's exact answer once, and what the index finds of it with each setting.

use super::run::{Answer, Given, Searcher, Setting, Source, Target, limited, query_vectors, recall};
use fnv::FnvHasher;
use std::ffi::CStr;
use std::hash::{Hash, Hasher};
use std::time::Instant;

/// What to measure.
pub struct Request<'a> {
    pub index: u32,
    pub k: usize,
    /// At most that many query vectors.
    pub sample: usize,
    pub queries: Option<&'a str>,
    pub filter: Option<&'a str>,
    /// One row of the result for each.
    pub settings: Tried,
    pub seed: i64,
    pub until: Instant,
    /// Of the caller.
    pub search_path: &'a CStr,
}

pub enum Tried {
    /// By the caller's arguments.
    Given(Given),
    One(Setting),
}

pub struct Measured {
    pub target: Target,
    /// None: the time was over before there were any.
    pub source: Option<Source>,
    /// That were to be searched for.
    pub query_vectors: usize,
    /// Those of them that have an answer and were measured with each setting.
    pub queries: usize,
    /// Of these.
    pub query_hash: i64,
    /// All query vectors were searched for.
    pub complete: bool,
    pub exact: Searches,
    /// Of the longest exact answer.
    pub most_rows: usize,
    pub settings: Vec<(Setting, Searches)>,
    pub notes: Vec<String>,
}

/// What searches found and cost, in the order of the queries.
#[derive(Default)]
pub struct Searches {
    pub recalls: Vec<f64>,
    pub ms: Vec<f64>,
    pub pages: Vec<f64>,
    /// That returned fewer than `k` rows although there are more.
    pub short: usize,
    /// That were missing in those, all together.
    pub rows_short: usize,
}

/// What one search has shown.
struct Seen {
    recall: f64,
    ms: f64,
    pages: u64,
    rows: usize,
}

impl Searches {
    fn add(&mut self, seen: &Seen, wanted: usize) {
        self.recalls.push(seen.recall);
        self.ms.push(seen.ms);
        self.pages.push(seen.pages as f64);
        self.short += usize::from(seen.rows < wanted);
        self.rows_short += wanted.saturating_sub(seen.rows);
    }
}

/// Raises an error for what can't be measured.
pub fn measure(request: &Request) -> Measured {
    let mut searcher = Searcher::open(request.index, request.filter, request.search_path);
    let settings = match &request.settings {
        Tried::Given(given) => given.settings(&searcher.target),
        Tried::One(setting) => vec![setting.clone()],
    };
    let settings = settings.into_iter().map(|setting| setting.in_force(&searcher.target, request.k));
    let mut measured = Measured {
        settings: settings.map(|setting| (setting, Searches::default())).collect(),
        target: searcher.target.clone(),
        source: None,
        query_vectors: 0,
        queries: 0,
        query_hash: 0,
        complete: false,
        exact: Searches::default(),
        most_rows: 0,
        notes: Vec::new(),
    };
    let outcome = limited(request.until, || search(request, &mut searcher, &mut measured));
    measured.complete = matches!(outcome, Ok(true));
    measured
}

/// False: the time was over. A query is counted when it was searched for with all settings.
fn search(request: &Request, searcher: &mut Searcher, measured: &mut Measured) -> bool {
    let target = searcher.target.clone();
    let given = query_vectors(&target, request.queries, request.sample, request.seed, request.search_path);
    measured.source = Some(given.source);
    measured.notes = given.notes;
    measured.query_vectors = given.vectors.len();
    let (mut unanswered, mut hasher) = (0, FnvHasher::default());
    for query in &given.vectors {
        if Instant::now() >= request.until {
            return false;
        }
        let exact = searcher.exact(query, request.k);
        let wanted = exact.rows.len();
        if wanted == 0 {
            unanswered += 1;
            continue;
        }
        let approximate = |(setting, _): &(Setting, Searches)| {
            let Answer { rows, ms, pages } = searcher.approximate(query, request.k, setting);
            let recall = recall(&exact.rows, &rows, request.k).expect("there is something to find");
            Seen { recall, ms, pages, rows: rows.len() }
        };
        let seen: Vec<Seen> = measured.settings.iter().map(approximate).collect();
        for ((_, searches), seen) in measured.settings.iter_mut().zip(&seen) {
            searches.add(seen, wanted);
        }
        measured.exact.add(&Seen { recall: 1.0, ms: exact.ms, pages: exact.pages, rows: wanted }, wanted);
        measured.most_rows = measured.most_rows.max(wanted);
        query.hash(&mut hasher);
        measured.query_hash = hasher.finish() as i64;
        measured.queries += 1;
    }
    if unanswered > 0 {
        measured.notes.push(format!("{unanswered} query vectors have no answer: no other row has a distance to them"));
    }
    true
}
