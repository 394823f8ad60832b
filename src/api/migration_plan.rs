//! `dbre.migration_plan()`.

use super::arguments::{self, choice};
use super::migration::read;
use crate::advice::migration_plan::retries::Patience;
use crate::advice::migration_plan::revision::{self, Reverse};
use crate::advice::migration_plan::script;
use crate::facts::migration::Phase;
use crate::measure::rollback::rollback;
use pgrx::datum::Interval;
use pgrx::prelude::*;

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Sql,
    Alembic,
}

const FORMATS: [(&str, Format); 2] = [("sql", Format::Sql), ("alembic", Format::Alembic)];

/// A migration the safe way: each row can be run as it stands, in order; nothing is executed.
///
/// `format` is `sql` or `alembic`: then `statement` holds operations, and the last row the whole revision below its identifiers.
/// From `many_rows` on, rows are updated and deleted in batches. A strong lock is waited for as long as `lock_timeout`, then again
/// up to `lock_retries` times; with 0 the statement fails instead, and is printed as it is.
#[pg_extern(
    stable,
    sql = r#"
create function migration_plan(
    sql text,
    format text default 'sql',
    one_transaction boolean default null,
    many_rows bigint default 100000,
    lock_timeout interval default '2 s',
    lock_retries integer default 60,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    phase text,
    step int,
    statement text,
    in_transaction boolean,
    lock text,
    why text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, clippy::too_many_arguments, reason = "options with defaults, the columns of a plan")]
pub fn migration_plan(
    sql: Option<&str>,
    format: Option<&str>,
    one_transaction: Option<bool>,
    many_rows: Option<i64>,
    lock_timeout: Option<Interval>,
    lock_retries: Option<i32>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(phase, &'static str),
        name!(step, Option<i32>),
        name!(statement, String),
        name!(in_transaction, bool),
        name!(lock, Option<String>),
        name!(why, String),
    ),
> {
    let format = *choice("format", format, &FORMATS);
    let migration = read(sql, one_transaction, many_rows, Some("1 TB"), search_path);
    let patience = Patience {
        lock_timeout: arguments::duration("lock_timeout", lock_timeout),
        retries: arguments::within("lock_retries", lock_retries, 0, 10_000),
    };
    let rows = script::rows(&migration, &patience);
    let whole = (format == Format::Alembic).then(|| {
        let why = "The whole revision, with what dbre.migration_rollback() says as downgrade(): put it below its identifiers.";
        ("revision", None, revision::body(&rows, &reverse(sql, search_path), &patience), false, None, why.to_string())
    });
    let shown = rows.into_iter().filter_map(move |row| {
        let statement = match format {
            Format::Sql => row.sql,
            Format::Alembic => revision::operations(&row),
        };
        let lock = row.lock.map(|(mode, on)| format!("{} on {on}", mode.sql()));
        let phase: Phase = row.phase;
        (!statement.is_empty())
            .then(|| (phase.name(), row.step.map(|step| step as i32), statement, row.in_transaction, lock, row.why))
    });
    TableIterator::new(shown.chain(whole).collect::<Vec<_>>())
}

fn reverse(sql: Option<&str>, search_path: Option<&str>) -> Vec<Reverse> {
    let undone = rollback(sql.unwrap_or_default(), &arguments::search_path(search_path));
    undone.into_iter().map(|undo| Reverse { sql: undo.sql, note: undo.note }).collect()
}
