//! Statements that may use more of a session than a transaction.

use super::Database;
use crate::db;

#[derive(Clone, Debug, Default)]
pub struct SessionStatement {
    pub database: String,
    pub role: String,
    pub text: String,
    pub calls: u64,
}

impl SessionStatement {
    /// Of all databases, as far as the caller may see them. None: pg_stat_statements is not installed here.
    pub fn read(database: &Database) -> Option<Vec<SessionStatement>> {
        let schema = database.extension_schema("pg_stat_statements")?;
        let sql = include_str!("../../sql/facts/session_statements.sql").replace("{schema}", &schema.to_string());
        Some(db::read(&sql, &[], |row| SessionStatement {
            database: row.take(),
            role: row.take(),
            text: row.take(),
            calls: row.take::<i64>() as u64,
        }))
    }
}
