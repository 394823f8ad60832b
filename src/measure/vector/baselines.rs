//! Baselines of recall: kept, and read with the indexes as they are now.

use super::catalog;
use super::recall::{Measured, Request, Searches};
use super::run::{Setting, Source};
use crate::advice::recall_interval::{mean, mean_recall, percentile, rounded};
use crate::db;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

/// What was measured once, and the index as it is now.
pub struct Baseline {
    pub index_name: String,
    pub index_file: u32,
    pub definition: String,
    pub k: i32,
    pub setting: Setting,
    pub filter: Option<String>,
    pub query_text: Option<String>,
    pub search_path: String,
    pub sample: i32,
    pub seed: i32,
    pub source: String,
    pub recall: f64,
    pub interval: (f64, f64),
    /// Of each query.
    pub recalls: Vec<f64>,
    pub query_hash: i64,
    pub pages: f64,
    pub latency_p50_ms: f64,
    /// Estimated.
    pub rows: Option<f64>,
    pub saved_at: TimestampWithTimeZone,
    /// None: it is gone.
    pub now: Option<Index>,
}

pub struct Index {
    pub oid: u32,
    pub name: String,
    pub file: u32,
}

const SAVE: &std::ffi::CStr = c"dbre.vector_recall(…, save => true)";

/// Raises an error where nothing can be written, before anything is measured.
pub fn refuse_if_read_only() {
    db::prevent_if_read_only(SAVE);
}

/// Keeps what was measured with each setting.
pub fn save(request: &Request, measured: &Measured) {
    let search_path = request.search_path.to_string_lossy();
    let number = |number: Option<u32>| number.map(|number| number as i32);
    for (setting, searches) in &measured.settings {
        let Searches { recalls, ms, pages, .. } = searches;
        let (Some(recall), Some(source)) = (mean_recall(recalls), measured.source) else { continue };
        let median = |ms| percentile(ms, 0.5).map(|ms| rounded(ms, 3));
        let arguments = [
            measured.target.index_name.to_string().into(),
            Oid::from(measured.target.index).into(),
            measured.target.table_name.to_string().into(),
            (request.k as i32).into(),
            number(setting.ef_search).into(),
            number(setting.probes).into(),
            setting.iterative_scan.map(|scan| scan.name()).into(),
            number(setting.most_scanned).into(),
            number(setting.rerank).into(),
            request.filter.into(),
            request.queries.into(),
            search_path.as_ref().into(),
            (request.sample as i32).into(),
            (request.seed as i32).into(),
            source.name().into(),
            (measured.queries as i32).into(),
            recall.mean.into(),
            recall.low.into(),
            recall.high.into(),
            recalls.clone().into(),
            measured.query_hash.into(),
            mean(pages).map(|pages| rounded(pages, 1)).into(),
            median(ms).into(),
            median(&measured.exact.ms).into(),
            rows(measured.target.index).into(),
        ];
        db::write(SAVE, include_str!("../../../sql/settings/save_vector_baseline.sql"), &arguments);
    }
}

/// Of the index's table, estimated as for advice. None: the index is gone, or nothing is known.
pub fn rows(index: u32) -> Option<f64> {
    let sql = "select t.reltuples::float8, t.relpages::float8,
                      pg_catalog.pg_relation_size(t.oid) / pg_catalog.current_setting('block_size')::float8,
                      pg_catalog.pg_stat_get_live_tuples(t.oid)::float8
               from pg_catalog.pg_index i join pg_catalog.pg_class t on t.oid = i.indrelid where i.indexrelid = $1";
    let numbers = db::read(sql, &[Oid::from(index).into()], |row| {
        let mut next = || row.take_option::<f64>();
        Some((next()?, next()?, next()?, next()?))
    });
    let (counted, pages_then, pages, live) = numbers.into_iter().next().flatten()?;
    (counted >= 0.0 || live > 0.0).then(|| catalog::rows(counted, pages_then, pages, live).round())
}

/// Of one index, or all.
pub fn read(index: Option<u32>) -> Vec<Baseline> {
    let sql = include_str!("../../../sql/facts/vector/baselines.sql");
    db::read(sql, &[index.map(Oid::from).into()], |row| {
        let number = |number: Option<i32>| number.map(|number| number as u32);
        Baseline {
            index_name: row.take(),
            index_file: row.take::<Oid>().to_u32(),
            definition: row.take(),
            k: row.take(),
            setting: Setting {
                ef_search: number(row.take_option()),
                probes: number(row.take_option()),
                iterative_scan: row
                    .take_option::<String>()
                    .and_then(|name| super::run::IterativeScan::from_name(&name)),
                most_scanned: number(row.take_option()),
                rerank: number(row.take_option()),
            },
            filter: row.take_option(),
            query_text: row.take_option(),
            search_path: row.take(),
            sample: row.take(),
            seed: row.take(),
            source: row.take(),
            recall: row.take(),
            interval: (row.take(), row.take()),
            recalls: row.take(),
            query_hash: row.take(),
            pages: row.take(),
            latency_p50_ms: row.take(),
            rows: row.take_option(),
            saved_at: row.take(),
            now: {
                let (oid, name, file) = (row.take_option::<Oid>(), row.take_option(), row.take_option::<Oid>());
                oid.zip(name).map(|(oid, name)| Index { oid: oid.to_u32(), name, file: file.map_or(0, Oid::to_u32) })
            },
        }
    })
}

impl Baseline {
    /// What has become of the index.
    pub fn fate(&self) -> Option<String> {
        let Some(now) = &self.now else { return Some("the index is gone".to_string()) };
        let sql = "select pg_catalog.pg_get_indexdef($1)";
        let definition = db::read(sql, &[Oid::from(now.oid).into()], |row| row.take_option::<String>()).pop().flatten();
        let renamed = (now.name != self.index_name).then(|| format!("the index is now {}", now.name));
        let changed = (renamed.is_none() && definition.as_ref() != Some(&self.definition))
            .then(|| format!("its definition was: {}", self.definition));
        let built = (now.file != self.index_file).then(|| "the index was built again since".to_string());
        let all: Vec<String> = [renamed, changed, built].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Where the query vectors of a new measurement come from is not where those of the baseline came from.
pub fn other_source(baseline: &Baseline, source: Option<Source>) -> Option<String> {
    let now = source?.name();
    (now != baseline.source).then(|| format!("the baseline's query vectors were {}", baseline.source))
}
