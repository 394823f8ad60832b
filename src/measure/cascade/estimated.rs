//! Children of a row by the planner's statistics.

use super::{Figures, Reached};
use crate::db;
use crate::facts::{Catalog, Table};
use fnv::FnvHashMap;
use pgrx::pg_sys::Oid;

pub fn figures(catalog: &Catalog, reached: &[Reached]) -> Vec<Figures> {
    let statistics = statistics(reached);
    reached
        .iter()
        .map(|reached| {
            let key = reached.key;
            let (child, parent) = (catalog.table(key.child), catalog.table(key.parent));
            let (child_rows, parent_rows) = (rows(catalog, child), rows(catalog, parent));
            let known: Vec<_> = key.child_columns.iter().map(|column| statistics.get(&(key.child, *column))).collect();
            // A key with a NULL in it references nothing; columns of one key are taken to be NULL together.
            let null = known.iter().flatten().map(|known| known.null_fraction).fold(0.0, f64::max);
            let most = match known.as_slice() {
                [Some(only)] => only.most_common.zip(child_rows).map(|(share, rows)| share * rows),
                _ => None,
            };
            let per_parent = match (child_rows, parent_rows) {
                (Some(0.0), _) => Some(0.0),
                (Some(child), Some(parent)) if parent > 0.0 => Some(child * (1.0 - null) / parent),
                _ => None,
            };
            let basis = match (per_parent, known.iter().all(Option::is_some)) {
                (None, _) => "not known: a table was never analyzed",
                (_, _) if child_rows == Some(0.0) => "the child is empty",
                (_, true) => "statistics: rows of the child that reference any, by rows of the parent",
                (_, false) => {
                    "rows of the child by rows of the parent; the columns have no statistics that you may read"
                }
            };
            Figures { child_rows, rows_per_parent: per_parent, most_rows_per_parent: most, basis: basis.to_string() }
        })
        .collect()
}

/// The planner's figure, grown or shrunk with the size, with all partitions.
pub fn rows(catalog: &Catalog, table: &Table) -> Option<f64> {
    let of = |leaf: &&Table| match (leaf.rows, leaf.growth()) {
        (Some(rows), Some(growth)) => Some(rows.0 as f64 * growth),
        _ => (leaf.bytes().0 == 0).then_some(0.0),
    };
    catalog.leaves(table).iter().map(of).sum::<Option<f64>>().map(f64::round)
}

struct Statistics {
    null_fraction: f64,
    /// The share of the most common value.
    most_common: Option<f64>,
}

fn statistics(reached: &[Reached]) -> FnvHashMap<(u32, i16), Statistics> {
    let mut columns: Vec<(u32, i16)> = reached
        .iter()
        .flat_map(|reached| reached.key.child_columns.iter().map(|column| (reached.key.child, *column)))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let (tables, numbers): (Vec<Oid>, Vec<i16>) =
        columns.into_iter().map(|(table, column)| (Oid::from(table), column)).unzip();
    let read =
        db::read(include_str!("../../../sql/facts/cascade_statistics.sql"), &[tables.into(), numbers.into()], |row| {
            let key = (row.take::<Oid>().to_u32(), row.take::<i16>());
            let null_fraction = f64::from(row.take::<f32>());
            (key, Statistics { null_fraction, most_common: row.take_option::<f32>().map(f64::from) })
        });
    read.into_iter().collect()
}
