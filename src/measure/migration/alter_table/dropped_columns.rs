//! DROP COLUMN, with what goes with it.

use super::columns::names;
use super::work::Work;
use crate::db::quote_identifier;
use crate::facts::migration::{Dependent, Dropped, Effect, Failure, Id, LockMode, ObjectKind};

impl Work<'_> {
    pub fn drop_column(&mut self, name: &str, cascade: bool, missing_ok: bool) {
        if missing_ok && self.relation(self.id).column(name).is_none() {
            return;
        }
        if !self.has_column(name) {
            return;
        }
        let relation = self.relation(self.id);
        if relation.partition_columns.iter().flatten().any(|column| column == name) {
            let message =
                format!("cannot drop column {} because it is part of the partition key", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        if relation.is_partition || relation.parents.iter().any(|parent| self.inherits(*parent, name)) {
            let message = format!("cannot drop inherited column {}", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        for id in self.recursed() {
            self.drop_column_of(id, name, cascade);
        }
        if self.only {
            // Children keep it as their own.
            for child in self.relation(self.id).children.clone() {
                self.out.lock(self.model, child, self.lock);
            }
        }
    }

    fn inherits(&self, parent: Id, column: &str) -> bool {
        self.model.relation(parent).is_some_and(|parent| parent.column(column).is_some())
    }

    /// Earlier statements may have dropped a foreign key that refers to the column.
    fn is_there(&self, user: &Dependent) -> bool {
        user.kind != ObjectKind::Constraint
            || self.model.relations().any(|relation| {
                let on = format!(" on {}", relation.name);
                let name = user.name.strip_suffix(&on);
                name.is_some_and(|name| relation.constraints.iter().any(|one| quote_identifier(&one.name) == name))
            })
    }

    fn drop_column_of(&mut self, id: Id, name: &str, cascade: bool) {
        let Some(table) = self.model.target(id) else { return };
        let relation = self.relation(id).clone();
        let Some(column) = relation.column(name) else { return };
        let object = Dropped {
            kind: ObjectKind::Column,
            name: format!("{}.{}", relation.name, quote_identifier(name)),
            table: Some(table.clone()),
            part: Some(name.to_string()),
            rows: table.rows * (1.0 - column.null_fraction.unwrap_or(0.0)),
            bytes: (table.rows * column.width.unwrap_or(0.0)) as u64,
        };
        let users = relation.dependents.iter().filter(|user| user.columns.iter().any(|used| used == name));
        let users = users.filter(|user| self.is_there(user));
        let users: Vec<_> = users.cloned().collect();
        if !users.is_empty() && !cascade {
            let why = Failure::DependentsExist { object, dependents: users };
            return self.out.fails(why, "2BP01");
        }
        self.out.add(Effect::Drops { object: object.clone(), cascade_of: None });
        let generated = relation.columns.iter().filter(|other| {
            let expression = other.generated.as_deref().unwrap_or("");
            other.name != name && names(expression, name)
        });
        let generated: Vec<String> = generated.map(|column| column.name.clone()).collect();
        // Its own indexes and constraints go in silence.
        for index in relation.indexes.iter().filter(|index| index.uses(name)) {
            self.out.lock(self.model, index.id, LockMode::AccessExclusive);
            self.model.drop_index(index.id);
        }
        for constraint in
            relation.constraints.iter().filter(|constraint| constraint.columns.iter().any(|one| one == name))
        {
            self.drop_constraint_of(id, &constraint.name, Some(&object.name), cascade);
        }
        let referring: Vec<(Id, String)> = self
            .model
            .referring(id)
            .filter(|(_, constraint)| constraint.referenced_columns.iter().any(|column| column == name))
            .map(|(other, constraint)| (other.id, constraint.name.clone()))
            .collect();
        for (other, constraint) in referring {
            self.drop_constraint_of(other, &constraint, Some(&object.name), cascade);
        }
        for sequence in self.sequences_of(id, name) {
            self.out.lock(self.model, sequence, LockMode::AccessExclusive);
            self.model.drop_relation(sequence);
        }
        for user in users {
            self.drop_dependent(&user, &object.name);
        }
        for column in generated.into_iter().filter(|_| cascade) {
            self.drop_column_of(id, &column, true);
        }
        if let Some(relation) = self.model.relation_mut(id) {
            relation.columns.retain(|column| column.name != name);
            relation.dependents.retain(|user| !user.columns.iter().any(|used| used == name));
        }
    }
}
