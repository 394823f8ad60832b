//! `dbre.pgbouncer_pressure()`.

use super::{advice, arguments};
use crate::db::{LIVE_PATIENCE, with_settings};
use crate::engine;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Recorded};
use crate::facts::pgbouncer::{Pgbouncer, Pool};
use crate::finding::{object, severity};
use crate::measure;
use crate::rule::Need;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::Value;

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
    Option<&'static str>,
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
);

/// What a PgBouncer says of itself: first the findings, most urgent first; then a row for each of its pools without rule and
/// severity, those with most clients waiting first. pool_size null: unlimited; the avg_ columns are means of the pool's database in
/// PgBouncer's last stats_period.
///
/// `pgbouncer` is a foreign server for which the caller has a user mapping, or a connection string, that leads to PgBouncer's
/// console (dbname=pgbouncer). The extension dblink does the asking. A password in a connection string is part of the statement,
/// which pg_stat_activity shows and the server logs where the call fails (log_min_error_statement): a foreign server keeps it out.
#[pg_extern(
    volatile,
    sql = r#"
create function pgbouncer_pressure(pgbouncer text, time_limit interval default '5 s')
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
    pool_mode text,
    cl_active bigint,
    cl_waiting bigint,
    sv_active bigint,
    sv_idle bigint,
    sv_used bigint,
    pool_size bigint,
    maxwait_seconds float8,
    avg_wait_ms float8,
    avg_xact_ms float8,
    avg_query_ms float8
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of a finding and of a pool")]
pub fn pgbouncer_pressure(
    pgbouncer: Option<&str>,
    time_limit: Option<Interval>,
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
        name!(pool_mode, Option<&'static str>),
        name!(cl_active, Option<i64>),
        name!(cl_waiting, Option<i64>),
        name!(sv_active, Option<i64>),
        name!(sv_idle, Option<i64>),
        name!(sv_used, Option<i64>),
        name!(pool_size, Option<i64>),
        name!(maxwait_seconds, Option<f64>),
        name!(avg_wait_ms, Option<f64>),
        name!(avg_xact_ms, Option<f64>),
        name!(avg_query_ms, Option<f64>),
    ),
> {
    TableIterator::new(with_settings(&[LIVE_PATIENCE], || rows(pgbouncer, time_limit)))
}

fn rows(pgbouncer: Option<&str>, time_limit: Option<Interval>) -> Vec<Row> {
    let time_limit = arguments::duration("time_limit", time_limit);
    let pgbouncer = measure::pgbouncer::ask(named(pgbouncer), time_limit);
    let mut facts = Facts::of_this_moment(Activity::read(None, Recorded::Open));
    facts.set_pgbouncer(pgbouncer);
    let given = [Need::Activity, Need::Pgbouncer];
    let run = engine::judge_activity_by(&given, facts, |rule| rule.needs.contains(&Need::Pgbouncer));
    super::check::refuse_total_failure(&run);
    let pgbouncer = run.facts.pgbouncer();
    let mut pools: Vec<&Pool> = pgbouncer.pools.iter().collect();
    pools.sort_by(|a, b| {
        (b.clients_waiting, b.clients_active, a.name()).cmp(&(a.clients_waiting, a.clients_active, b.name()))
    });
    let of_pools: Vec<Row> = pools.into_iter().map(|pool| of_pool(pool, pgbouncer)).collect();
    let of_findings = advice::rows(run).into_iter().map(of_finding);
    let mut rows: Vec<Row> = of_findings.chain(of_pools).collect();
    rows.iter_mut().zip(1..).for_each(|(row, step)| row.0 = step);
    rows
}

/// The argument `pgbouncer`, which says something.
pub fn named(pgbouncer: Option<&str>) -> &str {
    let given = arguments::required("pgbouncer", pgbouncer, measure::pgbouncer::HINT);
    if given.trim().is_empty() {
        crate::db::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument pgbouncer is empty",
            measure::pgbouncer::HINT,
        )
    }
    given
}

fn of_finding(finding: advice::Row) -> Row {
    advice::finding_and!(finding, None, None, None, None, None, None, None, None, None, None, None, None, None)
}

fn of_pool(pool: &Pool, pgbouncer: &Pgbouncer) -> Row {
    let count = |count: u64| Some(count as i64);
    let load = pgbouncer.load(&pool.database);
    (
        0,
        None,
        None,
        None,
        "pool",
        pool.name(),
        pool.summary(),
        None,
        JsonB(Value::Object(object! {
            "pgbouncer_version": pgbouncer.version,
            "reserve_pool_size": pool.reserve,
            "servers": pool.servers(),
            "database_transactions_per_second": load.map(|load| load.transactions_per_second),
            "database_queries_per_second": load.map(|load| load.queries_per_second),
        })),
        None,
        None,
        None,
        None,
        None,
        None,
        Some(pool.database.clone()),
        Some(pool.user.clone()),
        Some(pool.mode.name()),
        count(pool.clients_active),
        count(pool.clients_waiting),
        count(pool.servers_active),
        count(pool.servers_idle),
        count(pool.servers_used),
        count(pool.size).filter(|size| *size > 0),
        Some(pool.longest_wait_seconds),
        load.map(|load| load.wait_ms),
        load.map(|load| load.transaction_ms),
        load.map(|load| load.query_ms),
    )
}
