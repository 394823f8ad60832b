//! `dbre.migration_round_trip()`.

use super::arguments::{self, duration, required};
use super::migration::MIGRATION;
use super::migration_dry_run::{ask_first, refuse_nothing, refuse_read_only};
use crate::facts::migration::text;
use crate::measure::migration::dry_run::Options;
use crate::measure::migration::round_trip::round_trip;
use pgrx::datum::Interval;
use pgrx::prelude::*;

/// Runs a migration up, down and up again, and takes it back: what down leaves or does not bring back, and what up does not
/// do a second time. No row: nothing. Catalogs are compared, whatever the order of columns; rows of tables are not.
///
/// As of migration_dry_run(); CREATE INDEX CONCURRENTLY is done without CONCURRENTLY, however large the table is.
#[pg_extern(
    volatile,
    sql = r#"
create function migration_round_trip(
    up text,
    down text,
    confirm boolean default false,
    lock_timeout interval default '1 s',
    time_limit interval default '30 s',
    one_transaction boolean default null,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    fault text,
    script text,
    step int,
    line int,
    kind text,
    object text,
    expected text,
    found text,
    message text
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "options with defaults, the columns of a problem"
)]
pub fn migration_round_trip(
    up: Option<&str>,
    down: Option<&str>,
    confirm: Option<bool>,
    lock_timeout: Option<Interval>,
    time_limit: Option<Interval>,
    one_transaction: Option<bool>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(fault, &'static str),
        name!(script, &'static str),
        name!(step, Option<i32>),
        name!(line, Option<i32>),
        name!(kind, Option<String>),
        name!(object, Option<String>),
        name!(expected, Option<String>),
        name!(found, Option<String>),
        name!(message, String),
    ),
> {
    let (up, down) = (required("up", up, MIGRATION), required("down", down, MIGRATION));
    let search_path = arguments::search_path(search_path);
    let options = Options {
        lock_timeout: duration("lock_timeout", lock_timeout),
        time_limit: duration("time_limit", time_limit),
        search_path: &search_path,
        build_in_place: true,
    };
    let confirmed = required("confirm", confirm, "Pass true to run the migration, and take it back.");
    refuse_read_only(c"dbre.migration_round_trip()");
    let (read_up, read_down) = (text::read(up), text::read(down));
    refuse_nothing("up", &read_up);
    if !confirmed {
        ask_first("dbre.migration_round_trip()", &[up, down], &options, one_transaction);
    }
    let problems = round_trip(&read_up, &read_down, one_transaction, &options);
    TableIterator::new(problems.into_iter().map(|problem| {
        let (kind, object) = problem.object.map(|object| (object.kind, object.name)).unzip();
        (
            problem.fault.name(),
            problem.script,
            problem.step.map(|step| step as i32),
            problem.line.map(|line| line as i32),
            kind,
            object,
            problem.expected,
            problem.found,
            problem.message,
        )
    }))
}
