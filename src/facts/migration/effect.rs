//! What a statement of a migration does.

use super::statement::QueryKind;
use super::{Column, Constraint, Dependent, Lock, ObjectKind, Relation, Target};
#[derive(Clone, Debug)]
pub enum Effect {
    /// The table and its indexes are written anew.
    Rewrites {
        table: Target,
        why: Rewrite,
    },
    /// Every row is read while the statement's lock is held.
    Scans {
        table: Target,
        why: Scan,
    },
    BuildsIndex {
        table: Target,
        index: String,
        concurrently: bool,
        why: Build,
    },
    /// By itself, or because of what `cascade_of` names.
    Drops {
        object: Dropped,
        cascade_of: Option<String>,
    },
    Renames {
        object: Dropped,
        new_name: String,
    },
    /// An object that goes or gets another name, and what uses it and stays.
    StillUsed {
        object: Dropped,
        by: Vec<User>,
    },
    /// A column that must be given from then on, and INSERTs that do not.
    InsertedWithout {
        table: Target,
        column: String,
        by: Vec<User>,
    },
    /// At the end of the migration no index begins with its columns.
    ForeignKeyWithoutIndex {
        table: Target,
        constraint: Constraint,
    },
    /// Rows that the statement writes, as the planner expects.
    Writes {
        table: Target,
        kind: QueryKind,
        rows: f64,
        has_condition: bool,
        basis: String,
    },
    /// TRUNCATE: all its rows go.
    Empties {
        table: Target,
        cascade_of: Option<String>,
    },
    /// Rows of another table that a DELETE changes or refuses, through a foreign key.
    Reaches {
        table: Target,
        constraint: String,
        /// CASCADE, SET NULL, SET DEFAULT, RESTRICT, NO ACTION
        action: String,
        rows: f64,
        /// Without an index the table is read once for each deleted row.
        indexed: bool,
        basis: String,
    },
    AddsColumn {
        table: Target,
        column: Column,
        has_default: bool,
    },
    CreatesTable {
        table: Relation,
    },
    AddsForeignKey {
        table: Target,
        constraint: Constraint,
        validates: bool,
    },
    /// It will fail here, or for these data; `certain`: not only by statistics.
    Fails {
        why: Failure,
        sqlstate: &'static str,
        certain: bool,
    },
    /// What the transaction holds of the one table it holds while it waits for the other; who writes takes them the other way.
    LocksInDeadlockOrder {
        referred_to: Lock,
        referring: Lock,
        constraint: String,
    },
    /// What it does cannot be told: dynamic SQL, an object that the migration's own code makes.
    NotJudged {
        why: String,
    },
}

/// Who uses something, though no dependency says so.
#[derive(Clone, Debug)]
pub struct User {
    /// `function public.f(integer)`, `query 123`
    pub name: String,
    pub text: String,
    /// Of a query, as pg_stat_statements has counted; None: it is a function.
    pub calls: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Dropped {
    pub kind: ObjectKind,
    /// As pg_identify_object prints it.
    pub name: String,
    pub table: Option<Target>,
    /// Of a column, constraint, trigger, policy: its own name.
    pub part: Option<String>,
    /// Data that goes with it.
    pub rows: f64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub enum Rewrite {
    VolatileDefault { column: String, default: String },
    Serial { column: String },
    Identity { column: String },
    StoredGenerated { column: String },
    ConstrainedDomain { column: String, domain: String },
    TypeChange { column: String, from: String, to: String },
    SetLogged,
    SetUnlogged,
    AccessMethod,
    Tablespace,
    Cluster,
    VacuumFull,
    Refresh,
    SetExpression { column: String },
}

#[derive(Clone, Debug)]
pub enum Scan {
    SetNotNull {
        column: String,
    },
    PrimaryKeyNotNull {
        columns: Vec<String>,
    },
    Check {
        constraint: String,
    },
    ForeignKey {
        constraint: String,
    },
    Validate {
        constraint: String,
    },
    AttachPartition {
        parent: String,
    },
    /// Of the default partition.
    DefaultPartition {
        parent: String,
        partition: String,
    },
    Domain {
        domain: String,
    },
    Index,
    /// Rows are checked, not written: same type again under a CHECK.
    TypeChange,
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    CreateIndex,
    Unique,
    PrimaryKey,
    Exclude,
    Reindex,
    /// A type or collation change rebuilds it without the table.
    TypeChange,
    Attach,
}

#[derive(Clone, Debug)]
pub enum Failure {
    /// Relation, column, constraint, type … that is not there at that point.
    Missing {
        kind: ObjectKind,
        name: String,
    },
    Exists {
        kind: ObjectKind,
        name: String,
    },
    InTransaction {
        what: String,
    },
    NullsExist {
        table: Target,
        column: String,
        rows: f64,
        basis: String,
    },
    DuplicatesExist {
        table: Target,
        columns: Vec<String>,
        rows: f64,
        basis: String,
    },
    OrphansExist {
        table: Target,
        constraint: String,
        rows: f64,
        basis: String,
    },
    RowsExist {
        table: Target,
        what: String,
    },
    DependentsExist {
        object: Dropped,
        dependents: Vec<Dependent>,
    },
    EnumValueNotCommitted {
        value: String,
    },
    NewerServer {
        feature: String,
        version: u32,
    },
    Other {
        message: String,
    },
}

impl Rewrite {
    /// The column that causes it, where one does.
    pub fn column(&self) -> Option<&str> {
        match self {
            Rewrite::VolatileDefault { column, .. }
            | Rewrite::Serial { column }
            | Rewrite::Identity { column }
            | Rewrite::StoredGenerated { column }
            | Rewrite::ConstrainedDomain { column, .. }
            | Rewrite::TypeChange { column, .. }
            | Rewrite::SetExpression { column } => Some(column),
            _ => None,
        }
    }
}
