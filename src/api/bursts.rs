//! `dbre.n_plus_one_bursts()`, behind the view of that name, and `dbre.reset_n_plus_one_bursts()`.

use crate::facts::{bursts, why_bursts_are_not_recorded};
use crate::measure;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::Value;

/// Statements that clients repeated, as the hook has seen them in this database. Empty where pg_dbre is not preloaded.
///
/// One row for a statement with its parent, its role and application_name. Figures of a burst that goes on may lack its last
/// 100 ms, those of one over several connections its last `dbre.n_plus_one_window`. `total_ms` is exact where the executor is
/// timed (pg_stat_statements has it do so). The queries of DECLARE CURSOR have no id, and are not seen; the extended protocol's
/// last portal before a ROLLBACK is not counted. Of the last burst: `distinct_parameters`, an estimate, `in_transaction` and `tags`.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a burst")]
pub fn n_plus_one_bursts() -> TableIterator<
    'static,
    (
        name!(query_id, Option<i64>),
        name!(query, Option<String>),
        name!(parent_query_id, Option<i64>),
        name!(parent_query, Option<String>),
        name!(times_per_burst, f64),
        name!(most_times, i64),
        name!(bursts, i64),
        name!(executions, i64),
        name!(total_ms, f64),
        name!(rows, i64),
        name!(parent_rows, i64),
        name!(distinct_parameters, i64),
        name!(application_name, String),
        name!(role, String),
        name!(tags, Option<JsonB>),
        name!(in_transaction, bool),
        name!(connections, i32),
        name!(last_seen, TimestampWithTimeZone),
    ),
> {
    let mut bursts = bursts();
    bursts.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    TableIterator::new(bursts.into_iter().map(|burst| {
        // As pg_stat_statements has it: who may not see a text does not see its id.
        let visible = burst.text.is_some();
        (
            visible.then_some(burst.query_id),
            burst.text.clone(),
            burst.parent_query_id.filter(|_| visible),
            burst.parent_text.clone(),
            (burst.executions_per_burst() * 10.0).round() / 10.0,
            burst.most_executions as i64,
            burst.bursts as i64,
            burst.executions as i64,
            burst.total_ms,
            burst.rows as i64,
            burst.parent_rows as i64,
            burst.distinct_parameters.round() as i64,
            burst.application_name,
            burst.role_name,
            (!burst.tags.is_empty()).then_some(JsonB(Value::Object(burst.tags))),
            burst.in_transaction,
            burst.connections as i32,
            shown(burst.last_seen),
        )
    }))
}

/// Microseconds as the server counts them.
fn shown(time: i64) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(time).expect("a time that the server's clock has shown")
}

/// Whether sessions that begin now are watched for bursts, if not why, and how many rows of dbre.n_plus_one_bursts have made
/// room for others since the server started, in all databases.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
pub fn n_plus_one_recording()
-> TableIterator<'static, (name!(recording, bool), name!(reason, Option<&'static str>), name!(evicted, i64))> {
    let reason = why_bursts_are_not_recorded();
    let evicted = if reason.is_none() { measure::bursts::evicted() } else { 0 };
    TableIterator::once((reason.is_none(), reason, evicted as i64))
}

/// Forgets the bursts that were seen in this database; returns how many rows of dbre.n_plus_one_bursts that were.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
pub fn reset_n_plus_one_bursts() -> i64 {
    measure::bursts::reset() as i64
}
