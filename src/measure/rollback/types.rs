//! Enums, domains and sequences go back to what they were.

use super::state::Known;
use super::{Walk, catalog};
use crate::db::{self, quote_identifier, quote_literal};
use crate::facts::migration::statement::{AlterDomain, AlterDomainAction, AlterEnum, AlterEnumAction};
use crate::facts::migration::{NameAsWritten, ObjectKind};
use pgrx::pg_sys::Oid;

impl Walk {
    pub(super) fn alter_enum(&mut self, alter: &AlterEnum) {
        let Some((key, Known::Original(..))) = self.state.find(ObjectKind::Type, &alter.name) else { return };
        match &alter.action {
            AlterEnumAction::AddValue { value, .. } => self.note(format!(
                "A label of an enum cannot be removed: {} stays, which harms nothing as long as no row has it.",
                quote_literal(value)
            )),
            AlterEnumAction::RenameValue { from, to } => {
                let (from, to) = (quote_literal(from), quote_literal(to));
                self.undo(format!("ALTER TYPE {} RENAME VALUE {to} TO {from};", Walk::qualified(&key)));
            }
        }
    }

    pub(super) fn alter_domain(&mut self, alter: &AlterDomain) {
        let Some((key, Known::Original(address, _))) = self.state.find(ObjectKind::Domain, &alter.name) else { return };
        let constraint = match &alter.action {
            AlterDomainAction::AddConstraint(constraint) => {
                constraint.name.clone().unwrap_or_else(|| format!("{}_check", key.1))
            }
            AlterDomainAction::DropConstraint { name, .. } | AlterDomainAction::ValidateConstraint { name } => {
                name.clone()
            }
            _ => String::new(),
        };
        let sql = include_str!("../../../sql/facts/rollback_domain.sql");
        let before = db::read(sql, &[Oid::from(address.oid).into(), constraint.as_str().into()], |row| {
            let (default, not_null): (Option<String>, bool) = (row.take_option(), row.take());
            (default, not_null, row.take_option::<Oid>(), row.take_option::<String>(), row.take::<bool>())
        });
        let Some((default, not_null, oid, definition, valid)) = before.into_iter().next() else { return };
        let head = format!("ALTER DOMAIN {}", Walk::qualified(&key));
        let name = quote_identifier(&constraint);
        match &alter.action {
            AlterDomainAction::SetDefault | AlterDomainAction::DropDefault => {
                let default =
                    default.map_or(format!("{head} DROP DEFAULT;"), |old| format!("{head} SET DEFAULT {old};"));
                self.restore(default, None);
            }
            AlterDomainAction::SetNotNull if !not_null => {
                self.undo(format!("{head} DROP NOT NULL;"));
            }
            AlterDomainAction::DropNotNull if not_null => {
                self.undo(format!("{head} SET NOT NULL;"));
            }
            AlterDomainAction::AddConstraint(added) if added.not_null && not_null => {}
            AlterDomainAction::AddConstraint(added) if added.not_null => {
                self.undo(format!("{head} DROP NOT NULL;"));
            }
            AlterDomainAction::AddConstraint(_) => {
                self.undo(format!("{head} DROP CONSTRAINT {name};"));
            }
            AlterDomainAction::DropConstraint { .. } => {
                if let (Some(_), Some(definition)) = (oid, definition) {
                    self.restore(format!("{head} ADD CONSTRAINT {name} {definition};"), None);
                }
            }
            AlterDomainAction::ValidateConstraint { .. } if !valid => {
                if let Some(definition) = definition {
                    let sql = format!("{head} DROP CONSTRAINT {name};\n{head} ADD CONSTRAINT {name} {definition};");
                    self.restore(sql, None);
                }
            }
            _ => {}
        }
    }

    pub(super) fn alter_sequence(&mut self, name: &NameAsWritten, owned: bool, restart: bool) {
        let Some(altered) = self.original(name) else { return };
        let Some(before) = catalog::sequence(altered.oid) else { return };
        let mut sql = format!("ALTER SEQUENCE {} {};", altered.name, before.options);
        if owned {
            let by = before.owned_by.unwrap_or_else(|| "NONE".to_string());
            sql += &format!("\nALTER SEQUENCE {} OWNED BY {by};", altered.name);
        }
        if let Some(last) = before.last_value.filter(|_| restart) {
            sql += &format!("\nSELECT pg_catalog.setval({}, {last}, true);", quote_literal(&altered.name));
        }
        self.restore(sql, None);
    }
}
