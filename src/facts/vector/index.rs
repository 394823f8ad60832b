//! HNSW and IVFFlat indexes.

use super::{Element, Key, Operator};
use crate::facts::QualifiedName;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Hnsw { m: u32, ef_construction: u32 },
    Ivfflat { lists: u32 },
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Hnsw { .. } => "hnsw",
            Method::Ivfflat { .. } => "ivfflat",
        }
    }
}

#[derive(Clone, Debug)]
pub struct VectorIndex {
    pub oid: u32,
    pub name: QualifiedName,
    /// With the options that it was built with; of an invalid one those that it would be built with.
    pub method: Method,
    pub key: Key,
    /// The key as PostgreSQL prints it: `embedding`, `((embedding)::halfvec(1536))`.
    pub key_sql: String,
    /// Of the key.
    pub element: Element,
    /// Of the key; None: of a column without dimensions, which cannot be.
    pub dimensions: Option<u32>,
    pub operator: Operator,
    /// WHERE of a partial index.
    pub predicate: Option<String>,
    pub valid: bool,
    pub ready: bool,
    pub partitioned: bool,
    /// The partitioned index that it is attached to.
    pub parent: Option<u32>,
    pub bytes: u64,
    /// That it holds, by pg_class.reltuples and without rows that are NULL; None: never vacuumed or analyzed.
    pub rows: Option<f64>,
    /// Of IVFFlat: rows from which its centers were taken were at most so many; None: not known.
    pub most_rows_when_built: Option<f64>,
    pub scans: u64,
    /// As pg_get_indexdef prints it.
    pub definition: String,
}

/// A row of pg_stat_progress_create_index on one of the columns.
#[derive(Clone, Debug)]
pub struct Build {
    pub pid: i32,
    pub table: u32,
    pub index_name: Option<QualifiedName>,
    pub method: String,
    pub phase: String,
    pub blocks_done: u64,
    pub blocks_total: u64,
    pub tuples_done: u64,
    pub tuples_total: u64,
    pub seconds: f64,
    pub workers: u32,
}
