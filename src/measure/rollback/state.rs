//! What a migration has done to names so far, beside the catalogs, which stay as they are.

use crate::db;
use crate::facts::migration::{NameAsWritten, ObjectKind};
use pgrx::pg_sys::Oid;
use std::collections::{HashMap, HashSet};

/// An object of the catalogs: pg_class, its OID in there, a column's number or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub class: u32,
    pub oid: u32,
    pub column: i32,
}

/// Quoted where SQL needs it.
pub fn quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", db::quote_identifier(schema), db::quote_identifier(name))
}

/// As it is written, with the first schema of the path where it has none.
pub fn quoted_name(name: &NameAsWritten, path: &[String]) -> String {
    match name.schema.as_ref().or(path.first()) {
        Some(schema) => quoted(schema, &name.name),
        None => db::quote_identifier(&name.name),
    }
}

/// What a name stands for at this point.
#[derive(Clone, Debug)]
pub enum Known {
    /// It was there before.
    Original(Address, String),
    /// The migration made it: the entries that undo that.
    Created(Vec<usize>),
    Gone,
}

/// Where temporary tables are.
pub const TEMPORARY: &str = "pg_temp";

/// Schema and name; of what is in no schema, the schema is empty.
pub type Key = (String, String);

#[derive(Clone, Default)]
pub struct State {
    pub path: Vec<String>,
    known: HashMap<(&'static str, Key), Known>,
    pub columns: HashMap<u32, Columns>,
    /// Constraints, triggers, rules and policies that the migration adds to relations that were there before.
    pub parts: HashMap<(u32, &'static str, String), Vec<usize>>,
    /// Those that were there before, by the names that the migration gives them, with those of the catalogs.
    pub renamed_parts: HashMap<(u32, &'static str, String), (String, Vec<usize>)>,
    /// What it has dropped.
    pub dropped: HashSet<Address>,
}

/// Of one relation that was there before.
#[derive(Clone, Default)]
pub struct Columns {
    /// From the name at this point to that in the catalogs.
    pub renamed: HashMap<String, String>,
    pub added: HashMap<String, usize>,
}

/// The catalog in which the names of a kind are unique.
pub fn namespace(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Type | ObjectKind::Domain => "type",
        ObjectKind::Function => "function",
        ObjectKind::Schema => "schema",
        ObjectKind::Extension => "extension",
        ObjectKind::Publication => "publication",
        ObjectKind::Statistics => "statistics",
        _ => "relation",
    }
}

fn has_schemas(namespace: &str) -> bool {
    !matches!(namespace, "schema" | "extension" | "publication")
}

impl State {
    pub fn find(&self, kind: ObjectKind, name: &NameAsWritten) -> Option<(Key, Known)> {
        let namespace = namespace(kind);
        let schemas = match &name.schema {
            _ if !has_schemas(namespace) => vec![String::new()],
            Some(schema) => vec![schema.clone()],
            None => [TEMPORARY.to_string()].into_iter().chain(self.path.clone()).collect(),
        };
        for schema in schemas {
            let key = (schema, name.name.clone());
            match self.known.get(&(namespace, key.clone())) {
                Some(Known::Gone) => {}
                Some(known) => return Some((key, known.clone())),
                None if key.0 == TEMPORARY => {}
                None => {
                    let there =
                        |known: &Known| !matches!(known, Known::Original(address, _) if self.dropped.contains(address));
                    if let Some(original) = in_catalog(namespace, &key).into_iter().find(there) {
                        return Some((key, original));
                    }
                }
            }
        }
        None
    }

    pub fn relation(&self, name: &NameAsWritten) -> Option<(Key, Known)> {
        self.find(ObjectKind::Table, name)
    }

    /// All functions of this name that were there before.
    pub fn functions(&self, name: &NameAsWritten) -> Vec<(Key, Address)> {
        let schemas = name.schema.clone().map_or(self.path.clone(), |schema| vec![schema]);
        let mut found = Vec::new();
        for schema in schemas {
            let key = (schema, name.name.clone());
            for known in in_catalog("function", &key) {
                if let Known::Original(address, _) = known
                    && !self.dropped.contains(&address)
                {
                    found.push((key.clone(), address));
                }
            }
        }
        found
    }

    /// Entries have moved.
    pub fn move_entries(&mut self, moved: impl Fn(&mut usize)) {
        self.parts.values_mut().flatten().for_each(&moved);
        self.renamed_parts.values_mut().flat_map(|(_, entries)| entries).for_each(&moved);
        self.columns.values_mut().flat_map(|columns| columns.added.values_mut()).for_each(&moved);
        for known in self.known.values_mut() {
            if let Known::Created(entries) = known {
                entries.iter_mut().for_each(&moved);
            }
        }
    }

    pub fn set(&mut self, kind: ObjectKind, key: Key, known: Known) {
        self.known.insert((namespace(kind), key), known);
    }

    /// Where a new object of this name goes.
    pub fn place(&self, name: &NameAsWritten) -> Key {
        let first = || self.path.iter().find(|schema| self.schema_exists(schema)).cloned();
        (name.schema.clone().or_else(first).unwrap_or_else(|| "public".to_string()), name.name.clone())
    }

    fn schema_exists(&self, schema: &str) -> bool {
        let name = NameAsWritten { schema: None, name: schema.to_string() };
        self.find(ObjectKind::Schema, &name).is_some()
    }

    /// The name in the catalogs of a constraint, trigger, rule or policy.
    pub fn original_part(&self, relation: u32, kind: &'static str, name: &str) -> String {
        let renamed = self.renamed_parts.get(&(relation, kind, name.to_string()));
        renamed.map_or(name, |(original, _)| original).to_string()
    }

    /// The column's name in the catalogs, or, of one that the migration has added, its own.
    pub fn known_column(&self, relation: u32, column: &str) -> String {
        self.original_column(relation, column).unwrap_or_else(|| column.to_string())
    }

    /// The column's name in the catalogs. None: the migration has added it.
    pub fn original_column(&self, relation: u32, column: &str) -> Option<String> {
        match self.columns.get(&relation) {
            Some(columns) if columns.added.contains_key(column) => None,
            Some(columns) => Some(columns.renamed.get(column).cloned().unwrap_or_else(|| column.to_string())),
            None => Some(column.to_string()),
        }
    }
}

fn in_catalog(namespace: &str, key: &Key) -> Vec<Known> {
    let schemas = vec![key.0.clone()];
    let arguments = [schemas.into(), key.1.as_str().into(), namespace.into()];
    db::read(include_str!("../../../sql/facts/rollback_named.sql"), &arguments, |row| {
        let (class, oid) = (row.take::<Oid>().to_u32(), row.take::<Oid>().to_u32());
        let _schema: String = row.take();
        Known::Original(Address { class, oid, column: 0 }, row.take())
    })
}

/// The elements of a search_path, without those that expand to nothing.
pub fn path(setting: &str) -> Vec<String> {
    let sql = "select coalesce(pg_catalog.array_agg(case when s = '$user' then current_user::text else s end), '{}')
        from pg_catalog.unnest(pg_catalog.parse_ident(pg_catalog.replace(pg_catalog.replace($1, ', ', '.'), ',', '.'))) s";
    if setting.trim().is_empty() || setting.trim() == "\"\"" {
        return Vec::new();
    }
    db::guarded(|| db::read(sql, &[setting.into()], |row| row.take::<Vec<String>>()).pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| vec!["public".to_string()])
}
