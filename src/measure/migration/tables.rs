//! CREATE TABLE, also of partitions, and CREATE TABLE AS.

mod partition;

use super::alter_table::bounds::{bound_condition, is_implied};
use super::judge::Judge;
use super::whole::{found, lock_all, scan, with_partitions, written};
use super::{Model, Prediction, naming};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{Bound, ColumnDefinition, ConstraintDefinition, ConstraintKind, CreateTable};
use crate::facts::migration::{
    Column, Constraint, Effect, Failure, Id, Index, LockMode, NameAsWritten, ObjectKind, Relation, Scan,
};
use partition::{become_partition, inherit, overlapping, own};

pub fn create(model: &mut Model, statement: &CreateTable) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(name) = new_name(model, &mut prediction, &statement.name, statement.temporary, statement.if_not_exists)
    else {
        return prediction;
    };
    let kind = match () {
        () if statement.foreign => ObjectKind::ForeignTable,
        () if statement.partition_by.is_some() => ObjectKind::PartitionedTable,
        () => ObjectKind::Table,
    };
    let mut table = empty(model, name, kind);
    table.temporary = statement.temporary;
    table.unlogged = statement.unlogged;
    if let Some((method, columns)) = &statement.partition_by {
        table.partition_key = Some(method.clone());
        table.partition_columns = columns.clone();
    }
    for parent in &statement.inherits {
        let Some(parent) = found(model, &mut prediction, ObjectKind::Table, parent, false) else { continue };
        prediction.lock(model, parent, LockMode::ShareUpdateExclusive);
        inherit(model, &mut table, parent, false);
    }
    for like in &statement.like {
        let source = model.find(like).map(|source| source.columns.clone());
        match source {
            Some(columns) => table.columns.extend(columns.into_iter().map(own)),
            None => prediction.missing(ObjectKind::Table, written(like)),
        }
    }
    if let Some(parent) = &statement.partition_of
        && let Some(parent) = found(model, &mut prediction, ObjectKind::Table, parent, false)
    {
        let bound = statement.bound.as_ref();
        let Some(bound) = bound else { return prediction };
        if let Some(taken) = overlapping(model, parent, bound) {
            let message = format!("partition {} would overlap partition {taken}", table.name);
            prediction.fails(Failure::Other { message }, "42P17");
            return prediction;
        }
        become_partition(model, &mut prediction, &mut table, parent, bound);
        table.bound = Some(bound.text.clone());
    }
    let judge = Judge::of(model);
    for definition in &statement.columns {
        add_column(&judge, &mut table, definition);
    }
    let of_columns = statement.columns.iter().flat_map(|column| &column.constraints);
    for definition in of_columns.chain(&statement.constraints) {
        add_constraint(model, &mut prediction, &mut table, definition);
    }
    if prediction.certainly_fails() {
        return prediction;
    }
    let (id, is_default) =
        (table.id, table.bound.as_deref().is_some_and(|bound| bound.eq_ignore_ascii_case("default")));
    let (parents, is_partition) = (table.parents.clone(), table.is_partition);
    prediction.add(Effect::CreatesTable { table: table.clone() });
    model.create(table.clone());
    if let (true, true, Some(parent)) = (is_partition, is_default, parents.first()) {
        model.relation_mut(*parent).into_iter().for_each(|parent| parent.default_partition = Some(id));
    }
    sequences(model, &table, statement);
    let Some(target) = model.target(id) else { return prediction };
    for constraint in table.constraints.into_iter().filter(|constraint| constraint.references.is_some()) {
        prediction.add(Effect::AddsForeignKey { table: target.clone(), constraint, validates: true });
    }
    prediction
}

/// Where CREATE puts it; None: nothing is created, be it that the statement fails.
pub fn new_name(
    model: &Model,
    prediction: &mut Prediction,
    name: &NameAsWritten,
    temporary: bool,
    if_not_exists: bool,
) -> Option<QualifiedName> {
    let Some(created) = model.created_name(name, temporary) else {
        prediction.missing(ObjectKind::Schema, written(name));
        return None;
    };
    let schema = created.schema.raw();
    if !model.has_schema(schema) {
        prediction.missing(ObjectKind::Schema, schema);
        return None;
    }
    if model.name_taken(schema, created.name.raw()) {
        if !if_not_exists {
            prediction.exists(ObjectKind::Table, &created);
        }
        return None;
    }
    Some(created)
}

/// A relation that the migration makes, with nothing in it.
pub fn empty(model: &mut Model, name: QualifiedName, kind: ObjectKind) -> Relation {
    Relation {
        id: model.new_id(),
        name,
        kind,
        temporary: false,
        unlogged: false,
        owner: String::new(),
        tablespace: String::new(),
        access_method: "heap".to_string(),
        rows: 0.0,
        rows_guessed: false,
        bytes: 0,
        index_bytes: 0,
        columns: Vec::new(),
        constraints: Vec::new(),
        indexes: Vec::new(),
        triggers: Vec::new(),
        policies: Vec::new(),
        row_security: false,
        sequences: Vec::new(),
        parents: Vec::new(),
        is_partition: false,
        children: Vec::new(),
        bound: None,
        partition_key: None,
        partition_columns: Vec::new(),
        default_partition: None,
        dependents: Vec::new(),
        created_here: true,
        dropped: false,
        unreadable: false,
        of_type: None,
    }
}

fn add_column(judge: &Judge, table: &mut Relation, definition: &ColumnDefinition) {
    let written = match definition.of_type.text.to_lowercase().as_str() {
        "serial" | "serial4" => "integer".to_string(),
        "bigserial" | "serial8" => "bigint".to_string(),
        "smallserial" | "serial2" => "smallint".to_string(),
        _ => definition.of_type.text.clone(),
    };
    let known = judge.resolve_type(&written).ok();
    // Of a partition or child, it only adds to what is inherited.
    if let Some(inherited) = table.columns.iter_mut().find(|column| column.name == definition.name) {
        inherited.not_null |= definition.not_null;
        return;
    }
    table.columns.push(Column {
        name: definition.name.clone(),
        number: 0,
        type_name: known.map_or(written, |known| judge.type_name(known)),
        type_oid: known.map_or(0, |known| known.oid),
        typmod: known.map_or(-1, |known| known.typmod),
        collation: known.map_or(0, |known| known.collation),
        not_null: definition.not_null || definition.of_type.serial || definition.identity.is_some(),
        default: definition.default.as_ref().map(|default| default.text.clone()),
        identity: definition.identity.clone(),
        generated: definition.generated.as_ref().map(|expression| expression.text.clone()),
        default_changed: false,
        null_fraction: None,
        distinct: None,
        width: None,
        created_here: true,
    });
}

fn add_constraint(
    model: &mut Model,
    prediction: &mut Prediction,
    table: &mut Relation,
    definition: &ConstraintDefinition,
) {
    let missing = definition.columns.iter().find(|column| table.column(column).is_none());
    if let Some(column) = missing.filter(|_| !table.columns.is_empty() && table.parents.is_empty()) {
        prediction.missing(ObjectKind::Column, format!("{}.{column}", table.name));
        return;
    }
    let keys: Vec<Option<String>> = definition.columns.iter().cloned().map(Some).collect();
    let named = |model: &Model, columns: &[Option<String>], label: &str| {
        let given = definition.name.clone();
        given.unwrap_or_else(|| naming::chosen(model, &table.name, columns, label).name.raw().to_string())
    };
    let (name, indexed) = match definition.kind {
        ConstraintKind::PrimaryKey => (named(model, &[], "pkey"), true),
        ConstraintKind::Unique => (named(model, &keys, "key"), true),
        ConstraintKind::Exclude => (named(model, &keys, "excl"), true),
        ConstraintKind::ForeignKey => (named(model, &keys, "fkey"), false),
        ConstraintKind::Check => (named(model, &keys, "check"), false),
        ConstraintKind::NotNull => return,
    };
    let mut constraint = Constraint {
        name: name.clone(),
        kind: definition.kind,
        columns: definition.columns.clone(),
        definition: definition.text.clone(),
        check: definition.check.as_ref().map(|check| check.text.clone()),
        validated: true,
        no_inherit: definition.no_inherit,
        references: None,
        referenced_columns: Vec::new(),
        on_delete: "NO ACTION".to_string(),
        on_update: "NO ACTION".to_string(),
        index: indexed.then(|| name.clone()),
        inherited: false,
        added_in: Some(model.transaction),
    };
    if let Some(reference) = &definition.references {
        let of_itself = reference.table.name == table.name.name.raw()
            && reference.table.schema.as_deref().is_none_or(|schema| schema == table.name.schema.raw());
        let referenced = match of_itself {
            true => Some(table.id),
            false => found(model, prediction, ObjectKind::Table, &reference.table, false),
        };
        let Some(referenced) = referenced else { return };
        lock_all(prediction, model, &with_partitions(model, referenced), LockMode::ShareRowExclusive);
        constraint.references = Some(referenced);
        constraint.on_delete = reference.on_delete.to_string();
        constraint.on_update = reference.on_update.to_string();
        let parent = if of_itself { Some(&*table) } else { model.relation(referenced) };
        let key = parent.and_then(|parent| parent.indexes.iter().find(|index| index.primary));
        constraint.referenced_columns = match reference.columns.is_empty() {
            true => key.into_iter().flat_map(|key| key.columns.iter().flatten().cloned()).collect(),
            false => reference.columns.clone(),
        };
    }
    if indexed {
        let primary = definition.kind == ConstraintKind::PrimaryKey;
        table.indexes.push(Index {
            id: model.new_id(),
            name: QualifiedName { schema: table.name.schema.clone(), name: name.into() },
            unique: definition.kind != ConstraintKind::Exclude,
            primary,
            valid: true,
            method: "btree".to_string(),
            columns: keys,
            include: definition.include.clone(),
            partial: false,
            other_columns: Vec::new(),
            classes: Vec::new(),
            collations: Vec::new(),
            bytes: 0,
            definition: String::new(),
            parent: None,
            replica_identity: false,
            created_here: true,
        });
        for column in table.columns.iter_mut().filter(|column| primary && definition.columns.contains(&column.name)) {
            column.not_null = true;
        }
    }
    table.constraints.push(constraint);
}

/// Of serial and identity columns.
fn sequences(model: &mut Model, table: &Relation, statement: &CreateTable) {
    let generated = statement.columns.iter().filter(|column| column.of_type.serial || column.identity.is_some());
    for column in generated {
        let name = naming::chosen(model, &table.name, &[Some(column.name.clone())], "seq");
        let sequence = empty(model, name, ObjectKind::Sequence);
        let id = sequence.id;
        model.create(sequence);
        model.relation_mut(table.id).into_iter().for_each(|table| table.sequences.push(id));
    }
}
