//! Size of an index before it exists, from the planner's statistics alone. `bin/bench index_size` compares with real ones.

mod brin;
mod btree;
mod elements;
mod gin;
mod gist;
mod hash;
mod key;
mod random;
mod vector;

pub use btree::btree_bytes;
pub use key::{Elements, KeyColumn, alignment_bytes, packed};
pub use vector::{hnsw_pages, ivfflat_pages};

use crate::facts::{Catalog, ColumnStatistics, Table};
use crate::units::{BLOCK, Bytes};

pub const PAGE: f64 = BLOCK;
const PAGE_HEADER: f64 = 24.0;
const ITEM_ID: f64 = 4.0;
const TID: f64 = 6.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    #[default]
    Btree,
    Hash,
    Gin,
    Gist,
    Spgist,
    Brin,
    Hnsw,
    Ivfflat,
}

impl Method {
    /// As pg_am names it.
    pub fn named(name: &str) -> Option<Method> {
        Some(match name {
            "btree" => Method::Btree,
            "hash" => Method::Hash,
            "gin" => Method::Gin,
            "gist" => Method::Gist,
            "spgist" => Method::Spgist,
            "brin" => Method::Brin,
            "hnsw" => Method::Hnsw,
            "ivfflat" => Method::Ivfflat,
            _ => return None,
        })
    }
}

/// An index that does not exist, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Physical {
    pub method: Method,
    /// Rows in it: those that its predicate leaves.
    pub rows: f64,
    /// Rows and pages of the table, which the columns' statistics speak of.
    pub table_rows: f64,
    pub table_pages: f64,
    pub keys: Vec<KeyColumn>,
    pub included: Vec<KeyColumn>,
    pub unique: bool,
    /// Distinct combinations of all keys in the table, where extended statistics know it.
    pub joint_distinct: Option<f64>,
    pub parameters: Parameters,
}

/// What WITH (…) says; None: the default.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// In percent.
    pub fillfactor: Option<f64>,
    pub deduplicate_items: Option<bool>,
    pub pages_per_range: Option<f64>,
    /// Of HNSW.
    pub m: Option<f64>,
    /// Of IVFFlat.
    pub lists: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub pages: u64,
    /// Levels above the leaves, as the planner counts them; 0 for methods without a tree.
    pub height: u32,
    /// Index tuples, as pg_class.reltuples would count them.
    pub tuples: f64,
}

impl Size {
    pub fn bytes(&self) -> Bytes {
        Bytes(self.pages * PAGE as u64)
    }
}

/// Size right after CREATE INDEX.
pub fn size(index: &Physical) -> Size {
    match index.method {
        Method::Btree => btree::size(index),
        Method::Hash => hash::size(index),
        Method::Gin => gin::size(index),
        Method::Gist => gist::gist(index),
        Method::Spgist => gist::spgist(index),
        Method::Brin => brin::size(index),
        Method::Hnsw => vector::hnsw(index),
        Method::Ivfflat => vector::ivfflat(index),
    }
}

/// Estimated size of a btree on `columns` of `table`, with all its partitions. None where statistics are missing.
pub fn estimate(catalog: &Catalog, statistics: &ColumnStatistics, table: &Table, columns: &[i16]) -> Option<Bytes> {
    catalog.leaves(table).into_iter().map(|leaf| estimate_leaf(catalog, statistics, table, leaf, columns)).sum()
}

fn estimate_leaf(
    catalog: &Catalog,
    statistics: &ColumnStatistics,
    table: &Table,
    leaf: &Table,
    columns: &[i16],
) -> Option<Bytes> {
    let rows = leaf.rows?.0 as f64;
    if rows < 1.0 {
        return Some(Bytes(PAGE as u64));
    }
    let key = crate::facts::same_columns(table, columns, leaf)?
        .into_iter()
        .map(|column| KeyColumn::of(catalog, leaf, column, rows, statistics.of(leaf.oid, column)?));
    Some(btree_bytes(rows, &key.collect::<Option<Vec<_>>>()?, false, btree::FILLFACTOR))
}

fn align(size: f64, to: f64) -> f64 {
    (size / to).ceil() * to
}
