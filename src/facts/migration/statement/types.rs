//! Statements on types and domains.

use super::{ExpressionText, NameAsWritten};

#[derive(Clone, Debug)]
pub enum NewType {
    Enum { labels: Vec<String> },
    Composite,
    Range,
    Base,
}

#[derive(Clone, Debug)]
pub struct AlterEnum {
    pub name: NameAsWritten,
    pub action: AlterEnumAction,
}

#[derive(Clone, Debug)]
pub enum AlterEnumAction {
    AddValue { value: String, if_not_exists: bool },
    RenameValue { from: String, to: String },
}

#[derive(Clone, Debug)]
pub struct DomainConstraint {
    pub name: Option<String>,
    pub not_null: bool,
    pub not_valid: bool,
    pub check: Option<ExpressionText>,
}

#[derive(Clone, Debug)]
pub struct AlterDomain {
    pub name: NameAsWritten,
    pub action: AlterDomainAction,
}

#[derive(Clone, Debug)]
pub enum AlterDomainAction {
    SetDefault,
    DropDefault,
    SetNotNull,
    DropNotNull,
    AddConstraint(DomainConstraint),
    DropConstraint { name: String, missing_ok: bool },
    ValidateConstraint { name: String },
}
