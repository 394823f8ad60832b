//! CREATE TABLE and ALTER TABLE.

use super::{ExpressionText, NameAsWritten, ObjectKind, TypeAsWritten};

#[derive(Clone, Debug)]
pub struct CreateTable {
    pub name: NameAsWritten,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub unlogged: bool,
    pub foreign: bool,
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<ConstraintDefinition>,
    pub partition_of: Option<NameAsWritten>,
    pub bound: Option<Bound>,
    /// `range`, `list` or `hash` with the columns (None: an expression).
    pub partition_by: Option<(String, Vec<Option<String>>)>,
    pub inherits: Vec<NameAsWritten>,
    pub like: Vec<NameAsWritten>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub default: bool,
    /// `FOR VALUES …` or `DEFAULT`, as written.
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    pub name: String,
    /// As written: from the name to the last of its constraints.
    pub text: String,
    pub of_type: TypeAsWritten,
    pub not_null: bool,
    pub default: Option<ExpressionText>,
    /// ALWAYS or BY DEFAULT
    pub identity: Option<String>,
    pub generated: Option<ExpressionText>,
    /// CHECK, UNIQUE, PRIMARY KEY and REFERENCES of the column.
    pub constraints: Vec<ConstraintDefinition>,
}

#[derive(Clone, Debug)]
pub struct ConstraintDefinition {
    pub name: Option<String>,
    pub kind: ConstraintKind,
    /// Of the table that has it.
    pub columns: Vec<String>,
    /// As written, with CONSTRAINT and the name.
    pub text: String,
    pub not_valid: bool,
    pub no_inherit: bool,
    pub deferrable: bool,
    pub initially_deferred: bool,
    /// INCLUDE of UNIQUE and PRIMARY KEY.
    pub include: Vec<String>,
    pub nulls_not_distinct: bool,
    pub using_index: Option<String>,
    pub check: Option<ExpressionText>,
    pub references: Option<Reference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    Check,
    Unique,
    PrimaryKey,
    Exclude,
    ForeignKey,
    NotNull,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub table: NameAsWritten,
    /// Empty: the primary key.
    pub columns: Vec<String>,
    /// NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT
    pub on_delete: &'static str,
    pub on_update: &'static str,
}

#[derive(Clone, Debug)]
pub struct AlterTable {
    /// Table, Index, Sequence, View, MaterializedView, ForeignTable or Type.
    pub kind: ObjectKind,
    pub relation: NameAsWritten,
    pub only: bool,
    pub missing_ok: bool,
    pub commands: Vec<AlterTableCommand>,
}

#[derive(Clone, Debug)]
pub struct AlterTableCommand {
    /// As written, without the comma.
    pub text: String,
    pub what: AlterTableAction,
}

#[derive(Clone, Debug)]
pub enum AlterTableAction {
    AddColumn {
        column: ColumnDefinition,
        if_not_exists: bool,
    },
    DropColumn {
        column: String,
        cascade: bool,
        missing_ok: bool,
    },
    SetType {
        column: String,
        to: TypeAsWritten,
        collation: Option<String>,
        using: Option<ExpressionText>,
    },
    SetDefault {
        column: String,
        default: ExpressionText,
    },
    DropDefault {
        column: String,
    },
    SetNotNull {
        column: String,
    },
    DropNotNull {
        column: String,
    },
    SetExpression {
        column: String,
        expression: ExpressionText,
    },
    DropExpression {
        column: String,
    },
    AddIdentity {
        column: String,
    },
    SetIdentity {
        column: String,
    },
    DropIdentity {
        column: String,
        missing_ok: bool,
    },
    SetStatistics {
        column: String,
    },
    SetStorage {
        column: String,
    },
    SetCompression {
        column: String,
    },
    /// `ALTER COLUMN … SET (n_distinct = …)` or RESET
    SetColumnOptions {
        column: String,
    },
    AddConstraint(ConstraintDefinition),
    AlterConstraint {
        name: String,
    },
    ValidateConstraint {
        name: String,
    },
    DropConstraint {
        name: String,
        cascade: bool,
        missing_ok: bool,
    },
    /// `SET (fillfactor = …)` or RESET: the options' names.
    SetOptions {
        options: Vec<String>,
    },
    SetLogged,
    SetUnlogged,
    SetTablespace {
        tablespace: String,
    },
    SetAccessMethod {
        method: Option<String>,
    },
    ClusterOn {
        index: String,
    },
    SetWithoutCluster,
    ReplicaIdentity,
    /// ENABLE or DISABLE (also ALWAYS, REPLICA)
    Trigger {
        name: Option<String>,
        enable: bool,
    },
    Rule {
        name: String,
        enable: bool,
    },
    RowSecurity {
        enable: bool,
    },
    ForceRowSecurity {
        force: bool,
    },
    Inherit {
        parent: NameAsWritten,
    },
    NoInherit {
        parent: NameAsWritten,
    },
    OfType,
    AttachPartition {
        partition: NameAsWritten,
        bound: Bound,
    },
    DetachPartition {
        partition: NameAsWritten,
        concurrently: bool,
        finalize: bool,
    },
    /// ALTER INDEX … ATTACH PARTITION
    AttachIndex {
        index: NameAsWritten,
    },
    Owner {
        owner: String,
    },
    /// What has no variant of its own: its name in the server's parser.
    Other {
        name: String,
    },
}
