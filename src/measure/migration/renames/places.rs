//! SET SCHEMA and OWNER.

use super::*;

pub fn set_schema(
    model: &mut Model,
    kind: ObjectKind,
    object: &[String],
    schema: &str,
    missing_ok: bool,
) -> Prediction {
    let mut prediction = Prediction::default();
    let name = name_of(object);
    if !model.has_schema(schema) {
        prediction.missing(ObjectKind::Schema, schema);
        return prediction;
    }
    let is_relation = matches!(
        kind,
        ObjectKind::Table
            | ObjectKind::PartitionedTable
            | ObjectKind::ForeignTable
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
    );
    if !is_relation {
        if matches!(kind, ObjectKind::Type | ObjectKind::Domain)
            && let Some(found) = model.find_type(&name).map(|found| (found.id, found.name.clone()))
        {
            model.rename_type(found.0, QualifiedName { schema: schema.to_string().into(), name: found.1.name });
        }
        return prediction;
    }
    let Some(relation) = model.find(&name).cloned() else {
        if !missing_ok {
            prediction.missing(kind, written(&name));
        }
        return prediction;
    };
    for id in std::iter::once(relation.id).chain(relation.sequences.iter().copied()) {
        prediction.lock(model, id, LockMode::AccessExclusive);
    }
    if model.name_taken(schema, relation.name.name.raw()) && relation.name.schema.raw() != schema {
        prediction.exists(kind, format!("{schema}.{}", relation.name.name));
        return prediction;
    }
    let moved = QualifiedName { schema: schema.to_string().into(), name: relation.name.name.clone() };
    if let Some(target) = model.target(relation.id) {
        let object = Dropped {
            kind: relation.kind,
            name: target.name.to_string(),
            part: None,
            rows: target.rows,
            bytes: target.bytes,
            table: Some(target),
        };
        prediction.add(Effect::Renames { object, new_name: moved.to_string() });
    }
    model.rename_relation(relation.id, moved);
    for id in relation.sequences {
        let Some(name) = model.relation(id).map(|sequence| sequence.name.name.clone()) else { continue };
        model.rename_relation(id, QualifiedName { schema: schema.to_string().into(), name });
    }
    prediction
}

/// Of relations it is a command of ALTER TABLE, but for composite types.
pub fn owner(model: &mut Model, kind: ObjectKind, object: &[String]) -> Prediction {
    let mut prediction = Prediction::default();
    let name = name_of(object);
    match kind {
        ObjectKind::Type | ObjectKind::Domain => {
            if model.find_type(&name).is_none() {
                prediction.missing(kind, written(&name));
            }
            lock_composite(model, &mut prediction, &name, LockMode::AccessExclusive);
        }
        ObjectKind::Table | ObjectKind::MaterializedView | ObjectKind::View | ObjectKind::Sequence => {
            let Some(relation) = model.find(&name).cloned() else {
                prediction.missing(kind, written(&name));
                return prediction;
            };
            prediction.lock(model, relation.id, LockMode::AccessExclusive);
            lock_indexes(&mut prediction, model, relation.id, LockMode::AccessExclusive);
            lock_all(&mut prediction, model, &relation.sequences, LockMode::AccessExclusive);
        }
        ObjectKind::Schema if !model.has_schema(&name.name) => prediction.missing(kind, &name.name),
        _ => {}
    }
    prediction
}
