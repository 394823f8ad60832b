//! DROP CONSTRAINT, with what serves it and what depends on it.

use super::work::Work;
use crate::db::quote_identifier;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Dependent, Dropped, Effect, Failure, Id, LockMode, ObjectKind};

impl Work<'_> {
    pub fn drop_constraint(&mut self, name: &str, cascade: bool, missing_ok: bool) {
        if missing_ok && self.relation(self.id).constraint(name).is_none() {
            return;
        }
        let Some(constraint) = self.has_constraint(name) else { return };
        if constraint.inherited {
            let message = format!("cannot drop inherited constraint {}", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        self.drop_constraint_of(self.id, name, None, cascade);
        if constraint.kind == ConstraintKind::Check && !constraint.no_inherit {
            for id in self.recursed() {
                if let Some(relation) = self.model.relation_mut(id) {
                    relation.constraints.retain(|constraint| constraint.name != name);
                }
            }
        }
    }

    /// With what serves it and what depends on it.
    pub fn drop_constraint_of(&mut self, id: Id, name: &str, cascade_of: Option<&str>, cascade: bool) {
        let Some(constraint) = self.model.relation(id).and_then(|relation| relation.constraint(name)).cloned() else {
            return;
        };
        let relation = self.relation(id);
        let object = Dropped {
            kind: ObjectKind::Constraint,
            name: format!("{} on {}", quote_identifier(name), relation.name),
            table: self.model.target(id),
            part: Some(name.to_string()),
            rows: 0.0,
            bytes: 0,
        };
        if let Some(parent) = constraint.references {
            self.lock_with_partitions(id, LockMode::AccessExclusive);
            self.lock_with_partitions(parent, LockMode::AccessExclusive);
        }
        if constraint.references.is_none() && constraint.kind != ConstraintKind::Check {
            let users: Vec<(Id, Dependent)> = self
                .model
                .referring(id)
                .filter(|(_, user)| user.index.is_some() && user.index == constraint.index)
                .map(|(other, user)| {
                    let name = format!("{} on {}", quote_identifier(&user.name), other.name);
                    let columns = user.referenced_columns.clone();
                    (other.id, Dependent { kind: ObjectKind::Constraint, name, id: other.id, columns })
                })
                .collect();
            if !users.is_empty() && !cascade {
                let dependents = users.into_iter().map(|(_, user)| user).collect();
                return self.out.fails(Failure::DependentsExist { object, dependents }, "2BP01");
            }
            let referring: Vec<(Id, String)> = self
                .model
                .referring(id)
                .filter(|(_, user)| user.index.is_some() && user.index == constraint.index)
                .map(|(other, user)| (other.id, user.name.clone()))
                .collect();
            for (other, user) in referring {
                self.drop_constraint_of(other, &user, Some(&object.name), true);
            }
            self.drop_index_of(id, constraint.index.as_deref());
        }
        self.out.add(Effect::Drops { object, cascade_of: cascade_of.map(str::to_string) });
        if let Some(relation) = self.model.relation_mut(id) {
            relation.constraints.retain(|constraint| constraint.name != name);
        }
    }

    /// And those of partitions that are attached to it.
    fn drop_index_of(&mut self, id: Id, name: Option<&str>) {
        let Some(index) = name.and_then(|name| self.relation(id).index(name)).map(|index| index.id) else { return };
        let mut dropped = vec![(id, index)];
        for part in self.model.descendants(id) {
            let attached = self
                .relation(part)
                .indexes
                .iter()
                .filter(|one| one.parent.is_some_and(|parent| dropped.iter().any(|(_, index)| *index == parent)));
            let attached: Vec<(Id, Id)> = attached.map(|one| (part, one.id)).collect();
            dropped.extend(attached);
        }
        for (table, index) in dropped {
            self.out.lock(self.model, table, LockMode::AccessExclusive);
            self.out.lock(self.model, index, LockMode::AccessExclusive);
            self.model.drop_index(index);
        }
    }
}
