//! Replication slots.

use crate::db;

#[derive(Clone, Debug, Default)]
pub struct ReplicationSlot {
    pub name: String,
    pub logical: bool,
    pub active: bool,
    pub active_pid: Option<i32>,
    /// In transactions: how far it holds back dead rows of all tables.
    pub xmin_age: Option<i64>,
    /// In transactions: how far it holds back dead rows of the catalogs.
    pub catalog_xmin_age: Option<i64>,
    pub inactive_seconds: Option<f64>,
    pub wal_status: Option<String>,
    /// Why it is of no use any more.
    pub invalidated: Option<String>,
    /// It may have been inactive for longer: the server has started since, and counts anew.
    pub inactive_since_start: bool,
}

pub fn read() -> Vec<ReplicationSlot> {
    db::read(include_str!("../../../sql/facts/activity/replication_slots.sql"), &[], |row| ReplicationSlot {
        name: row.take(),
        logical: row.take::<String>() == "logical",
        active: row.take(),
        active_pid: row.take_option(),
        xmin_age: row.take_option(),
        catalog_xmin_age: row.take_option(),
        inactive_seconds: row.take_option(),
        wal_status: row.take_option(),
        invalidated: row.take_option(),
        inactive_since_start: row.take_option().unwrap_or_default(),
    })
}
