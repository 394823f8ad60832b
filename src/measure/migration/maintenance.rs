//! TRUNCATE, CLUSTER, VACUUM, ANALYZE, LOCK, COMMENT, GRANT, statistics, publications, sequences.

mod objects;

pub use objects::{alter_sequence, comment, create_statistics, grant, publication};

use super::dependencies::{Address, RELATIONS};
use super::indexes::in_transaction;
use super::model::Named;
use super::whole::{found, lock_indexes, name_of, scan, with_descendants, with_partitions, written};
use super::{Model, Prediction};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::Truncate;
use crate::facts::migration::{
    Dependent, Dropped, Effect, Failure, Id, Lock, LockMode, NameAsWritten, ObjectKind, Rewrite, Scan, Target,
};
use std::rc::Rc;

pub fn truncate(model: &mut Model, statement: &Truncate) -> Prediction {
    let mut prediction = Prediction::default();
    let mut tables: Vec<(Id, Option<String>)> = Vec::new();
    for (name, only) in statement.relations.iter().zip(statement.only.iter().chain(std::iter::repeat(&false))) {
        let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { continue };
        let Some(table) = model.relation(id) else { continue };
        match table.kind {
            ObjectKind::PartitionedTable if *only && !table.children.is_empty() => {
                let message = "cannot truncate only a partitioned table".to_string();
                prediction.fails(Failure::Other { message }, "42809");
            }
            ObjectKind::Table | ObjectKind::PartitionedTable | ObjectKind::ForeignTable => {}
            _ => {
                prediction.fails(Failure::Other { message: format!("{} is not a table", table.name) }, "42809");
            }
        }
        let all = if *only { vec![id] } else { with_descendants(model, id) };
        for id in all {
            if !tables.iter().any(|(known, _)| *known == id) {
                tables.push((id, None));
            }
        }
    }
    let mut next = 0;
    while next < tables.len() {
        let Some(parent) = model.target(tables[next].0) else { break };
        let referring: Vec<Id> = model.referring(parent.id).map(|(child, _)| child.id).collect();
        for child in referring {
            for id in with_descendants(model, child) {
                if tables.iter().any(|(known, _)| *known == id) {
                    continue;
                }
                if !statement.cascade {
                    refuse(model, &mut prediction, parent.id, id);
                    return prediction;
                }
                tables.push((id, Some(parent.name.to_string())));
            }
        }
        next += 1;
    }
    if prediction.certainly_fails() {
        return prediction;
    }
    for (id, cascade_of) in tables {
        prediction.lock(model, id, LockMode::AccessExclusive);
        let Some(table) = model.relation(id).cloned() else { continue };
        if table.kind == ObjectKind::Table {
            lock_indexes(&mut prediction, model, id, LockMode::AccessExclusive);
            if let Some(table) = model.target(id) {
                prediction.add(Effect::Empties { table, cascade_of });
            }
        }
        if statement.restart_identity {
            for sequence in table.sequences {
                prediction.lock(model, sequence, LockMode::AccessExclusive);
            }
        }
        if let Some(table) = model.relation_mut(id) {
            (table.rows, table.bytes, table.index_bytes) = (0.0, 0, 0);
        }
        Rc::make_mut(&mut model.written).insert(id);
    }
    prediction
}

fn refuse(model: &Model, prediction: &mut Prediction, parent: Id, child: Id) {
    let (Some(parent), Some(child)) = (model.target(parent), model.relation(child)) else { return };
    let dependents = vec![Dependent {
        kind: ObjectKind::Constraint,
        name: format!("a foreign key of {}", child.name),
        id: child.id,
        columns: Vec::new(),
    }];
    let object = Dropped {
        kind: parent.kind,
        name: parent.name.to_string(),
        part: None,
        rows: parent.rows,
        bytes: parent.bytes,
        table: Some(parent),
    };
    prediction.fails(Failure::DependentsExist { object, dependents }, "0A000");
}

pub fn cluster(model: &mut Model, relation: Option<&NameAsWritten>, index: Option<&str>) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(name) = relation else {
        if !in_transaction(model, &mut prediction, "CLUSTER without a table") {
            prediction.not_judged("It rewrites every table of the caller that was clustered before.");
        }
        return prediction;
    };
    let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { return prediction };
    let Some(table) = model.relation(id) else { return prediction };
    if let Some(index) = index.filter(|index| table.index(index).is_none()) {
        prediction.missing(ObjectKind::Index, index);
        return prediction;
    }
    if table.kind == ObjectKind::PartitionedTable && in_transaction(model, &mut prediction, "CLUSTER") {
        return prediction;
    }
    for part in with_partitions(model, id) {
        prediction.lock(model, part, LockMode::AccessExclusive);
        rewrite(model, &mut prediction, part, Rewrite::Cluster);
    }
    prediction
}

/// The table and its indexes are written anew.
pub fn rewrite(model: &Model, prediction: &mut Prediction, id: Id, why: Rewrite) {
    if !model.relation(id).is_some_and(|table| table.has_rows_itself()) {
        return;
    }
    lock_indexes(prediction, model, id, LockMode::AccessExclusive);
    scan(prediction, model, id, Scan::Query);
    if let Some(table) = model.target(id) {
        prediction.add(Effect::Rewrites { table, why });
    }
}

pub fn vacuum(model: &mut Model, relations: &[NameAsWritten], full: bool, analyze: bool) -> Prediction {
    let mut prediction = Prediction::default();
    if in_transaction(model, &mut prediction, "VACUUM") {
        return prediction;
    }
    if relations.is_empty() && full {
        prediction.not_judged("It rewrites every table of the database, one after the other.");
    }
    for name in relations {
        let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { continue };
        for part in with_partitions(model, id) {
            let mode = if full { LockMode::AccessExclusive } else { LockMode::ShareUpdateExclusive };
            if !full && model.relation(part).is_some_and(|part| part.kind == ObjectKind::PartitionedTable && !analyze) {
                continue;
            }
            prediction.lock(model, part, mode);
            if full {
                rewrite(model, &mut prediction, part, Rewrite::VacuumFull);
            }
        }
    }
    prediction
}

pub fn analyze(model: &mut Model, relations: &[NameAsWritten]) -> Prediction {
    let mut prediction = Prediction::default();
    for name in relations {
        let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { continue };
        for part in with_partitions(model, id) {
            prediction.lock(model, part, LockMode::ShareUpdateExclusive);
        }
    }
    prediction
}

pub fn lock(model: &mut Model, relations: &[NameAsWritten], only: &[bool], mode: LockMode) -> Prediction {
    let mut prediction = Prediction::default();
    for (name, only) in relations.iter().zip(only) {
        let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { continue };
        // Of a view, also what it reads.
        let all = if *only { vec![id] } else { with_descendants(model, id) };
        for part in all.into_iter().chain(read_by(model, id)) {
            prediction.lock(model, part, mode);
        }
    }
    prediction
}

/// Relations that a view reads, through other views too, with their partitions and children.
pub fn read_by(model: &Model, view: Id) -> Vec<Id> {
    if model.relation(view).is_none_or(|view| view.kind != ObjectKind::View) {
        return Vec::new();
    }
    let mut read: Vec<Id> = Vec::new();
    let mut open = vec![view];
    while let Some(view) = open.pop() {
        let used = model.relations().filter(|used| used.dependents.iter().any(|dependent| dependent.id == view));
        for used in used.map(|used| (used.id, used.kind)).collect::<Vec<_>>() {
            if !read.contains(&used.0) {
                read.extend(with_descendants(model, used.0));
                if used.1 == ObjectKind::View {
                    open.push(used.0);
                }
            }
        }
    }
    read
}
