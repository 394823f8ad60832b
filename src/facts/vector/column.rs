//! A column that holds vectors.

use super::{Element, VectorIndex, VectorSearch};
use crate::facts::{Name, QualifiedName};
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct VectorColumn {
    pub table: u32,
    pub number: i16,
    pub table_name: QualifiedName,
    pub name: Name,
    pub element: Element,
    /// Its type is a domain: an index needs a cast.
    pub domain: bool,
    /// Of the type modifier; None: any, or a domain's, which an index does not see.
    pub dimensions: Option<u32>,
    pub partitioned: bool,
    /// The root of the partitions that this table is one of.
    pub partition_of: Option<u32>,
    /// Live ones, estimated by the server.
    pub rows: f64,
    pub dead_rows: f64,
    pub table_bytes: u64,
    pub toast_bytes: u64,
    /// As in pg_attribute.attstorage: p, e, x, m.
    pub storage: char,
    pub not_null: bool,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Since the counters count; None: not known.
    pub statistics_days: Option<f64>,
    /// None: of a partition whose partitioned table is sampled; or it could not be, and why that is so is in `Vectors::left_out`.
    pub sample: Option<Sample>,
    pub indexes: Vec<VectorIndex>,
    /// What the workload searches for here, most time first.
    pub searches: Vec<VectorSearch>,
}

impl VectorColumn {
    /// As findings name it: `public.atoms(embedding)`.
    pub fn object(&self) -> String {
        format!("{}({})", self.table_name, self.name)
    }

    /// Of the type, or of all sampled vectors if they agree.
    pub fn known_dimensions(&self) -> Option<u32> {
        self.dimensions.or_else(|| {
            let sampled = &self.sample.as_ref()?.dimensions;
            (sampled.len() == 1).then(|| *sampled.keys().next().expect("it has one"))
        })
    }

    /// Rows that have a vector.
    pub fn vectors(&self) -> f64 {
        self.rows * (1.0 - self.sample.as_ref().map_or(0.0, |sample| sample.null_fraction))
    }
}

/// What rows taken at random have shown.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub rows: u64,
    /// The whole table was read.
    pub whole: bool,
    pub null_fraction: f64,
    /// Of the vectors.
    pub zero_fraction: f64,
    /// Vectors of each number of dimensions.
    pub dimensions: BTreeMap<u32, u64>,
    /// Least and greatest Euclidean norm of vectors that are not zero; None: none, or bits.
    pub norms: Option<(f64, f64)>,
    /// Of the values as they are stored.
    pub average_bytes: f64,
    /// Of the vectors, those stored out of line.
    pub toasted_fraction: f64,
    /// Of the longest sparsevec.
    pub most_nonzero: u32,
    /// An element is beyond what halfvec holds.
    pub beyond_halfvec: bool,
    /// Share of the k nearest of sampled vectors that stay the same as halfvec; None: not measured.
    pub halfvec_recall: Option<f64>,
}
