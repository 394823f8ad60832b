//! What a SQLAlchemy model of a table is probably called: a guess from the names of tables and columns.

use crate::advice::lookups::{Relation, RelationKind};
use crate::facts::{Catalog, Table};
use crate::units::capitalized;

/// `Task` for `tasks`, `OrderLine` for `order_lines`.
pub fn class(table: &Table) -> String {
    let name = singular(table.name.name.raw());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let class: String = words.map(capitalized).collect();
    identifier(&class)
}

/// The attribute of the parent's class that leads to what is looked up: `assignee` for `tasks.assignee_id`, `comments` for
/// the table.
pub fn attribute(catalog: &Catalog, relation: &Relation) -> String {
    let (table, parent) = (catalog.table(relation.table), catalog.table(relation.parent));
    let name = match relation.kind {
        RelationKind::ManyToOne => many_to_one(catalog, relation),
        RelationKind::OneToMany if table.oid == parent.oid => "children".to_string(),
        RelationKind::OneToMany => table.name.name.raw().to_lowercase(),
        RelationKind::OneToOne => singular(&table.name.name.raw().to_lowercase()),
        RelationKind::ManyToMany { target } => catalog.table(target).name.name.raw().to_lowercase(),
        RelationKind::Reload => String::new(),
    };
    identifier(&name)
}

/// By the column of the key that is not named as what it refers to: a tenant's column is.
fn many_to_one(catalog: &Catalog, relation: &Relation) -> String {
    let (table, parent) = (catalog.table(relation.table), catalog.table(relation.parent));
    let names = |table: &Table, column: &i16| table.column(*column).map(|column| column.name.raw().to_string());
    let pairs = relation.parent_columns.iter().zip(&relation.columns);
    let mut own =
        pairs.filter_map(|(own, other)| names(parent, own).filter(|name| Some(name) != names(table, other).as_ref()));
    let column = own.next_back().or_else(|| names(parent, relation.parent_columns.last()?)).unwrap_or_default();
    let lower = column.to_lowercase();
    let stem = ["_id", "_uuid", "_fk", "_key"].iter().find_map(|suffix| lower.strip_suffix(suffix));
    let stem = stem.map(str::to_string).or_else(|| column.strip_suffix("Id").map(str::to_string));
    stem.filter(|stem| !stem.is_empty()).unwrap_or(lower)
}

fn singular(plural: &str) -> String {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| plural.to_lowercase().ends_with(suffix));
    let cut = |bytes: usize| plural[..plural.len() - bytes].to_string();
    if ends(&["ies"]) && plural.len() > 4 {
        cut(3) + "y"
    } else if ends(&["sses", "shes", "ches", "xes"]) {
        cut(2)
    } else if ends(&["s"]) && !ends(&["ss", "us", "is"]) && plural.len() > 2 {
        cut(1)
    } else {
        plural.to_string()
    }
}

/// As Python takes it.
fn identifier(name: &str) -> String {
    let mut name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_numeric()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn classes_are_singular() {
        let of = |name: &str| singular(name);
        assert_eq!(
            ["tasks", "categories", "boxes", "status", "news_class"].map(of),
            ["task", "category", "box", "status", "news_class"]
        );
        assert_eq!(capitalized("äpfel"), "Äpfel");
        assert_eq!(identifier("2 fast"), "_2_fast");
    }
}
