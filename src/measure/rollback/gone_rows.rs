//! What cannot come back as it was while the rows that it speaks of are gone.

use super::catalog;
use super::definitions::Definitions;
use super::state::Address;
use super::units::Units;
use super::{Undo, Values};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};

/// Constraints that the rows would break are left for later, with a note: as comments, or NOT VALID.
pub(super) fn adapt(units: &Units, order: &[Address], definitions: &mut Definitions) {
    let node = |unit: &Address| units.node(*unit);
    // Of a column that comes back, the rows of its table have no value, unless there are no rows.
    let has_rows = |unit: &Address| node(unit).rows != Some(0.0);
    let mut unfilled = HashSet::new();
    for (column, sql) in std::mem::take(&mut definitions.not_null) {
        let note = "The rows have no value there, and the column has no default: fill it, then run this.";
        match has_rows(&column) {
            true => {
                unfilled.insert(column);
                definitions.later.push((commented(&sql), Some(note.to_string())));
            }
            false => definitions.later.push((sql, None)),
        }
    }
    let mut waiting: HashSet<Address> = HashSet::new();
    for unit in order.iter().filter(|unit| node(unit).kind == "table constraint") {
        let Some(statements) = definitions.statements.get_mut(unit) else { continue };
        let is = |what: &str| statements.first().is_some_and(|sql| sql.contains(what));
        let (primary, foreign) = (is(" PRIMARY KEY "), is(" FOREIGN KEY "));
        let needs = units.needs_of(*unit);
        if needs.iter().any(|(other, _)| waiting.contains(other) || primary && unfilled.contains(other)) {
            waiting.insert(*unit);
            statements.iter_mut().for_each(|sql| *sql = commented(sql));
            definitions.notes.insert(*unit, "Its columns have no values: fill them, then run this.".to_string());
            continue;
        }
        // The rows that the key points to; its own are gone, too, or have no value.
        let points_to = |(other, how): &(Address, String)| {
            how == "n" && matches!(node(other).kind.as_str(), "table" | "table column") && has_rows(other)
        };
        let own_is_gone = needs.iter().any(|(other, how)| how == "a" && node(other).kind == "table")
            || units.own_table(*unit).and_then(catalog::relation).is_some_and(|own| own.rows == Some(0.0));
        let valid = |sql: &String| !sql.ends_with(" NOT VALID;");
        if foreign && !own_is_gone && needs.iter().any(points_to) && statements.first().is_some_and(valid) {
            let sql = &mut statements[0];
            *sql = format!("{} NOT VALID;", sql.trim_end_matches(';'));
            let note = "The rows that it points to are gone: VALIDATE it when they are back.";
            definitions.notes.insert(*unit, note.to_string());
        }
    }
}

/// What the objects have to do with values of columns.
pub(super) fn values(units: &Units, order: &[Address], definitions: &Definitions) -> HashMap<Address, Values> {
    let relations = pg_sys::RelationRelationId.to_u32();
    let not_null: HashSet<Address> = definitions.not_null.iter().map(|(column, _)| *column).collect();
    let of = |unit: &Address| {
        let node = units.node(*unit);
        let columns = |kind: &str| {
            let of_kind = node.needs.iter().filter(|(needed, how)| how == kind && needed.class == relations);
            of_kind.map(|(needed, _)| *needed).filter(|needed| needed.column > 0).collect()
        };
        let mut values = Values::default();
        match node.kind.as_str() {
            "table" | "table column" if node.rows != Some(0.0) => {
                values.lost.push(*unit);
                values.unfilled.extend(not_null.contains(unit).then_some(*unit));
            }
            "table constraint" => (values.own, values.points_to) = (columns("a"), columns("n")),
            _ => {}
        }
        (*unit, values)
    };
    order.iter().map(of).collect()
}

/// As `adapt`, for what other steps have dropped.
pub(super) fn across_steps(undos: &mut [Undo]) {
    let all = |of: fn(&Values) -> &Vec<Address>| -> HashSet<Address> {
        undos.iter().flat_map(|undo| of(&undo.values)).copied().collect()
    };
    let (unfilled, lost) = (all(|values| &values.unfilled), all(|values| &values.lost));
    for undo in undos {
        let Some(sql) = undo.sql.as_mut().filter(|sql| !sql.starts_with("-- ")) else { continue };
        let values = &undo.values;
        let (primary, foreign) = (sql.contains(" PRIMARY KEY "), sql.contains(" FOREIGN KEY "));
        let is_lost = |column: &Address| lost.contains(column) || lost.contains(&Address { column: 0, ..*column });
        if primary && values.own.iter().any(|column| unfilled.contains(column))
            || foreign && values.points_to.iter().any(|column| unfilled.contains(column))
        {
            *sql = commented(sql);
            undo.note = Some("Its columns have no values: fill them, then run this.".to_string());
        } else if foreign
            && !sql.contains(" NOT VALID;")
            && values.points_to.iter().any(is_lost)
            && !values.own.iter().any(is_lost)
        {
            *sql = sql.replacen(';', " NOT VALID;", 1);
            undo.note = Some("The rows that it points to are gone: VALIDATE it when they are back.".to_string());
        }
    }
}

fn commented(sql: &str) -> String {
    sql.lines().map(|line| format!("-- {line}")).collect::<Vec<_>>().join("\n")
}
