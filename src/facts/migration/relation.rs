//! The catalog as a migration finds it and changes it: what has an OID and what the migration has made.

use super::statement::ObjectKind;
use crate::facts::QualifiedName;

/// An OID, or a number of our own for what the migration creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    Oid(u32),
    New(u32),
}

#[derive(Clone, Debug)]
pub struct Relation {
    pub id: Id,
    pub name: QualifiedName,
    /// Table, PartitionedTable, ForeignTable, View, MaterializedView, Sequence, or Type of a composite type.
    pub kind: ObjectKind,
    pub temporary: bool,
    pub unlogged: bool,
    pub owner: String,
    /// Empty: the database's own.
    pub tablespace: String,
    /// Of what has storage.
    pub access_method: String,
    /// From the planner's statistics, scaled by the size; what the migration inserts or deletes is not counted, but a table that
    /// it creates or truncates is empty.
    pub rows: f64,
    /// Never vacuumed nor analyzed: `rows` is a guess from the size.
    pub rows_guessed: bool,
    /// The table's own file with TOAST; 0 of what has no storage.
    pub bytes: u64,
    pub index_bytes: u64,
    pub columns: Vec<Column>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    pub triggers: Vec<String>,
    pub policies: Vec<String>,
    pub row_security: bool,
    /// Owned by its columns.
    pub sequences: Vec<Id>,
    /// Of a partition, the partitioned table; of a child, the tables that it inherits from.
    pub parents: Vec<Id>,
    pub is_partition: bool,
    pub children: Vec<Id>,
    /// The composite type that it is a table OF.
    pub of_type: Option<Id>,
    /// `FOR VALUES …` or DEFAULT, of a partition.
    pub bound: Option<String>,
    /// `range (created_at)`, of a partitioned table.
    pub partition_key: Option<String>,
    /// Columns of the partition key; None: an expression.
    pub partition_columns: Vec<Option<String>>,
    pub default_partition: Option<Id>,
    /// Views, functions, policies and so on that use it, directly.
    pub dependents: Vec<Dependent>,
    /// By the migration: empty and, until COMMIT, unknown to others.
    pub created_here: bool,
    pub dropped: bool,
    /// Another session has locked it: the texts of its expressions could not be read without waiting.
    pub unreadable: bool,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// 0 of one that the migration adds.
    pub number: i16,
    /// As format_type prints it.
    pub type_name: String,
    /// 0 of a type that the migration creates.
    pub type_oid: u32,
    pub typmod: i32,
    pub collation: u32,
    pub not_null: bool,
    pub default: Option<String>,
    /// The migration has set or dropped it: what depended on the old one does no more.
    pub default_changed: bool,
    /// ALWAYS or BY DEFAULT
    pub identity: Option<String>,
    /// The expression of a stored generated column.
    pub generated: Option<String>,
    /// From pg_stats; None: no statistics, or no right to read them.
    pub null_fraction: Option<f64>,
    pub distinct: Option<f64>,
    /// In bytes.
    pub width: Option<f64>,
    pub created_here: bool,
}

#[derive(Clone, Debug)]
pub struct Constraint {
    pub name: String,
    pub kind: super::statement::ConstraintKind,
    pub columns: Vec<String>,
    /// As pg_get_constraintdef prints it, or as the migration writes it.
    pub definition: String,
    /// Of a CHECK, its expression.
    pub check: Option<String>,
    pub validated: bool,
    pub no_inherit: bool,
    /// Of a foreign key.
    pub references: Option<Id>,
    pub referenced_columns: Vec<String>,
    /// NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT
    pub on_delete: String,
    pub on_update: String,
    /// Its index's name, of a unique, primary key or exclusion constraint; of a foreign key the index that it refers to.
    pub index: Option<String>,
    /// It comes from a parent.
    pub inherited: bool,
    /// The transaction that added it, if the migration did.
    pub added_in: Option<Option<usize>>,
}

#[derive(Clone, Debug)]
pub struct Index {
    pub id: Id,
    pub name: QualifiedName,
    pub unique: bool,
    pub primary: bool,
    pub valid: bool,
    pub method: String,
    /// Key columns; None: an expression.
    pub columns: Vec<Option<String>>,
    pub include: Vec<String>,
    pub partial: bool,
    /// Columns of expressions and predicate.
    pub other_columns: Vec<String>,
    /// Operator classes and collations of the key columns; empty of what the migration creates.
    pub classes: Vec<u32>,
    pub collations: Vec<u32>,
    pub bytes: u64,
    pub definition: String,
    /// The index of the partitioned table that this is attached to.
    pub parent: Option<Id>,
    pub replica_identity: bool,
    pub created_here: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    pub kind: ObjectKind,
    /// As pg_identify_object prints it.
    pub name: String,
    pub id: Id,
    /// Columns of the relation that it uses; empty: the relation as a whole.
    pub columns: Vec<String>,
}

/// What rules need to know of a relation, as it was before the statement.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: Id,
    pub name: QualifiedName,
    pub kind: ObjectKind,
    pub rows: f64,
    pub rows_guessed: bool,
    pub bytes: u64,
    pub index_bytes: u64,
    /// Nobody else knows it yet, or nobody else can: locks and rewrites of it hurt nobody.
    pub private: bool,
}

/// A type that users made.
#[derive(Clone, Debug)]
pub struct Type {
    pub id: Id,
    pub name: QualifiedName,
    pub kind: TypeKind,
    /// Of a domain, as far as the catalogs know it.
    pub base: Option<Id>,
    /// Of a domain.
    pub not_null: bool,
    pub has_default: bool,
    /// Of an enum, in their order.
    pub labels: Vec<String>,
    /// Of a domain.
    pub checks: Vec<DomainCheck>,
    pub created_here: bool,
    /// Values of an enum that this transaction added, and which it may not use yet.
    pub uncommitted_labels: Vec<(String, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeKind {
    Base,
    Composite,
    Domain,
    Enum,
    Range,
}

#[derive(Clone, Debug)]
pub struct DomainCheck {
    pub name: String,
    pub validated: bool,
}

impl Relation {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }

    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name.name.raw() == name)
    }

    /// Rows of it are in a file of its own.
    pub fn has_rows_itself(&self) -> bool {
        matches!(self.kind, ObjectKind::Table | ObjectKind::MaterializedView)
    }
}

impl Index {
    /// Any part of it is made of the column.
    pub fn uses(&self, column: &str) -> bool {
        self.columns.iter().flatten().chain(&self.include).chain(&self.other_columns).any(|used| used == column)
    }
}
