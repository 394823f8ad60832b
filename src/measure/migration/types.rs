//! Types, enums and domains.

use super::judge::Judge;
use super::whole::{scan, written};
use super::{Model, Prediction};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{AlterDomainAction, AlterEnum, AlterEnumAction, NewType};
use crate::facts::migration::{DomainCheck, Failure, Id, LockMode, NameAsWritten, ObjectKind, Scan, Type, TypeKind};

pub fn create(model: &mut Model, name: &NameAsWritten, kind: &NewType) -> Prediction {
    let mut prediction = Prediction::default();
    let (kind, labels) = match kind {
        NewType::Enum { labels } => (TypeKind::Enum, labels.clone()),
        NewType::Composite => (TypeKind::Composite, Vec::new()),
        NewType::Range => (TypeKind::Range, Vec::new()),
        NewType::Base => (TypeKind::Base, Vec::new()),
    };
    if let Some(name) = new_name(model, &mut prediction, name) {
        let new = empty(model, name, kind);
        model.create_type(Type { labels, ..new });
    }
    prediction
}

pub fn create_domain(
    model: &mut Model,
    name: &NameAsWritten,
    base: &str,
    constraints: &[crate::facts::migration::statement::DomainConstraint],
    has_default: bool,
) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(name) = new_name(model, &mut prediction, name) else { return prediction };
    let base = Judge::of(model).resolve_type(base).ok();
    let checks = constraints.iter().filter(|constraint| constraint.check.is_some());
    let checks =
        checks.map(|constraint| DomainCheck { name: constraint.name.clone().unwrap_or_default(), validated: true });
    let new = empty(model, name, TypeKind::Domain);
    let new = Type {
        base: base.map(|base| Id::Oid(base.oid)),
        not_null: constraints.iter().any(|constraint| constraint.not_null),
        has_default,
        checks: checks.collect(),
        ..new
    };
    model.create_type(new);
    prediction
}

fn new_name(model: &Model, prediction: &mut Prediction, name: &NameAsWritten) -> Option<QualifiedName> {
    let created = model.created_name(name, false);
    let created = created.filter(|created| model.has_schema(created.schema.raw()));
    let Some(created) = created else {
        prediction.missing(ObjectKind::Schema, name.schema.as_deref().unwrap_or_default());
        return None;
    };
    if model.name_taken(created.schema.raw(), created.name.raw()) {
        prediction.exists(ObjectKind::Type, &created);
        return None;
    }
    Some(created)
}

fn empty(model: &mut Model, name: QualifiedName, kind: TypeKind) -> Type {
    Type {
        id: model.new_id(),
        name,
        kind,
        base: None,
        not_null: false,
        has_default: false,
        labels: Vec::new(),
        checks: Vec::new(),
        created_here: true,
        uncommitted_labels: Vec::new(),
    }
}

pub fn alter_enum(model: &mut Model, statement: &AlterEnum) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(found) = model.find_type(&statement.name) else {
        prediction.missing(ObjectKind::Type, written(&statement.name));
        return prediction;
    };
    let (id, labels, new) = (found.id, found.labels.clone(), found.created_here);
    let transaction = model.transaction;
    match &statement.action {
        AlterEnumAction::AddValue { value, if_not_exists } => {
            if labels.contains(value) {
                if !if_not_exists {
                    prediction.exists(ObjectKind::Type, format!("enum label {value}"));
                }
                return prediction;
            }
            let Some(altered) = model.type_mut(id) else { return prediction };
            altered.labels.push(value.clone());
            // A type of this transaction takes new values at once.
            if let Some(transaction) = transaction.filter(|_| !new) {
                altered.uncommitted_labels.push((value.clone(), transaction));
            }
        }
        AlterEnumAction::RenameValue { from, to } => {
            if !labels.contains(from) {
                prediction.fails(Failure::Other { message: format!("{from} is not an existing enum label") }, "22023");
            } else if labels.contains(to) {
                prediction.exists(ObjectKind::Type, format!("enum label {to}"));
            } else if let Some(altered) = model.type_mut(id) {
                altered.labels.iter_mut().filter(|label| *label == from).for_each(|label| *label = to.clone());
            }
        }
    }
    prediction
}

pub fn alter_domain(model: &mut Model, name: &NameAsWritten, action: &AlterDomainAction) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(domain) = model.find_type(name).filter(|found| found.kind == TypeKind::Domain).cloned() else {
        prediction.missing(ObjectKind::Domain, written(name));
        return prediction;
    };
    let exists = |constraint: &str| domain.checks.iter().any(|check| check.name == constraint);
    match action {
        AlterDomainAction::AddConstraint(constraint) => {
            let name = constraint.name.clone().unwrap_or_else(|| format!("{}_check", domain.name.name.raw()));
            if constraint.name.is_some() && exists(&name) {
                prediction.exists(ObjectKind::DomainConstraint, format!("{name} of {}", domain.name));
                return prediction;
            }
            if !constraint.not_valid {
                check_columns(model, &mut prediction, &domain);
            }
            let Some(altered) = model.type_mut(domain.id) else { return prediction };
            altered.not_null |= constraint.not_null;
            if constraint.check.is_some() {
                altered.checks.push(DomainCheck { name, validated: !constraint.not_valid });
            }
        }
        AlterDomainAction::SetNotNull => {
            if !domain.not_null {
                check_columns(model, &mut prediction, &domain);
            }
            model.type_mut(domain.id).into_iter().for_each(|altered| altered.not_null = true);
        }
        AlterDomainAction::DropNotNull => {
            model.type_mut(domain.id).into_iter().for_each(|altered| altered.not_null = false);
        }
        AlterDomainAction::DropConstraint { name, missing_ok, .. } => {
            if !exists(name) && !missing_ok && !domain.checks.iter().any(|check| check.name.is_empty()) {
                prediction.missing(ObjectKind::DomainConstraint, format!("{name} of {}", domain.name));
            }
            model
                .type_mut(domain.id)
                .into_iter()
                .for_each(|altered| altered.checks.retain(|check| check.name != *name));
        }
        AlterDomainAction::ValidateConstraint { name } => {
            let known = domain.checks.iter().find(|check| check.name == *name);
            match known {
                None if domain.created_here => {}
                None => prediction.missing(ObjectKind::DomainConstraint, format!("{name} of {}", domain.name)),
                Some(_) => check_columns(model, &mut prediction, &domain),
            }
            let checks = model.type_mut(domain.id).into_iter().flat_map(|altered| &mut altered.checks);
            checks.filter(|check| check.name == *name).for_each(|check| check.validated = true);
        }
        AlterDomainAction::SetDefault | AlterDomainAction::DropDefault => {
            let sets = matches!(action, AlterDomainAction::SetDefault);
            model.type_mut(domain.id).into_iter().for_each(|altered| altered.has_default = sets);
        }
    }
    prediction
}

/// Every table with a column of the domain, or of a domain over it, is read under SHARE.
fn check_columns(model: &Model, prediction: &mut Prediction, domain: &Type) {
    let mut domains = vec![domain.id];
    let mut next = 0;
    while next < domains.len() {
        let over = model.types().filter(|known| known.kind == TypeKind::Domain && known.base == Some(domains[next]));
        domains.extend(over.map(|known| known.id).filter(|id| !domains.contains(id)).collect::<Vec<_>>());
        next += 1;
    }
    let is_one =
        |column: &crate::facts::migration::Column| domains.contains(&Id::Oid(column.type_oid)) && column.type_oid != 0;
    let tables: Vec<Id> = model
        .relations()
        .filter(|relation| relation.has_rows_itself() && relation.columns.iter().any(is_one))
        .map(|relation| relation.id)
        .collect();
    for table in tables {
        prediction.lock(model, table, LockMode::Share);
        let why = Scan::Domain { domain: domain.name.to_string() };
        scan(prediction, model, table, why);
    }
}
