//! `dbre.migration_findings()` and `dbre.migration_steps()`.

use super::advice::advice;
use super::arguments::{self, required};
use crate::engine::{self, Run};
use crate::facts::Facts;
use crate::facts::migration::{Lock, Migration, Step, Target};
use crate::finding::severity;
use crate::measure::migration::{Options, review};
use crate::rule::Need;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// How a missing text is answered.
pub(super) const MIGRATION: &str =
    "Pass the text of the migration; of an Alembic revision what alembic upgrade --sql prints.";

advice! {
    /// What a migration would do to this database that it should not, in the order of severity; nothing is executed.
    ///
    /// `sql` is the migration as an application ships it. `one_transaction`: the runner wraps it in one (null: as written).
    /// From `many_rows` or `many_bytes` on, what makes others wait for the whole table is high, from a hundred times as much
    /// critical. The names are looked up in `search_path`.
    sql: r#"
create function migration_findings(
    sql text,
    one_transaction boolean default null,
    many_rows bigint default 100000,
    many_bytes text default '100 MB',
    search_path text default pg_catalog.current_setting('search_path')
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn migration_findings(
        sql: Option<&str>,
        one_transaction: Option<bool>,
        many_rows: Option<i64>,
        many_bytes: Option<&str>,
        search_path: Option<&str>,
    ) {
        judge(read(sql, one_transaction, many_rows, many_bytes, search_path))
    }
}

fn judge(migration: Migration) -> Run {
    let needs = engine::needs_of_judges(Need::Migration);
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    facts.set_migration(migration);
    let mut run = engine::judge(Need::Migration, facts);
    super::check::refuse_total_failure(&run);
    run.sort_by_urgency();
    run
}

/// The migration followed over the catalogs.
pub(super) fn read(
    sql: Option<&str>,
    one_transaction: Option<bool>,
    many_rows: Option<i64>,
    many_bytes: Option<&str>,
    search_path: Option<&str>,
) -> Migration {
    let sql = required("sql", sql, MIGRATION);
    let many_rows = arguments::within("many_rows", many_rows, 1, i64::MAX);
    let many_bytes = arguments::bytes("many_bytes", required("many_bytes", many_bytes, "Pass a size such as 100 MB."));
    let search_path = arguments::search_path(search_path);
    review(sql, &Options { one_transaction, many_rows: many_rows as f64, many_bytes, search_path: &search_path })
}

/// What each statement of a migration would lock, rewrite and read, in order; nothing is executed.
#[pg_extern(
    stable,
    sql = r#"
create function migration_steps(
    sql text,
    one_transaction boolean default null,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    step int,
    line int,
    statement text,
    kind text,
    transaction int,
    locks jsonb,
    rewrites text[],
    scans jsonb,
    blocks text,
    estimated_ms float8,
    basis text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of a step")]
pub fn migration_steps(
    sql: Option<&str>,
    one_transaction: Option<bool>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(line, i32),
        name!(statement, String),
        name!(kind, String),
        name!(transaction, Option<i32>),
        name!(locks, JsonB),
        name!(rewrites, Vec<String>),
        name!(scans, JsonB),
        name!(blocks, &'static str),
        name!(estimated_ms, f64),
        name!(basis, String),
    ),
> {
    let migration = read(sql, one_transaction, Some(i64::MAX), Some("1 TB"), search_path);
    TableIterator::new(migration.steps.into_iter().map(|step| {
        let (locks, rewrites, scans) = (locks(&step.locks), step.rewrites(), scans(&step));
        let blocks = step.blocks();
        (
            step.number as i32,
            step.line as i32,
            step.text,
            step.kind,
            step.transaction.map(|number| number as i32),
            JsonB(locks),
            rewrites,
            JsonB(scans),
            blocks,
            step.estimated_ms,
            step.basis,
        )
    }))
}

fn locks(locks: &[Lock]) -> Value {
    let shown = |lock: &Lock| json!({"relation": lock.target.name.to_string(), "mode": lock.mode.name()});
    locks.iter().map(shown).collect()
}

fn scans(step: &Step) -> Value {
    let shown = |table: &Target| json!({"relation": table.name.to_string(), "rows": table.rows, "bytes": table.bytes});
    step.read_tables().into_iter().map(shown).collect()
}
