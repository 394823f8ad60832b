//! Which names are taken by what.

use super::{Named, TEMPORARY};
use crate::facts::QualifiedName;
use crate::facts::migration::Id;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Schema, then name.
type ByName<T> = HashMap<Rc<str>, HashMap<Rc<str>, T>>;

#[derive(Clone, Default)]
pub struct Names {
    relations: ByName<Named>,
    types: ByName<Id>,
    functions: ByName<()>,
    tables: HashMap<Id, Id>,
    pub schemas: HashSet<Rc<str>>,
    pub extensions: HashSet<Rc<str>>,
}

impl Names {
    pub fn relation(&self, schema: &str, name: &str) -> Option<Named> {
        self.relations.get(canonical(schema))?.get(name).copied()
    }

    pub fn type_named(&self, schema: &str, name: &str) -> Option<Id> {
        self.types.get(canonical(schema))?.get(name).copied()
    }

    pub fn has_function(&self, schema: &str, name: &str) -> bool {
        self.functions.get(schema).is_some_and(|names| names.contains_key(name))
    }

    /// Of an index.
    pub fn table_of(&self, index: Id) -> Option<Id> {
        self.tables.get(&index).copied()
    }

    pub fn add(&mut self, name: &QualifiedName, named: Named) {
        if let Named::Index { id, table } = named {
            self.tables.insert(id, table);
        }
        insert(&mut self.relations, name.schema.raw(), name.name.raw(), named);
    }

    pub fn remove(&mut self, name: &QualifiedName) {
        let removed =
            self.relations.get_mut(canonical(name.schema.raw())).and_then(|names| names.remove(name.name.raw()));
        if let Some(Named::Index { id, .. }) = removed {
            self.tables.remove(&id);
        }
    }

    pub fn add_type(&mut self, name: &QualifiedName, id: Id) {
        insert(&mut self.types, name.schema.raw(), name.name.raw(), id);
    }

    pub fn remove_type(&mut self, name: &QualifiedName) {
        self.types.get_mut(canonical(name.schema.raw())).and_then(|names| names.remove(name.name.raw()));
    }

    pub fn add_function(&mut self, schema: &str, name: &str) {
        insert(&mut self.functions, schema, name, ());
    }

    pub fn remove_function(&mut self, schema: &str, name: &str) {
        self.functions.get_mut(schema).and_then(|names| names.remove(name));
    }
}

/// The session's own temporary schema has a number.
fn canonical(schema: &str) -> &str {
    if schema.starts_with("pg_temp_") { TEMPORARY } else { schema }
}

fn insert<T>(names: &mut ByName<T>, schema: &str, name: &str, value: T) {
    let schema = canonical(schema);
    match names.get_mut(schema) {
        Some(in_schema) => in_schema.insert(name.into(), value),
        None => names.entry(schema.into()).or_default().insert(name.into(), value),
    };
}
