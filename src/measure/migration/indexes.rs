//! CREATE INDEX and REINDEX.

use super::whole::{found, lacks, lock_all, scan, with_partitions, written};
use super::{Model, Prediction, data, naming};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{CreateIndex, Reindex};
use crate::facts::migration::{Build, Effect, Failure, Id, Index, LockMode, ObjectKind, Relation, Scan};

pub fn create(model: &mut Model, statement: &CreateIndex) -> Prediction {
    let mut prediction = Prediction::default();
    if statement.concurrently && in_transaction(model, &mut prediction, "CREATE INDEX CONCURRENTLY") {
        return prediction;
    }
    let Some(id) = found(model, &mut prediction, ObjectKind::Table, &statement.relation, false) else {
        return prediction;
    };
    let Some(table) = model.relation(id).cloned() else { return prediction };
    let mode = if statement.concurrently { LockMode::ShareUpdateExclusive } else { LockMode::Share };
    prediction.lock(model, id, mode);
    match table.kind {
        ObjectKind::PartitionedTable if statement.concurrently => {
            let message = format!("cannot create index on partitioned table {} concurrently", table.name);
            prediction.fails(Failure::Other { message }, "0A000");
            return prediction;
        }
        ObjectKind::Table | ObjectKind::PartitionedTable | ObjectKind::MaterializedView => {}
        _ => {
            let message = format!("cannot create index on relation {}", table.name);
            prediction.fails(Failure::Other { message }, "42809");
            return prediction;
        }
    }
    let columns = statement.columns.iter().flatten().chain(&statement.include);
    if let Some(column) = lacks(&table, columns.filter(|column| !is_system_column(column))) {
        prediction.missing(ObjectKind::Column, format!("{}.{column}", table.name));
        return prediction;
    }
    let covers_key = table.partition_columns.iter().all(|key| key.is_some() && statement.columns.contains(key));
    if statement.unique && table.kind == ObjectKind::PartitionedTable && !covers_key {
        let message = format!("a unique index on {} must contain its partition key", table.name);
        prediction.fails(Failure::Other { message }, "0A000");
        return prediction;
    }
    let name = match &statement.name {
        Some(name) if model.name_taken(table.name.schema.raw(), name) => {
            if !statement.if_not_exists {
                prediction.exists(ObjectKind::Index, name);
            }
            return prediction;
        }
        Some(name) => QualifiedName { schema: table.name.schema.clone(), name: name.clone().into() },
        None => naming::chosen(model, &table.name, &keys(statement), "idx"),
    };
    if statement.unique && statement.predicate.is_none() {
        data::duplicates(model, &mut prediction, &table, &statement.columns, statement.nulls_not_distinct);
    }
    let parent = build(model, &mut prediction, &table, statement, name, None);
    if !statement.only && table.kind == ObjectKind::PartitionedTable {
        on_partitions(model, &mut prediction, &table, statement, parent);
    }
    prediction
}

/// Each partition gets an index, or one that it has is attached.
fn on_partitions(
    model: &mut Model,
    prediction: &mut Prediction,
    table: &Relation,
    statement: &CreateIndex,
    parent: Id,
) {
    lock_all(prediction, model, &with_partitions(model, table.id), LockMode::Share);
    for child in table.children.clone() {
        let Some(child) = model.relation(child).cloned() else { continue };
        if child.kind == ObjectKind::ForeignTable {
            continue;
        }
        let same = child
            .indexes
            .iter()
            .find(|index| index.parent.is_none() && is_same(index, statement))
            .map(|index| index.id);
        if let Some(same) = same {
            prediction.lock(model, same, LockMode::Share);
            let attached = model.relation_mut(child.id).into_iter().flat_map(|child| &mut child.indexes);
            attached.filter(|index| index.id == same).for_each(|index| index.parent = Some(parent));
            continue;
        }
        let name = naming::chosen(model, &child.name, &keys(statement), "idx");
        let index = build(model, prediction, &child, statement, name, Some(parent));
        if child.kind == ObjectKind::PartitionedTable {
            on_partitions(model, prediction, &child, statement, index);
        }
    }
}

/// Adds the index to the model; what builds it, if the table has a file of its own.
fn build(
    model: &mut Model,
    prediction: &mut Prediction,
    table: &Relation,
    statement: &CreateIndex,
    name: QualifiedName,
    parent: Option<Id>,
) -> Id {
    if table.has_rows_itself()
        && let Some(target) = model.target(table.id)
    {
        scan(prediction, model, table.id, Scan::Index);
        prediction.add(Effect::BuildsIndex {
            table: target,
            index: name.to_string(),
            concurrently: statement.concurrently,
            why: Build::CreateIndex,
        });
    }
    let id = model.new_id();
    let index = Index {
        id,
        name,
        unique: statement.unique,
        primary: false,
        // ON ONLY leaves it invalid until each partition has one.
        valid: !(statement.only && table.kind == ObjectKind::PartitionedTable && !table.children.is_empty()),
        method: statement.method.clone(),
        columns: statement.columns.clone(),
        include: statement.include.clone(),
        partial: statement.predicate.is_some(),
        other_columns: Vec::new(),
        classes: Vec::new(),
        collations: Vec::new(),
        bytes: 0,
        definition: String::new(),
        parent,
        replica_identity: false,
        created_here: true,
    };
    model.add_index(table.id, index);
    id
}

fn is_same(index: &Index, statement: &CreateIndex) -> bool {
    index.method == statement.method
        && index.unique == statement.unique
        && index.columns == statement.columns
        && index.columns.iter().all(Option::is_some)
        && index.include == statement.include
        && !index.partial
        && statement.predicate.is_none()
}

/// The columns that a chosen name is made of.
fn keys(statement: &CreateIndex) -> Vec<Option<String>> {
    statement.columns.iter().cloned().chain(statement.include.iter().cloned().map(Some)).collect()
}

fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid")
}

/// What cannot be taken back cannot be part of a transaction.
pub fn in_transaction(model: &Model, prediction: &mut Prediction, what: &str) -> bool {
    let inside = model.transaction.is_some();
    if inside {
        prediction.fails(Failure::InTransaction { what: what.to_string() }, "25001");
    }
    inside
}

pub fn reindex(model: &mut Model, statement: &Reindex) -> Prediction {
    let mut prediction = Prediction::default();
    if statement.concurrently && in_transaction(model, &mut prediction, "REINDEX CONCURRENTLY") {
        return prediction;
    }
    match (statement.kind, &statement.name) {
        (ObjectKind::Index, Some(name)) => {
            let Some((table, index)) = model.find_index(name).map(|(table, index)| (table.clone(), index.clone()))
            else {
                prediction.missing(ObjectKind::Index, written(name));
                return prediction;
            };
            if table.kind == ObjectKind::PartitionedTable {
                if in_transaction(model, &mut prediction, "REINDEX INDEX of a partitioned index") {
                    return prediction;
                }
                for part in model.descendants(table.id) {
                    let Some(part) = model.relation(part).cloned() else { continue };
                    part.indexes.iter().filter(|own| descends(model, own, index.id)).for_each(|own| {
                        rebuild(model, &mut prediction, &part, std::slice::from_ref(own), statement.concurrently);
                    });
                }
            } else {
                rebuild(model, &mut prediction, &table, &[index], statement.concurrently);
            }
        }
        (ObjectKind::Table, Some(name)) => {
            let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { return prediction };
            let parts = with_partitions(model, id);
            if parts.len() > 1 && in_transaction(model, &mut prediction, "REINDEX TABLE of a partitioned table") {
                return prediction;
            }
            for part in parts {
                let Some(part) = model.relation(part).filter(|part| part.has_rows_itself()).cloned() else { continue };
                rebuild(model, &mut prediction, &part, &part.indexes, statement.concurrently);
            }
        }
        (ObjectKind::Schema, Some(name)) => {
            if in_transaction(model, &mut prediction, "REINDEX SCHEMA") {
                return prediction;
            }
            if !model.has_schema(&name.name) {
                prediction.missing(ObjectKind::Schema, &name.name);
                return prediction;
            }
            let tables: Vec<Relation> = model
                .relations()
                .filter(|table| table.name.schema.raw() == name.name && table.has_rows_itself())
                .cloned()
                .collect();
            for table in tables {
                rebuild(model, &mut prediction, &table, &table.indexes, statement.concurrently);
            }
        }
        _ => {
            if !in_transaction(model, &mut prediction, "REINDEX DATABASE") {
                prediction.not_judged("It rebuilds every index of the database, one table after the other.");
            }
        }
    }
    prediction
}

fn descends(model: &Model, index: &Index, from: Id) -> bool {
    let mut parent = index.parent;
    while let Some(id) = parent {
        if id == from {
            return true;
        }
        parent = model.index(id).and_then(|(_, index)| index.parent);
    }
    false
}

fn rebuild(model: &Model, prediction: &mut Prediction, table: &Relation, indexes: &[Index], concurrently: bool) {
    let (on_table, on_index) = match concurrently {
        true => (LockMode::ShareUpdateExclusive, LockMode::ShareUpdateExclusive),
        false => (LockMode::Share, LockMode::AccessExclusive),
    };
    prediction.lock(model, table.id, on_table);
    let Some(target) = model.target(table.id) else { return };
    for index in indexes {
        prediction.lock(model, index.id, on_index);
        scan(prediction, model, table.id, Scan::Index);
        prediction.add(Effect::BuildsIndex {
            table: target.clone(),
            index: index.name.to_string(),
            concurrently,
            why: Build::Reindex,
        });
    }
}
