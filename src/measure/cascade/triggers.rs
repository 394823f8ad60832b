//! The triggers of users that fire on the way.

use super::{Reached, with_partitions};
use crate::db;
use crate::facts::cascade::Fate;
use crate::facts::{Catalog, Table};
use fnv::FnvHashMap;
use pgrx::pg_sys::Oid;

/// catalog/pg_trigger.h
const ROW: i32 = 1;
const BEFORE: i32 = 1 << 1;
const DELETE: i32 = 1 << 3;
const UPDATE: i32 = 1 << 4;
const TRUNCATE: i32 = 1 << 5;

struct Trigger {
    name: String,
    /// Bits of pg_trigger.tgtype.
    fires: i32,
    /// Raw, of UPDATE OF.
    columns: Vec<String>,
    function: String,
}

/// For each key, those of its child.
pub fn of(catalog: &Catalog, reached: &[Reached]) -> Vec<Vec<String>> {
    let triggers = read(catalog, reached);
    reached
        .iter()
        .map(|reached| {
            let (event, word) = match reached.fate {
                Fate::Deleted => (DELETE, "delete"),
                Fate::Updated => (UPDATE, "update"),
                Fate::Truncated => (TRUNCATE, "truncate"),
                Fate::Forbids | Fate::Unknown => return Vec::new(),
            };
            let child = catalog.table(reached.key.child);
            let named = |table: &Table, trigger: &Trigger| {
                let written = reached.written.iter().filter_map(|number| child.column(*number));
                let fires = trigger.columns.is_empty() || { written }
                    .any(|c| trigger.columns.iter().any(|name| name == c.name.raw()));
                (trigger.fires & event != 0 && fires).then(|| {
                    let when = if trigger.fires & BEFORE != 0 { "before" } else { "after" };
                    let each = if trigger.fires & ROW != 0 { "each row" } else { "each statement" };
                    let on = if table.oid == child.oid { String::new() } else { format!(" on {}", table.name) };
                    format!("{}{on} ({when} {word}, {each}: {})", db::quote_identifier(&trigger.name), trigger.function)
                })
            };
            with_partitions(catalog, child)
                .into_iter()
                .flat_map(|table| {
                    triggers.get(&table.oid).into_iter().flatten().filter_map(|t| named(table, t)).collect::<Vec<_>>()
                })
                .collect()
        })
        .collect()
}

fn read(catalog: &Catalog, reached: &[Reached]) -> FnvHashMap<u32, Vec<Trigger>> {
    let children = reached.iter().map(|reached| catalog.table(reached.key.child));
    let mut tables: Vec<u32> =
        children.flat_map(|child| with_partitions(catalog, child)).map(|table| table.oid).collect();
    tables.sort_unstable();
    tables.dedup();
    let tables: Vec<Oid> = tables.into_iter().map(Oid::from).collect();
    let mut triggers = FnvHashMap::<u32, Vec<Trigger>>::default();
    for (table, trigger) in db::read(include_str!("../../../sql/facts/cascade_triggers.sql"), &[tables.into()], |row| {
        let table = row.take::<Oid>().to_u32();
        (table, Trigger { name: row.take(), fires: row.take(), columns: row.take(), function: row.take() })
    }) {
        triggers.entry(table).or_default().push(trigger);
    }
    triggers
}
