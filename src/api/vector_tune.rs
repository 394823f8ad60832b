//! `dbre.vector_tune()`.

use super::arguments::{self, duration, required, within};
use super::migration_dry_run::refuse_read_only;
use super::vector_recall::{MOST_K, MOST_QUERIES};
use crate::advice::vector_index::Design;
use crate::measure::vector::run::IterativeScan;
use crate::measure::vector::tune::{Request, tune};
use pgrx::datum::Interval;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::time::Instant;

const LEAST_CONFIDENCE: f64 = 0.5;
const MOST_CONFIDENCE: f64 = 0.9999;
const LEAST_BUILD_ROWS: i32 = 100;
const MOST_BUILD_ROWS: i32 = 10_000_000;

/// The cheapest setting (`ef_search` or `probes`, with a filter also how the index is scanned on) with which the index finds
/// `target_recall` of the `k` nearest rows: of the recall that is measured, the lower bound at `confidence` reaches it.
///
/// It is searched for with few queries, and verified with all (at most `sample`). Query vectors come from where
/// dbre.vector_recall() takes them; of sampled rows more recall is asked, for they are found more easily than real queries. Rows
/// are all settings that were tried, the recommended one first; `on_front`: none other is better in every respect (proved recall,
/// latency, pages, size, build time).
/// `build`: other indexes are built on a sample of `build_rows` rows in a schema that is rolled back, and what they would give
/// with all rows is extrapolated. When `time_limit` is over, what was found by then is returned. Settings stay as they are.
#[pg_extern(sql = r#"
create function vector_tune(
    index regclass,
    target_recall float8 default 0.95,
    k int default 10,
    sample int default 1000,
    queries text default null,
    filter text default null,
    confidence float8 default 0.9,
    build boolean default false,
    build_rows int default 10000,
    seed int default 0,
    time_limit interval default '2 min',
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    recommended boolean,
    configuration text,
    method text,
    options text,
    element text,
    ef_search int,
    probes int,
    iterative_scan text,
    rerank int,
    queries int,
    recall float8,
    recall_low float8,
    latency_p50_ms float8,
    latency_p95_ms float8,
    pages float8,
    index_bytes bigint,
    build_ms float8,
    basis text,
    on_front boolean,
    sql text,
    note text
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#)]
#[allow(clippy::type_complexity, clippy::too_many_arguments, reason = "the columns of the result")]
pub fn vector_tune(
    index: Option<Oid>,
    target_recall: Option<f64>,
    k: Option<i32>,
    sample: Option<i32>,
    queries: Option<&str>,
    filter: Option<&str>,
    confidence: Option<f64>,
    build: Option<bool>,
    build_rows: Option<i32>,
    seed: Option<i32>,
    time_limit: Option<Interval>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(recommended, bool),
        name!(configuration, String),
        name!(method, Option<&'static str>),
        name!(options, Option<String>),
        name!(element, Option<&'static str>),
        name!(ef_search, Option<i32>),
        name!(probes, Option<i32>),
        name!(iterative_scan, Option<&'static str>),
        name!(rerank, Option<i32>),
        name!(queries, i32),
        name!(recall, Option<f64>),
        name!(recall_low, Option<f64>),
        name!(latency_p50_ms, Option<f64>),
        name!(latency_p95_ms, Option<f64>),
        name!(pages, Option<f64>),
        name!(index_bytes, Option<i64>),
        name!(build_ms, Option<f64>),
        name!(basis, String),
        name!(on_front, bool),
        name!(sql, Option<String>),
        name!(note, Option<String>),
    ),
> {
    let begun = Instant::now();
    let search_path = arguments::search_path(search_path);
    let build = required("build", build, "true builds other indexes on a sample, and rolls them back.");
    let build_rows = within("build_rows", build_rows, LEAST_BUILD_ROWS, MOST_BUILD_ROWS) as u32;
    let request = Request {
        index: required("index", index, "Name an HNSW or IVFFlat index: 'public.atoms_embedding_idx'.").to_u32(),
        target: within("target_recall", target_recall, 0.01, 1.0),
        k: within("k", k, 1, MOST_K) as usize,
        sample: within("sample", sample, 1, MOST_QUERIES) as usize,
        queries,
        filter,
        confidence: within("confidence", confidence, LEAST_CONFIDENCE, MOST_CONFIDENCE),
        build_rows: build.then_some(build_rows),
        seed: i64::from(required("seed", seed, "Any number: the same seed takes the same rows.")),
        begun,
        time_limit: duration("time_limit", time_limit),
        search_path: &search_path,
    };
    if build {
        refuse_read_only(c"dbre.vector_tune(build => true)");
    }
    let rows = tune(&request).into_iter().map(|tried| {
        let number = |number: Option<u32>| number.map(|number| number as i32);
        (
            tried.recommended,
            tried.configuration,
            tried.method.map(|method| method.name()),
            tried.method.map(Design::options_of),
            tried.element.map(|element| element.name()),
            number(tried.setting.ef_search),
            number(tried.setting.probes),
            tried.setting.iterative_scan.map(IterativeScan::name),
            number(tried.setting.rerank),
            tried.queries as i32,
            rounded(tried.recall, 1e6),
            rounded(tried.recall_low, 1e6),
            rounded(tried.ms_p50, 1e3),
            rounded(tried.ms_p95, 1e3),
            rounded(tried.pages, 10.0),
            tried.index_bytes.map(|bytes| bytes as i64),
            rounded(tried.build_ms, 1.0),
            tried.basis,
            tried.on_front,
            tried.sql,
            (!tried.notes.is_empty()).then(|| tried.notes.join("; ")),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// To parts of so many.
fn rounded(number: Option<f64>, parts: f64) -> Option<f64> {
    number.map(|number| (number * parts).round() / parts)
}
