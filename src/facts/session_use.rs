//! What shows that clients use more of a session than a transaction.

use super::Database;
use crate::db;

#[derive(Debug, Default)]
pub struct SessionUse {
    /// Of pg_stat_statements, those that may. None: it is not installed here, or could not be read.
    pub statements: Option<Vec<SessionStatement>>,
    /// Processes that hold advisory locks.
    pub advisory_locks: Vec<i32>,
}

#[derive(Clone, Debug, Default)]
pub struct SessionStatement {
    pub database: String,
    pub role: String,
    pub text: String,
    pub calls: u64,
}

impl SessionUse {
    /// Of all databases, as far as the caller may see them.
    pub fn read(database: &Database) -> SessionUse {
        let locks = "select distinct pid from pg_catalog.pg_lock_status() where locktype = 'advisory' and granted and pid is not null";
        SessionUse { statements: statements(database), advisory_locks: db::read(locks, &[], |row| row.take()) }
    }
}

fn statements(database: &Database) -> Option<Vec<SessionStatement>> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = include_str!("../../sql/facts/session_statements.sql").replace("{schema}", &schema.to_string());
    let read = db::guarded(|| {
        db::read(&sql, &[], |row| SessionStatement {
            database: row.take(),
            role: row.take(),
            text: row.take(),
            calls: row.take::<i64>() as u64,
        })
    });
    read.ok()
}
