//! CREATE TABLE … PARTITION OF.

use super::*;

/// The partition with the same bound or, of a list, one of its values.
pub fn overlapping(model: &Model, parent: Id, bound: &Bound) -> Option<QualifiedName> {
    let values = |text: &str| -> Option<Vec<String>> {
        let lower = text.to_lowercase();
        let inside = lower.split_once(" in ")?.1.trim().strip_prefix('(')?.strip_suffix(')')?.to_string();
        Some(inside.split(',').map(|value| value.trim().to_string()).collect())
    };
    let wanted = values(&bound.text)?;
    let siblings = model.relation(parent)?.children.iter().filter_map(|child| model.relation(*child));
    let overlaps = |sibling: &&Relation| {
        let taken = sibling.bound.as_deref().and_then(values).unwrap_or_default();
        taken.iter().any(|value| wanted.contains(value))
    };
    siblings.into_iter().find(overlaps).map(|sibling| sibling.name.clone())
}

/// CREATE TABLE … PARTITION OF locks more than ATTACH PARTITION: the partitioned table itself, and what refers to it.
pub fn become_partition(
    model: &mut Model,
    prediction: &mut Prediction,
    table: &mut Relation,
    parent: Id,
    bound: &Bound,
) {
    prediction.lock(model, parent, LockMode::AccessExclusive);
    let Some(whole) = model.relation(parent).cloned() else { return };
    inherit(model, table, parent, true);
    if let Some(default) = whole.default_partition {
        if bound.default {
            prediction.exists(ObjectKind::Table, "a default partition");
            return;
        }
        prediction.lock(model, default, LockMode::AccessExclusive);
        // A validated CHECK that keeps the new partition's rows out spares the look.
        let judge = Judge::of(model);
        let excluded = bound_condition(&whole, bound, &[]).map(|condition| format!("not ({condition})"));
        let why = || Scan::DefaultPartition { parent: whole.name.to_string(), partition: table.name.to_string() };
        // Where the default partition is partitioned, each of its partitions is read.
        for part in with_partitions(model, default) {
            if part != default {
                prediction.lock(model, part, LockMode::AccessExclusive);
            }
            let known = model.relation(part).zip(excluded.as_deref());
            if !known.is_some_and(|(part, excluded)| is_implied(&judge, part, excluded, false)) {
                scan(prediction, model, part, why());
            }
        }
    }
    for index in &whole.indexes {
        prediction.lock(model, index.id, LockMode::ShareUpdateExclusive);
        let name = naming::chosen(model, &table.name, &index.columns, if index.primary { "pkey" } else { "idx" });
        table.indexes.push(Index {
            id: model.new_id(),
            name,
            parent: Some(index.id),
            bytes: 0,
            created_here: true,
            ..index.clone()
        });
    }
    let referring: Vec<Id> =
        model.referring(parent).filter(|(other, _)| other.id != parent).map(|(other, _)| other.id).collect();
    for other in referring {
        lock_all(prediction, model, &with_partitions(model, other), LockMode::ShareRowExclusive);
    }
    for own in whole.constraints.iter().filter(|constraint| constraint.references.is_some()) {
        let referenced = own.references.map(|id| with_partitions(model, id)).unwrap_or_default();
        lock_all(prediction, model, &referenced, LockMode::ShareRowExclusive);
        table.constraints.push(Constraint { inherited: true, added_in: Some(model.transaction), ..own.clone() });
    }
}

pub fn inherit(model: &Model, table: &mut Relation, parent: Id, as_partition: bool) {
    let Some(parent) = model.relation(parent) else { return };
    table.parents.push(parent.id);
    table.is_partition = as_partition;
    for column in &parent.columns {
        if table.column(&column.name).is_none() {
            table.columns.push(own(column.clone()));
        }
    }
    let checks = parent.constraints.iter().filter(|constraint| {
        constraint.kind == ConstraintKind::Check
            && !constraint.no_inherit
            && table.constraint(&constraint.name).is_none()
    });
    let checks: Vec<Constraint> =
        checks.map(|check| Constraint { inherited: true, added_in: Some(None), ..check.clone() }).collect();
    table.constraints.extend(checks);
}

/// A column of the new table like one of another.
pub fn own(column: Column) -> Column {
    Column { number: 0, null_fraction: None, distinct: None, created_here: true, ..column }
}
