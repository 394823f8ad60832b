//! DROP of anything, with what goes by CASCADE.

mod locks;
mod starts;

use super::dependencies::{Address, Fallout, Named as NamedObject, RELATIONS};
use super::indexes::in_transaction;
use super::model::Named;
use super::whole::{name_of, with_partitions, written};
use super::{Model, Prediction};
use crate::facts::migration::statement::Drop;
use crate::facts::migration::{
    Dependent, Dropped, Effect, Failure, Id, Lock, LockMode, NameAsWritten, ObjectKind, Relation, Target,
};
use locks::lock;
use starts::resolve;
use std::rc::Rc;

const TYPES: u32 = 1247;

/// What the objects of the statement are.
#[derive(Default)]
struct Starts {
    /// Known to the catalogs.
    addresses: Vec<Address>,
    /// Relations and indexes that the migration has made.
    new: Vec<Id>,
}

pub fn drop(model: &mut Model, statement: &Drop) -> Prediction {
    let mut prediction = Prediction::default();
    if statement.concurrently && in_transaction(model, &mut prediction, "DROP INDEX CONCURRENTLY") {
        return prediction;
    }
    let mut starts = Starts::default();
    for parts in &statement.objects {
        resolve(model, &mut prediction, statement, parts, &mut starts);
    }
    if prediction.certainly_fails() {
        return prediction;
    }
    let fallout = model.dependencies.fallout(&starts.addresses, |dependent, on| is_gone(model, dependent, on));
    if let Some((part, owner)) = fallout.part_of {
        let message = format!("cannot drop {} because {} requires it", identity(model, part), identity(model, owner));
        prediction.fails(Failure::Other { message }, "2BP01");
        return prediction;
    }
    let new_dependents = new_dependents(model, &starts, &fallout);
    let cascaded: Vec<(Address, Address)> =
        fallout.dropped.iter().filter_map(|(address, reason)| reason.map(|reason| (*address, reason))).collect();
    if !statement.cascade && (!cascaded.is_empty() || !new_dependents.is_empty()) {
        refuse(model, &mut prediction, &starts, &cascaded, &new_dependents);
        return prediction;
    }
    lock(model, &mut prediction, &starts, &fallout, statement.concurrently);
    for address in &starts.addresses {
        let Some(object) = dropped(model, *address) else { continue };
        prediction.add(Effect::Drops { object, cascade_of: None });
    }
    for id in &starts.new {
        let Some(target) = model.target(*id) else { continue };
        prediction.add(Effect::Drops { object: dropped_relation(target), cascade_of: None });
    }
    for (address, reason) in cascaded {
        let Some(object) = dropped(model, address) else { continue };
        prediction.add(Effect::Drops { object, cascade_of: Some(identity(model, reason)) });
    }
    for (of, dependent) in &new_dependents {
        if let Some(id) = dependent_relation(model, dependent) {
            prediction.lock(model, id, LockMode::AccessExclusive);
        }
        let object = Dropped {
            kind: dependent.kind,
            name: dependent.name.clone(),
            table: None,
            part: None,
            rows: 0.0,
            bytes: 0,
        };
        prediction.add(Effect::Drops { object, cascade_of: Some(of.clone()) });
    }
    forget(model, &starts, &fallout, &new_dependents);
    prediction
}

/// Earlier statements have dropped the dependent, or changed it so that it does not depend on the other any more.
fn is_gone(model: &Model, dependent: Address, on: Address) -> bool {
    if model.gone.contains(&dependent) || model.gone.contains(&Address { part: 0, ..dependent }) {
        return true;
    }
    let Some(object) = model.dependencies.object(dependent) else { return false };
    let Some(relation) = object.relation.as_ref().and_then(|relation| model.relation(relation.id)) else {
        return false;
    };
    match (object.kind, &object.part) {
        (ObjectKind::Column, _) => {
            match relation.columns.iter().find(|column| i32::from(column.number) == dependent.part) {
                None => !relation.columns.is_empty(),
                Some(column) => on.class == TYPES && column.type_oid != on.object,
            }
        }
        (ObjectKind::Constraint, Some(name)) => {
            relation.constraint(name).is_none() && !relation.triggers.contains(name)
        }
        (ObjectKind::Default, Some(column)) => match relation.column(column) {
            None => true,
            Some(column) => {
                column.default_changed
                    || column.default.is_none() && column.generated.is_none() && column.identity.is_none()
            }
        },
        _ => false,
    }
}

fn identity(model: &Model, address: Address) -> String {
    model.dependencies.object(address).map(|object| object.identity.clone()).unwrap_or_default()
}

/// Views and foreign keys that the migration has made, with what they need.
fn new_dependents(model: &Model, starts: &Starts, fallout: &Fallout) -> Vec<(String, Dependent)> {
    let of_catalog = fallout.dropped.keys().filter(|address| address.class == RELATIONS && address.part == 0);
    let going: Vec<Id> = of_catalog.map(|address| Id::Oid(address.object)).chain(starts.new.iter().copied()).collect();
    let mut found = Vec::new();
    for relation in going.iter().filter_map(|id| model.relation(*id)) {
        let new = |dependent: &&Dependent| matches!(dependent.id, Id::New(_)) && !going.contains(&dependent.id);
        found.extend(
            relation.dependents.iter().filter(new).map(|dependent| (relation.name.to_string(), dependent.clone())),
        );
        for (other, constraint) in model.referring(relation.id) {
            let is_new = matches!(other.id, Id::New(_)) || constraint.added_in.is_some();
            if is_new && !going.contains(&other.id) {
                let dependent = Dependent {
                    kind: ObjectKind::Constraint,
                    name: format!("{} on {}", constraint.name, other.name),
                    id: other.id,
                    columns: Vec::new(),
                };
                found.push((relation.name.to_string(), dependent));
            }
        }
    }
    found
}

fn dependent_relation(model: &Model, dependent: &Dependent) -> Option<Id> {
    model.relation(dependent.id).map(|relation| relation.id)
}

fn refuse(
    model: &Model,
    prediction: &mut Prediction,
    starts: &Starts,
    cascaded: &[(Address, Address)],
    new: &[(String, Dependent)],
) {
    let first = starts.addresses.first().and_then(|address| dropped(model, *address));
    let first = first.or_else(|| starts.new.first().and_then(|id| model.target(*id)).map(dropped_relation));
    let Some(object) = first else { return };
    let known = cascaded.iter().filter_map(|(address, _)| {
        let object = model.dependencies.object(*address)?;
        let id = object.relation.as_ref().map_or(Id::Oid(address.object), |relation| relation.id);
        Some(Dependent { kind: object.kind, name: object.identity.clone(), id, columns: Vec::new() })
    });
    let dependents = known.chain(new.iter().map(|(_, dependent)| dependent.clone())).collect();
    prediction.fails(Failure::DependentsExist { object, dependents }, "2BP01");
}

fn dropped(model: &Model, address: Address) -> Option<Dropped> {
    let object = model.dependencies.object(address)?;
    let known = object.relation.as_ref().and_then(|relation| model.target(relation.id));
    let table = known.or_else(|| object.relation.clone());
    let mut dropped = match table.clone() {
        Some(target) if address.class == RELATIONS && address.part == 0 => dropped_relation(target),
        _ => Dropped {
            kind: object.kind,
            name: String::new(),
            table: table.clone(),
            part: object.part.clone(),
            rows: 0.0,
            bytes: 0,
        },
    };
    dropped.kind = object.kind;
    dropped.name = object.identity.clone();
    if let (ObjectKind::Column, Some(table), Some(column)) = (object.kind, &table, &object.part) {
        let known = model.relation(table.id).and_then(|relation| relation.column(column));
        dropped.rows = table.rows * (1.0 - known.and_then(|column| column.null_fraction).unwrap_or(0.0));
    }
    if dropped.kind == ObjectKind::Index {
        dropped.table = model.index(Id::Oid(address.object)).and_then(|(table, _)| model.target(table.id));
        dropped.rows = 0.0;
    }
    Some(dropped)
}

fn dropped_relation(target: Target) -> Dropped {
    Dropped {
        kind: target.kind,
        name: target.name.to_string(),
        part: None,
        rows: target.rows,
        bytes: target.bytes,
        table: Some(target),
    }
}

fn forget(model: &mut Model, starts: &Starts, fallout: &Fallout, new: &[(String, Dependent)]) {
    let dependencies = Rc::clone(&model.dependencies);
    for address in fallout.dropped.keys() {
        Rc::make_mut(&mut model.gone).insert(*address);
        let Some(object) = dependencies.object(*address) else { continue };
        let id = Id::Oid(address.object);
        match object.kind {
            ObjectKind::Index => model.drop_index(id),
            ObjectKind::Type if address.class == TYPES => model.drop_type(id),
            ObjectKind::Schema => model.drop_schema(object.identity.trim_matches('"')),
            _ if address.class == RELATIONS && address.part == 0 => model.drop_relation(id),
            _ if address.class == TYPES => model.drop_type(id),
            ObjectKind::Function => {
                let named = dependencies.every().find(|named| named.address == *address);
                if let Some(named) = named {
                    model.drop_function(&named.schema, &named.name);
                }
            }
            _ => {
                let (Some(relation), Some(part)) = (&object.relation, &object.part) else { continue };
                if let Some(relation) = model.relation_mut(relation.id) {
                    forget_part(relation, object.kind, part);
                    relation.dependents.retain(|user| user.kind != object.kind || user.name != object.identity);
                }
            }
        }
    }
    for id in &starts.new {
        match model.index(*id) {
            Some(_) => model.drop_index(*id),
            None => model.drop_relation(*id),
        }
    }
    for (_, dependent) in new.iter().filter(|(_, dependent)| dependent.kind != ObjectKind::Constraint) {
        model.drop_relation(dependent.id);
    }
}

fn forget_part(relation: &mut Relation, kind: ObjectKind, part: &str) {
    match kind {
        ObjectKind::Column => relation.columns.retain(|column| column.name != part),
        ObjectKind::Constraint => relation.constraints.retain(|constraint| constraint.name != part),
        ObjectKind::Trigger => relation.triggers.retain(|trigger| trigger != part),
        ObjectKind::Policy => relation.policies.retain(|policy| policy != part),
        _ => {}
    }
}
