//! Into which partition a constant row goes.

use super::Model;
use super::planned::planned;
use super::whole::with_descendants;
use crate::db::quote_identifier;
use crate::facts::migration::{Id, ObjectKind};

/// The partitions, of each level, that one row of constants is written to; empty: it cannot be told.
pub fn routed(model: &Model, table: Id, columns: &[String], text: &str) -> Vec<Id> {
    let Some(relation) = model.relation(table).filter(|table| table.kind == ObjectKind::PartitionedTable) else {
        return Vec::new();
    };
    let Some(values) = row(text) else { return Vec::new() };
    let all: Vec<String> = relation.columns.iter().map(|column| column.name.clone()).collect();
    let names = if columns.is_empty() { &all } else { columns };
    let constant = |key: &String| {
        let value = *values.get(names.iter().position(|name| name == key)?)?;
        is_constant(value).then(|| format!("{} = {value}", quote_identifier(key)))
    };
    let levels = with_descendants(model, table).into_iter().filter_map(|part| model.relation(part));
    let keys: Vec<&Option<String>> = levels.flat_map(|part| &part.partition_columns).collect();
    let conditions: Option<Vec<String>> = keys.into_iter().map(|key| key.as_ref().and_then(constant)).collect();
    let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) else { return Vec::new() };
    let query = format!("select from {} where {}", relation.name, conditions.join(" and "));
    let read = planned(model, &query).map(|planned| planned.read).unwrap_or_default();
    let [leaf] = read[..] else { return Vec::new() };
    let above = model.ancestors(leaf).into_iter().filter(|above| *above != table);
    above.chain([leaf]).collect()
}

/// The expressions of the only row behind VALUES.
fn row(text: &str) -> Option<Vec<&str>> {
    let start = text.to_ascii_lowercase().find("values")? + "values".len();
    let inside = text[start..].trim_start().strip_prefix('(')?;
    let (mut depth, mut quoted, mut from, mut parts) = (0, false, 0, Vec::new());
    for (position, character) in inside.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' if depth == 0 => {
                parts.push(inside[from..position].trim());
                return Some(parts);
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(inside[from..position].trim());
                from = position + 1;
            }
            _ => {}
        }
    }
    None
}

fn is_constant(value: &str) -> bool {
    let string =
        value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).is_some_and(|text| !text.contains('\''));
    string || value.parse::<f64>().is_ok()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_row_is_taken_apart() {
        let text = "INSERT INTO t VALUES (1, 'a, (b', f(2, 3), null) on conflict do nothing";
        assert_eq!(row(text), Some(vec!["1", "'a, (b'", "f(2, 3)", "null"]));
        assert_eq!(row("insert into t select 1"), None);
        assert!(
            is_constant("-1.5") && is_constant("'2024-03-03'") && !is_constant("now()") && !is_constant("'a' || 'b'")
        );
    }
}
