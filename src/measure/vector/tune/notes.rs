//! What is to be known with a result.

use super::queries::Queries;
use super::{Tried, Tuning};
use crate::advice::vector_tuning::{Found, Summary, Task};
use crate::facts::vector::{Key, Method};
use crate::measure::vector::run::{Source, Target};

/// Of what may be missed, the part that may be left to chance.
const LEFT_TO_CHANCE: f64 = 0.3;
const MOST_QUERIES: f64 = 10_000.0;

pub fn nothing_to_search(target: &Target, queries: &Queries) -> Tried {
    let mut notes = queries.notes.clone();
    notes.push(match (queries.source, queries.complete) {
        (Some(Source::Sampled), true) => "no row that the index holds can be searched for".to_string(),
        (Some(_), true) => "no query vector has an answer".to_string(),
        _ => "time_limit was over before a query had its exact answer: make it longer".to_string(),
    });
    Tried {
        configuration: "nothing was measured".to_string(),
        method: Some(target.method),
        element: Some(target.element),
        basis: "measured".to_string(),
        notes,
        ..Tried::default()
    }
}

/// Whether the target is reached, and if not, why.
pub(super) fn of_best(
    tuning: &Tuning,
    task: &Task,
    found: Found,
    seen: &Summary,
    greatest: &Summary,
    short: usize,
    runs: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    let (chance, allowed) = (greatest.recall - greatest.recall_low, LEFT_TO_CHANCE * (1.0 - task.target).max(0.001));
    if chance > allowed && greatest.queries == task.queries && seen.setting > task.least {
        let enough = task.queries as f64 * (chance / allowed).powi(2);
        let enough = ((enough / 100.0).ceil() * 100.0).min(MOST_QUERIES);
        notes.push(format!(
            "{} queries leave {chance:.4} of recall to chance, for which more is asked: with about {enough:.0} a cheaper setting \
             may do",
            task.queries
        ));
    }
    let percent = task.confidence * 100.0;
    match found {
        Found::Reached(_) => {
            notes.push(format!("recall@{} is at least {:.4} with {percent}% confidence", task.k, seen.recall_low))
        }
        Found::OutOfTime(_) => notes.push(format!(
            "time_limit was over before the search was done: this is the best so far, of {runs} searches by the index"
        )),
        Found::Unreachable(_) => {
            notes.push(format!("recall {:.4} is not reached: {}", task.target, why(&tuning.target, task, greatest)));
            if seen.setting < greatest.setting {
                notes.push(format!(
                    "for what these queries can tell, {} does as well as {}",
                    seen.setting, greatest.setting
                ));
            }
            if short > 0 {
                notes.push(format!("{short} of {} searches returned fewer rows than there are", greatest.queries));
            }
        }
    }
    notes
}

fn why(target: &Target, task: &Task, seen: &Summary) -> String {
    let Summary { recall, .. } = seen;
    if *recall >= task.target {
        return format!(
            "{} queries show {recall:.4}, which are too few to be sure of it: raise sample or lower confidence",
            seen.queries
        );
    }
    match (&target.key, target.method) {
        (Key::BinaryQuantize { .. } | Key::Subvector { .. } | Key::Cast { .. }, _) if target.reranked => format!(
            "the {} most similar by {} do not hold the nearest rows ({recall:.4} of them)",
            seen.setting.max(task.k),
            target.key_sql
        ),
        (_, Method::Hnsw { .. }) if f64::from(task.most) < f64::from(task.k) * task.target => {
            format!("HNSW returns at most ef_search rows, and that is at most {}, below k", task.most)
        }
        (_, Method::Hnsw { m, ef_construction }) => format!(
            "hnsw.ef_search is at most {}, which gives {recall:.4}: the graph (m = {m}, ef_construction = {ef_construction}) \
             needs more of either, or reindex index concurrently {} if many rows were changed since it was built",
            task.most, target.index_name
        ),
        (_, Method::Ivfflat { lists }) => format!("all {lists} lists are read, which gives {recall:.4}"),
    }
}

pub const EXTRAPOLATED: &str = "extrapolated";

pub fn extrapolated(sampled: f64, rows: f64, growth: &str, build_ms: f64, bytes: u64) -> String {
    format!(
        "{EXTRAPOLATED} from {sampled} rows to {rows:.0} ({growth}); measured there: recall, build {build_ms:.0} ms, {bytes} bytes"
    )
}

/// Of the whole measurement.
pub(super) fn common(tuning: &Tuning) -> Vec<String> {
    let queries = &tuning.queries;
    let mut notes = queries.notes.clone();
    if queries.source == Some(Source::Sampled) {
        notes.push(format!(
            "query vectors are those of sampled rows, which are found more easily than real queries: {:.4} was asked of them \
             for {} of others (an assumption, from two sets of sentence embeddings); pass queries, or record real ones with \
             dbre.vector_sample_rate",
            tuning.asked_recall(),
            tuning.request.target
        ));
    }
    if !queries.complete {
        notes.push(format!("time_limit allowed for exact answers of {} queries", queries.asked.len()));
    }
    notes
}
