//! Constraints: added, validated, dropped. Foreign keys have their own file.

use super::super::data;
use super::work::{Work, is_open};
use crate::db::quote_identifier;
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{ConstraintDefinition, ConstraintKind};
use crate::facts::migration::{Build, Constraint, Failure, Id, Index, LockMode, ObjectKind, Scan};

impl Work<'_> {
    pub fn add_constraint(&mut self, definition: &ConstraintDefinition) {
        self.add(definition, !definition.not_valid);
    }

    /// Of a column that this statement adds: without a default it has no value that could break a foreign key.
    pub fn add_constraint_to_added(&mut self, definition: &ConstraintDefinition, has_default: bool) {
        self.add(definition, !definition.not_valid && (has_default || definition.kind != ConstraintKind::ForeignKey));
    }

    fn add(&mut self, definition: &ConstraintDefinition, reads: bool) {
        let relation = self.relation(self.id);
        if let Some(name) = definition.name.as_ref().filter(|name| relation.constraint(name).is_some()) {
            let name = format!("{} on {}", quote_identifier(name), relation.name);
            return self.out.exists(ObjectKind::Constraint, name);
        }
        for column in definition.columns.iter().filter(|_| definition.check.is_none()) {
            if !self.has_column(column) {
                return;
            }
        }
        match definition.kind {
            ConstraintKind::Check => self.add_check(definition, reads),
            ConstraintKind::ForeignKey => self.add_foreign_key(definition, reads),
            ConstraintKind::NotNull => definition.columns.iter().for_each(|column| self.set_not_null(column)),
            ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude => self.add_key(definition),
        }
    }

    fn add_check(&mut self, definition: &ConstraintDefinition, reads: bool) {
        let Some(check) = &definition.check else { return };
        let relation = self.relation(self.id);
        let judged = !is_open(relation) && relation.columns.iter().all(|column| column.type_oid != 0);
        let columns = match self.judge.columns_used(relation, &check.text) {
            Ok(columns) => columns,
            Err(caught) if judged && self.own_function(&check.text).is_none() => return self.refused(&caught),
            Err(_) => {
                let all = relation.columns.iter().map(|column| column.name.clone());
                all.filter(|name| super::columns::names(&check.text, name)).collect()
            }
        };
        let name = self.name_constraint(self.id, definition.name.as_ref(), ConstraintKind::Check, &columns);
        let tables = if definition.no_inherit { vec![self.id] } else { self.recursed() };
        for id in tables {
            if self.relation(id).constraint(&name).is_some() {
                continue;
            }
            if reads {
                self.scan(id, Scan::Check { constraint: name.clone() });
            }
            let constraint = Constraint {
                check: Some(check.text.clone()),
                validated: !definition.not_valid,
                no_inherit: definition.no_inherit,
                inherited: id != self.id,
                ..self.constraint(definition, name.clone(), columns.clone())
            };
            self.put(id, constraint);
        }
    }

    pub fn put(&mut self, id: Id, constraint: Constraint) {
        if let Some(relation) = self.model.relation_mut(id) {
            relation.constraints.push(constraint);
        }
    }

    pub fn constraint(&self, definition: &ConstraintDefinition, name: String, columns: Vec<String>) -> Constraint {
        Constraint {
            name,
            kind: definition.kind,
            columns,
            definition: definition.text.clone(),
            check: None,
            validated: true,
            no_inherit: false,
            references: None,
            referenced_columns: Vec::new(),
            on_delete: "NO ACTION".to_string(),
            on_update: "NO ACTION".to_string(),
            index: None,
            inherited: false,
            added_in: Some(self.model.transaction),
        }
    }

    fn add_key(&mut self, definition: &ConstraintDefinition) {
        let relation = self.relation(self.id);
        let is_primary = definition.kind == ConstraintKind::PrimaryKey;
        if is_primary && relation.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey) {
            let message = format!("multiple primary keys for table {} are not allowed", relation.name);
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        if let Some(index) = &definition.using_index {
            return self.add_key_using(definition, index);
        }
        let name = self.name_constraint(self.id, definition.name.as_ref(), definition.kind, &definition.columns);
        let mut tables = vec![self.id];
        if self.is_partitioned() {
            // Partitions are locked to build their indexes.
            tables.extend(self.model.descendants(self.id));
            for id in &tables {
                self.out.lock(self.model, *id, LockMode::Share);
            }
        }
        if is_primary {
            for id in self.recursed() {
                for column in &definition.columns {
                    let why = Scan::PrimaryKeyNotNull { columns: definition.columns.clone() };
                    self.require_not_null(id, column, why);
                }
            }
        }
        let mut parent = None;
        for id in tables {
            let name = match id == self.id {
                true => name.clone(),
                false => self.name_constraint(id, None, definition.kind, &definition.columns),
            };
            self.duplicates(id, definition);
            self.scan(id, Scan::Index);
            let why = match definition.kind {
                ConstraintKind::PrimaryKey => Build::PrimaryKey,
                ConstraintKind::Exclude => Build::Exclude,
                _ => Build::Unique,
            };
            self.build(id, name.clone(), why);
            let index_id = self.model.new_id();
            let schema = self.relation(id).name.schema.clone();
            let index = Index {
                id: index_id,
                name: QualifiedName { schema, name: name.clone().into() },
                unique: definition.kind != ConstraintKind::Exclude,
                primary: is_primary,
                valid: true,
                method: if definition.kind == ConstraintKind::Exclude { "gist" } else { "btree" }.to_string(),
                columns: definition.columns.iter().cloned().map(Some).collect(),
                include: definition.include.clone(),
                partial: false,
                other_columns: Vec::new(),
                classes: Vec::new(),
                collations: Vec::new(),
                bytes: 0,
                definition: definition.text.clone(),
                parent,
                replica_identity: false,
                created_here: true,
            };
            if id == self.id && self.is_partitioned() {
                parent = Some(index_id);
            }
            let columns = definition.columns.clone();
            let constraint =
                Constraint { index: Some(name.clone()), ..self.constraint(definition, name.clone(), columns) };
            self.put(id, constraint);
            self.model.add_index(id, index);
        }
    }

    fn add_key_using(&mut self, definition: &ConstraintDefinition, name: &str) {
        let relation = self.relation(self.id);
        let Some(index) = relation.index(name).cloned() else {
            let name = format!("{}.{}", relation.name.schema, quote_identifier(name));
            return self.out.missing(ObjectKind::Index, name);
        };
        let reason = match () {
            () if !index.unique => Some("is not a unique index"),
            () if !index.valid => Some("is not valid"),
            () if index.partial => Some("is a partial index"),
            () if index.columns.iter().any(Option::is_none) => Some("contains expressions"),
            () => None,
        };
        if let Some(reason) = reason {
            let message = format!("index {} {reason}", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42809");
        }
        let columns: Vec<String> = index.columns.iter().flatten().cloned().collect();
        if definition.kind == ConstraintKind::PrimaryKey {
            for column in &columns {
                let why = Scan::PrimaryKeyNotNull { columns: columns.clone() };
                self.require_not_null(self.id, column, why);
            }
        }
        let new_name = definition.name.clone().unwrap_or_else(|| name.to_string());
        if new_name != name {
            self.out.lock(self.model, index.id, LockMode::ShareUpdateExclusive);
            self.model.rename_index(index.id, &new_name);
        }
        let constraint =
            Constraint { index: Some(new_name.clone()), ..self.constraint(definition, new_name.clone(), columns) };
        self.put(self.id, constraint);
        let relation = self.model.relation_mut(self.id);
        let index = relation.and_then(|relation| relation.indexes.iter_mut().find(|one| one.id == index.id));
        if let Some(index) = index {
            index.primary |= definition.kind == ConstraintKind::PrimaryKey;
        }
    }

    fn duplicates(&mut self, id: Id, definition: &ConstraintDefinition) {
        if definition.kind != ConstraintKind::Exclude {
            let columns: Vec<Option<String>> = definition.columns.iter().cloned().map(Some).collect();
            let relation = self.relation(id).clone();
            data::duplicates(self.model, &mut self.out, &relation, &columns, definition.nulls_not_distinct);
        }
    }

    pub fn has_constraint(&mut self, name: &str) -> Option<Constraint> {
        let relation = self.relation(self.id);
        let found = relation.constraint(name).cloned();
        if found.is_none() {
            let name = format!("{} on {}", quote_identifier(name), relation.name);
            self.out.missing(ObjectKind::Constraint, name);
        }
        found
    }

    pub fn validate_constraint(&mut self, name: &str) {
        let Some(constraint) = self.has_constraint(name) else { return };
        if constraint.validated {
            return;
        }
        match constraint.kind {
            ConstraintKind::ForeignKey => {
                if let Some(parent) = constraint.references {
                    self.out.lock(self.model, parent, LockMode::RowShare);
                }
                self.mark_valid(self.id, name);
            }
            ConstraintKind::Check => {
                let tables = if constraint.no_inherit { vec![self.id] } else { self.recursed() };
                tables.into_iter().for_each(|id| self.mark_valid(id, name));
            }
            _ => {
                let message = format!("constraint {} is no foreign key or check constraint", quote_identifier(name));
                self.out.fails(Failure::Other { message }, "42809");
            }
        }
    }

    fn mark_valid(&mut self, id: Id, name: &str) {
        if self.relation(id).constraint(name).is_none_or(|constraint| constraint.validated) {
            return;
        }
        self.scan(id, Scan::Validate { constraint: name.to_string() });
        let relation = self.model.relation_mut(id);
        let constraint = relation.and_then(|relation| relation.constraints.iter_mut().find(|one| one.name == name));
        if let Some(constraint) = constraint {
            constraint.validated = true;
        }
    }

    pub fn alter_constraint(&mut self, name: &str) {
        let Some(constraint) = self.has_constraint(name) else { return };
        if constraint.kind != ConstraintKind::ForeignKey {
            let message = format!("constraint {} is not a foreign key constraint", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42809");
        }
        if self.is_partitioned() {
            self.recursed();
        }
    }
}
