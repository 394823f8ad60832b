//! A relation with what belongs to it: partitions and children, indexes, sequences.

use super::{Model, Prediction};
use crate::facts::migration::{Effect, Id, LockMode, NameAsWritten, ObjectKind, Relation, Scan};

/// It and its partitions or children.
pub fn with_descendants(model: &Model, id: Id) -> Vec<Id> {
    let mut all = vec![id];
    all.extend(model.descendants(id));
    all
}

/// As `with_descendants`, but only of a partitioned table.
pub fn with_partitions(model: &Model, id: Id) -> Vec<Id> {
    match model.relation(id) {
        Some(relation) if relation.kind == ObjectKind::PartitionedTable => with_descendants(model, id),
        _ => vec![id],
    }
}

pub fn lock_all(prediction: &mut Prediction, model: &Model, ids: &[Id], mode: LockMode) {
    for id in ids {
        prediction.lock(model, *id, mode);
    }
}

pub fn lock_indexes(prediction: &mut Prediction, model: &Model, table: Id, mode: LockMode) {
    let indexes: Vec<Id> =
        model.relation(table).iter().flat_map(|table| &table.indexes).map(|index| index.id).collect();
    lock_all(prediction, model, &indexes, mode);
}

/// The statement reads every row of it, where it has some.
pub fn scan(prediction: &mut Prediction, model: &Model, id: Id, why: Scan) {
    let Some(table) = model.target(id).filter(|table| table.rows > 0.0) else { return };
    let rows_itself = matches!(table.kind, ObjectKind::Table | ObjectKind::MaterializedView);
    if rows_itself
        && !prediction.effects.iter().any(|effect| matches!(effect, Effect::Scans { table, .. } if table.id == id))
    {
        prediction.add(Effect::Scans { table, why });
    }
}

/// The relation of that name; without one the statement fails, unless it says IF EXISTS.
pub fn found(
    model: &Model,
    prediction: &mut Prediction,
    kind: ObjectKind,
    name: &NameAsWritten,
    missing_ok: bool,
) -> Option<Id> {
    let id = model.find_id(name);
    if id.is_none() && !missing_ok {
        prediction.missing(kind, written(name));
    }
    id
}

/// As it is written, without quotes.
pub fn written(name: &NameAsWritten) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

/// The last two parts of a name.
pub fn name_of(parts: &[String]) -> NameAsWritten {
    let name = parts.last().cloned().unwrap_or_default();
    let schema = parts.len().checked_sub(2).map(|position| parts[position].clone());
    NameAsWritten { schema, name }
}

/// A name without a schema whose relation has none of these columns, although all its columns are known.
pub fn lacks<'a>(relation: &Relation, columns: impl IntoIterator<Item = &'a String>) -> Option<&'a String> {
    if relation.columns.is_empty() {
        return None;
    }
    columns.into_iter().find(|column| relation.column(column).is_none())
}
