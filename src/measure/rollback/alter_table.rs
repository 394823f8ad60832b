//! ALTER TABLE and its like, command by command, the last first.

use super::drops::column_of;
use super::state::{Address, Key, Known};
use super::{Walk, catalog, state};
use crate::db::{quote_identifier, quote_literal};
use crate::facts::migration::statement::{
    AlterTable, AlterTableAction as Action, ConstraintDefinition, ConstraintKind,
};
use crate::facts::migration::{NameAsWritten, ObjectKind};

/// The relation that is altered, which was there before the migration.
pub(super) struct Altered {
    pub oid: u32,
    pub key: Key,
    /// As it is called now.
    pub name: String,
}

impl Walk {
    pub(super) fn alter_table(&mut self, alter: &AlterTable) {
        if alter.kind == ObjectKind::Type {
            return self.note("ALTER TYPE of a composite type is not undone by this function.");
        }
        // What the migration has made goes as a whole.
        let Some((key, known)) = self.state.relation(&alter.relation) else { return };
        let Known::Original(address, _) = known else {
            if self.has_moved(&known) {
                self.constraints_of_created(&key, alter);
            }
            return;
        };
        let altered = Altered { oid: address.oid, name: Walk::qualified(&key), key };
        let mut commands = Vec::new();
        for command in &alter.commands {
            let first = self.undos.len();
            self.command(&altered, &command.what);
            for undo in &mut self.undos[first..] {
                undo.relation = Some(altered.oid);
            }
            commands.push(first..self.undos.len());
        }
        self.last_first(commands);
    }

    /// Puts the entries of one statement in the order in which they are to run; what remembers their positions follows.
    pub(super) fn last_first(&mut self, parts: Vec<std::ops::Range<usize>>) {
        let Some(begun) = parts.first().map(|part| part.start) else { return };
        let order: Vec<usize> = parts.into_iter().rev().flatten().collect();
        let entries: Vec<_> = order.iter().map(|at| self.undos[*at].clone()).collect();
        self.undos.truncate(begun);
        self.undos.extend(entries);
        let moved = |at: &mut usize| {
            if let Some(position) = order.iter().position(|old| old == at) {
                *at = begun + position;
            }
        };
        self.state.move_entries(moved);
    }

    fn constraints_of_created(&mut self, key: &Key, alter: &AlterTable) {
        let altered = Altered { oid: 0, name: Walk::qualified(key), key: key.clone() };
        for command in &alter.commands {
            let Action::AddConstraint(constraint) = &command.what else { continue };
            if let Some(name) = self.constraint_name(&altered, constraint) {
                let sql = format!("ALTER TABLE {} DROP CONSTRAINT {};", altered.name, quote_identifier(&name));
                let at = self.undo(sql);
                self.belongs(key.clone(), at);
            }
        }
    }

    fn command(&mut self, altered: &Altered, action: &Action) {
        let (oid, table) = (altered.oid, altered.name.as_str());
        match action {
            Action::AddColumn { column, if_not_exists } => {
                let name = column.name.as_str();
                let exists = self.state.original_column(oid, name).is_some_and(|name| self.has_column(oid, &name));
                if !(*if_not_exists && exists) {
                    let at = self.undo(format!("ALTER TABLE {table} DROP COLUMN {};", quote_identifier(name)));
                    self.undos[at].note = Some("What is written to the column from now on goes with it.".to_string());
                    self.state.columns.entry(oid).or_default().added.insert(name.to_string(), at);
                }
            }
            Action::DropColumn { column, .. } => self.drop_column(altered, column),
            Action::AddConstraint(constraint) => self.add_constraint(altered, constraint),
            Action::DropConstraint { name, .. } => self.drop_part_of(oid, "constraint".to_string(), name),
            Action::ValidateConstraint { name } => self.replace_constraint(altered, name),
            Action::AlterConstraint { name } => {
                if let Some(part) = self.part(oid, "constraint", name) {
                    let name = quote_identifier(name);
                    self.undo(format!("ALTER TABLE {table} ALTER CONSTRAINT {name} {};", part.deferrable));
                }
            }
            Action::Trigger { name, .. } => self.enable(altered, "trigger", name.as_deref().unwrap_or_default()),
            Action::Rule { name, .. } => self.enable(altered, "rule", name),
            Action::AttachPartition { partition, .. } | Action::NoInherit { parent: partition } => {
                if let Some((other, _)) = self.state.relation(partition) {
                    let inherits = matches!(action, Action::NoInherit { .. });
                    let what = if inherits { "INHERIT" } else { "DETACH PARTITION" };
                    let at = self.undo(format!("ALTER TABLE {table} {what} {};", Walk::qualified(&other)));
                    let note =
                        "The columns that the child had from its parent alone count as its own, too, from then on.";
                    self.undos[at].note = inherits.then(|| note.to_string());
                }
            }
            Action::Inherit { parent } => {
                if let Some((parent, _)) = self.state.relation(parent) {
                    self.undo(format!("ALTER TABLE {table} NO INHERIT {};", Walk::qualified(&parent)));
                }
            }
            Action::DetachPartition { partition, .. } => self.attach_again(table, partition),
            Action::AttachIndex { .. } => {
                self.note("An index that is attached cannot be detached: it stays so, which changes no query.")
            }
            Action::OfType => self.note("OF a type, or not, is not undone by this function."),
            Action::Other { name } => self.note(format!("{name}: not undone by this function.")),
            _ => match self.on_column(action) {
                Some(column) => self.change_column(altered, action, &column),
                None => self.change_settings(altered, action),
            },
        }
    }

    fn has_column(&self, oid: u32, name: &str) -> bool {
        catalog::column(oid, name).is_some_and(|column| !self.state.dropped.contains(&column_of(oid, column.number)))
    }

    fn drop_column(&mut self, altered: &Altered, name: &str) {
        let Some(original) = self.state.original_column(altered.oid, name) else {
            let at = self.state.columns.get_mut(&altered.oid).and_then(|columns| columns.added.remove(name));
            at.into_iter().for_each(|at| self.undos[at].cancelled = true);
            self.cancel(altered.oid, Some(name));
            return;
        };
        let Some(column) = catalog::column(altered.oid, &original) else { return };
        let address = column_of(altered.oid, column.number);
        if self.state.dropped.contains(&address) {
            return;
        }
        self.cancel(altered.oid, Some(&original));
        let first = self.undos.len();
        self.restore_dropped(&[address]);
        let rows = catalog::relation(altered.oid).and_then(|relation| relation.rows);
        let of_column = self.undos[first..]
            .iter_mut()
            .find(|undo| undo.loses_data || undo.sql.as_deref().is_some_and(|sql| sql.contains(" ADD COLUMN ")));
        if let Some(undo) = of_column {
            undo.loses_data = rows != Some(0.0) && column.generated.is_none();
            undo.rows = rows.filter(|_| undo.loses_data);
            undo.note = undo.loses_data.then(|| {
                format!(
                    "The values do not come back. To keep them, run before the migration: CREATE TABLE {} AS TABLE {};",
                    state::quoted(&altered.key.0, &format!("{}_saved", altered.key.1)),
                    altered.name
                )
            });
        }
    }

    /// Its name now is the name in the catalogs, or it is the migration's own.
    fn part(&self, oid: u32, kind: &'static str, name: &str) -> Option<catalog::Part> {
        let own = self.state.parts.contains_key(&(oid, kind, name.to_string()));
        let original = self.state.original_part(oid, kind, name);
        if own { None } else { catalog::parts(oid, kind, &original).into_iter().next() }
    }

    fn enable(&mut self, altered: &Altered, kind: &'static str, name: &str) {
        for part in catalog::parts(altered.oid, kind, name) {
            let how = match part.enabled.as_str() {
                "D" => "DISABLE",
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => "ENABLE",
            };
            let own = if name.is_empty() { trigger_name(part.address) } else { Some(name.to_string()) };
            if let Some(own) = own {
                let word = kind.to_uppercase();
                self.undo(format!("ALTER TABLE {} {how} {word} {};", altered.name, quote_identifier(&own)));
            }
        }
    }

    fn add_constraint(&mut self, altered: &Altered, constraint: &ConstraintDefinition) {
        if constraint.kind == ConstraintKind::NotNull {
            return constraint.columns.iter().for_each(|column| {
                self.change_column(altered, &Action::SetNotNull { column: column.clone() }, column);
            });
        }
        let Some(name) = self.constraint_name(altered, constraint) else {
            return self.note("The server gives the constraint its name: drop it by that.");
        };
        let sql = format!("ALTER TABLE {} DROP CONSTRAINT {};", altered.name, quote_identifier(&name));
        let at = self.undo(sql);
        let columns = match &constraint.check {
            Some(check) => self.columns_in(altered, &check.text),
            None => [constraint.columns.as_slice(), constraint.include.as_slice()].concat(),
        };
        self.undos[at].columns = columns.iter().map(|column| self.state.known_column(altered.oid, column)).collect();
        self.state.parts.insert((altered.oid, "constraint", name), vec![at]);
        if constraint.kind == ConstraintKind::PrimaryKey {
            for column in self.nullable(altered.oid, constraint) {
                self.undo(format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;",
                    altered.name,
                    quote_identifier(&column)
                ));
            }
        }
        if let Some(index) = &constraint.using_index {
            let index = NameAsWritten { schema: Some(altered.key.0.clone()), name: index.clone() };
            match self.state.relation(&index) {
                Some((key, Known::Original(address, _))) => {
                    self.state.set(ObjectKind::Index, key, Known::Gone);
                    self.restore_dropped(&[address]);
                }
                Some((key, Known::Created(entries))) => {
                    entries.into_iter().for_each(|at| self.undos[at].cancelled = true);
                    self.state.set(ObjectKind::Index, key, Known::Gone);
                }
                _ => {}
            }
        }
    }

    fn nullable(&self, oid: u32, constraint: &ConstraintDefinition) -> Vec<String> {
        let columns: Vec<String> = match &constraint.using_index {
            None => constraint.columns.clone(),
            Some(_) => super::names::columns_of_index(oid, constraint.using_index.as_deref().unwrap_or_default()),
        };
        let nullable = |column: &String| {
            let original = self.state.original_column(oid, column);
            original.and_then(|name| catalog::column(oid, &name)).is_some_and(|column| !column.not_null)
        };
        columns.into_iter().filter(nullable).collect()
    }

    /// VALIDATE: what was not valid is made so again.
    fn replace_constraint(&mut self, altered: &Altered, name: &str) {
        let Some(part) = self.part(altered.oid, "constraint", name).filter(|part| part.enabled == "D") else { return };
        let name = quote_identifier(name);
        self.undo(format!("ALTER TABLE {} DROP CONSTRAINT {name};", altered.name));
        self.restore(format!("ALTER TABLE {} ADD CONSTRAINT {name} {};", altered.name, part.definition), None);
    }

    fn attach_again(&mut self, parent: &str, partition: &NameAsWritten) {
        let Some((key, Known::Original(address, _))) = self.state.relation(partition) else { return };
        if let Some(bound) = catalog::relation(address.oid).and_then(|relation| relation.bound) {
            let at = self.undo(format!("ALTER TABLE {parent} ATTACH PARTITION {} {bound};", Walk::qualified(&key)));
            self.undos[at].note = Some("It fails if rows have come that the bound does not take.".to_string());
        }
    }
}

fn trigger_name(address: Address) -> Option<String> {
    let sql = format!(
        "select tgname::text from pg_catalog.pg_trigger where oid = {}",
        quote_literal(&address.oid.to_string())
    );
    crate::db::read(&sql, &[], |row| row.take::<String>()).pop()
}
