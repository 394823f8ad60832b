//! What pg_stat_statements has recorded, as far as it shows it to the caller.

use super::Database;
use super::tables::oid;
use crate::db::{self, guarded};
use pgrx::PgSqlErrorCode;

/// One entry of pg_stat_statements.
#[derive(Clone, Debug, Default)]
pub struct MeasuredStatement {
    pub text: String,
    pub query_id: i64,
    /// Not run by a function.
    pub top_level: bool,
    pub role: u32,
    pub role_name: String,
    /// The role's setting, as written.
    pub search_path: String,
    pub calls: u64,
    pub total_ms: f64,
    pub least_ms: f64,
    pub most_ms: f64,
    /// Of the population.
    pub deviation_ms: f64,
    pub rows: u64,
    /// 0 unless pg_stat_statements.track_planning.
    pub plans: u64,
    pub planning_ms: f64,
    pub shared_hit_blocks: u64,
    pub shared_read_blocks: u64,
    pub temp_read_blocks: u64,
    pub temp_written_blocks: u64,
    /// Reading and writing shared, local and temporary blocks; 0 unless track_io_timing.
    pub io_ms: f64,
    pub wal_records: u64,
    pub wal_bytes: f64,
    pub full_page_images: u64,
    pub jit_ms: f64,
    /// For how long this entry has counted.
    pub counted_seconds: f64,
    /// Since when, in microseconds since 2000.
    pub since: i64,
    /// Of the role in this database, now.
    pub work_mem_bytes: i64,
    /// Set for this role in this database.
    pub work_mem_is_of_role_here: bool,
}

impl MeasuredStatement {
    pub fn mean_ms(&self) -> f64 {
        self.total_ms / self.calls.max(1) as f64
    }

    pub fn rows_per_call(&self) -> f64 {
        self.rows as f64 / self.calls.max(1) as f64
    }
}

/// The extension is installed, but its library is not preloaded.
const NOT_PRELOADED: &str = "55000";
/// It was installed by an older server, and not updated since.
const UNDEFINED_COLUMN: &str = "42703";

/// Those that took most time, `limit` at most. None: pg_stat_statements is not installed, or not preloaded.
pub fn statements(database: &Database, limit: u32) -> Option<Vec<MeasuredStatement>> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = include_str!("../../sql/facts/statements.sql").replace("{schema}", &schema.to_string());
    let read = guarded(|| {
        db::read(&sql, &[i64::from(limit).into()], |row| MeasuredStatement {
            text: row.take(),
            query_id: row.take(),
            top_level: row.take(),
            role: oid(row),
            role_name: row.take(),
            search_path: row.take(),
            calls: row.take::<i64>() as u64,
            total_ms: row.take(),
            least_ms: row.take(),
            most_ms: row.take(),
            deviation_ms: row.take(),
            rows: row.take::<i64>() as u64,
            plans: row.take::<i64>() as u64,
            planning_ms: row.take(),
            shared_hit_blocks: row.take::<i64>() as u64,
            shared_read_blocks: row.take::<i64>() as u64,
            temp_read_blocks: row.take::<i64>() as u64,
            temp_written_blocks: row.take::<i64>() as u64,
            io_ms: row.take(),
            wal_records: row.take::<i64>() as u64,
            wal_bytes: row.take(),
            full_page_images: row.take::<i64>() as u64,
            jit_ms: row.take(),
            counted_seconds: row.take(),
            since: row.take(),
            work_mem_bytes: row.take(),
            work_mem_is_of_role_here: row.take(),
        })
    });
    match read {
        Ok(statements) => Some(statements),
        Err(error) if error.sqlstate == NOT_PRELOADED => None,
        Err(error) if error.sqlstate == UNDEFINED_COLUMN => db::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the extension pg_stat_statements is older than this server: {}", error.message),
            "ALTER EXTENSION pg_stat_statements UPDATE;",
        ),
        Err(error) => db::raise_sqlstate(
            &error.sqlstate,
            error.message,
            "pg_stat_statements is read with the rights of the caller.",
        ),
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
