//! `dbre.pool_sizing()`.

use super::arguments::{choice, within};
use crate::advice::pool_sizing::{Input, Pooling, Request, Row, Server, size};
use crate::db::{self, raise};
use crate::facts::Database;
use crate::facts::activity::{Activity, Concurrency, Recorded, SizedRole, sized_role};
use pgrx::AnyNumeric;
use pgrx::prelude::*;

const POOL_MODES: [(&str, Pooling); 2] = [("transaction", Pooling::Transaction), ("session", Pooling::Session)];
const MOST_PROCESSES: i32 = 10_000;
const MOST_AT_ONCE: i32 = 1000;
const MOST_CORES: i32 = 10_000;

/// Sizes of connection pools for an application: what it asks for, reconciled with what the server has and what was measured, and
/// as texts to paste into SQLAlchemy, PgBouncer and psql.
///
/// `api_workers` and `background_workers` are processes of one instance, `queries_per_request` the connections that one request
/// holds at the same time, `deploy_overlap` how many times the instances run while a version is rolled out.
/// `target_role`: whom the application connects as; by default the one with most sessions in this database. `pgbouncer`: whether
/// there is one; by default where it does not fit without. `pool_mode` of it: by default what the role's statements allow. Every row says what its number rests on.
#[pg_extern(sql = r#"
create function pool_sizing(
    api_workers int,
    queries_per_request numeric,
    background_workers int,
    instances int default 1,
    deploy_overlap numeric default 2,
    concurrent_requests_per_worker int default 1,
    target_role text default null,
    pgbouncer boolean default null,
    pool_mode text default null,
    cores int default null,
    target_utilization numeric default 0.8
)
returns table (
    step int,
    part text,
    name text,
    value numeric,
    unit text,
    basis text,
    rests_on text,
    fix_sql text,
    rollback_sql text,
    risk text,
    config text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#)]
#[allow(clippy::type_complexity, clippy::too_many_arguments, reason = "the columns of the result")]
pub fn pool_sizing(
    api_workers: Option<i32>,
    queries_per_request: Option<AnyNumeric>,
    background_workers: Option<i32>,
    instances: Option<i32>,
    deploy_overlap: Option<AnyNumeric>,
    concurrent_requests_per_worker: Option<i32>,
    target_role: Option<&str>,
    pgbouncer: Option<bool>,
    pool_mode: Option<&str>,
    cores: Option<i32>,
    target_utilization: Option<AnyNumeric>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(part, &'static str),
        name!(name, &'static str),
        name!(value, Option<AnyNumeric>),
        name!(unit, Option<&'static str>),
        name!(basis, &'static str),
        name!(rests_on, String),
        name!(fix_sql, Option<String>),
        name!(rollback_sql, Option<String>),
        name!(risk, Option<&'static str>),
        name!(config, Option<String>),
    ),
> {
    let request = Request {
        api_workers: within("api_workers", api_workers, 0, MOST_PROCESSES) as u64,
        queries_per_request: within("queries_per_request", queries_per_request.map(float), 0.01, 100.0),
        background_workers: within("background_workers", background_workers, 0, MOST_PROCESSES) as u64,
        instances: within("instances", instances, 1, MOST_PROCESSES) as u64,
        deploy_overlap: within("deploy_overlap", deploy_overlap.map(float), 1.0, 10.0),
        requests_per_worker: within("concurrent_requests_per_worker", concurrent_requests_per_worker, 1, MOST_AT_ONCE)
            as u64,
        pgbouncer,
        pool_mode: pool_mode.map(|mode| *choice("pool_mode", Some(mode), &POOL_MODES)),
        target_utilization: within("target_utilization", target_utilization.map(float), 0.1, 1.0),
    };
    if request.pool_mode.is_some() && request.pgbouncer == Some(false) {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument pool_mode is given, and argument pgbouncer is false",
            "pool_mode is that of PgBouncer: leave one of them out.",
        )
    }
    if request.api_workers + request.background_workers == 0 {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "arguments api_workers and background_workers are both 0",
            "One of them is at least 1.",
        )
    }
    let cores = cores.map(|cores| within("cores", Some(cores), 1, MOST_CORES) as u64);
    let activity = Activity::read(None, Recorded::Peaks);
    let (role, role_chosen) = role(target_role, &activity);
    let concurrency = Concurrency::read(&Database::read(), role.oid);
    let rows = size(&Input {
        request,
        server: server(cores, &activity),
        role_identifier: db::quote_identifier(&role.name),
        database_identifier: db::quote_identifier(&role.database),
        role,
        role_chosen,
        activity: &activity,
        concurrency: &concurrency,
        check: db::check_for_interrupts,
    });
    TableIterator::new(rows.into_iter().zip(1..).map(row).collect::<Vec<_>>())
}

fn float(number: AnyNumeric) -> f64 {
    f64::try_from(number).unwrap_or(f64::NAN)
}

/// The role, and why it is this one where the caller did not say.
fn role(given: Option<&str>, activity: &Activity) -> (SizedRole, Option<String>) {
    if let Some(name) = given {
        return match SizedRole::named(name) {
            Some(role) => (role, None),
            None => raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("argument target_role: role {name:?} does not exist"),
                "Write the name as pg_roles has it, not quoted; leave it out for the role with most sessions in this database.",
            ),
        };
    }
    let mut roles = activity.roles_by_sessions(sized_role::this_database()).into_iter();
    if let Some((role, sessions)) = roles.find_map(|(role, sessions)| Some((SizedRole::read(role)?, sessions))) {
        return (role, Some(format!("most sessions in this database are its: {sessions}")));
    }
    match SizedRole::read(sized_role::session_role()) {
        Some(role) => {
            let why = "nobody else is connected to this database, so it is the role of this session";
            (role, Some(why.to_string()))
        }
        None => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "nobody else is connected to this database, and the role of this session does not exist any more",
            "Name the role of the application: argument target_role.",
        ),
    }
}

fn server(cores: Option<u64>, activity: &Activity) -> Server {
    let setting = |name| db::setting(name).unwrap_or_default();
    let sql = "select pg_catalog.host(pg_catalog.inet_server_addr())";
    Server {
        cores: cores.unwrap_or(activity.cores),
        cores_are_given: cores.is_some(),
        track_io_timing: setting("track_io_timing") == "on",
        work_mem: db::read("select pg_catalog.current_setting('work_mem')", &[], |row| row.take())
            .pop()
            .expect("one row"),
        address: db::read(sql, &[], |row| row.take_option::<String>()).pop().flatten(),
        port: setting("port"),
    }
}

#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn row(
    (row, step): (Row, i32),
) -> (
    i32,
    &'static str,
    &'static str,
    Option<AnyNumeric>,
    Option<&'static str>,
    &'static str,
    String,
    Option<String>,
    Option<String>,
    Option<&'static str>,
    Option<String>,
) {
    let value = row.value.and_then(|value| AnyNumeric::try_from(value).ok());
    let (fix, rollback, risk) = match row.statements {
        Some(statements) => (Some(statements.fix), Some(statements.rollback), Some(statements.risk)),
        None => (None, None, None),
    };
    (step, row.part.name(), row.name, value, row.unit, row.basis.name(), row.rests_on, fix, rollback, risk, row.text)
}
