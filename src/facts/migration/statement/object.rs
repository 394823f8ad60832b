//! Statements on indexes, and on whole objects.

use super::{ExpressionText, NameAsWritten, ObjectKind};

#[derive(Clone, Debug)]
pub struct CreateIndex {
    pub name: Option<String>,
    pub relation: NameAsWritten,
    pub only: bool,
    pub concurrently: bool,
    pub unique: bool,
    pub if_not_exists: bool,
    pub method: String,
    /// None: an expression.
    pub columns: Vec<Option<String>>,
    pub include: Vec<String>,
    pub predicate: Option<ExpressionText>,
    pub nulls_not_distinct: bool,
}

#[derive(Clone, Debug)]
pub struct Reindex {
    /// Index, Table, Schema or Database (also SYSTEM).
    pub kind: ObjectKind,
    pub name: Option<NameAsWritten>,
    pub concurrently: bool,
}

#[derive(Clone, Debug)]
pub struct Drop {
    pub kind: ObjectKind,
    /// Parts of each name; of a trigger, policy or rule the relation's, then its own.
    pub objects: Vec<Vec<String>>,
    /// Of each function, aggregate and so on: its argument types as written. None: none are given.
    pub arguments: Vec<Option<String>>,
    pub cascade: bool,
    pub missing_ok: bool,
    pub concurrently: bool,
}

#[derive(Clone, Debug)]
pub struct Truncate {
    pub relations: Vec<NameAsWritten>,
    pub only: Vec<bool>,
    pub cascade: bool,
    pub restart_identity: bool,
}

#[derive(Clone, Debug)]
pub struct Rename {
    /// Of what is renamed: Table, Column, Constraint, Index, View, Type …
    pub kind: ObjectKind,
    /// The relation that is renamed or whose part is.
    pub relation: Option<NameAsWritten>,
    /// Of an object that is no relation.
    pub object: Vec<String>,
    /// The old name of the part: of the column, constraint, trigger, policy, attribute.
    pub part: Option<String>,
    pub new_name: String,
    pub missing_ok: bool,
}
