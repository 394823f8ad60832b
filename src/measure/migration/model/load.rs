//! Reads what a migration names, and what is locked, read or lost together with it, with a handful of queries.

use super::names::Names;
use super::{Model, Named, seek};
use crate::db::{self, Row};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::text::Parsed;
use crate::facts::migration::{
    Column, Constraint, Dependent, DomainCheck, Id, Index, ObjectKind, Relation, Statement, Type, TypeKind,
};
use crate::measure::migration::dependencies::Dependencies;
use crate::measure::migration::words::words;
use pgrx::pg_sys::Oid;
use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::rc::Rc;

mod parts;
mod sizes;

/// The model of what `statements` are about.
pub fn load(statements: &[Parsed], search_path: &CStr) -> Model {
    let words = words(statements);
    let mut schemas = Vec::new();
    let mut truncated = Vec::new();
    for parsed in statements {
        whole_schemas(&parsed.statement, &mut schemas);
        truncated_with_others(&parsed.statement, &mut truncated);
    }
    let reached = db::read(
        include_str!("../../../../sql/facts/migration/reached.sql"),
        &[words.clone().into(), schemas.into(), truncated.into()],
        |row| row.take::<Oid>(),
    );
    let mut relations = relations(&reached);
    parts::add(&mut relations);
    let column_types = relations.values().flat_map(|relation| &relation.columns).map(|column| column.type_oid);
    let types = types(&words, column_types.collect());
    let mut names = Names::default();
    for relation in relations.values() {
        names.add(&relation.name, Named::Relation(relation.id));
        for index in &relation.indexes {
            names.add(&index.name, Named::Index { id: index.id, table: relation.id });
        }
    }
    types.values().for_each(|known: &Type| names.add_type(&known.name, known.id));
    read_names(&words, &mut names);
    Model {
        relations: relations.into_iter().map(|(id, relation)| (id, Rc::new(relation))).collect(),
        types: types.into_iter().map(|(id, known)| (id, Rc::new(known))).collect(),
        names: Rc::new(names),
        next: 0,
        search_path: seek::schemas(&search_path.to_string_lossy(), &role()),
        transaction: None,
        time_zone: None,
        unknown: None,
        made_functions: Rc::default(),
        written: Rc::default(),
        dependencies: Rc::new(Dependencies::read(statements)),
        gone: Rc::default(),
    }
}

fn role() -> String {
    db::read("select current_user::text", &[], |row| row.take()).remove(0)
}

/// Everything in them is locked or lost.
fn whole_schemas(statement: &Statement, schemas: &mut Vec<String>) {
    match statement {
        Statement::Drop(drop) if drop.kind == ObjectKind::Schema => {
            schemas.extend(drop.objects.iter().filter_map(|parts| parts.last().cloned()));
        }
        Statement::Reindex(reindex) if reindex.kind == ObjectKind::Schema => {
            schemas.extend(reindex.name.iter().map(|name| name.name.clone()));
        }
        _ => {}
    }
}

/// What refers to them is emptied, too, however far.
fn truncated_with_others(statement: &Statement, names: &mut Vec<String>) {
    match statement {
        Statement::Truncate(truncate) if truncate.cascade => {
            names.extend(truncate.relations.iter().map(|name| name.name.clone()));
        }
        Statement::Do { statements, .. } => {
            statements.iter().for_each(|nested| truncated_with_others(&nested.statement, names));
        }
        _ => {}
    }
}

pub(super) fn id(row: &mut Row) -> Id {
    Id::Oid(row.take::<Oid>().to_u32())
}

pub(super) fn ids(row: &mut Row) -> Vec<Id> {
    row.take_option::<Vec<Oid>>().unwrap_or_default().into_iter().map(|oid| Id::Oid(oid.to_u32())).collect()
}

pub(super) fn qualified(row: &mut Row) -> QualifiedName {
    QualifiedName { schema: row.take::<String>().into(), name: row.take::<String>().into() }
}

fn relations(reached: &[Oid]) -> BTreeMap<Id, Relation> {
    let sql = include_str!("../../../../sql/facts/migration/relations.sql");
    let read = db::read(sql, &[reached.to_vec().into()], |row| {
        let id = id(row);
        let name = qualified(row);
        let kind = match row.take::<String>().as_str() {
            "p" => ObjectKind::PartitionedTable,
            "f" => ObjectKind::ForeignTable,
            "v" => ObjectKind::View,
            "m" => ObjectKind::MaterializedView,
            "S" => ObjectKind::Sequence,
            "c" => ObjectKind::Type,
            _ => ObjectKind::Table,
        };
        let persistence: String = row.take();
        let owner = row.take();
        let size = sizes::of(row);
        let row_security = row.take();
        let is_partition = row.take();
        let (tablespace, access_method) = (row.take(), row.take());
        let (parents, children) = (ids(row), ids(row));
        let (bound, partition_key) = (row.take_option(), row.take_option());
        let partition_columns = row.take_option().unwrap_or_default();
        let default_partition = row.take_option::<Oid>().map(|oid| Id::Oid(oid.to_u32()));
        let (triggers, policies) = (row.take_option().unwrap_or_default(), row.take_option().unwrap_or_default());
        let relation = Relation {
            id,
            name,
            kind,
            temporary: persistence == "t",
            unlogged: persistence == "u",
            owner,
            tablespace,
            access_method,
            rows: size.rows,
            rows_guessed: size.guessed && matches!(kind, ObjectKind::Table | ObjectKind::MaterializedView),
            bytes: size.bytes,
            index_bytes: 0,
            columns: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            triggers,
            policies,
            row_security,
            sequences: Vec::new(),
            parents,
            is_partition,
            children,
            bound,
            partition_key,
            partition_columns,
            default_partition,
            dependents: Vec::new(),
            created_here: false,
            dropped: false,
            unreadable: row.take(),
            of_type: row.take_option::<Oid>().map(|oid| Id::Oid(oid.to_u32())),
        };
        (id, relation)
    });
    read.into_iter().collect()
}

fn types(words: &[String], of_columns: Vec<u32>) -> BTreeMap<Id, Type> {
    let of_columns: Vec<Oid> = of_columns.into_iter().filter(|oid| *oid >= 16384).map(Oid::from).collect();
    let sql = include_str!("../../../../sql/facts/migration/types.sql");
    let read = db::read(sql, &[words.to_vec().into(), of_columns.into()], |row| {
        let id = id(row);
        let name = qualified(row);
        let kind = match row.take::<String>().as_str() {
            "c" => TypeKind::Composite,
            "d" => TypeKind::Domain,
            "e" => TypeKind::Enum,
            "r" => TypeKind::Range,
            _ => TypeKind::Base,
        };
        let base = row.take_option::<Oid>().map(|oid| Id::Oid(oid.to_u32()));
        let (not_null, has_default) = (row.take(), row.take());
        let labels = row.take_option().unwrap_or_default();
        let names: Vec<String> = row.take_option().unwrap_or_default();
        let validated: Vec<bool> = row.take_option().unwrap_or_default();
        let checks = names.into_iter().zip(validated);
        let checks = checks.map(|(name, validated)| DomainCheck { name, validated });
        let checks = checks.collect();
        let known = Type {
            id,
            name,
            kind,
            base,
            not_null,
            has_default,
            labels,
            checks,
            created_here: false,
            uncommitted_labels: Vec::new(),
        };
        (id, known)
    });
    read.into_iter().collect()
}

fn read_names(words: &[String], names: &mut Names) {
    let sql = include_str!("../../../../sql/facts/migration/names.sql");
    let read = db::read(sql, &[words.to_vec().into()], |row| {
        (row.take::<String>(), row.take::<String>(), row.take::<String>())
    });
    for (kind, schema, name) in read {
        match kind.as_str() {
            "schema" => {
                names.schemas.insert(schema.as_str().into());
            }
            "extension" => {
                names.extensions.insert(name.as_str().into());
            }
            _ => names.add_function(&schema, &name),
        }
    }
}

/// Adds each read part to its relation.
fn to_relations<T>(relations: &mut BTreeMap<Id, Relation>, parts: Vec<(Id, T)>, add: impl Fn(&mut Relation, T)) {
    for (id, part) in parts {
        if let Some(relation) = relations.get_mut(&id) {
            add(relation, part);
        }
    }
}

type Relations = BTreeMap<Id, Relation>;
type ByTable = HashMap<(String, String, String), (f64, f64, f64)>;
