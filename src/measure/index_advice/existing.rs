//! Tables and indexes as the search compares them with its candidates.

use crate::advice::index_selection::{ColumnStatistics, ExistingIndex, Key, TableStatistics};
use crate::db;
use crate::facts::Catalog;
use crate::facts::query::{Part, QueryShape};
use crate::measure::what_if::column_numbers;
use pgrx::pg_sys::Oid;
use std::collections::{BTreeMap, BTreeSet};

pub fn tables<'a>(catalog: &Catalog, shapes: impl Iterator<Item = &'a QueryShape>) -> BTreeMap<u32, TableStatistics> {
    let read: BTreeSet<u32> = shapes.flat_map(|shape| &shape.references).map(|reference| reference.table).collect();
    let judged = read.into_iter().filter_map(|oid| {
        let table = catalog.known(oid).filter(|table| table.judged && table.is_maintained())?;
        let rows = catalog.rows(table).map_or(0.0, |rows| rows.0 as f64);
        let statistics = |column: i16| {
            let numbers = column_numbers(oid, column, rows)?;
            let statistics = ColumnStatistics {
                distinct: numbers.distinct,
                null_fraction: numbers.null_fraction,
                average_width: numbers.average_width,
                fits_btree: numbers.fits_btree,
            };
            Some((column, statistics))
        };
        let pages = catalog.bytes(table).0 as f64 / f64::from(pgrx::pg_sys::BLCKSZ);
        let columns = table.columns.iter().filter_map(|column| statistics(column.number)).collect();
        Some((oid, TableStatistics { pages, columns }))
    });
    judged.collect()
}

/// The valid indexes of the tables that the queries read.
pub fn indexes<'a>(catalog: &Catalog, shapes: impl Iterator<Item = &'a QueryShape>) -> Vec<ExistingIndex> {
    let tables: BTreeSet<u32> =
        shapes.flat_map(|shape| shape.references.iter().map(|reference| reference.table)).collect();
    let tables: Vec<Oid> = tables.into_iter().map(Oid::from).collect();
    let mut indexes: Vec<ExistingIndex> = Vec::new();
    db::read(include_str!("../../../sql/facts/existing_indexes.sql"), &[tables.into()], |row| {
        let (oid, table) = (row.take::<Oid>().to_u32(), row.take::<Oid>().to_u32());
        let (method, unique, predicate) = (row.take::<String>(), row.take::<bool>(), row.take_option::<String>());
        let (is_key, attribute) = (row.take::<bool>(), row.take::<i16>());
        let (expression, class, collation) =
            (row.take_option::<String>(), row.take_option::<String>(), row.take_option::<String>());
        let (descending, nulls_first) = (row.take::<bool>(), row.take::<bool>());
        if indexes.last().is_none_or(|index| index.oid != oid) {
            let known = catalog.known(table).and_then(|table| Some((table, table.index(oid)?)));
            let droppable = known.is_some_and(|(table, index)| catalog.serves_only_queries(table, index));
            let bytes = known.map_or(0, |(table, index)| catalog.index_bytes(table, index).0);
            let (keys, included) = (Vec::new(), Vec::new());
            indexes.push(ExistingIndex { oid, table, method, keys, included, predicate, unique, droppable, bytes });
        }
        let index = indexes.last_mut().expect("just pushed, if there was none");
        if !is_key {
            index.included.push(attribute);
            return;
        }
        let part = match expression {
            Some(expression) => Part::Expression(unwrapped(expression)),
            None => Part::Column(attribute),
        };
        index.keys.push(Key { part, class, collation, descending, nulls_first });
    });
    for index in &mut indexes {
        index.included.sort_unstable();
    }
    indexes
}

/// pg_get_indexdef() puts parentheses around all but function calls.
fn unwrapped(expression: String) -> String {
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner.to_string(),
        None => expression,
    }
}
