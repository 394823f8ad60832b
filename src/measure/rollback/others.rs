//! Names and schemas go back; what else is neither CREATE, DROP nor ALTER TABLE is handed on.

use super::alter_table::Altered;
use super::state::{Key, Known};
use super::{Renamed, Walk, name, word};
use crate::db::quote_identifier;
use crate::facts::migration::statement::{AlterTableAction, Rename};
use crate::facts::migration::{NameAsWritten, ObjectKind, Statement};
use pgrx::pg_sys;

impl Walk {
    pub(super) fn change(&mut self, statement: &Statement) {
        match statement {
            Statement::Rename(rename) => self.rename(rename),
            Statement::SetSchema { kind, object, schema, .. } => self.set_schema(*kind, &name(object), schema),
            Statement::Owner { kind, object, .. } => self.attribute(*kind, object, "ALTER "),
            Statement::Comment { kind, object } => self.attribute(*kind, object, "COMMENT ON "),
            Statement::Grant { grant, kind, objects } => self.grant(*grant, *kind, objects),
            Statement::Policy { name, relation, create: false } => self.alter_policy(name, relation),
            Statement::AlterEnum(alter) => self.alter_enum(alter),
            Statement::AlterDomain(alter) => self.alter_domain(alter),
            Statement::AlterSequence { name, owned_by, restart, .. } => {
                self.alter_sequence(name, owned_by.is_some(), *restart);
            }
            Statement::Cluster { relation: Some(relation), .. } => {
                if let Some(altered) = self.original(relation) {
                    self.change_settings(&altered, &AlterTableAction::SetWithoutCluster);
                }
            }
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::Query(query) => self.query(query),
            Statement::Copy { relation: Some(relation), from: true, .. } if self.original(relation).is_some() => {
                self.loses(None, "The rows that it adds stay: delete them by what tells them from the others.");
            }
            Statement::Publication { name, .. } => {
                self.note(format!("ALTER PUBLICATION {} is not undone by this function.", quote_identifier(name)));
            }
            Statement::Do { .. } => self.note("What a DO block does depends on its code: write its reverse by hand."),
            Statement::Call { .. } => {
                self.note("What a procedure does depends on its code: write its reverse by hand.")
            }
            Statement::Other { tag } if !changes_nothing(tag) => {
                self.note(format!("{tag}: not undone by this function."))
            }
            Statement::SyntaxError(error) => {
                self.note(format!("It does not parse, and so does nothing: {}", error.message))
            }
            _ => {}
        }
    }

    /// The relation, if it was there before the migration.
    pub(super) fn original(&self, relation: &NameAsWritten) -> Option<Altered> {
        match self.state.relation(relation)? {
            (key, Known::Original(address, _)) => Some(Altered { oid: address.oid, name: Walk::qualified(&key), key }),
            _ => None,
        }
    }

    fn rename(&mut self, rename: &Rename) {
        match (&rename.relation, &rename.part) {
            (Some(relation), Some(part)) => self.rename_part(rename.kind, relation, part, &rename.new_name),
            (Some(relation), None) => self.rename_whole(rename.kind, relation, &rename.new_name),
            (None, None) => self.rename_whole(rename.kind, &name(&rename.object), &rename.new_name),
            (None, Some(part)) => {
                let domain = super::state::quoted_name(&name(&rename.object), &self.state.path);
                let (new, old) = (quote_identifier(&rename.new_name), quote_identifier(part));
                self.undo(format!("ALTER DOMAIN {domain} RENAME CONSTRAINT {new} TO {old};"));
            }
        }
    }

    fn rename_part(&mut self, kind: ObjectKind, relation: &NameAsWritten, part: &str, new_name: &str) {
        let Some(altered) = self.original(relation) else {
            match self.state.relation(relation) {
                Some((key, Known::Created(_))) if kind == ObjectKind::Constraint => {
                    let (table, new, old) = (Walk::qualified(&key), quote_identifier(new_name), quote_identifier(part));
                    let at = self.undo(format!("ALTER TABLE {table} RENAME CONSTRAINT {new} TO {old};"));
                    self.belongs(key, at);
                }
                Some(_) => {}
                None => self.note("Renaming an attribute of a composite type is not undone by this function."),
            }
            return;
        };
        let (new, old) = (quote_identifier(new_name), quote_identifier(part));
        let sql = match kind {
            ObjectKind::Trigger | ObjectKind::Policy | ObjectKind::Rule => {
                format!("ALTER {} {new} ON {} RENAME TO {old};", word(kind), altered.name)
            }
            ObjectKind::Constraint => format!("ALTER TABLE {} RENAME CONSTRAINT {new} TO {old};", altered.name),
            _ => format!("ALTER TABLE {} RENAME COLUMN {new} TO {old};", altered.name),
        };
        let at = self.undo(sql);
        self.undos[at].relation = Some(altered.oid);
        self.renames.push(Renamed { step: self.step, old: part.to_string(), relation: Some(altered.oid) });
        if kind == ObjectKind::Column {
            let original = self.state.original_column(altered.oid, part);
            let columns = self.state.columns.entry(altered.oid).or_default();
            self.undos[at].columns = vec![original.clone().unwrap_or_else(|| part.to_string())];
            if original.is_none() {
                let of_relation = self.undos.iter_mut().filter(|undo| undo.relation == Some(altered.oid));
                of_relation.flat_map(|undo| &mut undo.columns).filter(|own| *own == part).for_each(|own| {
                    *own = new_name.to_string();
                });
            }
            columns.renamed.remove(part);
            match (original, columns.added.remove(part)) {
                (_, Some(added)) => drop(columns.added.insert(new_name.to_string(), added)),
                (Some(original), None) => drop(columns.renamed.insert(new_name.to_string(), original)),
                (None, None) => {}
            }
            return;
        }
        let kind =
            ["constraint", "trigger", "rule", "policy"].into_iter().find(|known| *known == word(kind).to_lowercase());
        let Some(kind) = kind else { return };
        let (old, new) = ((altered.oid, kind, part.to_string()), (altered.oid, kind, new_name.to_string()));
        match self.state.parts.remove(&old) {
            Some(mut entries) => {
                entries.push(at);
                self.state.parts.insert(new, entries);
            }
            None => {
                let renamed = self.state.renamed_parts.remove(&old);
                let (original, mut entries) = renamed.unwrap_or_else(|| (part.to_string(), Vec::new()));
                entries.push(at);
                self.state.renamed_parts.insert(new, (original, entries));
            }
        }
    }

    fn rename_whole(&mut self, kind: ObjectKind, old: &NameAsWritten, new_name: &str) {
        let Some((key, known)) = self.state.find(kind, old) else {
            // The index of a key that the migration has made, for one.
            if kind == ObjectKind::Index {
                let name = self.state.place(&NameAsWritten { schema: old.schema.clone(), name: new_name.to_string() });
                let (index, old) = (Walk::qualified(&name), quote_identifier(&old.name));
                self.undo(format!("ALTER INDEX {index} RENAME TO {old};"));
            }
            return;
        };
        let new: Key = (key.0.clone(), new_name.to_string());
        self.renamed(&key.1, &known);
        self.moved(kind, (key.clone(), known), new.clone(), |new| {
            format!("ALTER {} {new} RENAME TO {};", word(kind), quote_identifier(&key.1))
        });
    }

    fn set_schema(&mut self, kind: ObjectKind, object: &NameAsWritten, schema: &str) {
        let Some((key, known)) = self.state.find(kind, object) else { return };
        let new: Key = (schema.to_string(), key.1.clone());
        let old = quote_identifier(&key.0);
        if key.0.is_empty() {
            return self.note("The schema of an extension is not set back by this function.");
        }
        self.renamed(&key.1, &known);
        self.moved(kind, (key, known), new, |new| format!("ALTER {} {new} SET SCHEMA {old};", word(kind)));
    }

    fn renamed(&mut self, old: &str, known: &Known) {
        let relation = match known {
            Known::Original(address, _) if address.class == pg_sys::RelationRelationId.to_u32() => Some(address.oid),
            _ => None,
        };
        self.renames.push(Renamed { step: self.step, old: old.to_string(), relation });
    }

    fn moved(&mut self, kind: ObjectKind, (key, known): (Key, Known), new: Key, back: impl Fn(&str) -> String) {
        let shown = if new.0.is_empty() { quote_identifier(&new.1) } else { Walk::qualified(&new) };
        let at = self.undo(back(&shown));
        let known = match known {
            Known::Created(mut entries) => {
                entries.push(at);
                Known::Created(entries)
            }
            Known::Original(address, of) => {
                if address.class == pg_sys::RelationRelationId.to_u32() {
                    self.undos[at].relation = Some(address.oid);
                }
                Known::Original(address, of)
            }
            Known::Gone => Known::Gone,
        };
        self.state.set(kind, key, Known::Gone);
        self.state.set(kind, new, known);
    }
}

fn changes_nothing(tag: &str) -> bool {
    const NOTHING: [&str; 14] = [
        "notify",
        "listen",
        "unlisten",
        "discard",
        "checkpoint",
        "load",
        "show",
        "explain",
        "prepare",
        "deallocate",
        "set",
        "set constraints",
        "set transaction",
        "fetch",
    ];
    NOTHING.contains(&tag) || tag.starts_with("discard")
}
