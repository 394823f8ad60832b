//! Columns, constraints, indexes, dependents and statistics of the relations that are loaded.

use super::*;
use crate::facts::file_bytes;
use crate::measure::migration::dependencies::kind_named;

pub fn add(relations: &mut Relations) {
    let oid = |id: &Id| match id {
        Id::Oid(oid) => Some(Oid::from(*oid)),
        Id::New(_) => None,
    };
    let all: Vec<Oid> = relations.keys().filter_map(oid).collect();
    let readable = relations.values().filter(|relation| !relation.unreadable);
    let readable: Vec<Oid> = readable.filter_map(|relation| oid(&relation.id)).collect();
    columns(relations, &all, &readable);
    constraints(relations, &all, &readable);
    indexes(relations, &all, &readable);
    dependents(relations, &all);
    sequences(relations, &all);
    statistics(relations);
}

fn columns(relations: &mut Relations, all: &[Oid], readable: &[Oid]) {
    let sql = include_str!("../../../../../sql/facts/migration/columns.sql");
    let read = db::read(sql, &[all.to_vec().into(), readable.to_vec().into()], |row| {
        let table = id(row);
        let (number, name, type_name) = (row.take(), row.take(), row.take());
        let type_oid = row.take::<Oid>().to_u32();
        let (typmod, collation) = (row.take(), row.take::<Oid>().to_u32());
        let not_null = row.take();
        let expression: Option<String> = row.take_option();
        let identity = match row.take::<String>().as_str() {
            "a" => Some("ALWAYS".to_string()),
            "d" => Some("BY DEFAULT".to_string()),
            _ => None,
        };
        let is_generated = row.take::<String>() == "s";
        // Where the relation is locked it has an expression that could not be read.
        let expression = expression.or_else(|| row.take::<bool>().then(String::new));
        let (default, generated) = if is_generated { (None, expression) } else { (expression, None) };
        let column = Column {
            name,
            number,
            type_name,
            type_oid,
            typmod,
            collation,
            not_null,
            default,
            identity,
            generated,
            default_changed: false,
            null_fraction: None,
            distinct: None,
            width: None,
            created_here: false,
        };
        (table, column)
    });
    to_relations(relations, read, |relation, column| relation.columns.push(column));
}

fn constraints(relations: &mut Relations, all: &[Oid], readable: &[Oid]) {
    let sql = include_str!("../../../../../sql/facts/migration/constraints.sql");
    let action = |letter: String| {
        let action = match letter.as_str() {
            "r" => "RESTRICT",
            "c" => "CASCADE",
            "n" => "SET NULL",
            "d" => "SET DEFAULT",
            _ => "NO ACTION",
        };
        action.to_string()
    };
    let read = db::read(sql, &[all.to_vec().into(), readable.to_vec().into()], |row| {
        let table = id(row);
        let name = row.take();
        let kind = match row.take::<String>().as_str() {
            "u" => ConstraintKind::Unique,
            "p" => ConstraintKind::PrimaryKey,
            "x" => ConstraintKind::Exclude,
            "f" => ConstraintKind::ForeignKey,
            _ => ConstraintKind::Check,
        };
        let columns = row.take_option().unwrap_or_default();
        let (definition, check) = (row.take(), row.take_option());
        let (validated, no_inherit) = (row.take(), row.take());
        let references = row.take_option::<Oid>().map(|oid| Id::Oid(oid.to_u32()));
        let referenced_columns = row.take_option().unwrap_or_default();
        let (on_delete, on_update) = (action(row.take()), action(row.take()));
        let (index, inherited) = (row.take_option(), row.take());
        let constraint = Constraint {
            name,
            kind,
            columns,
            definition,
            check,
            validated,
            no_inherit,
            references,
            referenced_columns,
            on_delete,
            on_update,
            index,
            inherited,
            added_in: None,
        };
        (table, constraint)
    });
    to_relations(relations, read, |relation, constraint| relation.constraints.push(constraint));
}

fn indexes(relations: &mut Relations, all: &[Oid], readable: &[Oid]) {
    let sql = include_str!("../../../../../sql/facts/migration/indexes.sql");
    let numbers = |oids: Option<Vec<Oid>>| oids.unwrap_or_default().into_iter().map(Oid::to_u32).collect();
    let read = db::read(sql, &[all.to_vec().into(), readable.to_vec().into()], |row| {
        let table = id(row);
        let index_id = id(row);
        let name = qualified(row);
        let (unique, primary, valid) = (row.take(), row.take(), row.take());
        let method = row.take();
        let columns = row.take_option().unwrap_or_default();
        let include = row.take_option().unwrap_or_default();
        let partial = row.take();
        let other_columns = row.take_option().unwrap_or_default();
        let (classes, collations) = (numbers(row.take_option()), numbers(row.take_option()));
        let pages = row.take();
        let bytes = file_bytes(row.take_option(), pages);
        let definition = row.take();
        let parent = row.take_option::<Oid>().map(|oid| Id::Oid(oid.to_u32()));
        let index = Index {
            id: index_id,
            name,
            unique,
            primary,
            valid,
            method,
            columns,
            include,
            partial,
            other_columns,
            classes,
            collations,
            bytes,
            definition,
            parent,
            replica_identity: row.take(),
            created_here: false,
        };
        (table, index)
    });
    to_relations(relations, read, |relation, index| {
        relation.index_bytes += index.bytes;
        relation.indexes.push(index);
    });
}

fn dependents(relations: &mut Relations, all: &[Oid]) {
    let sql = include_str!("../../../../../sql/facts/migration/dependents.sql");
    let read = db::read(sql, &[all.to_vec().into()], |row| {
        let table = id(row);
        let kind = kind_named(&row.take::<String>());
        let name = row.take();
        let object = id(row);
        let _part: i32 = row.take();
        (table, Dependent { kind, name, id: object, columns: row.take_option().unwrap_or_default() })
    });
    to_relations(relations, read, |relation, dependent| relation.dependents.push(dependent));
}

fn sequences(relations: &mut Relations, all: &[Oid]) {
    let sql = include_str!("../../../../../sql/facts/migration/sequences.sql");
    let read = db::read(sql, &[all.to_vec().into()], |row| (id(row), id(row)));
    to_relations(relations, read, |relation, sequence| relation.sequences.push(sequence));
}

fn statistics(relations: &mut Relations) {
    let (schemas, names): (Vec<String>, Vec<String>) = relations
        .values()
        .filter(|relation| relation.rows > 0.0 || relation.kind == ObjectKind::PartitionedTable)
        .map(|relation| (relation.name.schema.raw().to_string(), relation.name.name.raw().to_string()))
        .unzip();
    let sql = include_str!("../../../../../sql/facts/migration/statistics.sql");
    let read = db::read(sql, &[schemas.into(), names.into()], |row| {
        let column = (row.take::<String>(), row.take::<String>(), row.take::<String>());
        let (nulls, distinct, width): (f64, f64, i32) = (row.take(), row.take(), row.take());
        (column, (nulls, distinct, f64::from(width)))
    });
    let mut known: ByTable = read.into_iter().collect();
    for relation in relations.values_mut() {
        let (schema, name, rows) = (relation.name.schema.raw(), relation.name.name.raw(), relation.rows);
        for column in &mut relation.columns {
            let key = (schema.to_string(), name.to_string(), column.name.clone());
            let Some((nulls, distinct, width)) = known.remove(&key) else { continue };
            column.null_fraction = Some(nulls);
            column.distinct = Some(if distinct < 0.0 { -distinct * rows } else { distinct });
            column.width = Some(width);
        }
    }
}
