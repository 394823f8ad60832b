//! `dbre.vector_indexes()`, behind the view of that name.

use crate::advice::vector_index::Design;
use crate::facts::vector::{VectorColumn, VectorIndex};
use crate::measure;
use pgrx::prelude::*;

/// HNSW and IVFFlat indexes of this database, largest first. Empty without pgvector; indexes of tables that another session has
/// locked are left out. An index of a partitioned table has what those of its partitions have.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of an index")]
pub fn vector_indexes() -> TableIterator<
    'static,
    (
        name!(index_oid, pg_sys::Oid),
        name!(index_name, String),
        name!(table_name, String),
        name!(column_name, String),
        name!(key, String),
        name!(element_type, &'static str),
        name!(dimensions, Option<i32>),
        name!(method, &'static str),
        name!(operator_class, String),
        name!(operator, &'static str),
        name!(options, String),
        name!(predicate, Option<String>),
        name!(size_bytes, i64),
        name!(rows, Option<i64>),
        name!(bytes_per_row, Option<f64>),
        name!(scans, i64),
        name!(valid, bool),
    ),
> {
    let columns = measure::vector::indexed_columns();
    let mut indexes: Vec<(&VectorColumn, &VectorIndex)> =
        columns.iter().flat_map(|column| column.indexes.iter().map(move |index| (column, index))).collect();
    indexes.sort_by_key(|(_, index)| (std::cmp::Reverse(index.bytes), index.oid));
    let rows: Vec<_> = indexes.into_iter().map(|(column, index)| row(column, index)).collect();
    TableIterator::new(rows)
}

#[allow(clippy::type_complexity, reason = "the columns of an index")]
fn row(
    column: &VectorColumn,
    index: &VectorIndex,
) -> (
    pg_sys::Oid,
    String,
    String,
    String,
    String,
    &'static str,
    Option<i32>,
    &'static str,
    String,
    &'static str,
    String,
    Option<String>,
    i64,
    Option<i64>,
    Option<f64>,
    i64,
    bool,
) {
    (
        index.oid.into(),
        index.name.to_string(),
        column.table_name.to_string(),
        column.name.raw().to_string(),
        index.key_sql.clone(),
        index.element.name(),
        index.dimensions.map(|dimensions| dimensions as i32),
        index.method.name(),
        index.operator.class(index.element),
        index.operator.sql(),
        Design::options_of(index.method),
        index.predicate.clone(),
        index.bytes as i64,
        index.rows.map(|rows| rows as i64),
        index.rows.filter(|rows| *rows > 0.0).map(|rows| (index.bytes as f64 / rows).round()),
        index.scans as i64,
        index.valid && index.ready,
    )
}
