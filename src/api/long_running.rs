//! `dbre.long_running()`, behind the view of that name.

use crate::advice::long_running::{Running, running};
use crate::db;
use crate::facts::activity::Activity;
use crate::units::thousandths;
use pgrx::prelude::*;

/// What runs for less is not shown.
const MIN_SECONDS: f64 = 1.0;

/// What has run for more than a second, longest first: statements and transactions of clients, maintenance with its progress,
/// base backups, prepared transactions. Of those that the caller may not look at: that they are in a transaction.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of what runs")]
pub fn long_running() -> TableIterator<
    'static,
    (
        name!(pid, Option<i32>),
        name!(kind, &'static str),
        name!(state, Option<&'static str>),
        name!(database, Option<String>),
        name!(user_name, Option<String>),
        name!(application_name, Option<String>),
        name!(client_address, Option<String>),
        name!(statement_seconds, Option<f64>),
        name!(transaction_seconds, Option<f64>),
        name!(wait_event, Option<String>),
        name!(blocked, bool),
        name!(progress, Option<String>),
        name!(progress_percent, Option<f64>),
        name!(parallel_workers, i32),
        name!(snapshot_age, Option<i64>),
        name!(holds_back_vacuum, bool),
        name!(writes, bool),
        name!(query, Option<String>),
        name!(query_id, Option<i64>),
        name!(usual_ms, Option<f64>),
        name!(longest_ms, Option<f64>),
        name!(end_sql, Option<String>),
    ),
> {
    let activity = db::with_settings(&[db::LIVE_PATIENCE], Activity::of_running);
    let rows: Vec<_> = running(&activity, MIN_SECONDS).into_iter().map(row).collect();
    TableIterator::new(rows)
}

#[allow(clippy::type_complexity, reason = "the columns of what runs")]
fn row(
    running: Running,
) -> (
    Option<i32>,
    &'static str,
    Option<&'static str>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<f64>,
    Option<f64>,
    Option<String>,
    bool,
    Option<String>,
    Option<f64>,
    i32,
    Option<i64>,
    bool,
    bool,
    Option<String>,
    Option<i64>,
    Option<f64>,
    Option<f64>,
    Option<String>,
) {
    let session = running.session;
    let prepared = running.prepared;
    let wait = session.and_then(|session| session.wait.as_ref());
    (
        session.map(|session| session.pid),
        running.kind.name(),
        session.and_then(|session| session.state).map(|state| state.name()),
        session.map_or_else(
            || prepared.and_then(|prepared| prepared.database.clone()),
            |session| session.database.clone(),
        ),
        session.map_or_else(|| prepared.map(|prepared| prepared.owner.clone()), |session| session.role.clone()),
        session.map(|session| session.application.clone()),
        session.and_then(|session| session.client_address.clone()),
        running.statement_seconds.map(thousandths),
        running.transaction_seconds.map(thousandths),
        wait.map(|wait| format!("{}: {}", wait.kind, wait.event)),
        running.blocked,
        running.progress.map(|progress| progress.text()),
        running.progress.and_then(|progress| progress.percent()).map(|percent| (percent * 10.0).round() / 10.0),
        running.workers as i32,
        running.age(),
        running.holds_back,
        running.writes(),
        session.map_or_else(
            || prepared.map(|prepared| format!("prepared as {}", prepared.gid)),
            |session| session.query.clone(),
        ),
        session.and_then(|session| session.query_id),
        running.usual.map(|usual| thousandths(usual.mean_ms)),
        running.usual.map(|usual| thousandths(usual.most_ms)),
        running.ending.map(|ending| ending.sql),
    )
}
