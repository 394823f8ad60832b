//! How much of this database's connections has been used over time, and how long its statements take.

use super::called_functions::{self, CalledFunction};
use super::counters;
use super::sized_role::this_database;
use crate::db::{self, guarded};
use crate::facts::Database;
use pgrx::pg_sys;

/// Time that sessions of one database have spent, and for how long that has been counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionTime {
    pub active_seconds: f64,
    pub idle_in_transaction_seconds: f64,
    pub open_seconds: f64,
    /// None: it cannot be shown since when.
    pub seconds: Option<f64>,
    pub since_reset: bool,
}

/// What pg_stat_statements has counted in this database of statements that no function ran.
#[derive(Clone, Debug, Default)]
pub struct StatementTimes {
    pub total_ms: f64,
    /// Reading and writing blocks; 0 unless track_io_timing.
    pub io_ms: f64,
    /// For how long.
    pub seconds: f64,
    /// Entries that were dropped for want of room: their time is missing.
    pub deallocations: u64,
    /// Of the role.
    pub of_role: Vec<StatementTime>,
    /// Of roles to which it may switch: what may be SET ROLE or SET SESSION AUTHORIZATION, whoever ran it.
    pub role_changes: Vec<StatementTime>,
    pub since_snapshot: Option<SinceSnapshot>,
}

#[derive(Clone, Debug, Default)]
pub struct StatementTime {
    /// None: hidden from the caller.
    pub query_id: Option<i64>,
    pub calls: f64,
    pub mean_ms: f64,
    pub deviation_ms: f64,
    pub most_ms: f64,
    /// Its beginning; None: hidden from the caller.
    pub text: Option<String>,
}

/// Since the newest snapshot of dbre.snapshot_workload().
#[derive(Clone, Debug, Default)]
pub struct SinceSnapshot {
    pub taken_at: String,
    pub total_ms: f64,
    pub seconds: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Concurrency {
    pub sessions: SessionTime,
    /// None: pg_stat_statements does not count here.
    pub statements: Option<StatementTimes>,
    /// In the texts of the role's statements.
    pub functions: Vec<CalledFunction>,
    /// What could not be read, and why.
    pub left_out: Vec<String>,
}

impl Concurrency {
    /// Of this database; the statements of `role` one by one.
    pub fn read(database: &Database, role: u32) -> Concurrency {
        let mut concurrency = Concurrency { sessions: session_time(), ..Concurrency::default() };
        match guarded(|| statement_times(database, role)) {
            Ok(times) => concurrency.statements = times,
            Err(error) => concurrency.left_out.push(format!("pg_stat_statements: {}", error.message)),
        }
        if let Some(times) = &mut concurrency.statements {
            match guarded(|| called_functions::read(&times.of_role)) {
                Ok(functions) => concurrency.functions = functions,
                Err(error) => concurrency.left_out.push(format!("bodies of functions: {}", error.message)),
            }
            match guarded(|| since_snapshot(times.total_ms)) {
                Ok(since) => times.since_snapshot = since,
                Err(error) => concurrency.left_out.push(format!("dbre.workload_snapshots: {}", error.message)),
            }
        }
        concurrency
    }
}

fn session_time() -> SessionTime {
    let counted = counters::read(&[this_database()]).pop().unwrap_or_default();
    SessionTime {
        active_seconds: counted.active_seconds,
        idle_in_transaction_seconds: counted.idle_in_transaction_seconds,
        open_seconds: counted.session_seconds,
        seconds: counted.since_seconds,
        since_reset: counted.since_reset,
    }
}

fn statement_times(database: &Database, role: u32) -> Option<StatementTimes> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = include_str!("../../../sql/facts/activity/statement_times.sql").replace("{schema}", &schema.to_string());
    let mut times = StatementTimes::default();
    let role = pg_sys::Oid::from(role);
    db::read(&sql, &[role.into(), pg_sys::Oid::from(this_database()).into()], |row| {
        let of_role: bool = row.take();
        let statement = StatementTime {
            query_id: row.take_option(),
            calls: row.take(),
            mean_ms: row.take(),
            deviation_ms: row.take(),
            most_ms: row.take(),
            text: row.take_option(),
        };
        times.total_ms += row.take::<f64>();
        times.io_ms += row.take::<f64>();
        times.seconds = times.seconds.max(row.take());
        times.deallocations = row.take_option::<i64>().unwrap_or_default() as u64;
        if of_role {
            times.of_role.push(statement);
        } else if statement.text.is_some() {
            times.role_changes.push(statement);
        }
    });
    (times.seconds > 0.0).then_some(times)
}

/// None: there is none, or the counters have been reset since.
fn since_snapshot(total_ms: f64) -> Option<SinceSnapshot> {
    let sql = include_str!("../../../sql/facts/activity/newest_workload_snapshot.sql");
    let read = db::read(sql, &[], |row| (row.take::<String>(), row.take::<f64>(), row.take::<f64>()));
    let (taken_at, total_then, seconds) = read.into_iter().next()?;
    (total_then <= total_ms).then_some(SinceSnapshot { taken_at, total_ms: total_ms - total_then, seconds })
}
