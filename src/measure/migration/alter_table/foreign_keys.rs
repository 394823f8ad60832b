//! ADD FOREIGN KEY.

use super::super::data;
use super::FOREIGN_KEY_LOCK;
use super::work::{Work, is_open};
use crate::facts::migration::statement::{ConstraintDefinition, ConstraintKind};
use crate::facts::migration::{Constraint, Effect, Failure, Id, ObjectKind, Relation, Scan};

impl Work<'_> {
    pub fn add_foreign_key(&mut self, definition: &ConstraintDefinition, reads: bool) {
        let Some(reference) = &definition.references else { return };
        let Some(parent) = self.model.find(&reference.table) else {
            return self.model.missing(&mut self.out, ObjectKind::Table, &reference.table);
        };
        let parent = parent.clone();
        if self.is_partitioned() && definition.not_valid {
            let message = "cannot add NOT VALID foreign key on a partitioned table".to_string();
            return self.out.fails(Failure::Other { message }, "42809");
        }
        let columns = match referenced(&parent, &reference.columns) {
            Ok(columns) => columns,
            Err(failure) => {
                let (failure, sqlstate) = *failure;
                return self.out.fails(failure, sqlstate);
            }
        };
        for (from, to) in definition.columns.iter().zip(&columns) {
            let types = (
                self.relation(self.id).column(from).map(|one| one.type_oid),
                parent.column(to).map(|one| one.type_oid),
            );
            if !self.may_refer(types) {
                return self.cannot_refer(definition.name.as_deref(), from, to);
            }
        }
        self.lock_with_partitions(parent.id, FOREIGN_KEY_LOCK);
        let name =
            self.name_constraint(self.id, definition.name.as_ref(), ConstraintKind::ForeignKey, &definition.columns);
        if reads {
            let child = self.relation(self.id).clone();
            let keys = (&parent, columns.as_slice());
            data::orphans(self.model, &mut self.out, (&child, &definition.columns), keys, &name);
        }
        let index = matching_index(&parent, &columns);
        let tables = if self.is_partitioned() { self.recursed() } else { vec![self.id] };
        for id in tables {
            if reads {
                self.scan(id, Scan::ForeignKey { constraint: name.clone() });
            }
            let constraint = Constraint {
                validated: reads || !definition.not_valid,
                references: Some(parent.id),
                referenced_columns: columns.clone(),
                on_delete: reference.on_delete.to_string(),
                on_update: reference.on_update.to_string(),
                index: index.clone(),
                inherited: id != self.id,
                ..self.constraint(definition, name.clone(), definition.columns.clone())
            };
            if id == self.id {
                self.adds_foreign_key(id, &constraint, reads);
            }
            self.put(id, constraint);
        }
    }

    /// Of types that the migration makes nothing is said.
    pub fn may_refer(&self, types: (Option<u32>, Option<u32>)) -> bool {
        match types {
            (Some(from), Some(to)) if from != 0 && to != 0 => self.judge.can_refer(from, to),
            _ => true,
        }
    }

    pub fn cannot_refer(&mut self, name: Option<&str>, from: &str, to: &str) {
        let name = name.map_or(String::new(), |name| format!("{name} "));
        let message =
            format!("foreign key constraint {name}cannot be implemented: {from} and {to} are of incompatible types");
        self.out.fails(Failure::Other { message }, "42804");
    }

    pub fn adds_foreign_key(&mut self, id: Id, constraint: &Constraint, validates: bool) {
        let Some(table) = self.model.target(id) else { return };
        self.out.add(Effect::AddsForeignKey { table, constraint: constraint.clone(), validates });
    }
}

/// The columns referred to: those named, or the primary key's. They must be unique.
pub fn referenced(parent: &Relation, named: &[String]) -> Result<Vec<String>, Box<(Failure, &'static str)>> {
    let other = |message: String, sqlstate| Box::new((Failure::Other { message }, sqlstate));
    if !matches!(parent.kind, ObjectKind::Table | ObjectKind::PartitionedTable) {
        return Err(other(format!("referenced relation {} is not a table", parent.name), "42809"));
    }
    if is_open(parent) {
        return Ok(named.to_vec());
    }
    if named.is_empty() {
        let key = parent.constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
        return match key {
            Some(key) => Ok(key.columns.clone()),
            None => Err(other(format!("there is no primary key for referenced table {}", parent.name), "42704")),
        };
    }
    if let Some(missing) = named.iter().find(|name| parent.column(name).is_none()) {
        let name = format!("{}.{}", parent.name, crate::db::quote_identifier(missing));
        return Err(Box::new((Failure::Missing { kind: ObjectKind::Column, name }, "42703")));
    }
    if matching_index(parent, named).is_none() {
        let message = format!("there is no unique constraint matching given keys for referenced table {}", parent.name);
        return Err(other(message, "42830"));
    }
    Ok(named.to_vec())
}

fn matching_index(parent: &Relation, columns: &[String]) -> Option<String> {
    let matches = |index: &&crate::facts::migration::Index| {
        index.unique
            && !index.partial
            && index.columns.len() == columns.len()
            && columns.iter().all(|column| index.columns.iter().flatten().any(|key| key == column))
    };
    parent.indexes.iter().find(matches).map(|index| index.name.name.raw().to_string())
}
