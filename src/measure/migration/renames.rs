//! RENAME, SET SCHEMA and OWNER of what is no table's part of ALTER TABLE.

mod places;

pub use places::{owner, set_schema};

use super::model::Named;
use super::whole::{lock_all, lock_indexes, name_of, with_descendants, written};
use super::{Model, Prediction};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{ConstraintKind, Rename};
use crate::facts::migration::{Dropped, Effect, Failure, Id, LockMode, ObjectKind, Relation};

pub fn rename(model: &mut Model, statement: &Rename) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(name) = &statement.relation else {
        object(model, &mut prediction, statement);
        return prediction;
    };
    let Some(named) = model.lookup(name) else {
        if !statement.missing_ok {
            prediction.missing(ObjectKind::Table, written(name));
        }
        return prediction;
    };
    match (named, &statement.part) {
        (Named::Index { id, .. }, None) => {
            // ALTER TABLE may name an index too, and locks it as a table.
            let mode = match statement.kind {
                ObjectKind::Index => LockMode::ShareUpdateExclusive,
                _ => LockMode::AccessExclusive,
            };
            prediction.lock(model, id, mode);
            if taken(model, &mut prediction, id, &statement.new_name) {
                return prediction;
            }
            renames(model, &mut prediction, id, ObjectKind::Index, None, &statement.new_name);
            model.rename_index(id, &statement.new_name);
        }
        (Named::Relation(id), None) => {
            prediction.lock(model, id, LockMode::AccessExclusive);
            if taken(model, &mut prediction, id, &statement.new_name) {
                return prediction;
            }
            let Some(relation) = model.relation(id).cloned() else { return prediction };
            renames(model, &mut prediction, id, relation.kind, None, &statement.new_name);
            let new = QualifiedName { schema: relation.name.schema, name: statement.new_name.clone().into() };
            model.rename_relation(id, new);
        }
        (Named::Index { id, .. }, Some(_)) => prediction.lock(model, id, LockMode::AccessExclusive),
        (Named::Relation(id), Some(part)) => part_of(model, &mut prediction, statement, id, part),
    }
    prediction
}

fn taken(model: &Model, prediction: &mut Prediction, id: Id, new_name: &str) -> bool {
    let schema = model.target(id).map(|target| target.name.schema.raw().to_string());
    let taken = schema.is_some_and(|schema| model.name_taken(&schema, new_name));
    if taken {
        prediction.exists(ObjectKind::Table, new_name);
    }
    taken
}

fn part_of(model: &mut Model, prediction: &mut Prediction, statement: &Rename, id: Id, part: &str) {
    let Some(relation) = model.relation(id).cloned() else { return };
    let (new_name, mode) = (&statement.new_name, LockMode::AccessExclusive);
    let all = with_descendants(model, id);
    match statement.kind {
        ObjectKind::Column => {
            prediction.lock(model, id, mode);
            if relation.column(part).is_none() && !relation.columns.is_empty() {
                return prediction.missing(ObjectKind::Column, format!("{}.{part}", relation.name));
            }
            if relation.column(new_name).is_some() {
                return prediction.exists(ObjectKind::Column, format!("{}.{new_name}", relation.name));
            }
            if let Some(parent) = relation
                .parents
                .iter()
                .filter_map(|parent| model.relation(*parent))
                .find(|parent| parent.column(part).is_some())
            {
                let message = format!("column {part} is inherited from {}", parent.name);
                return prediction.fails(Failure::Other { message }, "42P16");
            }
            lock_all(prediction, model, &all, mode);
            lock_all(prediction, model, &model.tables_of(id), mode);
            renames(model, prediction, id, ObjectKind::Column, Some(part), new_name);
            for id in all {
                model.relation_mut(id).into_iter().for_each(|relation| rename_column(relation, part, new_name));
            }
        }
        ObjectKind::Constraint => {
            prediction.lock(model, id, mode);
            let Some(constraint) = relation.constraint(part).cloned() else {
                if !relation.created_here {
                    prediction.missing(ObjectKind::Constraint, format!("{part} on {}", relation.name));
                }
                return;
            };
            let recurses = constraint.kind == ConstraintKind::Check && !constraint.no_inherit;
            if recurses {
                lock_all(prediction, model, &all, mode);
            }
            renames(model, prediction, id, ObjectKind::Constraint, Some(part), new_name);
            if let Some(index) = constraint.index.as_deref().filter(|_| constraint.references.is_none())
                && let Some(index) = relation.index(index).map(|index| index.id)
            {
                prediction.lock(model, index, LockMode::ShareUpdateExclusive);
                return model.rename_index(index, new_name);
            }
            for id in if recurses { all } else { vec![id] } {
                let constraints = model.relation_mut(id).into_iter().flat_map(|relation| &mut relation.constraints);
                constraints.filter(|own| own.name == part).for_each(|own| own.name = new_name.clone());
            }
        }
        ObjectKind::Trigger => {
            lock_all(prediction, model, &all, mode);
            renames(model, prediction, id, ObjectKind::Trigger, Some(part), new_name);
            for id in all {
                let triggers = model.relation_mut(id).into_iter().flat_map(|relation| &mut relation.triggers);
                triggers.filter(|own| *own == part).for_each(|own| *own = new_name.clone());
            }
        }
        kind => {
            prediction.lock(model, id, mode);
            renames(model, prediction, id, kind, Some(part), new_name);
            let policies = model.relation_mut(id).into_iter().flat_map(|relation| &mut relation.policies);
            policies.filter(|own| *own == part).for_each(|own| *own = new_name.clone());
        }
    }
}

/// Everything that the model knows by the column's name.
fn rename_column(relation: &mut Relation, old: &str, new: &str) {
    let rename = |name: &mut String| {
        if name == old {
            *name = new.to_string();
        }
    };
    relation.columns.iter_mut().for_each(|column| rename(&mut column.name));
    relation.constraints.iter_mut().flat_map(|constraint| &mut constraint.columns).for_each(rename);
    relation.partition_columns.iter_mut().flatten().for_each(rename);
    relation.dependents.iter_mut().flat_map(|dependent| &mut dependent.columns).for_each(rename);
    for index in &mut relation.indexes {
        index.columns.iter_mut().flatten().for_each(rename);
        index.include.iter_mut().chain(&mut index.other_columns).for_each(rename);
    }
}

fn renames(model: &Model, prediction: &mut Prediction, id: Id, kind: ObjectKind, part: Option<&str>, new_name: &str) {
    let Some(target) = model.target(id) else { return };
    let name = match part {
        Some(part) => format!("{}.{}", target.name, crate::db::quote_identifier(part)),
        None => target.name.to_string(),
    };
    let object = Dropped {
        kind,
        name,
        rows: target.rows,
        bytes: target.bytes,
        table: Some(target),
        part: part.map(str::to_string),
    };
    prediction.add(Effect::Renames { object, new_name: new_name.to_string() });
}

/// What is no relation and no part of one is renamed without a lock on any.
fn object(model: &mut Model, prediction: &mut Prediction, statement: &Rename) {
    let name = name_of(&statement.object);
    match statement.kind {
        ObjectKind::Type | ObjectKind::Domain => {
            let Some(found) = model.find_type(&name) else {
                if !statement.missing_ok {
                    prediction.missing(statement.kind, written(&name));
                }
                return;
            };
            let (id, schema) = (found.id, found.name.schema.clone());
            // A composite type is a relation, and locked as one.
            lock_composite(model, prediction, &name, LockMode::AccessExclusive);
            if statement.part.is_none() {
                let new = QualifiedName { schema, name: statement.new_name.clone().into() };
                model.rename_type(id, new.clone());
                if let Some(relation) = model.find_id(&name) {
                    model.rename_relation(relation, new);
                }
            }
        }
        ObjectKind::Schema if !model.has_schema(&name.name) => prediction.missing(ObjectKind::Schema, &name.name),
        ObjectKind::Schema => {
            let inside: Vec<(Id, QualifiedName)> = model
                .relations()
                .filter(|relation| relation.name.schema.raw() == name.name)
                .map(|relation| (relation.id, relation.name.clone()))
                .collect();
            model.create_schema(&statement.new_name);
            for (id, old) in inside {
                model.rename_relation(id, QualifiedName { schema: statement.new_name.clone().into(), name: old.name });
            }
            model.drop_schema(&name.name);
        }
        ObjectKind::Function => {
            let schemas = name.schema.iter().chain(&model.search_path).cloned().collect::<Vec<_>>();
            let found = schemas.into_iter().find(|schema| model.has_function(Some(schema), &name.name));
            if let Some(schema) = found {
                model.create_function(&schema, &statement.new_name);
            }
        }
        _ => {}
    }
}

fn lock_composite(
    model: &Model,
    prediction: &mut Prediction,
    name: &crate::facts::migration::NameAsWritten,
    mode: LockMode,
) {
    let relation = model.find(name).filter(|relation| relation.kind == ObjectKind::Type).map(|relation| relation.id);
    relation.into_iter().for_each(|id| prediction.lock(model, id, mode));
}
