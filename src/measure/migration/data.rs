//! Rows that stand in the way of a constraint: counted where that is cheap and allowed, otherwise expected from statistics.

use super::{Model, Prediction};
use crate::db;
use crate::facts::migration::{Failure, Id, Relation, Target};
use pgrx::pg_sys::Oid;

/// Of a larger table statistics must do.
const MOST_ROWS: f64 = 100_000.0;
const MOST_BYTES: u64 = 64 << 20;
/// Of all values, from which on estimates say that there are different ones only.
const ALL_DIFFERENT: f64 = 0.9;

/// A unique index on these columns would find equal values.
pub fn duplicates(
    model: &Model,
    prediction: &mut Prediction,
    table: &Relation,
    columns: &[Option<String>],
    nulls_are_equal: bool,
) {
    let columns: Option<Vec<String>> = columns.iter().cloned().collect();
    let (Some(columns), Some(target)) = (columns, model.target(table.id)) else { return };
    if columns.is_empty() || target.rows < 1.0 || changed(model, table) || is_unique(table, &columns) {
        return;
    }
    let fail = |rows, basis: &str| Failure::DuplicatesExist {
        table: target.clone(),
        columns: columns.clone(),
        rows,
        basis: basis.to_string(),
    };
    if let Some(rows) = counted(table, &target, &columns, |name, columns| {
        let keys = columns.join(", ");
        let known = columns.iter().map(|column| format!("{column} is not null")).collect::<Vec<_>>().join(" and ");
        let condition = if nulls_are_equal { "true" } else { known.as_str() };
        format!(
            "select coalesce(pg_catalog.sum(d.n), 0)::float8 from (select pg_catalog.count(*) as n from {name} where {condition} group \
             by {keys} having pg_catalog.count(*) > 1) d"
        )
    }) {
        if rows > 0.0 {
            prediction.fails(fail(rows, "counted"), "23505");
        }
        return;
    }
    let Some((different, known)) = expected(table, &columns, target.rows) else { return };
    if different < ALL_DIFFERENT * known {
        prediction.may_fail(fail((known - different).round(), "expected from pg_stats"), "23505");
    }
}

/// A foreign key from `columns` would find values that `parent` has not.
pub fn orphans(
    model: &Model,
    prediction: &mut Prediction,
    (child, columns): (&Relation, &[String]),
    (parent, referenced): (&Relation, &[String]),
    constraint: &str,
) {
    let (Some(target), Some(other)) = (model.target(child.id), model.target(parent.id)) else { return };
    let pairs = columns.len() == referenced.len() && !columns.is_empty();
    if target.rows < 1.0 || !pairs || changed(model, child) || changed(model, parent) {
        return;
    }
    let fail = |rows, basis: &str| Failure::OrphansExist {
        table: target.clone(),
        constraint: constraint.to_string(),
        rows,
        basis: basis.to_string(),
    };
    // An extension's equality is in no search_path of ours.
    let builtin = |table: &Relation, names: &[String]| {
        names.iter().all(|name| table.column(name).is_some_and(|column| (1..FIRST_USER_OID).contains(&column.type_oid)))
    };
    let comparable = builtin(child, columns) && builtin(parent, referenced) && small(&other);
    let parent_read = comparable.then(|| readable(parent, referenced)).flatten();
    let counted = parent_read.and_then(|(parent_name, parent_columns)| {
        counted(child, &target, columns, |name, columns| {
            let known = columns.iter().map(|column| format!("c.{column} is not null")).collect::<Vec<_>>().join(" and ");
            let pairs = columns.iter().zip(&parent_columns).map(|(own, other)| format!("p.{other} = c.{own}"));
            let same = pairs.collect::<Vec<_>>().join(" and ");
            format!(
                "select pg_catalog.count(*)::float8 from {name} c where {known} and not exists (select from {parent_name} p where {same})"
            )
        })
    });
    match counted {
        Some(rows) if rows > 0.0 => prediction.fails(fail(rows, "counted"), "23503"),
        Some(_) => {}
        None => {
            let Some((different, _)) = expected(child, columns, target.rows) else { return };
            let missing = different - other.rows;
            if columns.len() == 1 && missing > (1.0 - ALL_DIFFERENT) * different {
                prediction
                    .may_fail(fail(missing.round(), "expected: more values than the other table has rows"), "23503");
            }
        }
    }
}

/// As the server's FirstNormalObjectId.
const FIRST_USER_OID: u32 = 16384;

/// The migration has written it or made it: its rows of today say nothing.
fn changed(model: &Model, table: &Relation) -> bool {
    table.created_here || model.written.contains(&table.id)
}

fn is_unique(table: &Relation, columns: &[String]) -> bool {
    table.indexes.iter().any(|index| {
        let key: Option<Vec<&String>> = index.columns.iter().map(Option::as_ref).collect();
        let within = key.is_some_and(|key| key.iter().all(|column| columns.contains(column)));
        index.unique && index.valid && !index.partial && !index.columns.is_empty() && within
    })
}

fn small(table: &Target) -> bool {
    table.rows <= MOST_ROWS && table.bytes <= MOST_BYTES
}

/// What the query made of the names gives; None: the table is large, or the caller may not read it all, or must wait.
fn counted(
    table: &Relation,
    target: &Target,
    columns: &[String],
    query: impl Fn(&str, &[String]) -> String,
) -> Option<f64> {
    if !small(target) {
        return None;
    }
    let (name, columns) = readable(table, columns)?;
    let sql = query(&name, &columns);
    let count = || db::with_settings(&[db::PATIENCE], || db::read(&sql, &[], |row| row.take::<f64>()));
    db::guarded(count).ok()?.first().copied()
}

/// Names of the table and the columns as they are today: the migration may have renamed them.
fn readable(table: &Relation, columns: &[String]) -> Option<(String, Vec<String>)> {
    let Id::Oid(oid) = table.id else { return None };
    let numbers: Option<Vec<i16>> = columns
        .iter()
        .map(|name| table.column(name).map(|column| column.number).filter(|number| *number > 0))
        .collect();
    let numbers = numbers.filter(|_| !table.unreadable)?;
    let retyped = columns.iter().any(|name| table.column(name).is_some_and(|column| column.created_here));
    let sql = include_str!("../../../sql/facts/migration/readable_columns.sql");
    let arguments = [Oid::from(oid).into(), numbers.into()];
    let read = db::read(sql, &arguments, |row| (row.take(), row.take_option::<Vec<String>>().unwrap_or_default()));
    read.into_iter().next().filter(|(_, names)| !retyped && names.len() == columns.len())
}

/// Different values, and rows without NULL, as pg_stats knows them.
fn expected(table: &Relation, columns: &[String], rows: f64) -> Option<(f64, f64)> {
    let mut different = 1.0;
    let mut known: f64 = rows;
    for name in columns {
        let column = table.column(name)?;
        different *= column.distinct?.max(1.0);
        known = known.min(rows * (1.0 - column.null_fraction?));
    }
    Some((different.min(known), known))
}
