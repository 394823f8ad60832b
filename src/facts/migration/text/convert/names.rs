//! Names, kinds of objects and options in a parse tree.

use super::super::node::Node;
use crate::facts::migration::statement::{NameAsWritten, ObjectKind};
use pgrx::pg_sys::ObjectType::*;

/// A RangeVar.
pub fn relation(node: Node) -> NameAsWritten {
    NameAsWritten { schema: node.string("schemaname"), name: node.name("relname") }
}

/// As `relation`; None: none is named.
pub fn optional_relation(node: Node) -> Option<NameAsWritten> {
    (!node.is_null()).then(|| relation(node))
}

/// A list of the parts of a name.
pub fn qualified(parts: &[String]) -> NameAsWritten {
    let mut parts = parts.iter().rev();
    let name = parts.next().cloned().unwrap_or_default();
    NameAsWritten { schema: parts.next().cloned(), name }
}

/// The parts of any object's name.
pub fn parts(node: Node) -> Vec<String> {
    match node.tag() {
        "OBJECTWITHARGS" => node.names("objname"),
        "TYPENAME" => node.names("names"),
        "RANGEVAR" => {
            let relation = relation(node);
            relation.schema.into_iter().chain([relation.name]).collect()
        }
        "" => match node.text() {
            Some(name) => vec![name],
            None => node.children().flat_map(parts).collect(),
        },
        _ => Vec::new(),
    }
}

pub fn kind(node: Node, field: &str) -> ObjectKind {
    match node.number(field).unwrap_or(-1) as u32 {
        OBJECT_TABLE => ObjectKind::Table,
        OBJECT_FOREIGN_TABLE => ObjectKind::ForeignTable,
        OBJECT_VIEW => ObjectKind::View,
        OBJECT_MATVIEW => ObjectKind::MaterializedView,
        OBJECT_INDEX => ObjectKind::Index,
        OBJECT_SEQUENCE => ObjectKind::Sequence,
        OBJECT_COLUMN | OBJECT_ATTRIBUTE => ObjectKind::Column,
        OBJECT_TABCONSTRAINT => ObjectKind::Constraint,
        OBJECT_DEFAULT => ObjectKind::Default,
        OBJECT_TRIGGER => ObjectKind::Trigger,
        OBJECT_POLICY => ObjectKind::Policy,
        OBJECT_RULE => ObjectKind::Rule,
        OBJECT_TYPE => ObjectKind::Type,
        OBJECT_DOMAIN => ObjectKind::Domain,
        OBJECT_DOMCONSTRAINT => ObjectKind::DomainConstraint,
        OBJECT_FUNCTION | OBJECT_PROCEDURE | OBJECT_ROUTINE | OBJECT_AGGREGATE => ObjectKind::Function,
        OBJECT_SCHEMA => ObjectKind::Schema,
        OBJECT_EXTENSION => ObjectKind::Extension,
        OBJECT_PUBLICATION => ObjectKind::Publication,
        OBJECT_STATISTIC_EXT => ObjectKind::Statistics,
        OBJECT_DATABASE => ObjectKind::Database,
        OBJECT_ROLE => ObjectKind::Role,
        _ => ObjectKind::Other,
    }
}

/// The argument of a DefElem of this name.
pub fn option<'t>(list: Node<'t>, name: &str) -> Option<Node<'t>> {
    list.children().find(|option| option.string("defname").as_deref() == Some(name)).map(|option| option.field("arg"))
}

/// A switch of this name is on: without an argument it is.
pub fn flag_of(list: Node, name: &str) -> bool {
    option(list, name).is_some_and(|argument| {
        argument.text().is_none_or(|value| !matches!(value.to_lowercase().as_str(), "false" | "off" | "0"))
    })
}

/// DROP … CASCADE
pub fn cascade(node: Node) -> bool {
    node.number("behavior") == Some(i64::from(pgrx::pg_sys::DropBehavior::DROP_CASCADE))
}

pub fn persistence(relation: Node) -> char {
    relation.string("relpersistence").and_then(|letter| letter.chars().next()).unwrap_or('p')
}
