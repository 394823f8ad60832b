//! `dbre.vector_recall()`.

use super::arguments::{self, choice, duration, required, within};
use crate::advice::recall_interval::{mean, mean_recall, percentile, rounded};
use crate::db::raise;
use crate::measure::vector::baselines;
use crate::measure::vector::recall::{Measured, Request, Searches, Tried, measure};
use crate::measure::vector::run::{Given, IterativeScan, MOST_EF_SEARCH, Setting, Source};
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::time::Instant;

pub const MOST_K: i32 = 10_000;
pub const MOST_QUERIES: i32 = 100_000;
const MOST_PROBES: i32 = 32_768;

/// What an HNSW or IVFFlat index finds of the `k` nearest rows, measured: one row for each value of `ef_search` or `probes`
/// (null: as the session has it).
///
/// Query vectors are those of `queries` (a SELECT of one column), else captured ones (dbre.vector_queries), else those of rows
/// taken at random by `seed`, which is optimistic. The exact answer is that of a plan without vector indexes, the other that
/// of a plan with this one; both are proved on the plans. Rows at the same distance are equal. `filter` is a condition on the
/// table. An index of a halfvec, a subvector or a binary quantization finds candidates (`rerank` of them, else `ef_search`, or
/// 10 k for IVFFlat) that are ordered again by the column's own distance (of a binary quantization, cosine). Ends after
/// `time_limit` with the queries that were measured by then (on a standby, when the search that runs has ended). `save` keeps each row as a baseline for dbre.vector_drift(). All with the caller's rights; settings stay as they are.
#[pg_extern(sql = r#"
create function vector_recall(
    index regclass,
    k int default 10,
    sample int default 200,
    queries text default null,
    filter text default null,
    ef_search int[] default null,
    probes int[] default null,
    iterative_scan text default null,
    rerank int default null,
    seed int default 0,
    time_limit interval default '1 min',
    save boolean default false,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    ef_search int,
    probes int,
    iterative_scan text,
    rerank int,
    k int,
    queries int,
    source text,
    recall float8,
    recall_low float8,
    recall_high float8,
    recall_min float8,
    recall_p5 float8,
    recall_p50 float8,
    latency_p50_ms float8,
    latency_p95_ms float8,
    exact_p50_ms float8,
    exact_p95_ms float8,
    pages float8,
    exact_pages float8,
    short_queries int,
    rows_short int,
    complete boolean,
    note text
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#)]
#[allow(clippy::type_complexity, clippy::too_many_arguments, reason = "the columns of the result")]
pub fn vector_recall(
    index: Option<Oid>,
    k: Option<i32>,
    sample: Option<i32>,
    queries: Option<&str>,
    filter: Option<&str>,
    ef_search: Option<Vec<Option<i32>>>,
    probes: Option<Vec<Option<i32>>>,
    iterative_scan: Option<&str>,
    rerank: Option<i32>,
    seed: Option<i32>,
    time_limit: Option<Interval>,
    save: Option<bool>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(ef_search, Option<i32>),
        name!(probes, Option<i32>),
        name!(iterative_scan, Option<&'static str>),
        name!(rerank, Option<i32>),
        name!(k, i32),
        name!(queries, i32),
        name!(source, Option<&'static str>),
        name!(recall, Option<f64>),
        name!(recall_low, Option<f64>),
        name!(recall_high, Option<f64>),
        name!(recall_min, Option<f64>),
        name!(recall_p5, Option<f64>),
        name!(recall_p50, Option<f64>),
        name!(latency_p50_ms, Option<f64>),
        name!(latency_p95_ms, Option<f64>),
        name!(exact_p50_ms, Option<f64>),
        name!(exact_p95_ms, Option<f64>),
        name!(pages, Option<f64>),
        name!(exact_pages, Option<f64>),
        name!(short_queries, i32),
        name!(rows_short, i32),
        name!(complete, bool),
        name!(note, Option<String>),
    ),
> {
    let begun = Instant::now();
    let search_path = arguments::search_path(search_path);
    let request = Request {
        index: required("index", index, "Name an HNSW or IVFFlat index: 'public.atoms_embedding_idx'.").to_u32(),
        k: within("k", k, 1, MOST_K) as usize,
        sample: within("sample", sample, 1, MOST_QUERIES) as usize,
        queries,
        filter,
        settings: Tried::Given(Given {
            ef_search: numbers("ef_search", ef_search, MOST_EF_SEARCH as i32),
            probes: numbers("probes", probes, MOST_PROBES),
            iterative_scan: iterative_scan.map(|given| *choice("iterative_scan", Some(given), &IterativeScan::ALL)),
            rerank: rerank.map(|given| within("rerank", Some(given), 1, 1_000_000) as u32),
        }),
        seed: i64::from(required("seed", seed, "Any number: the same seed takes the same rows.")),
        until: begun + duration("time_limit", time_limit),
        search_path: &search_path,
    };
    let save = required("save", save, "true keeps the result as a baseline for dbre.vector_drift().");
    if save {
        baselines::refuse_if_read_only();
    }
    let measured = measure(&request);
    if save {
        baselines::save(&request, &measured);
    }
    let note = notes(&measured, request.k);
    let row = |(setting, searches): &(Setting, Searches)| {
        let recall = mean_recall(&searches.recalls);
        let recall_of = |share| percentile(&searches.recalls, share).map(|recall| rounded(recall, 6));
        let note = (!note.is_empty()).then(|| note.join("; "));
        let number = |number: Option<u32>| number.map(|number| number as i32);
        (
            number(setting.ef_search),
            number(setting.probes),
            setting.iterative_scan.map(IterativeScan::name),
            number(setting.rerank),
            request.k as i32,
            measured.queries as i32,
            measured.source.map(Source::name),
            recall.map(|recall| recall.mean),
            recall.map(|recall| recall.low),
            recall.map(|recall| recall.high),
            recall_of(0.0),
            recall_of(0.05),
            recall_of(0.5),
            ms(searches, 0.5),
            ms(searches, 0.95),
            ms(&measured.exact, 0.5),
            ms(&measured.exact, 0.95),
            pages(searches),
            pages(&measured.exact),
            searches.short as i32,
            searches.rows_short as i32,
            measured.complete,
            note,
        )
    };
    TableIterator::new(measured.settings.iter().map(row).collect::<Vec<_>>())
}

/// A percentile of the latencies.
pub fn ms(searches: &Searches, share: f64) -> Option<f64> {
    percentile(&searches.ms, share).map(|ms| rounded(ms, 3))
}

pub fn pages(searches: &Searches) -> Option<f64> {
    mean(&searches.pages).map(|pages| rounded(pages, 1))
}

/// The elements of an array, which are not NULL; None: the array is NULL.
fn numbers(argument: &str, given: Option<Vec<Option<i32>>>, most: i32) -> Option<Vec<u32>> {
    let given = given?;
    if given.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument} is an empty array"),
            "Leave it out for the setting of the session.",
        )
    }
    let what = format!("{argument}, one element,");
    Some(given.into_iter().map(|number| within(&what, number, 1, most) as u32).collect())
}

pub fn notes(measured: &Measured, k: usize) -> Vec<String> {
    let mut notes = measured.notes.clone();
    match measured.source {
        None => notes.push("time_limit was over before there were query vectors".to_string()),
        Some(_) if measured.query_vectors == 0 => notes.push("there are no query vectors".to_string()),
        Some(Source::Sampled) => {
            notes.push("vectors that are in the index are found more easily than those of real queries".to_string())
        }
        Some(_) => {}
    }
    if measured.queries > 0 && measured.most_rows < k {
        notes.push(format!("the longest exact answer has {} rows, fewer than k", measured.most_rows));
    }
    if !measured.complete && measured.source.is_some() {
        notes.push("time_limit was over before all query vectors were searched for".to_string());
    }
    notes
}
