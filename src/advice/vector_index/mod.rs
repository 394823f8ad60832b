//! Which index a vector column should have: method, operator class, options, what it takes, and the statements that build it.
//!
//! Whoever tells users to build a vector index takes the statements from here: `choose()` for what a column should have,
//! `Design::of()` for one like an existing index, `Design::creation()` for SQL that creates it online.

mod application;
mod choose;
mod cost;
mod fix;
mod memory;
mod rebuild;
mod search;
mod statements;

pub use choose::{Advice, Candidate, choose, default_operator, key_in_words};
pub use cost::{exact_ms, hnsw_insert_ms};
pub use memory::{ceiling, workers};
pub use rebuild::Rebuild;
pub use search::{Setting, ivfflat_lists, probes_for};
pub use statements::{key_text, of_pgvector, operator_text};

use crate::advice::index_size::{PAGE, hnsw_pages, ivfflat_pages};
use crate::facts::vector::{Element, Key, Method, Operator, VectorColumn, VectorIndex};
use crate::units::Bytes;

/// An index that is or could be.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    pub method: Method,
    pub key: Key,
    /// Of the key.
    pub element: Element,
    /// Of the key.
    pub dimensions: u32,
    /// Of the operator class.
    pub operator: Operator,
    /// By which searches order in the end: another one where bits of the column are indexed.
    pub ranking: Operator,
    pub predicate: Option<String>,
    /// That it holds.
    pub rows: f64,
    /// That its largest part holds: on a partitioned table each partition has an index of its own.
    pub part_rows: f64,
    /// Of a value of the key with its header.
    pub value_bytes: f64,
}

impl Design {
    /// On `rows` of the column; None: an index cannot have this key, for the dimensions are not known, vary or are too many, or
    /// the method has no operator class for the operator.
    pub fn new(column: &VectorColumn, method: Method, key: Key, operator: Operator, rows: f64) -> Option<Design> {
        let (element, dimensions) = match key {
            // Whatever the sample shows, a column without dimensions takes no index.
            Key::Column => (column.element, column.dimensions?),
            Key::Cast { element, dimensions } => (element, dimensions),
            Key::BinaryQuantize { dimensions } => (Element::Bit, dimensions),
            Key::Subvector { dimensions, .. } => (column.element, dimensions),
            Key::Other(_) => return None,
        };
        let value_bytes = value_bytes(column, element, dimensions);
        let indexed = match element {
            Element::Sparsevec => column.sample.as_ref().map_or(0, |sample| sample.most_nonzero),
            _ => dimensions,
        };
        let ranking = match (&key, operator) {
            (Key::BinaryQuantize { .. }, Operator::Hamming | Operator::Jaccard) => Operator::Cosine,
            _ => operator,
        };
        let operator = match key {
            Key::BinaryQuantize { .. } if operator != Operator::Jaccard => Operator::Hamming,
            _ => operator,
        };
        let possible = indexed <= element.most_indexable_dimensions() && has_class(method, element, operator);
        possible.then_some(Design {
            method,
            key,
            element,
            dimensions,
            operator,
            ranking,
            predicate: None,
            rows,
            part_rows: rows,
            value_bytes,
        })
    }

    /// As it was created.
    pub fn of(column: &VectorColumn, index: &VectorIndex) -> Option<Design> {
        let dimensions = index.dimensions.or_else(|| column.known_dimensions())?;
        let rows = match index.predicate {
            Some(_) => index.rows.unwrap_or_default(),
            None => column.vectors(),
        };
        Some(Design {
            method: index.method,
            key: index.key.clone(),
            element: index.element,
            dimensions,
            operator: index.operator,
            ranking: match index.key {
                Key::BinaryQuantize { .. } => choose::default_operator(column).0,
                _ => index.operator,
            },
            predicate: index.predicate.clone(),
            rows,
            part_rows: rows,
            value_bytes: value_bytes(column, index.element, dimensions),
        })
    }

    /// With a predicate that leaves so many rows.
    pub fn partial(self, predicate: String, rows: f64) -> Design {
        Design { predicate: Some(predicate), rows, part_rows: rows, ..self }
    }

    pub fn with_method(&self, method: Method) -> Design {
        Design { method, ..self.clone() }
    }

    /// Right after CREATE INDEX.
    pub fn size(&self) -> Bytes {
        let pages = match self.method {
            Method::Hnsw { m, .. } => hnsw_pages(self.rows, self.value_bytes, f64::from(m)),
            Method::Ivfflat { lists } => ivfflat_pages(self.rows, self.value_bytes, f64::from(lists)),
        };
        Bytes(pages * PAGE as u64)
    }

    /// `hnsw (m = 16, ef_construction = 64), halfvec_cosine_ops`
    pub fn description(&self) -> String {
        let partial = self.predicate.as_ref().map_or(String::new(), |predicate| format!(" WHERE {predicate}"));
        format!("{} ({}), {}{partial}", self.method.name(), self.options(), self.operator.class(self.element))
    }

    /// As WITH () takes them.
    pub fn options(&self) -> String {
        Design::options_of(self.method)
    }

    pub fn options_of(method: Method) -> String {
        match method {
            Method::Hnsw { m, ef_construction } => format!("m = {m}, ef_construction = {ef_construction}"),
            Method::Ivfflat { lists } => format!("lists = {lists}"),
        }
    }
}

/// Of a value with its header of four bytes.
fn value_bytes(column: &VectorColumn, element: Element, dimensions: u32) -> f64 {
    let average = column.sample.as_ref().map(|sample| sample.average_bytes).filter(|bytes| *bytes > 0.0);
    match (element, average) {
        // A table keeps short ones with a header of one byte.
        (Element::Sparsevec, Some(bytes)) => bytes + if bytes < 127.0 { 3.0 } else { 0.0 },
        (Element::Sparsevec, None) => {
            element.value_bytes(f64::from(dimensions.min(element.most_indexable_dimensions())))
        }
        _ => element.value_bytes(f64::from(dimensions)),
    }
}

/// pgvector has an operator class for it.
pub fn has_class(method: Method, element: Element, operator: Operator) -> bool {
    use Operator::*;
    match (element, method) {
        (Element::Bit, Method::Hnsw { .. }) => matches!(operator, Hamming | Jaccard),
        (Element::Bit, Method::Ivfflat { .. }) => operator == Hamming,
        (_, Method::Hnsw { .. }) => matches!(operator, L2 | InnerProduct | Cosine | L1),
        (Element::Sparsevec, Method::Ivfflat { .. }) => false,
        (_, Method::Ivfflat { .. }) => matches!(operator, L2 | InnerProduct | Cosine),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::vector::Goal;

    pub fn design(method: Method, element: Element, dimensions: u32, rows: f64) -> Design {
        let operator = if element == Element::Bit { Operator::Hamming } else { Operator::Cosine };
        Design {
            method,
            key: Key::Column,
            element,
            dimensions,
            operator,
            ranking: operator,
            predicate: None,
            rows,
            part_rows: rows,
            value_bytes: element.value_bytes(f64::from(dimensions)),
        }
    }

    pub fn goal(recall: f64, k: u32) -> Goal {
        Goal { recall, k, memory_bytes: None, disk_bytes: None, dimensions: None, rows: None }
    }

    /// As measured by VECTOR_FACTS, within 3%.
    #[test]
    fn sizes_are_those_measured() {
        let bytes_per_row = |method: Method, element: Element, dimensions: u32| {
            design(method, element, dimensions, 100_000.0).size().0 as f64 / 100_000.0
        };
        let near = |own: f64, measured: f64| assert!((own / measured - 1.0).abs() < 0.03, "{own} for {measured}");
        let hnsw = Method::Hnsw { m: 16, ef_construction: 64 };
        for (dimensions, measured) in [(384, 2052.0), (768, 4100.0), (1024, 8196.0), (1536, 8196.0), (2000, 16_388.0)] {
            near(bytes_per_row(hnsw, Element::Vector, dimensions), measured);
        }
        for (dimensions, measured) in [(768, 2052.0), (1024, 2736.0), (1536, 4100.0), (3072, 8196.0)] {
            near(bytes_per_row(hnsw, Element::Halfvec, dimensions), measured);
        }
        near(bytes_per_row(hnsw, Element::Bit, 1536), 508.0);
        let dense = Method::Hnsw { m: 32, ef_construction: 64 };
        near(bytes_per_row(dense, Element::Vector, 1536), 8196.0);
        let lists = Method::Ivfflat { lists: 100 };
        for (dimensions, measured) in [(384, 1663.0), (768, 4133.0), (1536, 8237.0)] {
            near(bytes_per_row(lists, Element::Vector, dimensions), measured);
        }
    }
}
