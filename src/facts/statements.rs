//! What pg_stat_statements has recorded, as far as it shows it to the caller.

use super::Database;
use super::tables::oid;
use crate::db::{self, guarded};

pub struct Statement {
    pub text: String,
    pub query_id: i64,
    pub calls: u64,
    pub total_ms: f64,
    pub rows: u64,
    pub role: u32,
    pub role_name: String,
    /// The role's setting, as written.
    pub search_path: String,
}

/// The extension is installed, but its library is not preloaded.
const NOT_PRELOADED: &str = "55000";

/// Those that took most time, `limit` at most. None: pg_stat_statements is not installed, or not preloaded.
pub fn statements(database: &Database, limit: u32) -> Option<Vec<Statement>> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = include_str!("../../sql/facts/statements.sql").replace("{schema}", &schema.to_string());
    let read = guarded(|| {
        db::read(&sql, &[i64::from(limit).into()], |row| Statement {
            text: row.take(),
            query_id: row.take(),
            calls: row.take::<i64>() as u64,
            total_ms: row.take(),
            rows: row.take::<i64>() as u64,
            role: oid(row),
            role_name: row.take(),
            search_path: row.take(),
        })
    });
    match read {
        Ok(statements) => Some(statements),
        Err(error) if error.sqlstate == NOT_PRELOADED => None,
        Err(error) => panic!("{}", error.message),
    }
}

/// For how many days pg_stat_statements has counted. None: it does not say.
pub fn statements_days(database: &Database) -> Option<f64> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = format!(
        "select (extract(epoch from pg_catalog.now() - stats_reset) / 86400)::float8 from {schema}.pg_stat_statements_info"
    );
    guarded(|| db::read(&sql, &[], |row| row.take_option::<f64>())).ok()?.pop().flatten()
}
