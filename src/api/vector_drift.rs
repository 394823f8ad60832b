//! `dbre.vector_drift()`.

use super::arguments::{self, duration, within};
use super::vector_recall::{MOST_QUERIES, ms, notes, pages};
use crate::advice::recall_interval::{Mean, difference, mean_recall, paired_difference};
use crate::db;
use crate::measure::vector::baselines::{self, Baseline};
use crate::measure::vector::recall::{Measured, Request, Tried, measure};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// How recall has changed since dbre.vector_recall(…, save => true): each baseline (of `index`, or all) is measured again as it
/// was, with `sample` queries (null: as many as then).
///
/// `drifted`: the 95% confidence interval of the difference does not contain 0. With the `same_queries` as then (those of
/// `queries`, or of rows of a table that has not changed) each is compared with itself. Baselines share `time_limit`. An index that is
/// gone, renamed or built again is said in `note`, and so is why one could not be measured.
#[pg_extern(sql = r#"
create function vector_drift(
    index regclass default null,
    sample int default null,
    time_limit interval default '1 min'
)
returns table (
    index_name text,
    k int,
    ef_search int,
    probes int,
    iterative_scan text,
    rerank int,
    filter text,
    saved_at timestamptz,
    source text,
    queries int,
    baseline_recall float8,
    recall float8,
    recall_low float8,
    recall_high float8,
    difference float8,
    difference_low float8,
    difference_high float8,
    drifted boolean,
    same_queries boolean,
    baseline_pages float8,
    pages float8,
    baseline_latency_p50_ms float8,
    latency_p50_ms float8,
    baseline_rows_estimated float8,
    rows_estimated float8,
    complete boolean,
    note text
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#)]
#[allow(clippy::type_complexity, reason = "the columns of the result")]
pub fn vector_drift(
    index: Option<Oid>,
    sample: Option<i32>,
    time_limit: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(index_name, String),
        name!(k, i32),
        name!(ef_search, Option<i32>),
        name!(probes, Option<i32>),
        name!(iterative_scan, Option<&'static str>),
        name!(rerank, Option<i32>),
        name!(filter, Option<String>),
        name!(saved_at, TimestampWithTimeZone),
        name!(source, Option<&'static str>),
        name!(queries, i32),
        name!(baseline_recall, f64),
        name!(recall, Option<f64>),
        name!(recall_low, Option<f64>),
        name!(recall_high, Option<f64>),
        name!(difference, Option<f64>),
        name!(difference_low, Option<f64>),
        name!(difference_high, Option<f64>),
        name!(drifted, Option<bool>),
        name!(same_queries, Option<bool>),
        name!(baseline_pages, f64),
        name!(pages, Option<f64>),
        name!(baseline_latency_p50_ms, f64),
        name!(latency_p50_ms, Option<f64>),
        name!(baseline_rows_estimated, Option<f64>),
        name!(rows_estimated, Option<f64>),
        name!(complete, bool),
        name!(note, Option<String>),
    ),
> {
    let begun = Instant::now();
    let sample = sample.map(|given| within("sample", Some(given), 1, MOST_QUERIES));
    let time_limit = duration("time_limit", time_limit);
    let baselines = baselines::read(index.map(Oid::to_u32));
    let number = baselines.len() as u32;
    let rows = baselines.into_iter().zip(1..).map(|(baseline, position)| {
        // What earlier ones leave over is for later ones.
        let until = begun + time_limit * position / number;
        row(baseline, sample, until.max(Instant::now() + Duration::from_millis(1)))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn row(
    baseline: Baseline,
    sample: Option<i32>,
    until: Instant,
) -> (
    String,
    i32,
    Option<i32>,
    Option<i32>,
    Option<&'static str>,
    Option<i32>,
    Option<String>,
    TimestampWithTimeZone,
    Option<&'static str>,
    i32,
    f64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<bool>,
    Option<bool>,
    f64,
    Option<f64>,
    f64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    bool,
    Option<String>,
) {
    let mut said: Vec<String> = baseline.fate().into_iter().collect();
    let measured = again(&baseline, sample, until).unwrap_or_else(|failure| {
        said.push(failure);
        None
    });
    let searches = measured.as_ref().map(|measured| &measured.settings[0].1);
    let now = searches.and_then(|searches| mean_recall(&searches.recalls));
    let then = Mean { mean: baseline.recall, low: baseline.interval.0, high: baseline.interval.1 };
    let same_queries = measured
        .as_ref()
        .map(|measured| measured.query_hash == baseline.query_hash && measured.queries == baseline.recalls.len());
    let change = match (now, searches) {
        (Some(_), Some(searches)) if same_queries == Some(true) => {
            paired_difference(&baseline.recalls, &searches.recalls)
        }
        (now, _) => now.map(|now| difference(then, now)),
    };
    if let Some(measured) = &measured {
        said.extend(baselines::other_source(&baseline, measured.source));
        said.extend(notes(measured, baseline.k as usize));
    }
    let number = |number: Option<u32>| number.map(|number| number as i32);
    (
        baseline.index_name,
        baseline.k,
        number(baseline.setting.ef_search),
        number(baseline.setting.probes),
        baseline.setting.iterative_scan.map(|scan| scan.name()),
        number(baseline.setting.rerank),
        baseline.filter,
        baseline.saved_at,
        measured.as_ref().and_then(|measured| measured.source).map(|source| source.name()),
        measured.as_ref().map_or(0, |measured| measured.queries as i32),
        baseline.recall,
        now.map(|now| now.mean),
        now.map(|now| now.low),
        now.map(|now| now.high),
        change.map(|change| change.mean),
        change.map(|change| change.low),
        change.map(|change| change.high),
        change.map(|change| change.low > 0.0 || change.high < 0.0),
        same_queries,
        baseline.pages,
        searches.and_then(pages),
        baseline.latency_p50_ms,
        searches.and_then(|searches| ms(searches, 0.5)),
        baseline.rows,
        baseline.now.as_ref().and_then(|index| baselines::rows(index.oid)),
        measured.as_ref().is_some_and(|measured| measured.complete),
        (!said.is_empty()).then(|| said.join("; ")),
    )
}

/// None: the index is gone. Why it could not be measured, otherwise.
fn again(baseline: &Baseline, sample: Option<i32>, until: Instant) -> Result<Option<Measured>, String> {
    let Some(index) = &baseline.now else { return Ok(None) };
    let measured = db::read_only(|| {
        let search_path = arguments::search_path(Some(&baseline.search_path));
        measure(&Request {
            index: index.oid,
            k: baseline.k as usize,
            sample: sample.unwrap_or(baseline.sample) as usize,
            queries: baseline.query_text.as_deref(),
            filter: baseline.filter.as_deref(),
            settings: Tried::One(baseline.setting.clone()),
            seed: i64::from(baseline.seed),
            until,
            search_path: &search_path,
        })
    });
    measured.map(Some).map_err(|caught| format!("it could not be measured: {}", caught.message))
}
