//! What foreign keys lock, change and read when rows are written.

use super::whole::{scan, with_descendants, with_partitions};
use super::{Model, Prediction};
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Constraint, Effect, Id, LockMode, Relation, Scan};

/// Rows that refer are looked up in the tables they refer to.
pub fn inserted(model: &Model, prediction: &mut Prediction, table: Id, columns: &[String]) {
    let Some(relation) = model.relation(table) else { return };
    let given = |column: &String| {
        let has_default = relation.column(column).is_some_and(|column| column.default.is_some());
        columns.is_empty() || columns.contains(column) || has_default
    };
    for key in foreign_keys(relation).filter(|key| key.columns.iter().all(given)) {
        lock_referenced(model, prediction, key);
    }
}

/// As `inserted` for the columns that are set; and where a key is set that others refer to, they are looked up.
pub fn updated(model: &Model, prediction: &mut Prediction, table: Id, columns: &[String]) {
    let Some(relation) = model.relation(table) else { return };
    let is_set = |key: &&Constraint| key.columns.iter().any(|column| columns.contains(column));
    for key in foreign_keys(relation).filter(is_set) {
        lock_referenced(model, prediction, key);
    }
    let referring: Vec<(Id, Constraint)> = referring(model, table);
    for (child, key) in
        referring.into_iter().filter(|(_, key)| key.referenced_columns.iter().any(|column| columns.contains(column)))
    {
        let mode = mode_of(&key.on_update);
        let unindexed =
            model.relation(child).is_some_and(|child| !child.indexes.iter().any(|index| serves(index, &key)));
        for part in with_partitions(model, child) {
            prediction.lock(model, part, mode);
            if unindexed {
                scan(prediction, model, part, Scan::Query);
            }
        }
    }
}

/// Rows that refer are looked up, and go or change with those that are deleted.
pub fn deleted(model: &Model, prediction: &mut Prediction, table: Id, rows: f64) {
    let mut open = vec![(table, rows)];
    let mut seen = vec![table];
    while let Some((parent, rows)) = open.pop() {
        for part in with_descendants(model, parent) {
            for (child, key) in referring(model, part) {
                for part in with_partitions(model, child) {
                    prediction.lock(model, part, mode_of(&key.on_delete));
                }
                let reached = reach(model, prediction, parent, child, &key, rows);
                let changes_rows = key.on_delete == "CASCADE" && !seen.contains(&child);
                if changes_rows && model.target(child).is_some_and(|child| child.rows > 0.0) {
                    seen.push(child);
                    open.push((child, reached));
                }
            }
        }
    }
}

/// Rows of the child that the deleted rows of the parent reach.
fn reach(model: &Model, prediction: &mut Prediction, parent: Id, child: Id, key: &Constraint, rows: f64) -> f64 {
    let (Some(relation), Some(target), Some(parent)) =
        (model.relation(child), model.target(child), model.target(parent))
    else {
        return 0.0;
    };
    let first = key.columns.first().and_then(|column| relation.column(column));
    let known = first.and_then(|column| Some((column.distinct?, column.null_fraction?)));
    let (each, basis) = match known {
        Some((distinct, nulls)) => {
            // Those parents that nobody refers to have none.
            let values = distinct.max(1.0).max(parent.rows.min(1.0));
            (target.rows * (1.0 - nulls) / values.max(parent.rows), "expected from pg_stats")
        }
        None => (target.rows / parent.rows.max(1.0), "expected from the sizes of both tables"),
    };
    let reached = (rows * each).min(target.rows);
    let indexed = relation.indexes.iter().any(|index| serves(index, key));
    if !indexed {
        for part in with_partitions(model, child) {
            scan(prediction, model, part, Scan::Query);
        }
    }
    let known = prediction.effects.iter().any(|effect| {
        matches!(effect, Effect::Reaches { table, constraint, .. } if table.id == child && *constraint == key.name)
    });
    if !known {
        prediction.add(Effect::Reaches {
            table: target,
            constraint: key.name.clone(),
            action: key.on_delete.clone(),
            rows: reached,
            indexed,
            basis: basis.to_string(),
        });
    }
    reached
}

/// The first columns of a whole index are those of the key, in whatever order.
fn serves(index: &crate::facts::migration::Index, key: &Constraint) -> bool {
    let first: Vec<&Option<String>> = index.columns.iter().take(key.columns.len()).collect();
    let covers = key.columns.iter().all(|column| first.iter().any(|own| own.as_ref() == Some(column)));
    index.valid && !index.partial && covers
}

fn foreign_keys(relation: &Relation) -> impl Iterator<Item = &Constraint> {
    relation.constraints.iter().filter(|constraint| constraint.kind == ConstraintKind::ForeignKey)
}

fn lock_referenced(model: &Model, prediction: &mut Prediction, key: &Constraint) {
    if let Some(referenced) = key.references {
        prediction.lock(model, referenced, LockMode::RowShare);
    }
}

/// Each child once: a partition whose partitioned table refers too is covered by that.
fn referring(model: &Model, table: Id) -> Vec<(Id, Constraint)> {
    let all: Vec<(Id, Constraint)> = model.referring(table).map(|(child, key)| (child.id, key.clone())).collect();
    let covered = |child: Id| {
        let parents = model.relation(child).filter(|child| child.is_partition).map(|child| child.parents.clone());
        parents.unwrap_or_default().iter().any(|parent| all.iter().any(|(other, _)| other == parent))
    };
    all.iter().filter(|(child, _)| !covered(*child)).cloned().collect()
}

fn mode_of(action: &str) -> LockMode {
    match action {
        "CASCADE" | "SET NULL" | "SET DEFAULT" => LockMode::RowExclusive,
        _ => LockMode::RowShare,
    }
}
