//! ADD CHECK: first for new rows, then for those that are there.

use super::planned::{BRIEF, brief, validate};
use super::words::mentions;
use super::{Catalog, chosen_name, python};
use crate::db::quote_identifier;
use crate::facts::migration::statement::ConstraintDefinition;
use crate::facts::migration::{LockMode, Phase, PlannedStatement, Relation};

/// `ALTER TABLE ONLY` of a table without children is ALTER TABLE.
pub fn added(
    table: &Relation,
    also: &[&str],
    constraint: &ConstraintDefinition,
    catalog: &impl Catalog,
) -> Vec<PlannedStatement> {
    let name = constraint.name.clone().unwrap_or_else(|| {
        let text = constraint.check.as_ref().map_or(constraint.text.as_str(), |check| &check.text);
        let columns = table.columns.iter().map(|column| column.name.as_str()).chain(also.iter().copied());
        let used: Vec<&str> = columns.filter(|column| mentions(text, column)).collect();
        chosen_name(catalog, &table.name, if used.len() == 1 { &used } else { &[] }, "check")
    });
    not_valid(table, &name, constraint)
}

fn not_valid(table: &Relation, name: &str, constraint: &ConstraintDefinition) -> Vec<PlannedStatement> {
    let quoted = quote_identifier(name);
    let named = match constraint.name {
        Some(_) => constraint.text.clone(),
        None => format!("CONSTRAINT {quoted} {}", constraint.text),
    };
    let sql = format!("ALTER TABLE {} ADD {named} NOT VALID;", table.name);
    let why = format!("Holds for new rows at once; those that are there are not read. {BRIEF}");
    let add = brief(Phase::Expand, sql, LockMode::AccessExclusive, &table.name, &why);
    let add = match &constraint.check {
        Some(check) if !constraint.no_inherit => {
            let (table, schema) = python::table(&table.name);
            add.operation(format!(
                "op.create_check_constraint({}, {table}, {}, {schema}, postgresql_not_valid=True)",
                python::literal(name),
                python::condition(&check.text)
            ))
        }
        _ => add,
    };
    vec![add, validate(&table.name, &quoted, None)]
}
