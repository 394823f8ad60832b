//! Children of a row, counted: each child is read once, each parent once.

use super::{Figures, Reached, estimated, from_item};
use crate::db;
use crate::facts::{Catalog, Table};
use std::collections::HashMap;

pub fn figures(catalog: &Catalog, reached: &[Reached]) -> Vec<Figures> {
    let mut parents: HashMap<u32, f64> = HashMap::new();
    let estimates = estimated::figures(catalog, reached);
    let mut figures = Vec::new();
    for (reached, estimate) in reached.iter().zip(estimates) {
        let key = reached.key;
        let (child, parent) = (catalog.table(key.child), catalog.table(key.parent));
        if let Some(table) = [child, parent].into_iter().find(|table| !table.readable) {
            let why = format!("{} may not be read: no privilege SELECT, or row security", table.name);
            figures.push(Figures { basis: format!("{}; not counted: {why}", estimate.basis), ..estimate });
            continue;
        }
        let parent_rows = *parents.entry(parent.oid).or_insert_with(|| count(parent));
        let (rows, referencing, most) = children(child, &child.column_names(&key.child_columns));
        figures.push(Figures {
            child_rows: Some(rows),
            rows_per_parent: (parent_rows > 0.0).then(|| referencing / parent_rows),
            most_rows_per_parent: Some(most),
            basis: match parent_rows > 0.0 {
                true => "counted".to_string(),
                false => "counted; the parent is empty".to_string(),
            },
        });
    }
    figures
}

fn count(table: &Table) -> f64 {
    let sql = format!("select pg_catalog.count(*)::float8 from {}", from_item(table));
    db::read(&sql, &[], |row| row.take::<f64>()).pop().unwrap_or(0.0)
}

/// All rows, those that reference a parent, and those of the parent that has most.
fn children(child: &Table, columns: &[String]) -> (f64, f64, f64) {
    let null = columns.iter().map(|column| format!("{column} is null")).collect::<Vec<_>>().join(" or ");
    let sql = format!(
        "select
             coalesce(pg_catalog.sum(k.rows), 0)::float8,
             coalesce(pg_catalog.sum(k.rows) filter (where not k.none), 0)::float8,
             coalesce(pg_catalog.max(k.rows) filter (where not k.none), 0)::float8
         from (select {null} as none, pg_catalog.count(*) as rows from {} group by {}, 1) k",
        from_item(child),
        columns.join(", "),
    );
    db::read(&sql, &[], |row| (row.take::<f64>(), row.take::<f64>(), row.take::<f64>())).pop().unwrap_or_default()
}
