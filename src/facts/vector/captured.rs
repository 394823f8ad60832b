//! What dbre.vector_queries knows: searches that clients really made.

use crate::db;
use crate::measure::query::PRINTED_IN;
use pgrx::JsonB;
use pgrx::pg_sys::Oid;
use serde::Deserialize;

/// Searches by an index, of which some got fewer rows than they asked for.
#[derive(Clone, Debug)]
pub struct CutSearches {
    pub table: u32,
    /// As SQL names it.
    pub table_name: String,
    pub index_name: String,
    pub key: String,
    pub operator: String,
    /// In dbre.vector_queries, of the last day.
    pub captured: u64,
    pub short: u64,
    /// Of the newest short ones those of which it could be measured that more rows match.
    pub proven: Vec<CutSearch>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CutSearch {
    pub k: u64,
    pub rows: u64,
    pub filter: Option<String>,
    pub filtered: bool,
    pub ef_search: Option<u32>,
    pub probes: Option<u32>,
    pub iterative_scan: Option<String>,
    /// None: it is gone.
    pub role: Option<u32>,
    /// Rows that match, counted as far as k.
    #[serde(default)]
    pub matching: u64,
}

/// None: the caller may not read them.
fn readable() -> Option<()> {
    let sql = "select pg_catalog.has_schema_privilege('dbre', 'usage')
               and pg_catalog.has_table_privilege('dbre.vector_queries', 'select')";
    (db::read(sql, &[], |row| row.take::<bool>()) == [true]).then_some(())
}

/// Query vectors, as their type prints them, of searches for the key and operator of an index; at most `most`, chosen at random
/// by the seed. None: the caller may not read them.
pub fn of_index(index: u32, most: usize, seed: i64) -> Option<Vec<String>> {
    readable()?;
    let sql = include_str!("../../../sql/facts/vector/captured_of_index.sql");
    let arguments = [Oid::from(index).into(), (most as i64).into(), seed.into()];
    Some(db::with_search_path(PRINTED_IN, || db::read(sql, &arguments, |row| row.take::<String>())))
}

/// As captured; none of them is proven yet, though `proven` holds what is to be. None: the caller may not read them.
pub fn cut_searches() -> Option<Vec<CutSearches>> {
    readable()?;
    let read = || {
        db::read(include_str!("../../../sql/facts/vector/cut_searches.sql"), &[], |row| CutSearches {
            table: row.take::<Oid>().to_u32(),
            table_name: row.take(),
            index_name: row.take(),
            key: row.take(),
            operator: row.take(),
            captured: row.take::<i64>() as u64,
            short: row.take::<i64>() as u64,
            proven: serde_json::from_value(row.take::<JsonB>().0).unwrap_or_default(),
        })
    };
    Some(db::with_search_path(PRINTED_IN, read))
}
