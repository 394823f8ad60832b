//! Names that the server chooses for what a migration leaves without one.

use super::Walk;
use super::alter_table::Altered;
use super::state::{Address, Key};
use crate::db;
use crate::facts::migration::statement::{ConstraintDefinition, ConstraintKind, CreateIndex};
use crate::facts::migration::{NameAsWritten, ObjectKind};
use crate::facts::{free_name, joined_columns};
use pgrx::pg_sys::Oid;

impl Walk {
    /// None: it depends on what the server makes of an expression.
    pub(super) fn constraint_name(&self, altered: &Altered, constraint: &ConstraintDefinition) -> Option<String> {
        if let Some(name) = constraint.name.clone().or_else(|| constraint.using_index.clone()) {
            return Some(name);
        }
        let columns = [constraint.columns.as_slice(), constraint.include.as_slice()].concat();
        let (columns, label) = match constraint.kind {
            ConstraintKind::PrimaryKey => (None, "pkey"),
            ConstraintKind::Unique => (Some(joined_columns(columns.iter().map(String::as_str))), "key"),
            ConstraintKind::Exclude => (Some(joined_columns(columns.iter().map(String::as_str))), "excl"),
            ConstraintKind::ForeignKey => (Some(joined_columns(constraint.columns.iter().map(String::as_str))), "fkey"),
            ConstraintKind::Check => (self.only_column(altered, &constraint.check.as_ref()?.text), "check"),
            ConstraintKind::NotNull => return None,
        };
        self.choose(&altered.key, columns.as_deref(), label)
    }

    /// None: an expression's name is the server's affair.
    pub(super) fn index_name(&self, table: &Key, index: &CreateIndex) -> Option<String> {
        if index.name.is_some() {
            return index.name.clone();
        }
        let columns: Option<Vec<String>> = index.columns.iter().cloned().collect();
        let columns = [columns?, index.include.clone()].concat();
        let columns = joined_columns(columns.iter().map(String::as_str));
        self.choose(table, Some(&columns), "idx")
    }

    /// The first that is free, as the server tries them.
    pub(super) fn choose(&self, table: &Key, columns: Option<&str>, label: &str) -> Option<String> {
        Some(free_name(&table.1, columns.unwrap_or_default(), label, |name| !self.is_taken(&table.0, name)))
    }

    fn is_taken(&self, schema: &str, name: &str) -> bool {
        let relation = NameAsWritten { schema: Some(schema.to_string()), name: name.to_string() };
        let sql = "select 'pg_catalog.pg_constraint'::pg_catalog.regclass::oid, c.oid
            from pg_catalog.pg_constraint c
            join pg_catalog.pg_namespace n on n.oid = c.connamespace
            where n.nspname = $1 and c.conname = $2";
        let address = |row: &mut db::Row| Address {
            class: row.take::<Oid>().to_u32(),
            oid: row.take::<Oid>().to_u32(),
            column: 0,
        };
        self.state.find(ObjectKind::Index, &relation).is_some()
            || self.state.parts.keys().any(|(_, kind, own)| *kind == "constraint" && own == name)
            || db::read(sql, &[schema.into(), name.into()], address)
                .iter()
                .any(|there| !self.state.dropped.contains(there))
    }

    /// The only column of the table that an expression names.
    fn only_column(&self, altered: &Altered, expression: &str) -> Option<String> {
        let mut columns = self.columns_in(altered, expression);
        if columns.len() == 1 { columns.pop() } else { None }
    }

    /// Columns of the table that an expression names.
    pub(super) fn columns_in(&self, altered: &Altered, expression: &str) -> Vec<String> {
        let sql = "select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped";
        let mut columns = db::read(sql, &[Oid::from(altered.oid).into()], |row| row.take::<String>());
        if let Some(known) = self.state.columns.get(&altered.oid) {
            columns.extend(known.added.keys().chain(known.renamed.keys()).cloned());
        }
        let words: Vec<&str> = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).collect();
        columns.retain(|column| words.iter().any(|word| word.eq_ignore_ascii_case(column)));
        columns
    }
}

/// Of an index of this table that was there before, its key.
pub(super) fn columns_of_index(table: u32, index: &str) -> Vec<String> {
    let sql = "select a.attname::text
        from pg_catalog.pg_index i
        join pg_catalog.pg_class x on x.oid = i.indexrelid
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::pg_catalog.int2[])
        where i.indrelid = $1 and x.relname = $2";
    db::read(sql, &[Oid::from(table).into(), index.into()], |row| row.take::<String>())
}
