//! The role whose pool is sized: its limits and what is set for it in this database.

use crate::db;
use pgrx::pg_sys;

#[derive(Clone, Debug, Default)]
pub struct SizedRole {
    pub oid: u32,
    pub name: String,
    /// None: any number.
    pub connection_limit: Option<u64>,
    pub is_superuser: bool,
    pub can_log_in: bool,
    pub database: String,
    pub database_oid: u32,
    pub database_connection_limit: Option<u64>,
    /// By ALTER ROLE … IN DATABASE … SET: `name=value`.
    pub set_here: Vec<String>,
}

/// Its OID.
pub fn this_database() -> u32 {
    // SAFETY: reads a variable.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Who has logged in, or has become by SET SESSION AUTHORIZATION.
pub fn session_role() -> u32 {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetSessionUserId() }.to_u32()
}

impl SizedRole {
    /// None: there is no role of that name.
    pub fn named(name: &str) -> Option<SizedRole> {
        let sql = "select r.oid from pg_catalog.pg_roles r where r.rolname = $1";
        db::read(sql, &[name.into()], |row| row.take::<pg_sys::Oid>())
            .pop()
            .and_then(|role| SizedRole::read(role.to_u32()))
    }

    /// In this database. None: there is no such role, or no longer, for sessions survive DROP ROLE of theirs.
    pub fn read(role: u32) -> Option<SizedRole> {
        let database = pg_sys::Oid::from(this_database());
        let limit = |limit: i32| u64::try_from(limit).ok();
        let args = [pg_sys::Oid::from(role).into(), database.into()];
        let read = db::read(include_str!("../../../sql/facts/activity/sized_role.sql"), &args, |row| SizedRole {
            oid: role,
            database_oid: database.to_u32(),
            name: row.take(),
            connection_limit: limit(row.take()),
            is_superuser: row.take(),
            can_log_in: row.take(),
            database: row.take(),
            database_connection_limit: limit(row.take()),
            set_here: row.take_option().unwrap_or_default(),
        });
        read.into_iter().next()
    }

    /// What ALTER ROLE … IN DATABASE … SET has written.
    pub fn setting_here(&self, name: &str) -> Option<&str> {
        let mut settings = self.set_here.iter().filter_map(|setting| setting.split_once('='));
        settings.find(|(set, _)| *set == name).map(|(_, value)| value)
    }
}
