//! `dbre.migration_rollback()`.

use super::arguments::{self, required};
use super::migration::MIGRATION;
use crate::db::{PATIENCE, with_settings};
use crate::measure::rollback::rollback;
use pgrx::prelude::*;

/// The reverse of a migration, from the catalogs as they are before it, the last statement first; nothing is executed.
///
/// `rollback_sql` of all rows, in their order, brings the catalogs back to what they are. What loses data says so, with the
/// rows at stake as the planner's statistics count them.
#[pg_extern(
    stable,
    sql = r#"
create function migration_rollback(
    sql text,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    step int,
    line int,
    statement text,
    rollback_sql text,
    loses_data boolean,
    rows_at_stake bigint,
    note text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of the result")]
pub fn migration_rollback(
    sql: Option<&str>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(line, i32),
        name!(statement, String),
        name!(rollback_sql, Option<String>),
        name!(loses_data, bool),
        name!(rows_at_stake, Option<i64>),
        name!(note, Option<String>),
    ),
> {
    let sql = required("sql", sql, MIGRATION);
    let search_path = arguments::search_path(search_path);
    TableIterator::new(with_settings(&[PATIENCE], || rollback(sql, &search_path)).into_iter().map(|undo| {
        (
            undo.step as i32,
            undo.line as i32,
            undo.statement,
            undo.sql,
            undo.loses_data,
            undo.rows.map(|rows| rows as i64),
            undo.note,
        )
    }))
}
