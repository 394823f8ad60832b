//! Indexes for a workload: its queries are analyzed and planned, candidates are tried by what-if, the best are chosen.

mod existing;
mod planner;
mod source;
mod validate;
mod writes;

pub use source::{Origin, Parameters, Weight};
pub use validate::{Validated, validate};

use crate::advice::index_selection::{self, Options, Workload, WorkloadQuery};
use crate::db;
use crate::facts::{AdvisedQuery, Catalog, Database, IndexAdvice, Source};
use planner::Advisor;
use source::Sourced;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// Of the time given, what analyzing the queries may take; the rest is for the search.
const SHARE_FOR_ANALYSIS: f64 = 0.4;

/// What to advise on, and how.
pub struct Request<'a> {
    pub origin: Origin<'a>,
    pub weigh_by: Weight,
    pub parameters: Parameters,
    pub max_queries: u32,
    pub time_limit: Duration,
    pub options: Options,
    /// Unqualified names in texts that the caller gave are looked up in it.
    pub search_path: &'a CStr,
}

/// Runs in the pinned search_path. Raises an error when the workload cannot be read; a query that cannot be planned is in
/// the result.
pub fn advise(request: Request, database: &Database, catalog: &Catalog) -> IndexAdvice {
    let begun = Instant::now();
    let source = request.origin.source();
    let in_ms = matches!(request.weigh_by, Weight::TotalTime) && source != Source::Texts;
    let analysis_ends = begun + request.time_limit.mul_f64(SHARE_FOR_ANALYSIS);
    let Sourced { queries, not_planned, left_out, cut_off } = source::read(&request, database, analysis_ends);
    let workload = Workload {
        queries: queries
            .iter()
            .map(|query| WorkloadQuery { weight: query.weight, shape: query.shape.clone() })
            .collect(),
        tables: existing::tables(catalog, queries.iter().map(|query| &query.shape)),
        indexes: existing::indexes(catalog, queries.iter().map(|query| &query.shape)),
        options: request.options,
    };
    let writes = writes::Writes::of(catalog, database, source, &queries);
    let mut advisor = Advisor::new(catalog, &queries, writes, (begun, request.time_limit));
    let mut selection = index_selection::select(&workload, &mut advisor);
    selection.complete &= !cut_off;
    let queries = queries.into_iter().map(|query| AdvisedQuery {
        query_id: query.query_id,
        text: query.text,
        calls: query.calls,
        mean_ms: query.mean_ms,
        weight: query.weight,
        shape: query.shape,
        indexes: query.indexes,
    });
    db::check_for_interrupts();
    IndexAdvice {
        selection,
        queries: queries.collect(),
        not_planned,
        left_out,
        source,
        in_ms,
        elapsed: begun.elapsed(),
    }
}
