//! The safe way of a statement, from the catalog as it is before it.

use super::Model;
use super::model::Named;
use crate::advice::migration_plan::{Candidates, Catalog, Safer};
use crate::facts::migration::text::Parsed;
use crate::facts::migration::{Effect, Id, Index, NameAsWritten, PlannedStatement, Relation};

/// Looked up before the statement changes the model.
pub fn candidates(parsed: &Parsed, before: &Model) -> Candidates {
    Candidates::of(parsed, before.transaction, before)
}

/// What to run instead, or why there is nothing.
pub fn chosen(
    candidates: Candidates,
    effects: &[Effect],
    many_rows: f64,
) -> (Option<Vec<PlannedStatement>>, Option<String>) {
    match candidates.chosen(effects, many_rows) {
        Safer::AsItIs => (None, None),
        Safer::Instead(statements) => (Some(statements), None),
        Safer::NoWay(why) => (None, Some(why)),
    }
}

impl Catalog for Model {
    fn find(&self, name: &NameAsWritten) -> Option<&Relation> {
        Model::find(self, name)
    }

    fn relation(&self, id: Id) -> Option<&Relation> {
        Model::relation(self, id)
    }

    fn index(&self, name: &NameAsWritten) -> Option<(&Relation, &Index)> {
        self.find_index(name)
    }

    fn referring(&self, table: Id, column: &str) -> Option<String> {
        self.relations().find_map(|relation| {
            let refers = |constraint: &&crate::facts::migration::Constraint| {
                constraint.references == Some(table) && constraint.referenced_columns.iter().any(|name| name == column)
            };
            let constraint = relation.constraints.iter().find(refers)?;
            Some(format!("{} of {}", constraint.name, relation.name))
        })
    }

    fn name_taken(&self, schema: &str, name: &str) -> bool {
        let written = NameAsWritten { schema: Some(schema.into()), name: name.into() };
        matches!(self.lookup(&written), Some(Named::Relation(_) | Named::Index { .. }))
            || self.relations().filter(|relation| relation.name.schema.raw() == schema).any(|relation| {
                relation.constraint(name).is_some()
                    || relation.indexes.iter().any(|index| index.name.name.raw() == name)
            })
    }
}
