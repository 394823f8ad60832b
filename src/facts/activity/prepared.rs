//! Transactions that are prepared for two-phase commit, and belong to no session any more.

use super::Slots;
use crate::db;
use pgrx::pg_sys;

#[derive(Clone, Debug)]
pub struct Prepared {
    pub transaction_id: String,
    pub gid: String,
    /// As the server prints it.
    pub prepared_at: String,
    /// Since it was prepared.
    pub seconds: f64,
    pub owner: String,
    pub database_oid: u32,
    pub database: Option<String>,
    /// How many transactions ago it began to write.
    pub transaction_id_age: i64,
}

pub fn read(slots: &Slots) -> Vec<Prepared> {
    db::read(include_str!("../../../sql/facts/activity/prepared.sql"), &[], |row| {
        let (transaction_id, gid) = (row.take(), row.take_foreign_text().unwrap_or_default());
        let prepared_at = row.take();
        let (seconds, owner) = (row.take(), row.take());
        let database_oid = row.take::<pg_sys::Oid>().to_u32();
        Prepared {
            transaction_id,
            gid,
            prepared_at,
            seconds,
            owner,
            database_oid,
            database: slots.database(database_oid).map(|database| database.name.clone()),
            transaction_id_age: row.take(),
        }
    })
}
