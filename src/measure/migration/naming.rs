//! Names that the server chooses where a statement gives none.

use super::Model;
use crate::facts::{QualifiedName, free_name, joined_columns};

/// What stands for an expression in a name.
const EXPRESSION: &str = "expr";

/// `table_column_label` in the table's schema, with a number where that is taken.
pub fn chosen(model: &Model, table: &QualifiedName, columns: &[Option<String>], label: &str) -> QualifiedName {
    let columns = joined_columns(columns.iter().map(|column| column.as_deref().unwrap_or(EXPRESSION)));
    let is_free = |name: &str| !model.name_taken(table.schema.raw(), name);
    let name = free_name(table.name.raw(), &columns, label, is_free);
    QualifiedName { schema: table.schema.clone(), name: name.into() }
}
