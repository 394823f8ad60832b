//! What every report begins with.

use super::files;
use crate::db;

#[derive(Debug)]
pub struct Database {
    pub name: String,
    pub server_version: String,
    pub in_recovery: bool,
    /// When this call began.
    pub now: String,
    /// Since when the cumulative statistics count. None: nothing says so.
    pub statistics_since: Option<String>,
    /// Never more than the age of the database. None: nothing says so.
    pub statistics_days: Option<f64>,
    extensions: Vec<(String, super::Name)>,
}

impl Database {
    pub fn read() -> Database {
        let mut database = Database::without_extensions();
        database.extensions = db::read(include_str!("../../sql/facts/extensions.sql"), &[], |row| {
            (row.take::<String>(), row.take::<String>().into())
        });
        database
    }

    /// What functions tell: nobody can have locked it.
    pub fn without_extensions() -> Database {
        // SAFETY: reads a variable of this process.
        let oid = unsafe { pgrx::pg_sys::MyDatabaseId };
        db::read(include_str!("../../sql/facts/database.sql"), &[oid.into()], |row| {
            let mut database = Database {
                name: row.take(),
                server_version: row.take(),
                in_recovery: row.take(),
                now: row.take(),
                statistics_since: row.take_option(),
                statistics_days: row.take_option::<f64>().map(|seconds| seconds / 86_400.0),
                extensions: Vec::new(),
            };
            let age = row.take_option::<String>().and_then(|path| files::database_age_days(&path));
            database.statistics_days = match (database.statistics_days, age) {
                (Some(since_reset), Some(age)) => Some(since_reset.min(age)),
                (known, age) => known.or(age),
            };
            database
        })
        .pop()
        .expect("one row")
    }

    /// The schema of an extension, where it is installed.
    pub fn extension_schema(&self, name: &str) -> Option<&super::Name> {
        self.extensions.iter().find(|(extension, _)| extension == name).map(|(_, schema)| schema)
    }
}
