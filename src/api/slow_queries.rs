//! `dbre.slow_queries()`, behind the view of that name, and `dbre.snapshot_workload()`.

use crate::advice::measured_query::{self, p95_ms};
use crate::advice::statement_kind::Kind;
use crate::db::{self, raise};
use crate::engine;
use crate::facts::{Database, MeasuredStatement, StatementStatistics, Targets};
use crate::rules;
use crate::units::{BLOCK, Count};
use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// What the statements of pg_stat_statements cost, those with most total time first; one row with a note when there are none.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a statement")]
pub fn slow_queries() -> TableIterator<
    'static,
    (
        name!(rank, Option<i32>),
        name!(query_id, Option<i64>),
        name!(role, Option<String>),
        name!(query, Option<String>),
        name!(kind, Option<&'static str>),
        name!(calls, Option<i64>),
        name!(total_ms, Option<f64>),
        name!(share, Option<f64>),
        name!(mean_ms, Option<f64>),
        name!(least_ms, Option<f64>),
        name!(most_ms, Option<f64>),
        name!(deviation_ms, Option<f64>),
        name!(p95_ms_estimated, Option<f64>),
        name!(target_ms, Option<f64>),
        name!(above_target, Option<bool>),
        name!(rows_per_call, Option<f64>),
        name!(hit_ratio, Option<f64>),
        name!(read_blocks, Option<i64>),
        name!(temp_bytes, Option<f64>),
        name!(wal_bytes, Option<f64>),
        name!(planning_ms, Option<f64>),
        name!(io_ms, Option<f64>),
        name!(top_level, Option<bool>),
        name!(since, Option<TimestampWithTimeZone>),
        name!(note, Option<String>),
    ),
> {
    let statistics = StatementStatistics::read(&Database::read(), targets(), None, None);
    let note = note(&statistics);
    let mut rows: Vec<_> = statistics
        .statements
        .iter()
        .zip(1..)
        .map(|(statement, rank)| {
            db::check_for_interrupts();
            let kind = Kind::of(statement, &statistics.targets);
            let target = kind.target_ms(&statistics.targets);
            (
                Some(rank),
                Some(statement.query_id),
                Some(statement.role_name.clone()),
                Some(statement.text.clone()),
                Some(kind.name()),
                Some(statement.calls as i64),
                Some(statement.total_ms),
                Some(statistics.share(statement)),
                Some(statement.mean_ms()),
                Some(statement.least_ms),
                Some(statement.most_ms),
                Some(statement.deviation_ms),
                Some(p95_ms(statement)),
                target,
                target.map(|target| statement.mean_ms() > target),
                Some(statement.rows_per_call()),
                hit_ratio(statement),
                Some(statement.shared_read_blocks as i64),
                Some(statement.temp_written_blocks as f64 * BLOCK),
                Some(statement.wal_bytes),
                statistics.setup.track_planning.then_some(statement.planning_ms),
                statistics.setup.track_io_timing.then_some(statement.io_ms),
                Some(statement.top_level),
                TimestampWithTimeZone::try_from(statement.since).ok(),
                note.clone(),
            )
        })
        .collect();
    if rows.is_empty() && note.is_some() {
        rows.push((
            None, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None,
            None, None, None, None, None, None, note,
        ));
    }
    TableIterator::new(rows)
}

fn hit_ratio(statement: &MeasuredStatement) -> Option<f64> {
    let (hit, read) = (statement.shared_hit_blocks as f64, statement.shared_read_blocks as f64);
    (hit + read > 0.0).then(|| hit / (hit + read))
}

/// Why there are none, or what they lack.
fn note(statistics: &StatementStatistics) -> Option<String> {
    if let Some(why) = statistics.why_nothing() {
        return Some(format!("{why}: dbre.workload_findings() says what to do"));
    }
    let totals = &statistics.totals;
    let evicted = (totals.deallocations > 0).then(|| {
        format!(
            "pg_stat_statements was full and evicted entries {}: sums are too low",
            Count(totals.deallocations).of("time")
        )
    });
    let hidden = (totals.hidden_statements > 0)
        .then(|| format!("{} of other roles left out", Count(totals.hidden_statements).of("statement")));
    let parts: Vec<String> = [evicted, hidden].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What the rule slow_query is set to.
pub fn targets() -> Targets {
    let rule = rules::by_id("slow_query").expect("it is a rule");
    measured_query::targets(&engine::options(rule))
}

/// Keeps the counters of all statements of this database that pg_stat_statements shows to the caller, and those of the last 20
/// snapshots; returns the time that identifies them. Raises an error when there is nothing to keep.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
pub fn snapshot_workload() -> TimestampWithTimeZone {
    let statistics = StatementStatistics::read(&Database::read(), Targets::default(), Some(0), None);
    if let Some(why) = statistics.why_nothing() {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            why,
            "dbre.workload_findings() says what to do.",
        )
    }
    let now = db::read("select pg_catalog.clock_timestamp()", &[], |row| row.take::<TimestampWithTimeZone>());
    let now = now.into_iter().next().expect("one row");
    let keep = include_str!("../../sql/settings/snapshot_workload.sql").replace("{schema}", &statistics.setup.schema);
    db::write(c"snapshot_workload()", &keep, &[now.into()]);
    db::write(c"snapshot_workload()", include_str!("../../sql/settings/prune_workload_snapshots.sql"), &[]);
    now
}
