//! What a migration makes, renames and drops.

use super::{Model, Named};
use crate::facts::QualifiedName;
use crate::facts::migration::{Id, Index, Relation, Type};
use crate::measure::migration::dependencies::{Address, RELATIONS};
use std::rc::Rc;

impl Model {
    /// Adds a relation; its id is one of `new_id`.
    pub fn create(&mut self, relation: Relation) {
        let names = Rc::make_mut(&mut self.names);
        names.add(&relation.name, Named::Relation(relation.id));
        for index in &relation.indexes {
            names.add(&index.name, Named::Index { id: index.id, table: relation.id });
        }
        for parent in &relation.parents {
            if let Some(parent) = self.relations.get_mut(parent).map(Rc::make_mut) {
                parent.children.push(relation.id);
            }
        }
        self.relations.insert(relation.id, Rc::new(relation));
    }

    /// Takes a relation out, with its indexes and sequences and the foreign keys that refer to it. What else depends on it is
    /// the caller's to drop.
    pub fn drop_relation(&mut self, id: Id) {
        let Some(relation) = self.relations.remove(&id) else { return };
        self.is_gone(id);
        let names = Rc::make_mut(&mut self.names);
        names.remove(&relation.name);
        relation.indexes.iter().for_each(|index| names.remove(&index.name));
        let others: Vec<Id> = self.relations.keys().copied().collect();
        for other in others {
            let depends = self.relations.get(&other).is_some_and(|other| {
                other.parents.contains(&id)
                    || other.children.contains(&id)
                    || other.sequences.contains(&id)
                    || other.default_partition == Some(id)
                    || other.dependents.iter().any(|dependent| dependent.id == id)
                    || other.constraints.iter().any(|constraint| constraint.references == Some(id))
            });
            if let Some(other) = self.relation_mut(other).filter(|_| depends) {
                other.parents.retain(|parent| *parent != id);
                other.children.retain(|child| *child != id);
                other.sequences.retain(|sequence| *sequence != id);
                other.default_partition = other.default_partition.filter(|partition| *partition != id);
                other.dependents.retain(|dependent| dependent.id != id);
                other.constraints.retain(|constraint| constraint.references != Some(id));
            }
        }
        for sequence in relation.sequences.clone() {
            self.drop_relation(sequence);
        }
    }

    fn is_gone(&mut self, id: Id) {
        if let Id::Oid(object) = id {
            Rc::make_mut(&mut self.gone).insert(Address { class: RELATIONS, object, part: 0 });
        }
    }

    /// Another name, another schema.
    pub fn rename_relation(&mut self, id: Id, name: QualifiedName) {
        let Some(relation) = self.relations.get_mut(&id).map(Rc::make_mut) else { return };
        let names = Rc::make_mut(&mut self.names);
        names.remove(&relation.name);
        if relation.name.schema != name.schema {
            for index in &mut relation.indexes {
                names.remove(&index.name);
                index.name.schema = name.schema.clone();
                names.add(&index.name, Named::Index { id: index.id, table: id });
            }
        }
        names.add(&name, Named::Relation(id));
        // Its row type has its name.
        let row_type = names.type_named(relation.name.schema.raw(), relation.name.name.raw());
        relation.name = name.clone();
        if let Some(row_type) = row_type {
            self.rename_type(row_type, name);
        }
    }

    pub fn add_index(&mut self, table: Id, index: Index) {
        let Some(relation) = self.relations.get_mut(&table).map(Rc::make_mut) else { return };
        Rc::make_mut(&mut self.names).add(&index.name, Named::Index { id: index.id, table });
        relation.indexes.push(index);
    }

    /// With the constraint that it serves.
    pub fn drop_index(&mut self, id: Id) {
        let Some(table) = self.names.table_of(id) else { return };
        let Some(relation) = self.relations.get_mut(&table).map(Rc::make_mut) else { return };
        let Some(position) = relation.indexes.iter().position(|index| index.id == id) else { return };
        let index = relation.indexes.remove(position);
        if let Id::Oid(object) = id {
            Rc::make_mut(&mut self.gone).insert(Address { class: RELATIONS, object, part: 0 });
        }
        relation.constraints.retain(|constraint| {
            constraint.references.is_some() || constraint.index.as_deref() != Some(index.name.name.raw())
        });
        Rc::make_mut(&mut self.names).remove(&index.name);
    }

    /// Within its schema; with the constraint of its name.
    pub fn rename_index(&mut self, id: Id, new_name: &str) {
        let Some(table) = self.names.table_of(id) else { return };
        let Some(relation) = self.relations.get_mut(&table).map(Rc::make_mut) else { return };
        let Some(index) = relation.indexes.iter_mut().find(|index| index.id == id) else { return };
        let names = Rc::make_mut(&mut self.names);
        names.remove(&index.name);
        let old = index.name.name.raw().to_string();
        index.name.name = new_name.to_string().into();
        names.add(&index.name, Named::Index { id, table });
        for constraint in relation.constraints.iter_mut().filter(|constraint| constraint.references.is_none()) {
            if constraint.index.as_deref() == Some(&old) {
                constraint.index = Some(new_name.to_string());
                constraint.name = new_name.to_string();
            }
        }
    }

    pub fn create_type(&mut self, new: Type) {
        Rc::make_mut(&mut self.names).add_type(&new.name, new.id);
        self.types.insert(new.id, Rc::new(new));
    }

    pub fn drop_type(&mut self, id: Id) {
        if let Some(dropped) = self.types.remove(&id) {
            Rc::make_mut(&mut self.names).remove_type(&dropped.name);
        }
    }

    pub fn rename_type(&mut self, id: Id, name: QualifiedName) {
        let Some(renamed) = self.types.get_mut(&id).map(Rc::make_mut) else { return };
        let names = Rc::make_mut(&mut self.names);
        names.remove_type(&renamed.name);
        names.add_type(&name, id);
        renamed.name = name;
    }

    pub fn create_schema(&mut self, name: &str) {
        Rc::make_mut(&mut self.names).schemas.insert(name.into());
    }

    /// The schema alone: what is in it is dropped one by one.
    pub fn drop_schema(&mut self, name: &str) {
        Rc::make_mut(&mut self.names).schemas.remove(name);
    }

    pub fn create_function(&mut self, schema: &str, name: &str) {
        Rc::make_mut(&mut self.names).add_function(schema, name);
    }

    pub fn drop_function(&mut self, schema: &str, name: &str) {
        Rc::make_mut(&mut self.names).remove_function(schema, name);
    }
}
