//! An index after it was built: does the planner take it, and did the times fall?

use super::source::{self, Sourced};
use super::{Origin, Parameters, Request, Weight};
use crate::advice::index_selection::Options;
use crate::db::{self, as_role, guarded};
use crate::facts::{Catalog, Database, Index, Table};
use crate::measure::what_if::WhatIf;
use std::collections::HashMap;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// What became of one query.
pub struct Validated {
    pub query_id: Option<i64>,
    pub text: String,
    pub calls: f64,
    /// In the plan.
    pub used: bool,
    pub cost_with: f64,
    pub cost_without: f64,
    /// When advice last saw it; None: no snapshot has it.
    pub mean_ms_before: Option<f64>,
    pub calls_since: Option<f64>,
    pub mean_ms_since: Option<f64>,
}

const QUERIES: u32 = 1000;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The queries that read the index's table, those that it helps most first.
pub fn validate(
    origin: Origin,
    search_path: &CStr,
    database: &Database,
    catalog: &Catalog,
    (table, index): (&Table, &Index),
) -> Vec<Validated> {
    let request = Request {
        origin,
        weigh_by: Weight::Calls,
        parameters: Parameters::Sampled,
        max_queries: QUERIES,
        time_limit: TIME_LIMIT,
        options: Options::default(),
        search_path,
    };
    let Sourced { queries, .. } = source::read(&request, database, Instant::now() + TIME_LIMIT);
    let seen: HashMap<i64, (f64, f64)> = db::read(include_str!("../../../sql/facts/advised_queries.sql"), &[], |row| {
        (row.take::<i64>(), (row.take::<f64>(), row.take::<f64>()))
    })
    .into_iter()
    .collect();
    let mut parts: Vec<u32> = catalog.parts(table, index).iter().map(|part| part.oid).chain([index.oid]).collect();
    parts.sort_unstable();
    // A query names a table, a partition of it, or a table that it is a partition of.
    let above = std::iter::successors(table.parent, |oid| catalog.known(*oid)?.parent);
    let tables: Vec<u32> = catalog.leaves(table).iter().map(|leaf| leaf.oid).chain([table.oid]).chain(above).collect();
    let planner = WhatIf::new();
    let mut validated = Vec::new();
    for query in queries {
        db::check_for_interrupts();
        if !query.shape.references.iter().any(|reference| tables.contains(&reference.table)) {
            continue;
        }
        let plan = |hidden: &[u32]| {
            guarded(|| {
                as_role(query.role, &query.search_path, || planner.plan(&query.query, query.values, &[], hidden))
            })
        };
        let (Ok(with), Ok(without)) = (plan(&[]), plan(&parts)) else { continue };
        let before = query.query_id.and_then(|id| seen.get(&id)).copied();
        let since = before.zip(query.mean_ms).filter(|((calls, _), _)| query.calls > *calls);
        validated.push(Validated {
            query_id: query.query_id,
            calls: query.calls,
            used: with.existing.iter().any(|used| parts.contains(used)),
            cost_with: with.cost,
            cost_without: without.cost,
            mean_ms_before: before.map(|(_, mean_ms)| mean_ms),
            calls_since: before.map(|(calls, _)| (query.calls - calls).max(0.0)),
            mean_ms_since: since.map(|((calls, mean_ms), now)| {
                ((now * query.calls - mean_ms * calls) / (query.calls - calls)).max(0.0)
            }),
            text: query.text,
        });
    }
    let gain = |query: &Validated| (query.cost_without - query.cost_with) * query.calls;
    validated.sort_by(|a, b| b.used.cmp(&a.used).then(gain(b).total_cmp(&gain(a))).then(a.text.cmp(&b.text)));
    validated
}
