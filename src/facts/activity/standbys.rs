//! Standbys and other receivers of WAL that are connected.

use crate::db;

#[derive(Clone, Debug)]
pub struct Standby {
    /// Of the process that sends to it.
    pub pid: i32,
    /// Commits wait for it, or may when another is gone. None: hidden from the caller.
    pub synchronous: Option<bool>,
}

pub fn read() -> Vec<Standby> {
    db::read(include_str!("../../../sql/facts/activity/standbys.sql"), &[], |row| Standby {
        pid: row.take(),
        synchronous: row.take_option::<String>().map(|state| state != "async"),
    })
}
