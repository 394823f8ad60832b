//! What the planner knows of the tables and functions of one plan.

use super::explained::{ExtendedStatistics, Function, PlannedColumn, PlannedTable, Policy, Volatility};
use super::tables::{letter, oid};
use crate::db;
use pgrx::pg_sys::Oid;
use std::collections::BTreeMap;

/// Tables that are gone are missing.
pub fn planned_tables(tables: &[u32]) -> BTreeMap<u32, PlannedTable> {
    let oids: Vec<Oid> = tables.iter().map(|oid| Oid::from(*oid)).collect();
    let read = db::read(include_str!("../../sql/facts/planned_tables.sql"), &[oids.clone().into()], |row| {
        let table = oid(row);
        let known = PlannedTable {
            rows: row.take_option(),
            pages: row.take(),
            all_visible_pages: row.take(),
            live_rows: row.take(),
            dead_rows: row.take(),
            modified_rows: row.take(),
            analyzed_days_ago: row.take_option(),
            vacuumed_days_ago: row.take_option(),
            row_security: row.take(),
            owned: row.take(),
            ..PlannedTable::default()
        };
        (table, known)
    });
    let mut tables: BTreeMap<u32, PlannedTable> = read.into_iter().collect();
    let columns = db::read(include_str!("../../sql/facts/planned_columns.sql"), &[oids.clone().into()], |row| {
        let table = oid(row);
        let column = PlannedColumn {
            name: row.take(),
            n_distinct: row.take_option(),
            common: row.take_option().unwrap_or_default(),
            histogram_bounds: row.take::<i32>() as usize,
            target: row.take_option(),
        };
        (table, column)
    });
    add(&mut tables, columns, |table| &mut table.columns);
    let sql = include_str!("../../sql/facts/planned_extended_statistics.sql");
    let extended = db::read(sql, &[oids.clone().into()], |row| {
        let table = oid(row);
        let statistics = ExtendedStatistics {
            name: row.take(),
            columns: row.take(),
            expressions: row.take_option().unwrap_or_default(),
            mcv: row.take(),
            built: row.take(),
        };
        (table, statistics)
    });
    add(&mut tables, extended, |table| &mut table.extended);
    let policies = db::read(include_str!("../../sql/facts/planned_policies.sql"), &[oids.into()], |row| {
        (oid(row), Policy { name: row.take(), using: row.take_option() })
    });
    add(&mut tables, policies, |table| &mut table.policies);
    tables
}

fn add<T>(
    tables: &mut BTreeMap<u32, PlannedTable>,
    parts: Vec<(u32, T)>,
    place: impl Fn(&mut PlannedTable) -> &mut Vec<T>,
) {
    for (table, part) in parts {
        if let Some(table) = tables.get_mut(&table) {
            place(table).push(part);
        }
    }
}

/// All functions of these names.
pub fn planned_functions(names: &[String]) -> Vec<Function> {
    db::read(include_str!("../../sql/facts/planned_functions.sql"), &[names.to_vec().into()], |row| Function {
        schema: row.take(),
        name: row.take(),
        signature: row.take(),
        volatility: match letter(row) {
            'i' => Volatility::Immutable,
            's' => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        language: row.take(),
        cost: row.take(),
        rows: row.take_option(),
        parallel_safe: row.take(),
        supported: row.take(),
    })
}

/// Settings that bear on plans, as SHOW prints them.
pub fn planner_settings() -> BTreeMap<String, String> {
    let settings =
        db::read(include_str!("../../sql/facts/planner_settings.sql"), &[], |row| (row.take::<String>(), row.take()));
    settings.into_iter().collect()
}
