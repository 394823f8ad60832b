//! INSERT, UPDATE, DELETE, MERGE, SELECT, COPY and what foreign keys do with them.

use super::maintenance::read_by;
use super::planned::{Planned, planned};
use super::references;
use super::routing::routed;
use super::views::scans;
use super::whole::{found, with_descendants, written};
use super::{Model, Prediction};
use crate::facts::migration::statement::{Query, QueryKind};
use crate::facts::migration::{Effect, Id, LockMode, NameAsWritten, ObjectKind};
use std::rc::Rc;

pub fn query(model: &mut Model, statement: &Query, text: &str) -> Prediction {
    let mut prediction = Prediction::default();
    for read in &statement.reads {
        found(model, &mut prediction, ObjectKind::Table, read, false);
    }
    let targets: Vec<(QueryKind, Id)> = statement
        .writes
        .iter()
        .filter_map(|(kind, name)| found(model, &mut prediction, ObjectKind::Table, name, false).map(|id| (*kind, id)))
        .collect();
    if let Some(column) = statement.columns.iter().find(|column| lacks_column(model, &targets, column)) {
        prediction.missing(ObjectKind::Column, column);
    }
    if prediction.certainly_fails() {
        return prediction;
    }
    let plan = planned(model, text);
    scans(model, &mut prediction, plan.as_ref());
    for id in statement.locked.iter().filter_map(|name| model.find_id(name)) {
        for part in with_descendants(model, id).into_iter().chain(read_by(model, id)) {
            prediction.lock(model, part, LockMode::RowShare);
        }
    }
    for (position, (kind, id)) in targets.iter().enumerate() {
        // The first is the statement's own, the others are those of WITH, whose rows no plan tells.
        let own = position == 0 && statement.kind != QueryKind::Select;
        let (rows, basis) = rows(model, statement, *kind, *id, plan.as_ref().filter(|_| own));
        write(model, &mut prediction, *id, plan.as_ref().filter(|_| *kind != QueryKind::Insert));
        if own && *kind == QueryKind::Insert && statement.value_rows == Some(1) {
            for part in routed(model, *id, &statement.columns, text) {
                prediction.lock(model, part, LockMode::RowExclusive);
            }
        }
        let Some(table) = model.target(*id) else { continue };
        let has_condition = !own || statement.has_condition;
        prediction.add(Effect::Writes { table: table.clone(), kind: *kind, rows, has_condition, basis });
        let changed = if own { statement.columns.as_slice() } else { &[] };
        if own && (plan.as_ref().is_some_and(|plan| plan.expects_none) || writes_none(model, statement, *kind, *id)) {
            continue;
        }
        match kind {
            QueryKind::Insert if rows > 0.0 => references::inserted(model, &mut prediction, *id, changed),
            QueryKind::Update | QueryKind::Merge if rows > 0.0 && table.rows > 0.0 => {
                references::updated(model, &mut prediction, *id, changed);
            }
            QueryKind::Delete if rows > 0.0 && table.rows > 0.0 => {
                references::deleted(model, &mut prediction, *id, rows)
            }
            _ => {}
        }
    }
    for (_, id) in targets {
        let all = with_descendants(model, id);
        Rc::make_mut(&mut model.written).extend(all);
    }
    prediction
}

/// There is nothing to read, so nothing is written.
fn writes_none(model: &Model, statement: &Query, kind: QueryKind, target: Id) -> bool {
    let is_empty = |id: Id| {
        !model.written.contains(&id) && model.target(id).is_some_and(|table| table.rows == 0.0 && table.bytes == 0)
    };
    match kind {
        QueryKind::Insert => {
            let sources: Vec<Id> = statement.reads.iter().filter_map(|name| model.find_id(name)).collect();
            statement.value_rows.is_none() && !sources.is_empty() && sources.into_iter().all(is_empty)
        }
        _ => is_empty(target),
    }
}

fn lacks_column(model: &Model, targets: &[(QueryKind, Id)], column: &str) -> bool {
    let Some(table) = targets.first().and_then(|(_, id)| model.relation(*id)) else { return false };
    targets.len() == 1 && !table.columns.is_empty() && table.column(column).is_none()
}

/// How many rows are written, and how that is known.
fn rows(model: &Model, statement: &Query, kind: QueryKind, id: Id, plan: Option<&Planned>) -> (f64, String) {
    let all = model.target(id).map_or(0.0, |table| table.rows);
    match (kind, statement.value_rows, plan) {
        (QueryKind::Insert, Some(rows), _) => (rows as f64, "as many as are written".to_string()),
        (QueryKind::Insert, None, Some(plan)) => (plan.rows, "planned".to_string()),
        (QueryKind::Insert, None, None) => (1.0, "not known".to_string()),
        (_, _, Some(plan)) if all > 0.0 => (plan.rows.min(all.max(1.0)), "planned".to_string()),
        (_, _, _) if statement.has_condition => {
            (all, "all rows: the condition needs what is not there yet".to_string())
        }
        _ => (all, "all rows".to_string()),
    }
}

/// The table, and of its partitions or children those that the plan does not rule out.
fn write(model: &Model, prediction: &mut Prediction, id: Id, plan: Option<&Planned>) {
    prediction.lock(model, id, LockMode::RowExclusive);
    for base in read_by(model, id) {
        prediction.lock(model, base, LockMode::RowExclusive);
    }
    let below = model.descendants(id);
    for part in &below {
        let is_read =
            |plan: &Planned| plan.read.iter().any(|read| read == part || model.ancestors(*read).contains(part));
        if plan.is_some_and(is_read) {
            prediction.lock(model, *part, LockMode::RowExclusive);
        }
    }
}

pub fn copy(model: &mut Model, relation: Option<&NameAsWritten>, from: bool, text: &str) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(name) = relation else {
        // COPY (query) TO
        let inner = text.find('(').zip(text.rfind(')')).and_then(|(start, end)| text.get(start + 1..end));
        let plan = inner.and_then(|query| planned(model, query));
        scans(model, &mut prediction, plan.as_ref());
        return prediction;
    };
    let Some(id) = found(model, &mut prediction, ObjectKind::Table, name, false) else { return prediction };
    if from {
        prediction.lock(model, id, LockMode::RowExclusive);
        references::inserted(model, &mut prediction, id, &[]);
        let all = with_descendants(model, id);
        Rc::make_mut(&mut model.written).extend(all);
    } else {
        let kind = model.relation(id).map(|relation| relation.kind);
        if kind == Some(ObjectKind::Table) {
            super::whole::scan(&mut prediction, model, id, crate::facts::migration::Scan::Query);
        }
    }
    prediction
}

/// A procedure's body is not followed.
pub fn call(model: &Model, procedure: &[String]) -> Prediction {
    let mut prediction = Prediction::default();
    let name = super::whole::name_of(procedure);
    match model.has_function(name.schema.as_deref(), &name.name) {
        true => prediction.not_judged(format!("What {} does is not followed.", written(&name))),
        false => prediction.missing(ObjectKind::Function, written(&name)),
    }
    prediction
}
