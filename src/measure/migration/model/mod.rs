//! The catalog as a migration finds it and changes it. A clone is a snapshot: what is not changed is shared.

mod change;
mod load;
mod names;
mod seek;
mod unknown;

pub use load::load;

use super::dependencies::{Address, Dependencies};
use crate::facts::QualifiedName;
use crate::facts::migration::{Id, Index, NameAsWritten, ObjectKind, Relation, Target, Type};
pub use seek::schemas;

use names::Names;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

#[derive(Clone)]
pub struct Model {
    relations: BTreeMap<Id, Rc<Relation>>,
    types: BTreeMap<Id, Rc<Type>>,
    names: Rc<Names>,
    next: u32,
    /// In which names without a schema are looked up, in force for the statement.
    pub search_path: Vec<String>,
    /// In which the statement runs; None: in one of its own.
    pub transaction: Option<usize>,
    /// That the migration has set.
    pub time_zone: Option<String>,
    /// What the migration has run that may have made objects of which the model does not know: code, an extension.
    pub unknown: Option<String>,
    /// Functions that the migration has made, with i, s or v for their volatility.
    pub made_functions: Rc<BTreeMap<String, char>>,
    /// Relations whose rows the migration has changed: what the statistics say of them may be past.
    pub written: Rc<BTreeSet<Id>>,
    /// What depends on what the migration drops.
    pub dependencies: Rc<Dependencies>,
    /// What it has dropped already.
    pub gone: Rc<BTreeSet<Address>>,
}

/// What a name of pg_class stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Relation(Id),
    /// An index, and its table.
    Index {
        id: Id,
        table: Id,
    },
}

/// Schema of temporary relations, under whatever number.
pub const TEMPORARY: &str = "pg_temp";

impl Model {
    pub fn find(&self, name: &NameAsWritten) -> Option<&Relation> {
        match self.lookup(name)? {
            Named::Relation(id) => self.relation(id),
            Named::Index { .. } => None,
        }
    }

    pub fn find_index(&self, name: &NameAsWritten) -> Option<(&Relation, &Index)> {
        match self.lookup(name)? {
            Named::Index { id, table } => {
                let table = self.relation(table)?;
                Some((table, table.indexes.iter().find(|index| index.id == id)?))
            }
            Named::Relation(_) => None,
        }
    }

    /// Relation or index.
    pub fn lookup(&self, name: &NameAsWritten) -> Option<Named> {
        self.in_path(name.schema.as_deref(), |schema| self.names.relation(schema, &name.name))
    }

    pub fn find_type(&self, name: &NameAsWritten) -> Option<&Type> {
        let id = self.in_path(name.schema.as_deref(), |schema| self.names.type_named(schema, &name.name))?;
        self.types.get(&id).map(Rc::as_ref)
    }

    pub fn type_of(&self, id: Id) -> Option<&Type> {
        self.types.get(&id).map(Rc::as_ref)
    }

    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.values().map(Rc::as_ref)
    }

    /// Functions are known by name only.
    pub fn has_function(&self, schema: Option<&str>, name: &str) -> bool {
        self.in_path(schema, |schema| self.names.has_function(schema, name).then_some(())).is_some()
    }

    pub fn has_schema(&self, name: &str) -> bool {
        name == TEMPORARY || self.names.schemas.contains(name)
    }

    pub fn relation(&self, id: Id) -> Option<&Relation> {
        self.relations.get(&id).map(Rc::as_ref)
    }

    pub fn relation_mut(&mut self, id: Id) -> Option<&mut Relation> {
        self.relations.get_mut(&id).map(Rc::make_mut)
    }

    pub fn type_mut(&mut self, id: Id) -> Option<&mut Type> {
        self.types.get_mut(&id).map(Rc::make_mut)
    }

    /// Of all that is loaded: what the migration names, with its neighbors.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values().map(Rc::as_ref)
    }

    /// As rules see it, before the statement changes it. Of a partitioned table with the rows of its partitions.
    pub fn target(&self, id: Id) -> Option<Target> {
        if let Some(relation) = self.relation(id) {
            let (mut rows, mut bytes, mut index_bytes) = (relation.rows, relation.bytes, relation.index_bytes);
            let mut rows_guessed = relation.rows_guessed;
            if relation.kind == ObjectKind::PartitionedTable {
                let leaves = || self.descendants(id).into_iter().filter_map(|part| self.relation(part));
                rows = leaves().map(|part| part.rows).sum();
                bytes = leaves().map(|part| part.bytes).sum();
                index_bytes = leaves().map(|part| part.index_bytes).sum();
                rows_guessed = leaves().any(|part| part.rows_guessed && part.has_rows_itself());
            }
            return Some(Target {
                id,
                name: relation.name.clone(),
                kind: relation.kind,
                rows,
                rows_guessed,
                bytes,
                index_bytes,
                private: relation.temporary || relation.created_here,
            });
        }
        let (table, index) = self.index(id)?;
        Some(Target {
            id,
            name: index.name.clone(),
            kind: ObjectKind::Index,
            rows: table.rows,
            rows_guessed: table.rows_guessed,
            bytes: index.bytes,
            index_bytes: index.bytes,
            private: table.temporary || table.created_here || index.created_here,
        })
    }

    pub fn index(&self, id: Id) -> Option<(&Relation, &Index)> {
        let table = self.relation(self.names.table_of(id)?)?;
        Some((table, table.indexes.iter().find(|index| index.id == id)?))
    }

    /// What ROLLBACK goes back to. Numbers of what is undone are not given again.
    pub fn restore(&mut self, before: Model) {
        *self = Model { next: self.next, ..before };
    }

    /// A number for what the migration creates.
    pub fn new_id(&mut self) -> Id {
        self.next += 1;
        Id::New(self.next)
    }

    /// Where CREATE puts what is named without a schema.
    pub fn creation_schema(&self) -> Option<&str> {
        let is_real = |schema: &&String| schema.as_str() != TEMPORARY && self.names.schemas.contains(schema.as_str());
        self.search_path.iter().find(is_real).map(String::as_str)
    }

    /// The qualified name of what CREATE makes; None: no schema of the search path exists.
    pub fn created_name(&self, name: &NameAsWritten, temporary: bool) -> Option<QualifiedName> {
        let schema = match &name.schema {
            _ if temporary => TEMPORARY,
            Some(schema) => schema,
            None => self.creation_schema()?,
        };
        Some(QualifiedName { schema: schema.to_string().into(), name: name.name.clone().into() })
    }

    /// Relation, index or type of that name in the schema: CREATE TABLE would fail.
    pub fn name_taken(&self, schema: &str, name: &str) -> bool {
        self.names.relation(schema, name).is_some() || self.names.type_named(schema, name).is_some()
    }
}
