//! Planner statistics of the columns that indexes and foreign keys use.

use super::tables::oid;
use crate::db;
use fnv::FnvHashMap;

pub struct ColumnStatistics(FnvHashMap<(u32, i16), Statistics>);

#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// 0 to 1
    pub null_fraction: f64,
    /// in bytes, as stored
    pub average_width: f64,
    /// As in pg_stats: negative values are fractions of the number of rows.
    n_distinct: f64,
    pub most_common_frequencies: Vec<f32>,
    /// Printed; only where there are at most 100 distinct values.
    pub most_common_values: Vec<String>,
}

impl Statistics {
    pub fn distinct(&self, rows: f64) -> f64 {
        if self.n_distinct < 0.0 { -self.n_distinct * rows } else { self.n_distinct }
    }

    /// The number of distinct values, where it does not grow with the table.
    pub fn fixed_distinct(&self) -> Option<f64> {
        (self.n_distinct > 0.0).then_some(self.n_distinct)
    }
}

impl ColumnStatistics {
    pub fn read() -> ColumnStatistics {
        let statistics = db::read(include_str!("../../sql/facts/column_statistics.sql"), &[], |row| {
            let key = (oid(row), row.take::<i16>());
            let statistics = Statistics {
                null_fraction: f64::from(row.take::<f32>()),
                average_width: f64::from(row.take::<i32>()),
                n_distinct: f64::from(row.take::<f32>()),
                most_common_frequencies: row.take_option().unwrap_or_default(),
                most_common_values: row.take_option().unwrap_or_default(),
            };
            (key, statistics)
        });
        ColumnStatistics(statistics.into_iter().collect())
    }

    pub fn of(&self, table: u32, column: i16) -> Option<&Statistics> {
        self.0.get(&(table, column))
    }
}
