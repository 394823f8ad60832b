//! Views, materialized views, and tables made of queries.

use super::maintenance::rewrite;
use super::planned::{Planned, planned};
use super::tables::{empty, new_name};
use super::whole::{found, scan, written};
use super::{Model, Prediction};
use crate::facts::migration::text;
use crate::facts::migration::{
    Column, Dependent, Effect, Failure, Id, LockMode, NameAsWritten, ObjectKind, Rewrite, Scan, Statement,
};

pub fn create_view(model: &mut Model, name: &NameAsWritten, replace: bool, query: &str, text: &str) -> Prediction {
    let mut prediction = Prediction::default();
    if let Some(known) = model.find(name).map(|known| (known.id, known.kind)) {
        match known {
            (id, ObjectKind::View) if replace => {
                prediction.lock(model, id, LockMode::AccessExclusive);
                if let Some(column) = lost_column(model, id, query, text) {
                    let message = format!("cannot drop column {column} from view {}", written(name));
                    prediction.fails(Failure::Other { message }, "42P16");
                    return prediction;
                }
                uses(model, &mut prediction, id, query);
            }
            _ => prediction.exists(ObjectKind::View, written(name)),
        }
        return prediction;
    }
    let Some(name) = new_name(model, &mut prediction, name, false, false) else { return prediction };
    let view = empty(model, name, ObjectKind::View);
    create(model, &mut prediction, view, query, &[]);
    prediction
}

/// A view may get columns behind those that it has, and lose none.
fn lost_column(model: &Model, view: Id, query: &str, text: &str) -> Option<String> {
    // Names of columns behind the view's say what its query does not.
    let head = text.split_once(query).map_or(text, |(head, _)| head);
    if head.contains('(') {
        return None;
    }
    let columns = planned(model, query)?.columns;
    let known = &model.relation(view)?.columns;
    let lost = |(position, column): (usize, &Column)| {
        (columns.get(position) != Some(&column.name)).then(|| column.name.clone())
    };
    if columns.is_empty() { None } else { known.iter().enumerate().find_map(lost) }
}

fn create(
    model: &mut Model,
    prediction: &mut Prediction,
    mut view: crate::facts::migration::Relation,
    query: &str,
    columns: &[String],
) {
    view.columns = columns.iter().map(|name| unknown_column(name)).collect();
    let id = view.id;
    model.create(view);
    uses(model, prediction, id, query);
}

/// The view depends on what its query reads.
fn uses(model: &mut Model, prediction: &mut Prediction, view: Id, query: &str) {
    let Some(name) = model.target(view).map(|target| target.name.to_string()) else { return };
    let kind = model.relation(view).map_or(ObjectKind::View, |view| view.kind);
    for read in reads(query) {
        match model.find_id(&read) {
            Some(id) => {
                let dependent = Dependent { kind, name: name.clone(), id: view, columns: Vec::new() };
                let relation = model.relation_mut(id).filter(|relation| relation.id != view);
                let relation = relation.filter(|relation| !relation.dependents.iter().any(|known| known.id == view));
                relation.into_iter().for_each(|relation| relation.dependents.push(dependent.clone()));
            }
            None => prediction.missing(ObjectKind::Table, written(&read)),
        }
    }
}

/// Relations that a query names.
fn reads(query: &str) -> Vec<NameAsWritten> {
    let parsed = text::read(query).statements.into_iter().next();
    match parsed.map(|parsed| parsed.statement) {
        Some(Statement::Query(query)) => query.reads,
        _ => Vec::new(),
    }
}

fn unknown_column(name: &str) -> Column {
    Column {
        name: name.to_string(),
        number: 0,
        type_name: String::new(),
        type_oid: 0,
        typmod: -1,
        collation: 0,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        default_changed: false,
        null_fraction: None,
        distinct: None,
        width: None,
        created_here: true,
    }
}

pub struct TableAs<'a> {
    pub name: &'a NameAsWritten,
    pub materialized_view: bool,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub with_data: bool,
    pub query: &'a str,
}

pub fn create_table_as(model: &mut Model, statement: &TableAs) -> Prediction {
    let mut prediction = Prediction::default();
    let name = new_name(model, &mut prediction, statement.name, statement.temporary, statement.if_not_exists);
    let Some(name) = name else { return prediction };
    let kind = if statement.materialized_view { ObjectKind::MaterializedView } else { ObjectKind::Table };
    let mut table = empty(model, name, kind);
    table.temporary = statement.temporary;
    let read = planned(model, statement.query);
    if statement.with_data {
        scans(model, &mut prediction, read.as_ref());
    }
    prediction.add(Effect::CreatesTable { table: table.clone() });
    let columns = read.map(|read| read.columns).unwrap_or_default();
    if statement.materialized_view {
        create(model, &mut prediction, table, statement.query, &columns);
    } else {
        table.columns = columns.iter().map(|name| unknown_column(name)).collect();
        model.create(table);
        for read in reads(statement.query) {
            found(model, &mut prediction, ObjectKind::Table, &read, false);
        }
    }
    prediction
}

/// What the planner reads whole.
pub fn scans(model: &Model, prediction: &mut Prediction, planned: Option<&Planned>) {
    for id in planned.into_iter().flat_map(|planned| &planned.scanned) {
        scan(prediction, model, *id, Scan::Query);
    }
}

pub fn refresh(model: &mut Model, name: &NameAsWritten, concurrently: bool, with_data: bool) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(id) = found(model, &mut prediction, ObjectKind::MaterializedView, name, false) else { return prediction };
    let Some(view) = model.relation(id).cloned() else { return prediction };
    if view.kind != ObjectKind::MaterializedView {
        prediction.fails(Failure::Other { message: format!("{} is not a materialized view", view.name) }, "42809");
        return prediction;
    }
    if concurrently {
        let usable = |index: &&crate::facts::migration::Index| {
            index.unique && index.valid && !index.partial && index.columns.iter().all(Option::is_some)
        };
        if !view.indexes.iter().any(|index| usable(&index)) {
            let message = format!("{} has no unique index on columns, which CONCURRENTLY needs", view.name);
            prediction.fails(Failure::Other { message }, "55000");
            return prediction;
        }
        prediction.lock(model, id, LockMode::Exclusive);
        scan(&mut prediction, model, id, Scan::Query);
    } else {
        prediction.lock(model, id, LockMode::AccessExclusive);
        rewrite(model, &mut prediction, id, Rewrite::Refresh);
    }
    if with_data && let Some(query) = definition(&view) {
        let read = planned(model, &query);
        scans(model, &mut prediction, read.as_ref());
    }
    prediction
}

/// The query of a materialized view of the catalogs.
fn definition(view: &crate::facts::migration::Relation) -> Option<String> {
    let Id::Oid(oid) = view.id else { return None };
    if view.unreadable {
        return None;
    }
    let sql = "select pg_catalog.pg_get_viewdef($1)";
    crate::db::read_only(|| {
        crate::db::read(sql, &[pgrx::pg_sys::Oid::from(oid).into()], |row| row.take_option::<String>())
    })
    .ok()?
    .into_iter()
    .next()?
    .map(|query| query.trim_end().trim_end_matches(';').to_string())
}
