//! COMMENT, GRANT, statistics, publications, sequences.

use super::*;

/// On relations, their columns and indexes; on all else it takes no lock of a relation.
pub fn comment(model: &mut Model, kind: ObjectKind, object: &[String]) -> Prediction {
    let mut prediction = Prediction::default();
    let name = match kind {
        ObjectKind::Column if object.len() > 1 => name_of(&object[..object.len() - 1]),
        ObjectKind::Table
        | ObjectKind::PartitionedTable
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Sequence
        | ObjectKind::Index => name_of(object),
        _ => return prediction,
    };
    match model.lookup(&name) {
        Some(Named::Relation(id) | Named::Index { id, .. }) => {
            prediction.lock(model, id, LockMode::ShareUpdateExclusive);
            let column = object.last().filter(|_| kind == ObjectKind::Column);
            let lacks = |column: &&String| {
                model
                    .relation(id)
                    .is_some_and(|relation| !relation.columns.is_empty() && relation.column(column).is_none())
            };
            if let Some(column) = column.filter(lacks) {
                prediction.missing(ObjectKind::Column, format!("{}.{column}", written(&name)));
            }
        }
        None => prediction.missing(if kind == ObjectKind::Column { ObjectKind::Table } else { kind }, written(&name)),
    }
    prediction
}

/// Takes no lock on what it grants.
pub fn grant(model: &mut Model, kind: ObjectKind, objects: &[Vec<String>]) -> Prediction {
    let mut prediction = Prediction::default();
    for object in objects {
        let name = name_of(object);
        match kind {
            ObjectKind::Table | ObjectKind::Sequence => {
                found(model, &mut prediction, kind, &name, false);
            }
            ObjectKind::Schema if !model.has_schema(&name.name) => prediction.missing(kind, &name.name),
            _ => {}
        }
    }
    prediction
}

pub fn create_statistics(model: &mut Model, relations: &[NameAsWritten]) -> Prediction {
    locked(model, relations, LockMode::ShareUpdateExclusive)
}

pub fn publication(model: &mut Model, name: &str, relations: &[NameAsWritten], sets: bool) -> Prediction {
    let mut prediction = locked(model, relations, LockMode::ShareUpdateExclusive);
    if sets {
        let sql = include_str!("../../../../sql/facts/migration/published.sql");
        let published = crate::db::read(sql, &[name.into()], |row| {
            let (oid, schema, name): (pgrx::pg_sys::Oid, String, String) = (row.take(), row.take(), row.take());
            Target {
                id: Id::Oid(oid.to_u32()),
                name: QualifiedName { schema: schema.into(), name: name.into() },
                kind: ObjectKind::Table,
                rows: row.take(),
                rows_guessed: false,
                bytes: row.take::<i64>() as u64,
                index_bytes: 0,
                private: false,
            }
        });
        for target in published {
            let mode = LockMode::ShareUpdateExclusive;
            if model.target(target.id).is_some() {
                prediction.lock(model, target.id, mode);
            } else if !model.gone.contains(&Address { class: RELATIONS, object: oid(target.id), part: 0 }) {
                prediction.locks.push(Lock { target, mode, step: 0 });
            }
        }
    }
    prediction
}

fn oid(id: Id) -> u32 {
    match id {
        Id::Oid(oid) => oid,
        Id::New(_) => 0,
    }
}

fn locked(model: &mut Model, relations: &[NameAsWritten], mode: LockMode) -> Prediction {
    let mut prediction = Prediction::default();
    for name in relations {
        if let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) {
            prediction.lock(model, id, mode);
        }
    }
    prediction
}

pub fn alter_sequence(model: &mut Model, name: &NameAsWritten, missing_ok: bool) -> Prediction {
    let mut prediction = Prediction::default();
    if let Some(id) = found(model, &mut prediction, ObjectKind::Sequence, name, missing_ok) {
        prediction.lock(model, id, LockMode::ShareRowExclusive);
    }
    prediction
}
