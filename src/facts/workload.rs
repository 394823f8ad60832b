//! Which columns the statements in pg_stat_statements filter by.

use super::Database;

/// Empty where pg_stat_statements is not installed.
#[derive(Debug, Default)]
pub struct Workload {
    pub filters: Vec<FilterColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterColumn {
    pub table: u32,
    pub column: i16,
    pub operator: String,
    pub calls: u64,
}

impl Workload {
    pub fn read(_database: &Database) -> Workload {
        Workload::default()
    }
}
