//! `dbre.migration_dry_run()`.

use super::arguments::{self, duration, required};
use super::migration::MIGRATION;
use crate::db::raise;
use crate::facts::migration::text::{self, Script};
use crate::facts::migration::{Lock, LockMode, Migration, Target};
use crate::measure::migration::dry_run::others::who_would_notice;
use crate::measure::migration::dry_run::{self, Options, Scanned, Tried};
use crate::measure::migration::{self, review};
use crate::units::thousandths;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::CStr;

/// Runs a migration for real and takes it back: what each statement locks, rewrites and reads, and how long it takes.
///
/// Everything runs in one subtransaction that is rolled back; the locks are held until its end. BEGIN, COMMIT and ROLLBACK of
/// the text are followed without ending the caller's transaction. Nobody waits for a lock longer than `lock_timeout`, and the
/// whole ends when `time_limit` is up. What a rollback does not undo is not tried; values taken from sequences are not given
/// back.
#[pg_extern(
    volatile,
    sql = r#"
create function migration_dry_run(
    sql text,
    confirm boolean default false,
    lock_timeout interval default '1 s',
    time_limit interval default '30 s',
    one_transaction boolean default null,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    step int,
    line int,
    statement text,
    status text,
    ms float8,
    locks jsonb,
    rewrites text[],
    scans jsonb,
    message text
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of a step")]
pub fn migration_dry_run(
    sql: Option<&str>,
    confirm: Option<bool>,
    lock_timeout: Option<Interval>,
    time_limit: Option<Interval>,
    one_transaction: Option<bool>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(line, i32),
        name!(statement, String),
        name!(status, &'static str),
        name!(ms, Option<f64>),
        name!(locks, JsonB),
        name!(rewrites, Vec<String>),
        name!(scans, Option<JsonB>),
        name!(message, Option<String>),
    ),
> {
    let sql = required("sql", sql, MIGRATION);
    let search_path = arguments::search_path(search_path);
    let options = Options {
        lock_timeout: duration("lock_timeout", lock_timeout),
        time_limit: duration("time_limit", time_limit),
        search_path: &search_path,
        build_in_place: false,
    };
    let confirmed = required("confirm", confirm, "Pass true to run the migration, and take it back.");
    refuse_read_only(c"dbre.migration_dry_run()");
    let script = text::read(sql);
    refuse_nothing("sql", &script);
    if !confirmed {
        ask_first("dbre.migration_dry_run()", &[sql], &options, one_transaction);
    }
    let tried = dry_run::taken_back(&options, |course| course.run_script(&script, one_transaction));
    TableIterator::new(tried.into_iter().map(|tried| {
        let (locks, scans) = (locks(&tried), tried.scans.as_deref().map(scans));
        (
            tried.step as i32,
            tried.line as i32,
            tried.text,
            tried.status.name(),
            tried.ms.map(thousandths),
            JsonB(locks),
            tried.rewrites,
            scans.map(JsonB),
            tried.message,
        )
    }))
}

fn locks(tried: &Tried) -> Value {
    tried.locks.iter().map(|(relation, mode)| json!({"relation": relation, "mode": mode.name()})).collect()
}

fn scans(scans: &[Scanned]) -> Value {
    scans.iter().map(|scan| json!({"relation": scan.relation, "rows": scan.rows})).collect()
}

/// It writes: on a standby, and in a read-only transaction, there is nothing to try.
pub(super) fn refuse_read_only(function: &CStr) {
    // SAFETY: the string is only read, for the message; the ERROR unwinds as everywhere in pgrx.
    unsafe {
        pg_sys::PreventCommandDuringRecovery(function.as_ptr());
        pg_sys::PreventCommandIfReadOnly(function.as_ptr());
    }
}

pub(super) fn refuse_nothing(argument: &str, script: &Script) {
    if script.statements.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument} holds no SQL statement"),
            MIGRATION,
        )
    }
}

const LOCKS_NAMED: usize = 10;

/// Where others would notice, it is run only when the caller has said so; without, the error tells what they would notice.
pub(super) fn ask_first(function: &str, texts: &[&str], options: &Options, one_transaction: Option<bool>) {
    let others = who_would_notice();
    if others.is_empty() {
        return;
    }
    let reviewed = texts.iter().map(|sql| {
        let options = migration::Options {
            one_transaction,
            many_rows: f64::INFINITY,
            many_bytes: u64::MAX,
            search_path: options.search_path,
        };
        review(sql, &options)
    });
    let reviewed: Vec<Migration> = reviewed.collect();
    let locks = strongest(reviewed.iter().flat_map(|migration| &migration.steps).flat_map(|step| &step.locks));
    let named: Vec<String> =
        locks.iter().take(LOCKS_NAMED).map(|(name, (mode, target))| shown(name, *mode, target)).collect();
    let more = match locks.len().saturating_sub(LOCKS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let in_place = if options.build_in_place { " (indexes are built without CONCURRENTLY)" } else { "" };
    let what = match named.is_empty() {
        true => format!("It is expected to lock nothing that others use{in_place}"),
        false => format!("It is expected to lock, until its end, {}{more}{in_place}", named.join(", ")),
    };
    raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{function} would execute the migration on a server that has {}", others.join(", ")),
        format!(
            "{what}; for at most {:?}, waiting at most {:?} for each lock. Pass confirm => true to run it, and take it back.",
            options.time_limit, options.lock_timeout
        ),
    )
}

fn strongest<'a>(locks: impl Iterator<Item = &'a Lock>) -> BTreeMap<String, (LockMode, &'a Target)> {
    let mut strongest: BTreeMap<String, (LockMode, &Target)> = BTreeMap::new();
    for lock in locks.filter(|lock| !lock.target.private) {
        let so_far = strongest.entry(lock.target.name.to_string()).or_insert((lock.mode, &lock.target));
        so_far.0 = so_far.0.max(lock.mode);
    }
    strongest
}

fn shown(name: &str, mode: LockMode, target: &Target) -> String {
    match target.rows {
        rows if rows > 0.0 => format!("{name} ({}, about {rows:.0} rows)", mode.sql()),
        _ => format!("{name} ({})", mode.sql()),
    }
}
