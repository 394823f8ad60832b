//! Owners, comments, privileges and policies go back to what they were.

use super::alter_table::Altered;
use super::state::{Address, Known};
use super::{Walk, catalog, name, word};
use crate::advice::migration_rollback::privileges::reverse_of_grant;
use crate::db::quote_identifier;
use crate::facts::migration::{NameAsWritten, ObjectKind};

impl Walk {
    /// The object that COMMENT, GRANT and the like name, as the catalogs know it.
    pub(super) fn address(&self, kind: ObjectKind, object: &[String]) -> Option<Address> {
        let of_relation = |walk: &Walk| {
            let (own, relation) = object.split_last()?;
            Some((walk.original(&name(relation))?.oid, own.clone()))
        };
        match kind {
            ObjectKind::Column => {
                let (relation, column) = of_relation(self)?;
                let column = catalog::column(relation, &self.state.original_column(relation, &column)?)?;
                Some(super::drops::column_of(relation, column.number))
            }
            ObjectKind::Constraint | ObjectKind::Trigger | ObjectKind::Policy | ObjectKind::Rule => {
                let (relation, own) = of_relation(self)?;
                let kind = word(kind).to_lowercase();
                catalog::parts(relation, &kind, &own).into_iter().next().map(|part| part.address)
            }
            ObjectKind::Function => match self.state.functions(&name(object)).as_slice() {
                [(_, only)] => Some(*only),
                _ => None,
            },
            kind => match self.state.find(kind, &name(object))? {
                (_, Known::Original(address, _)) => Some(address),
                _ => None,
            },
        }
    }

    pub(super) fn is_created(&self, kind: ObjectKind, object: &[String]) -> bool {
        let created = |kind, name: &NameAsWritten| matches!(self.state.find(kind, name), Some((_, Known::Created(_))));
        match kind {
            ObjectKind::Column
            | ObjectKind::Constraint
            | ObjectKind::Trigger
            | ObjectKind::Policy
            | ObjectKind::Rule => {
                let Some((own, relation)) = object.split_last() else { return false };
                let relation = name(relation);
                let added = |altered: Altered| {
                    self.state.original_column(altered.oid, own).is_none()
                        || self.state.parts.keys().any(|(oid, _, part)| *oid == altered.oid && part == own)
                };
                created(ObjectKind::Table, &relation) || self.original(&relation).is_some_and(added)
            }
            kind => created(kind, &name(object)),
        }
    }

    /// An owner or a comment as it was; `begins`: its statement.
    pub(super) fn attribute(&mut self, kind: ObjectKind, object: &[String], begins: &str) {
        match self.address(kind, object) {
            Some(address) => {
                let as_it_was = catalog::attributes(address).into_iter().find(|sql| sql.starts_with(begins));
                match as_it_was {
                    Some(sql) => {
                        self.restore(sql, None);
                    }
                    None => self.note("Not undone by this function."),
                }
            }
            None if self.is_created(kind, object) => {}
            None => self.note("The object is not found by this function: undo it by hand."),
        }
    }

    pub(super) fn grant(&mut self, grant: bool, kind: ObjectKind, objects: &[Vec<String>]) {
        if objects.iter().all(|object| self.is_created(kind, object)) && !objects.is_empty() {
            return;
        }
        let known: Option<Vec<Address>> = objects.iter().map(|object| self.address(kind, object)).collect();
        let reverse = reverse_of_grant(&self.statement);
        let (Some(known), true) = (known, grant == reverse.is_some() && !objects.is_empty()) else {
            return self.note("The privileges are not set back by this function: compare them with those from before.");
        };
        if let Some(reverse) = reverse {
            self.undo(reverse);
        }
        for address in known {
            let privileges = catalog::attributes(address);
            let privileges: Vec<String> =
                privileges.into_iter().filter(|sql| sql.starts_with("GRANT ") || sql.starts_with("REVOKE ")).collect();
            if !privileges.is_empty() {
                self.restore(privileges.join("\n"), None);
            }
        }
    }

    pub(super) fn alter_policy(&mut self, own: &str, relation: &NameAsWritten) {
        let Some(altered) = self.original(relation) else { return };
        let part = catalog::parts(altered.oid, "policy", own).into_iter().next();
        if let Some(part) = part.filter(|_| !self.state.parts.contains_key(&(altered.oid, "policy", own.to_string()))) {
            let sql = format!("ALTER POLICY {} ON {} {};", quote_identifier(own), altered.name, part.definition);
            let at = self.restore(sql, None);
            self.undos[at].relation = Some(altered.oid);
        }
    }
}
