//! Persistence, tablespace, owner, triggers, inheritance, dependents, and what ALTER INDEX does.

use super::levels;
use super::work::Work;
use crate::facts::migration::statement::{AlterTable, AlterTableAction};
use crate::facts::migration::{Dependent, Dropped, Effect, Failure, Id, LockMode, NameAsWritten, ObjectKind, Rewrite};
use crate::measure::migration::{Model, Prediction};

/// Also said as ALTER TABLE. Its table is not locked in a way that matters.
pub fn alter_index(
    model: &mut Model,
    statement: &AlterTable,
    (table, index): (Id, Id),
    _method: &str,
    out: &mut Prediction,
) {
    for command in &statement.commands {
        match &command.what {
            AlterTableAction::SetOptions { options } => out.lock(model, index, levels::of_options(options)),
            AlterTableAction::SetStatistics { .. } => out.lock(model, index, LockMode::ShareUpdateExclusive),
            AlterTableAction::AttachIndex { index: part } => {
                out.lock(model, index, LockMode::ShareUpdateExclusive);
                let Some(found) = model.find_index(part).map(|(_, part)| part.id) else {
                    model.missing(out, ObjectKind::Index, part);
                    return;
                };
                out.lock(model, found, LockMode::AccessExclusive);
                let owner = model.index(found).map(|(owner, _)| owner.id);
                let relation = owner.and_then(|owner| model.relation_mut(owner));
                if let Some(part) =
                    relation.and_then(|relation| relation.indexes.iter_mut().find(|one| one.id == found))
                {
                    part.parent = Some(index);
                }
            }
            _ => out.lock(model, index, LockMode::AccessExclusive),
        }
    }
    let _ = table;
}

impl Work<'_> {
    pub fn set_persistence(&mut self, unlogged: bool) {
        let relation = self.relation(self.id).clone();
        if relation.unlogged == unlogged {
            return;
        }
        if relation.temporary {
            let message = format!("cannot change logged status of table {} because it is temporary", relation.name);
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        let blocked =
            match unlogged {
                true => self.model.referring(self.id).any(|(other, _)| other.id != self.id && !other.unlogged),
                false => relation.constraints.iter().filter_map(|constraint| constraint.references).any(|parent| {
                    parent != self.id && self.model.relation(parent).is_some_and(|parent| parent.unlogged)
                }),
            };
        if blocked {
            let (to, how) = if unlogged { ("unlogged", "logged") } else { ("logged", "unlogged") };
            let message = format!(
                "could not change table {} to {to} because of a foreign key from or to a table that is {how}",
                relation.name
            );
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        self.rewrite(self.id, if unlogged { Rewrite::SetUnlogged } else { Rewrite::SetLogged });
        for sequence in &relation.sequences {
            self.out.lock(self.model, *sequence, LockMode::AccessExclusive);
            if let Some(sequence) = self.model.relation_mut(*sequence) {
                sequence.unlogged = unlogged;
            }
        }
        if let Some(relation) = self.model.relation_mut(self.id) {
            relation.unlogged = unlogged;
        }
    }

    pub fn set_tablespace(&mut self, tablespace: &str) {
        let is_default = |name: &str| name.is_empty() || name == "pg_default";
        let current = &self.relation(self.id).tablespace;
        if current == tablespace || (is_default(current) && is_default(tablespace)) {
            return;
        }
        self.rewrite(self.id, Rewrite::Tablespace);
        if let Some(relation) = self.model.relation_mut(self.id) {
            relation.tablespace = tablespace.to_string();
        }
    }

    pub fn set_access_method(&mut self, method: Option<&str>) {
        let method = method.unwrap_or("heap");
        if self.relation(self.id).access_method == method {
            return;
        }
        self.rewrite(self.id, Rewrite::AccessMethod);
        if let Some(relation) = self.model.relation_mut(self.id) {
            relation.access_method = method.to_string();
        }
    }

    pub fn index_named(&mut self, index: &str) {
        let relation = self.relation(self.id);
        match relation.index(index).map(|index| index.id) {
            Some(id) => self.out.lock(self.model, id, LockMode::ShareUpdateExclusive),
            None => {
                let name = format!("{}.{}", relation.name.schema, crate::db::quote_identifier(index));
                self.out.missing(ObjectKind::Index, name);
            }
        }
    }

    /// Row triggers of a partitioned table are its partitions', too.
    pub fn enable_trigger(&mut self, name: Option<&str>, text: &str) {
        let relation = self.relation(self.id);
        if let Some(name) = name.filter(|name| !relation.triggers.iter().any(|trigger| trigger == name)) {
            let name = format!("{} on {}", crate::db::quote_identifier(name), relation.name);
            return self.out.missing(ObjectKind::Trigger, name);
        }
        // ALL has those of foreign keys, too.
        let all = name.is_none() && text.trim_end().to_lowercase().ends_with("all");
        let relation = self.relation(self.id);
        let has_keys = relation.constraints.iter().any(|constraint| constraint.references.is_some())
            || self.model.referring(self.id).next().is_some();
        if self.is_partitioned() && (!relation.triggers.is_empty() || (all && has_keys)) {
            self.recursed();
        }
    }

    /// `REPLICA IDENTITY USING INDEX name`
    pub fn replica_identity(&mut self, text: &str) {
        let words = text.to_lowercase();
        let Some(position) = words.find("using index") else { return };
        let Some(name) = super::columns::plain_name(&text[position + "using index".len()..]) else { return };
        let relation = self.relation(self.id);
        match relation.index(&name.name).map(|index| index.id) {
            Some(id) => self.out.lock(self.model, id, LockMode::Share),
            None => {
                let name = format!("{}.{}", relation.name.schema, crate::db::quote_identifier(&name.name));
                self.out.missing(ObjectKind::Index, name);
            }
        }
    }

    pub fn change_owner(&mut self, owner: &str) {
        let relation = self.relation(self.id).clone();
        if relation.owner == owner {
            return;
        }
        for index in &relation.indexes {
            self.out.lock(self.model, index.id, self.lock);
        }
        for sequence in &relation.sequences {
            self.out.lock(self.model, *sequence, self.lock);
        }
        if let Some(relation) = self.model.relation_mut(self.id) {
            relation.owner = owner.to_string();
        }
    }

    pub fn inherit(&mut self, parent: &NameAsWritten) {
        let Some(parent_id) = self.model.find_id(parent) else {
            return self.model.missing(&mut self.out, ObjectKind::Table, parent);
        };
        self.out.lock(self.model, parent_id, LockMode::ShareUpdateExclusive);
        let id = self.id;
        if let Some(relation) = self.model.relation_mut(id) {
            relation.parents.push(parent_id);
        }
        if let Some(relation) = self.model.relation_mut(parent_id) {
            relation.children.push(id);
        }
    }

    pub fn no_inherit(&mut self, parent: &NameAsWritten) {
        let Some(parent_id) = self.model.find_id(parent) else {
            return self.model.missing(&mut self.out, ObjectKind::Table, parent);
        };
        let id = self.id;
        if let Some(relation) = self.model.relation_mut(id) {
            relation.parents.retain(|one| *one != parent_id);
        }
        if let Some(relation) = self.model.relation_mut(parent_id) {
            relation.children.retain(|one| *one != id);
        }
    }

    /// A view and all views on it, a constraint, a policy …: what CASCADE takes along.
    pub fn drop_dependent(&mut self, user: &Dependent, cascade_of: &str) {
        let table = self.model.target(user.id);
        let (rows, bytes) = table.as_ref().map_or((0.0, 0), |table| (table.rows, table.bytes));
        let object = Dropped { kind: user.kind, name: user.name.clone(), table, part: None, rows, bytes };
        self.out.add(Effect::Drops { object, cascade_of: Some(cascade_of.to_string()) });
        let Some(relation) = self.model.relation(user.id).cloned() else { return };
        self.out.lock(self.model, user.id, LockMode::AccessExclusive);
        for index in &relation.indexes {
            self.out.lock(self.model, index.id, LockMode::AccessExclusive);
        }
        for next in &relation.dependents {
            if self.model.relation(next.id).is_some() || next.kind != ObjectKind::View {
                self.drop_dependent(next, &user.name);
            }
        }
        self.model.drop_relation(user.id);
    }
}
