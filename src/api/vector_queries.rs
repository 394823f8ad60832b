//! `dbre.vector_capture()` and `dbre.forget_vector_queries()`.

use crate::db;
use crate::measure::vector::capture;
use pgrx::datum::{DatumWithOid, Interval};
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

/// Whether searches of sessions that begin now are captured, if not why, and what became of those of this database since the
/// server started: `captured` of them, of which `waiting` are not written yet and `dropped` never will be (no room, or a worker
/// that failed). `stored` are in dbre.vector_queries now. `worker` is none, starting or running; `failure` is why the last one
/// could not write, or could not be started.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of the row")]
pub fn vector_capture() -> TableIterator<
    'static,
    (
        name!(capturing, bool),
        name!(reason, Option<&'static str>),
        name!(rate, f64),
        name!(captured, i64),
        name!(waiting, i64),
        name!(dropped, i64),
        name!(stored, i64),
        name!(worker, &'static str),
        name!(failure, Option<String>),
    ),
> {
    let reason = capture::why_off();
    let state = capture::state();
    let of_state = |value: fn(&capture::State) -> u64| state.as_ref().map_or(0, value) as i64;
    let stored = db::read("select count(*) from dbre.vector_queries", &[], |row| row.take::<i64>());
    TableIterator::once((
        reason.is_none(),
        reason,
        capture::rate(),
        of_state(|state| state.captured),
        of_state(|state| state.waiting as u64),
        of_state(|state| state.dropped),
        stored.first().copied().unwrap_or_default(),
        state.as_ref().map_or("none", |state| state.worker),
        state.as_ref().and_then(|state| state.failure.clone()),
    ))
}

/// Deletes captured searches of a table with its partitions (null: of all tables) that are older than `older_than` (null: all of
/// them, and those that are not written yet); returns how many dbre.vector_queries had.
#[pg_extern(
    volatile,
    sql = r#"
create function forget_vector_queries(relation regclass default null, older_than interval default null)
returns bigint
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
pub fn forget_vector_queries(relation: Option<Oid>, older_than: Option<Interval>) -> i64 {
    let whole = "select coalesce(pg_catalog.pg_partition_root($1), $1)::oid";
    let relation = relation.and_then(|relation| db::read(whole, &[relation.into()], |row| row.take::<Oid>()).pop());
    let write = |sql: &str, arguments: &[DatumWithOid]| db::write(c"dbre.forget_vector_queries()", sql, arguments);
    let forget = include_str!("../../sql/settings/forget_vector_queries.sql");
    let forgotten = write(forget, &[relation.into(), older_than.into()]);
    write(include_str!("../../sql/settings/prune_vector_query_counts.sql"), &[]);
    if older_than.is_none() {
        let parts = "select t.relid::oid from pg_catalog.pg_partition_tree($1) t union select $1";
        let parts = relation.map(|root| db::read(parts, &[root.into()], |row| row.take::<Oid>().to_u32()));
        capture::forget_waiting(parts.as_deref());
    }
    forgotten as i64
}
