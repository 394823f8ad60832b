//! A search that the workload makes.

use super::{Key, Operator};

#[derive(Clone, Debug)]
pub struct VectorSearch {
    pub source: SearchSource,
    /// None: captured without.
    pub query_id: Option<i64>,
    /// As recorded; None: the caller may not see it.
    pub text: Option<String>,
    /// Of several roles that of which the searches took most time.
    pub role: u32,
    /// Quoted where needed.
    pub role_name: String,
    pub calls: f64,
    pub mean_ms: f64,
    pub rows_per_call: Option<f64>,
    /// For how long it was counted.
    pub counted_days: Option<f64>,
    pub key: Key,
    /// What is compared, as PostgreSQL prints it, without the query vector.
    pub key_sql: String,
    pub operator: Operator,
    /// Written as a call of this function, which no index serves: `cosine_distance`.
    pub function: Option<String>,
    /// What the vectors are compared with, as printed: `$1`.
    pub compared_with: String,
    /// That is of another table of the same query: there is a distance for each pair of rows.
    pub joined: bool,
    /// A condition of WHERE compares the distance.
    pub within_condition: bool,
    pub order: Order,
    pub limit: Limit,
    /// Conditions of WHERE on the table, joined by AND.
    pub filters: Vec<Filter>,
    /// Of all filters together; None: there are none, or it is not known.
    pub selectivity: Option<Selectivity>,
    /// Indexes of the table that the plan made now uses; None: it was not planned.
    pub planned_indexes: Option<Vec<u32>>,
    /// The plan made now reads the whole table.
    pub planned_sequential: bool,
    /// Those with which the role's sessions begin in this database.
    pub settings: SearchSettings,
    /// Of a search that no index serves as it is written.
    pub rewrite: Option<Rewrite>,
}

/// The same search in a form that an index could serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    pub sql: String,
    /// Indexes of the table that its plan uses where the planner avoids to read the whole table; none: there is none, so far.
    pub indexes: Vec<u32>,
}

/// A distance that a query computes on a column of vectors, as its text says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    pub table: u32,
    pub column: i16,
    pub key: Key,
    pub key_sql: String,
    pub operator: Operator,
    pub function: Option<String>,
    pub compared_with: String,
    pub joined: bool,
    pub within_condition: bool,
    pub order: Order,
    pub limit: Limit,
    pub filters: Vec<Filter>,
}

/// Settings of searches, where they were not changed by the application itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchSettings {
    pub ef_search: u32,
    pub probes: u32,
    pub hnsw_iterative_scan: String,
    pub ivfflat_iterative_scan: String,
}

impl VectorSearch {
    pub fn total_ms(&self) -> f64 {
        self.calls * self.mean_ms
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchSource {
    Statements,
    Captured,
}

/// How the distance is used.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// `ORDER BY key <op> query`, which an index can serve.
    Ascending,
    Descending,
    /// The distance within an expression, as printed: `1 - (embedding <=> $1)`.
    Wrapped {
        expression: String,
        descending: bool,
    },
    /// In ORDER BY behind other keys.
    Later,
    /// Not in ORDER BY: only compared in WHERE, or returned.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    None,
    Rows(u64),
    /// `LIMIT $2`: its value is not known, unless what was returned tells.
    Parameter,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// With parameters as they are in the text: `tenant_id = $1`.
    pub sql: String,
    /// Of the table.
    pub columns: Vec<i16>,
    /// Nothing but `column = value`.
    pub equality: bool,
    /// The value is in the text, and so the same in all calls.
    pub constant: bool,
    /// Values of its only column; None: it has several, or that is not known.
    pub distinct: Option<f64>,
    /// An index that is not one of vectors begins with one of its columns.
    pub indexed: bool,
    pub selectivity: Option<Selectivity>,
}

/// Share of the rows, with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selectivity {
    pub share: f64,
    /// measured, planned or estimated
    pub basis: &'static str,
}
