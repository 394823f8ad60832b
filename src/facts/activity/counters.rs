//! What the server has counted of the sessions of a database (pg_stat_database), read by functions.

use crate::db;
use crate::facts::files;
use pgrx::pg_sys::Oid;

#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub database_oid: u32,
    /// Begun.
    pub sessions: u64,
    pub session_seconds: f64,
    pub active_seconds: f64,
    pub idle_in_transaction_seconds: f64,
    /// The client was gone.
    pub abandoned: u64,
    /// Ended by a FATAL error.
    pub fatal: u64,
    /// Ended by an operator, or by the server's shutdown.
    pub killed: u64,
    /// None: it cannot be shown since when they count.
    pub since: Option<String>,
    pub since_seconds: Option<f64>,
    /// It is the time of a reset. Such a time is also set where only the counters of a table or function were reset.
    pub since_reset: bool,
}

pub fn read(databases: &[u32]) -> Vec<Counters> {
    // Elsewhere than in base, a database may have been moved, which makes its files anew.
    let made: Vec<Option<f64>> = databases.iter().map(|oid| files::made(&format!("base/{oid}/PG_VERSION"))).collect();
    let oids: Vec<Oid> = databases.iter().map(|oid| Oid::from(*oid)).collect();
    let args = [oids.into(), made.into(), files::made("PG_VERSION").into()];
    db::read(include_str!("../../../sql/facts/activity/counters.sql"), &args, |row| {
        let count = |given: Option<i64>| given.unwrap_or_default().max(0) as u64;
        Counters {
            database_oid: row.take::<Oid>().to_u32(),
            sessions: count(row.take_option()),
            session_seconds: row.take(),
            active_seconds: row.take(),
            idle_in_transaction_seconds: row.take(),
            abandoned: count(row.take_option()),
            fatal: count(row.take_option()),
            killed: count(row.take_option()),
            since: row.take_option(),
            since_seconds: row.take_option(),
            since_reset: row.take(),
        }
    })
}
