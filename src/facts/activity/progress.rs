//! How far long commands are: what the server's progress views show.

use super::locks::qualified_name;
use crate::db;
use pgrx::pg_sys;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub pid: i32,
    pub database_oid: Option<u32>,
    /// `VACUUM`, `CREATE INDEX CONCURRENTLY`, `COPY FROM`, `base backup` …
    pub command: String,
    pub relation_oid: Option<u32>,
    /// Only of the database that is asked in.
    pub relation: Option<String>,
    /// How many transactions ago it was frozen whole. Only of the database that is asked in.
    pub frozen_age: Option<i64>,
    /// Being built.
    pub index: Option<String>,
    /// None: hidden from the caller.
    pub phase: Option<String>,
    /// Of the phase.
    pub done: Option<i64>,
    /// Of the phase; None: it is not known how much there is.
    pub total: Option<i64>,
    pub unit: Option<String>,
    /// The session that it waits for in this phase.
    pub waits_for: Option<i32>,
}

impl Progress {
    /// Of the phase, not of the command.
    pub fn percent(&self) -> Option<f64> {
        let (done, total) = (self.done?, self.total?);
        (total > 0).then(|| (100.0 * done as f64 / total as f64).clamp(0.0, 100.0))
    }

    /// `CREATE INDEX of public.orders: building index, 1200 of 5000 blocks`
    pub fn text(&self) -> String {
        let of = self.relation.as_ref().map(|relation| format!(" of {relation}")).unwrap_or_default();
        let phase = self.phase.as_deref().unwrap_or("its phase is hidden from the caller");
        let far = match (self.done, self.total, &self.unit) {
            (Some(done), Some(total), Some(unit)) => format!(", {done} of {total} {unit}"),
            (Some(done), None, Some(unit)) if done > 0 => format!(", {done} {unit} done"),
            _ => String::new(),
        };
        let waits = self.waits_for.map(|pid| format!(", waits for process {pid}")).unwrap_or_default();
        format!("{}{of}: {phase}{far}{waits}", self.command)
    }
}

pub fn read() -> Vec<Progress> {
    db::read(include_str!("../../../sql/facts/activity/progress.sql"), &[], |row| {
        let oid = |given: Option<pg_sys::Oid>| given.map(|oid| oid.to_u32()).filter(|oid| *oid != 0);
        let mut progress = Progress {
            pid: row.take(),
            database_oid: oid(row.take_option()),
            relation_oid: oid(row.take_option()),
            command: row.take(),
            phase: row.take_option(),
            done: row.take_option(),
            total: row.take_option(),
            unit: row.take_option(),
            waits_for: row.take_option(),
            ..Progress::default()
        };
        let index = oid(row.take_option());
        // SAFETY: set before a session's first statement, and not changed.
        if progress.database_oid == Some(unsafe { pg_sys::MyDatabaseId }.to_u32()) {
            progress.relation = progress.relation_oid.and_then(qualified_name);
            progress.frozen_age = progress.relation_oid.and_then(frozen_age);
            progress.index = index.and_then(qualified_name);
        }
        progress
    })
}

/// None: it is gone, or has nothing to freeze.
fn frozen_age(oid: u32) -> Option<i64> {
    // SAFETY: a catalog lookup; the tuple is released before it is left.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Oid::from(oid).into());
        if tuple.is_null() {
            return None;
        }
        let frozen = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relfrozenxid.into_inner();
        pg_sys::ReleaseSysCache(tuple);
        let next = pg_sys::ReadNextFullTransactionId().value as u32;
        (frozen >= pg_sys::FirstNormalTransactionId.into_inner()).then(|| i64::from(next.wrapping_sub(frozen) as i32))
    }
}
