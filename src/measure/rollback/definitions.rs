//! Statements that bring objects back, as the catalogs have them.

use super::state::Address;
use super::units::{Units, address, split};
use crate::db;
use pgrx::pg_sys::{self, Oid};
use std::collections::HashMap;

pub(super) struct Definitions {
    pub statements: HashMap<Address, Vec<String>>,
    pub notes: HashMap<Address, String>,
    /// Columns that are NOT NULL and have no default, with the statement that says so.
    pub not_null: Vec<(Address, String)>,
    /// When all the others are there.
    pub later: Vec<(String, Option<String>)>,
}

pub(super) fn definitions(units: &Units) -> Definitions {
    let all = units.all();
    let mut definitions =
        Definitions { statements: HashMap::new(), notes: HashMap::new(), not_null: Vec::new(), later: Vec::new() };
    let kind = |unit: &&Address| units.nodes[units.positions[*unit]].kind.as_str();
    let relations = pg_sys::RelationRelationId.to_u32();
    let tables: Vec<Oid> = { all.iter() }
        .filter(|unit| unit.column == 0 && matches!(kind(unit), "table" | "foreign table") && unit.class == relations)
        .map(|unit| Oid::from(unit.oid))
        .collect();
    let columns: Vec<&Address> = all.iter().filter(|unit| kind(unit) == "table column").collect();
    let of_columns: Vec<Oid> = columns.iter().map(|unit| Oid::from(unit.oid)).collect();
    let numbers: Vec<i16> = columns.iter().map(|unit| unit.column as i16).collect();
    let mut attached = Vec::new();
    let arguments = [tables.into(), of_columns.into(), numbers.into()];
    db::read(include_str!("../../../sql/facts/rollback_tables.sql"), &arguments, |row| {
        let (oid, column): (Oid, i16) = (row.take(), row.take());
        let unit = Address { class: relations, oid: oid.to_u32(), column: i32::from(column) };
        definitions.statements.insert(unit, row.take());
        definitions.not_null.extend(row.take_option::<String>().map(|sql| (unit, sql)));
        attached.extend(row.take_option::<String>());
    });
    let (classes, oids, _) = split(all.iter().filter(|unit| unit.column == 0));
    for sql in
        [include_str!("../../../sql/facts/rollback_parts.sql"), include_str!("../../../sql/facts/rollback_others.sql")]
    {
        db::read(sql, &[classes.clone().into(), oids.clone().into()], |row| {
            let unit = Address { class: row.take::<Oid>().to_u32(), oid: row.take::<Oid>().to_u32(), column: 0 };
            definitions.statements.entry(unit).or_default().extend(row.take::<Vec<String>>());
        });
    }
    let (classes, oids, columns) =
        split(units.nodes.iter().filter(|node| !node.of_extension).map(|node| &node.address));
    let arguments = [classes.into(), oids.into(), columns.into(), false.into()];
    db::read(include_str!("../../../sql/facts/rollback_attributes.sql"), &arguments, |row| {
        let node = address(row);
        let unit = units.unit[units.positions[&node]];
        definitions.statements.entry(unit).or_default().push(row.take());
    });
    let sequences: Vec<Oid> =
        all.iter().filter(|unit| kind(unit) == "sequence").map(|unit| Oid::from(unit.oid)).collect();
    let owned = db::read(include_str!("../../../sql/facts/rollback_owned_sequences.sql"), &[sequences.into()], |row| {
        let _: Oid = row.take();
        row.take::<String>()
    });
    definitions.later.extend(owned.into_iter().chain(attached).map(|sql| (sql, None)));
    definitions
}
