//! SET NOT NULL without reading the table under its lock: a validated CHECK proves it.

use super::planned::{BRIEF, brief, validate};
use super::{Catalog, chosen_name, python};
use crate::db::quote_identifier;
use crate::facts::migration::{LockMode, Phase, PlannedStatement, Relation};

pub fn by_check(table: &Relation, column: &str, catalog: &impl Catalog) -> Vec<PlannedStatement> {
    let name = chosen_name(catalog, &table.name, &[column], "not_null");
    let (quoted, column_quoted, on) = (quote_identifier(&name), quote_identifier(column), &table.name);
    let (table, schema) = python::table(on);
    let exclusive = LockMode::AccessExclusive;
    let check = format!("{column_quoted} IS NOT NULL");
    vec![
        brief(
            Phase::Expand,
            format!("ALTER TABLE {on} ADD CONSTRAINT {quoted} CHECK ({check}) NOT VALID;"),
            exclusive,
            on,
            &format!("New rows need a value from here on; those that are there are not read. {BRIEF}"),
        )
        .operation(format!(
            "op.create_check_constraint({}, {table}, {}, {schema}, postgresql_not_valid=True)",
            python::literal(&name),
            python::condition(&check)
        )),
        validate(on, &quoted, None),
        brief(
            Phase::Expand,
            format!("ALTER TABLE {on} ALTER COLUMN {column_quoted} SET NOT NULL;"),
            exclusive,
            on,
            &format!("The validated CHECK proves it: no row is read. {BRIEF}"),
        )
        .operation(format!("op.alter_column({table}, {}, nullable=False, {schema})", python::literal(column))),
        brief(
            Phase::Expand,
            format!("ALTER TABLE {on} DROP CONSTRAINT {quoted};"),
            exclusive,
            on,
            "NOT NULL says the same.",
        )
        .operation(format!("op.drop_constraint({}, {table}, {schema}, type_=\"check\")", python::literal(&name))),
    ]
}
