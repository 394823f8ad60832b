//! One statement of a migration, as the server's parser reads it: names as written, nothing looked up.

mod object;
mod table;
mod types;

pub use crate::facts::LockMode;
pub use object::{CreateIndex, Drop, Reindex, Rename, Truncate};
pub use table::{
    AlterTable, AlterTableAction, AlterTableCommand, Bound, ColumnDefinition, ConstraintDefinition, ConstraintKind,
    CreateTable, Reference,
};
pub use types::{AlterDomain, AlterDomainAction, AlterEnum, AlterEnumAction, DomainConstraint, NewType};

use super::text::Parsed;

/// `schema.name` as written, unquoted; without a schema it is looked up in search_path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameAsWritten {
    pub schema: Option<String>,
    pub name: String,
}

/// An expression's text, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionText {
    pub text: String,
    /// Where it begins in the statement's text, in bytes.
    pub offset: usize,
}

/// A type as written: `varchar(20)`, `my_schema.status[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeAsWritten {
    pub text: String,
    /// `serial`, `bigserial` and `smallserial` with their spellings serial4 and so on.
    pub serial: bool,
}

#[derive(Clone, Debug)]
pub enum Statement {
    Transaction(Transaction),
    Set(Set),
    CreateTable(CreateTable),
    /// Also ALTER INDEX, SEQUENCE, VIEW, MATERIALIZED VIEW, FOREIGN TABLE and composite TYPE.
    AlterTable(AlterTable),
    CreateIndex(CreateIndex),
    Reindex(Reindex),
    Drop(Drop),
    Truncate(Truncate),
    Rename(Rename),
    SetSchema {
        kind: ObjectKind,
        object: Vec<String>,
        schema: String,
        missing_ok: bool,
    },
    Owner {
        kind: ObjectKind,
        object: Vec<String>,
    },
    CreateView {
        name: NameAsWritten,
        replace: bool,
        query: String,
    },
    /// CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
    CreateTableAs {
        name: NameAsWritten,
        materialized_view: bool,
        temporary: bool,
        if_not_exists: bool,
        with_data: bool,
        query: String,
    },
    RefreshMaterializedView {
        name: NameAsWritten,
        concurrently: bool,
        with_data: bool,
    },
    Cluster {
        relation: Option<NameAsWritten>,
        index: Option<String>,
    },
    Vacuum {
        relations: Vec<NameAsWritten>,
        full: bool,
        analyze: bool,
    },
    Analyze {
        relations: Vec<NameAsWritten>,
    },
    CreateTrigger {
        name: String,
        relation: NameAsWritten,
        function: Vec<String>,
        constraint_from: Option<NameAsWritten>,
        each_row: bool,
        replace: bool,
    },
    CreateRule {
        name: String,
        relation: NameAsWritten,
        replace: bool,
    },
    Policy {
        name: String,
        relation: NameAsWritten,
        create: bool,
    },
    CreateType {
        name: NameAsWritten,
        kind: NewType,
    },
    AlterEnum(AlterEnum),
    CreateDomain {
        name: NameAsWritten,
        base: TypeAsWritten,
        constraints: Vec<DomainConstraint>,
        has_default: bool,
    },
    AlterDomain(AlterDomain),
    CreateSequence {
        name: NameAsWritten,
        if_not_exists: bool,
        temporary: bool,
    },
    AlterSequence {
        name: NameAsWritten,
        owned_by: Option<Vec<String>>,
        restart: bool,
        missing_ok: bool,
    },
    CreateSchema {
        name: String,
        if_not_exists: bool,
        /// CREATE TABLE and so on within it.
        elements: Vec<Statement>,
    },
    CreateExtension {
        name: String,
        if_not_exists: bool,
    },
    CreateFunction {
        name: Vec<String>,
        replace: bool,
        procedure: bool,
        language: Option<String>,
        body: Option<String>,
    },
    CreateStatistics {
        name: Option<NameAsWritten>,
        relations: Vec<NameAsWritten>,
    },
    Publication {
        name: String,
        create: bool,
        relations: Vec<NameAsWritten>,
    },
    Comment {
        kind: ObjectKind,
        object: Vec<String>,
    },
    /// GRANT or REVOKE on relations, or on what else `kind` says.
    Grant {
        grant: bool,
        kind: ObjectKind,
        objects: Vec<Vec<String>>,
    },
    Lock {
        relations: Vec<NameAsWritten>,
        only: Vec<bool>,
        mode: LockMode,
        nowait: bool,
    },
    Copy {
        relation: Option<NameAsWritten>,
        from: bool,
    },
    /// INSERT, UPDATE, DELETE, MERGE, SELECT, VALUES.
    Query(Query),
    Do {
        body: String,
        /// Those in the body, in their order; which of them run is not told, nor how often.
        statements: Vec<Parsed>,
        /// It does more than those: EXECUTE, another language, what does not parse.
        dynamic: bool,
    },
    Call {
        procedure: Vec<String>,
    },
    /// NOTIFY, LISTEN, DISCARD and so on, and DDL without a variant of its own: the command tag in lower case.
    Other {
        tag: String,
    },
    /// The server's parser refuses it.
    SyntaxError(SyntaxError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub sqlstate: String,
    pub message: String,
    /// Where, in the statement's text, in bytes.
    pub offset: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    Begin,
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
    Prepared,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// In lower case; `all` for RESET ALL.
    pub name: String,
    /// None: DEFAULT or RESET.
    pub value: Option<String>,
    pub local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    Table,
    PartitionedTable,
    ForeignTable,
    View,
    MaterializedView,
    Index,
    Sequence,
    Column,
    Constraint,
    Default,
    Trigger,
    Policy,
    Rule,
    Type,
    Domain,
    DomainConstraint,
    Function,
    Schema,
    Extension,
    Publication,
    Statistics,
    Database,
    Role,
    Other,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub kind: QueryKind,
    /// What INSERT, UPDATE, DELETE and MERGE write; also those of WITH.
    pub writes: Vec<(QueryKind, NameAsWritten)>,
    /// INSERT: the columns that are listed; UPDATE and MERGE: those that are set. Those of WITH are not among them.
    pub columns: Vec<String>,
    /// Other relations that it names. Names of WITH queries are not among them.
    pub reads: Vec<NameAsWritten>,
    pub has_condition: bool,
    /// INSERT: from VALUES or DEFAULT VALUES, the number of rows.
    pub value_rows: Option<usize>,
    /// Functions it calls, as written.
    pub functions: Vec<Vec<String>>,
    /// By FOR UPDATE, NO KEY UPDATE, SHARE or KEY SHARE.
    pub locked: Vec<NameAsWritten>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}
