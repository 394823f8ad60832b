//! Vector columns of pgvector, their indexes, and the searches that the workload makes on them.

pub mod captured;
mod column;
mod element;
mod index;
mod search;

pub use captured::{CutSearch, CutSearches};
pub use column::{Sample, VectorColumn};
pub use element::{Element, Key, Operator};
pub use index::{Build, Method, VectorIndex};
pub use search::{Distance, Filter, Limit, Order, Rewrite, SearchSettings, SearchSource, Selectivity, VectorSearch};

use crate::facts::Name;

/// All that the rules of category `vector` judge.
#[derive(Debug)]
pub struct Vectors {
    /// None: pgvector is not installed in this database.
    pub extension: Option<Extension>,
    pub goal: Goal,
    pub server: Server,
    /// Those of the target, or of the database.
    pub columns: Vec<VectorColumn>,
    /// Index builds that run now.
    pub builds: Vec<Build>,
    pub workload: WorkloadKnown,
    /// Captured searches that got too few rows.
    pub cut: Vec<CutSearches>,
    /// Columns that could not be looked at, and why: locked, no privilege.
    pub left_out: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Extension {
    /// As in pg_extension: 0.8.0.
    pub version: [u32; 3],
    /// Where its types and operators live.
    pub schema: Name,
    /// That ALTER EXTENSION UPDATE would lead to; None: the server's files have no newer one.
    pub newer: Option<String>,
}

/// What the caller wants of searches.
#[derive(Clone, Debug)]
pub struct Goal {
    /// recall@k, over 0 and at most 1
    pub recall: f64,
    pub k: u32,
    /// For building an index; None: `maintenance_work_mem` as it is.
    pub memory_bytes: Option<u64>,
    /// All that a new index may take.
    pub disk_bytes: Option<u64>,
    pub dimensions: Option<u32>,
    /// That the table will have.
    pub rows: Option<f64>,
}

/// Settings of this session, by which indexes are built and searched.
#[derive(Clone, Debug)]
pub struct Server {
    pub maintenance_work_mem_bytes: u64,
    pub max_parallel_maintenance_workers: u32,
    pub max_worker_processes: u32,
    pub shared_buffers_bytes: u64,
    pub effective_cache_size_bytes: u64,
    pub ef_search: u32,
    /// off, relaxed_order or strict_order
    pub hnsw_iterative_scan: String,
    /// off or relaxed_order
    pub ivfflat_iterative_scan: String,
    /// Of the machine; None: it does not say.
    pub memory_bytes: Option<u64>,
    pub in_recovery: bool,
}

/// Where the searches come from.
#[derive(Clone, Debug, Default)]
pub struct WorkloadKnown {
    /// pg_stat_statements can be read.
    pub statements: bool,
    /// Searches in dbre.vector_queries of these columns.
    pub captured: u64,
    /// Statements on vector columns that could not be analyzed: query id and why.
    pub not_analyzed: Vec<(i64, String)>,
    /// Settings of pgvector that sessions set themselves, as their statements say: role, name, value (None: not told).
    pub set_by_sessions: Vec<(u32, String, Option<String>)>,
    /// Time did not suffice for all.
    pub cut_off: bool,
}

impl Vectors {
    /// Of partitions together, only the column of the partitioned table.
    pub fn judged(&self) -> impl Iterator<Item = &VectorColumn> {
        let partitioned = |root: u32| self.columns.iter().any(|column| column.table == root);
        let roots: std::collections::HashSet<u32> =
            self.columns.iter().filter_map(|column| column.partition_of).filter(|root| partitioned(*root)).collect();
        self.columns.iter().filter(move |column| !column.partition_of.is_some_and(|root| roots.contains(&root)))
    }

    pub fn indexes(&self) -> impl Iterator<Item = (&VectorColumn, &VectorIndex)> {
        self.columns.iter().flat_map(|column| column.indexes.iter().map(move |index| (column, index)))
    }

    pub fn searches(&self) -> impl Iterator<Item = (&VectorColumn, &VectorSearch)> {
        self.columns.iter().flat_map(|column| column.searches.iter().map(move |search| (column, search)))
    }

    /// What the expected rows of a column's table are, of the goal or as they are now.
    pub fn rows(&self, column: &VectorColumn) -> f64 {
        self.goal.rows.unwrap_or(column.rows).max(column.rows)
    }
}
