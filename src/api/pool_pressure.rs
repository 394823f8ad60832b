//! `dbre.pool_pressure()`.

use super::arguments::existing_database;
use super::{advice, pgbouncer_pressure};
use crate::advice::pools::{ACTIVE, Pool, longest, pools};
use crate::db::{Caught, LIVE_PATIENCE, guarded, with_settings};
use crate::engine;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Recorded, Session, State};
use crate::finding::{object, severity};
use crate::measure;
use crate::rule::Need;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// So long a PgBouncer may take to answer.
const PGBOUNCER_PATIENCE: Duration = Duration::from_secs(2);

type Row = (
    i32,
    Option<String>,
    Option<&'static str>,
    Option<severity>,
    &'static str,
    String,
    String,
    Option<String>,
    JsonB,
    Option<JsonB>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<JsonB>,
);

/// Why connections are exhausted and what to do now: first the findings about the sessions of this moment, most urgent first; then
/// a row for each pool (sessions of one database, role, application_name and client address) without rule and severity, largest
/// first.
///
/// `target_database` keeps to the sessions of one database; null: all of the server. `pgbouncer` is what dbre.pgbouncer_pressure()
/// takes: findings on that PgBouncer come with the others. Waits for no lock for longer than a moment; what could not be read is a
/// finding.
#[pg_extern(
    volatile,
    sql = r#"
create function pool_pressure(target_database text default null, pgbouncer text default null)
returns table (
    step int,
    fingerprint text,
    rule text,
    severity severity,
    category text,
    object text,
    summary text,
    cause text,
    evidence jsonb,
    impact jsonb,
    fix_sql text,
    app_fix text,
    risk text,
    rollback_sql text,
    verify_sql text,
    database text,
    user_name text,
    application_name text,
    client_address text,
    connections bigint,
    active bigint,
    idle bigint,
    idle_in_transaction bigint,
    aborted bigint,
    waiting bigint,
    oldest_connection_seconds float8,
    oldest_active_seconds float8,
    oldest_idle_seconds float8,
    oldest_idle_in_transaction_seconds float8,
    oldest_waiting_seconds float8,
    slots_share float8,
    wait_events jsonb
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of a finding and of a pool")]
pub fn pool_pressure(
    target_database: Option<&str>,
    pgbouncer: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(fingerprint, Option<String>),
        name!(rule, Option<&'static str>),
        name!(severity, Option<severity>),
        name!(category, &'static str),
        name!(object, String),
        name!(summary, String),
        name!(cause, Option<String>),
        name!(evidence, JsonB),
        name!(impact, Option<JsonB>),
        name!(fix_sql, Option<String>),
        name!(app_fix, Option<String>),
        name!(risk, Option<String>),
        name!(rollback_sql, Option<String>),
        name!(verify_sql, Option<String>),
        name!(database, Option<String>),
        name!(user_name, Option<String>),
        name!(application_name, Option<String>),
        name!(client_address, Option<String>),
        name!(connections, Option<i64>),
        name!(active, Option<i64>),
        name!(idle, Option<i64>),
        name!(idle_in_transaction, Option<i64>),
        name!(aborted, Option<i64>),
        name!(waiting, Option<i64>),
        name!(oldest_connection_seconds, Option<f64>),
        name!(oldest_active_seconds, Option<f64>),
        name!(oldest_idle_seconds, Option<f64>),
        name!(oldest_idle_in_transaction_seconds, Option<f64>),
        name!(oldest_waiting_seconds, Option<f64>),
        name!(slots_share, Option<f64>),
        name!(wait_events, Option<JsonB>),
    ),
> {
    TableIterator::new(with_settings(&[LIVE_PATIENCE], || rows(target_database, pgbouncer)))
}

fn rows(target_database: Option<&str>, pgbouncer: Option<&str>) -> Vec<Row> {
    let activity = Activity::read(target_database.map(str::to_string), Recorded::Open);
    if let Some(name) = target_database {
        existing_database(name, &activity.slots);
    }
    let mut facts = Facts::of_this_moment(activity);
    let mut given = vec![Need::Activity];
    if let Some(name) = pgbouncer.map(|name| pgbouncer_pressure::named(Some(name))) {
        // When it does not answer, the server's own sessions are wanted all the more.
        match guarded(|| measure::pgbouncer::ask(name, PGBOUNCER_PATIENCE)) {
            Ok(pgbouncer) => {
                facts.set_pgbouncer(pgbouncer);
                given.push(Need::Pgbouncer);
            }
            Err(caught) => facts.activity_mut().left_out.push(unanswered(&caught)),
        }
    }
    let run = engine::judge_activity(&given, facts);
    super::check::refuse_total_failure(&run);
    let activity = run.facts.activity();
    let slots = activity.slots.ordinary();
    let waited = activity.locks.waited();
    let of_pools: Vec<Row> = pools(activity).iter().map(|pool| of_pool(pool, slots, &waited)).collect();
    let of_findings = advice::rows(run).into_iter().map(of_finding);
    let mut rows: Vec<Row> = of_findings.chain(of_pools).collect();
    rows.iter_mut().zip(1..).for_each(|(row, step)| row.0 = step);
    rows
}

fn unanswered(caught: &Caught) -> String {
    let hint = caught.hint.as_ref().or(caught.detail.as_ref()).map_or(String::new(), |more| format!(" ({more})"));
    format!("PgBouncer: {}{hint}", caught.message)
}

fn of_finding(finding: advice::Row) -> Row {
    advice::finding_and!(
        finding, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None
    )
}

fn of_pool(pool: &Pool, slots: u64, waited: &HashMap<i32, f64>) -> Row {
    let known = pool.unknown() == 0;
    let count = |states: &[State]| known.then(|| pool.count(states) as i64);
    let oldest = |states: &[State], age: fn(&Session) -> Option<f64>| {
        known.then(|| longest(pool.in_state(states), age)).flatten()
    };
    let visible = !pool.sessions.iter().any(|session| session.hidden);
    let in_transaction = [State::IdleInTransaction, State::Aborted];
    let first = pool.first();
    (
        0,
        None,
        None,
        None,
        "pool",
        pool.name(),
        pool.summary(),
        None,
        JsonB(Value::Object(object! { "unknown": pool.unknown(), "slots_of_ordinary_users": slots })),
        None,
        None,
        None,
        None,
        None,
        None,
        first.database.clone(),
        first.role.clone(),
        Some(first.application.clone()),
        first.client_address.clone(),
        Some(pool.connections() as i64),
        count(&ACTIVE),
        count(&[State::Idle]),
        count(&[State::IdleInTransaction]),
        count(&[State::Aborted]),
        visible.then(|| pool.waiting().count() as i64),
        longest(pool.sessions.iter().copied(), |session| session.backend_seconds),
        oldest(&ACTIVE, |session| session.query_seconds),
        oldest(&[State::Idle], |session| session.state_seconds),
        oldest(&in_transaction, |session| session.state_seconds),
        longest(pool.waiting(), |session| waited.get(&session.pid).copied()),
        (slots > 0).then(|| pool.connections() as f64 / slots as f64),
        visible.then(|| JsonB(Value::Object(pool.wait_events()))),
    )
}
