//! What is locked to drop.

use super::*;

pub fn lock(model: &Model, prediction: &mut Prediction, starts: &Starts, fallout: &Fallout, concurrently: bool) {
    let mode = if concurrently { LockMode::ShareUpdateExclusive } else { LockMode::AccessExclusive };
    for address in fallout.dropped.keys() {
        let Some(object) = model.dependencies.object(*address) else { continue };
        let Some(relation) = &object.relation else { continue };
        match object.kind {
            ObjectKind::Statistics => lock_target(model, prediction, relation, LockMode::ShareUpdateExclusive),
            // Its row goes, and nobody waits for the table.
            ObjectKind::Publication => {}
            _ => lock_relation(model, prediction, relation, mode),
        }
    }
    for id in &starts.new {
        prediction.lock(model, *id, mode);
        if let Some((table, _)) = model.index(*id) {
            prediction.lock(model, table.id, mode);
        }
        let Some(relation) = model.relation(*id) else { continue };
        let indexes = relation.indexes.iter().map(|index| index.id);
        let referenced = relation.constraints.iter().filter(|constraint| !constraint.inherited);
        let referenced =
            referenced.filter_map(|constraint| constraint.references).flat_map(|id| with_partitions(model, id));
        let parents = relation.parents.iter().copied().filter(|_| relation.is_partition);
        let all: Vec<Id> = indexes.chain(referenced).chain(parents).chain(relation.sequences.iter().copied()).collect();
        all.into_iter().for_each(|id| prediction.lock(model, id, LockMode::AccessExclusive));
    }
}

fn lock_relation(model: &Model, prediction: &mut Prediction, relation: &Target, mode: LockMode) {
    lock_target(model, prediction, relation, mode);
    if let Some((table, _)) = model.index(relation.id) {
        prediction.lock(model, table.id, mode);
    }
    let Some(own) = model.relation(relation.id).filter(|own| own.is_partition) else { return };
    for parent in &own.parents {
        prediction.lock(model, *parent, mode);
        if let Some(default) = model.relation(*parent).and_then(|parent| parent.default_partition) {
            prediction.lock(model, default, mode);
        }
    }
}

/// Also of a relation that the text does not name and the model does not hold.
fn lock_target(model: &Model, prediction: &mut Prediction, relation: &Target, mode: LockMode) {
    if model.target(relation.id).is_some() {
        prediction.lock(model, relation.id, mode);
    } else if relation.kind == ObjectKind::Index && mode < LockMode::ShareUpdateExclusive {
    } else {
        match prediction.locks.iter_mut().find(|lock| lock.target.id == relation.id) {
            Some(lock) => lock.mode = lock.mode.max(mode),
            None => prediction.locks.push(Lock { target: relation.clone(), mode, step: 0 }),
        }
    }
}
