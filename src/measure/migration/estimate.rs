//! How long a statement would take, from the bytes and rows that it works on.

use crate::advice::migration_step::CATALOG_CHANGE;
use crate::facts::migration::{Build, Effect, Target};
use crate::units::{Bytes, Count};

/// Measured with 1,000,000 rows of 112 bytes and three indexes on two busy cores, everything in memory: bytes per ms that are read of
/// a table, bytes per ms of table and indexes that are written anew, rows per ms that are looked up for a foreign key, put in an index
/// (of integers 1,200, of texts of 64 bytes 230), updated.
const READ: f64 = 600_000.0;
const WRITTEN: f64 = 36_000.0;
const CHECKED_ROWS: f64 = 2_000.0;
const INDEXED_ROWS: f64 = 600.0;
const UPDATED_ROWS: f64 = 30.0;

/// Milliseconds, and what they rest on.
pub fn of(effects: &[Effect]) -> (f64, String) {
    let (mut ms, mut parts) = (0.0, Vec::new());
    let mut rewritten = Vec::new();
    for effect in effects {
        if let Effect::Rewrites { table, .. } = effect
            && !rewritten.contains(&table.id)
        {
            rewritten.push(table.id);
            let bytes = table.bytes + table.index_bytes;
            ms += bytes as f64 / WRITTEN;
            parts.push(format!("{} of {} with its indexes written", Bytes(bytes), table.name));
        }
    }
    let mut read = Vec::new();
    for effect in effects {
        match effect {
            Effect::Scans { table, why } if !rewritten.contains(&table.id) => {
                let is_built = matches!(why, crate::facts::migration::Scan::Index);
                let is_key = matches!(why, crate::facts::migration::Scan::ForeignKey { .. });
                if is_key {
                    ms += table.rows / CHECKED_ROWS;
                    parts.push(format!("{} of {} looked up", rows(table), table.name));
                } else if !is_built && !read.contains(&table.id) {
                    read.push(table.id);
                    ms += table.bytes as f64 / READ;
                    parts.push(format!("{} of {} read", Bytes(table.bytes), table.name));
                }
            }
            Effect::BuildsIndex { table, concurrently, why, .. } if !rewritten.contains(&table.id) => {
                // CONCURRENTLY reads the table twice.
                let times = if *concurrently { 2.0 } else { 1.0 };
                if *why != Build::Attach || table.rows > 0.0 {
                    ms += times * (table.rows / INDEXED_ROWS).max(table.bytes as f64 / READ);
                    parts.push(format!("an index built of {} of {}", rows(table), table.name));
                }
            }
            Effect::Writes { table, rows, .. } => {
                ms += rows / UPDATED_ROWS;
                parts.push(format!("{} of {} written", Count(*rows as u64).of("row"), table.name));
            }
            _ => {}
        }
    }
    if parts.is_empty() {
        return (CATALOG_CHANGE, "a change of the catalog".to_string());
    }
    (ms + CATALOG_CHANGE, parts.join("; "))
}

fn rows(table: &Target) -> String {
    Count(table.rows as u64).of("row")
}
