//! What the bound of a partition says of its rows.

use crate::db::quote_identifier;
use crate::facts::migration::Relation;
use crate::facts::migration::statement::Bound;
use crate::measure::migration::judge::Judge;

/// The table's constraints, and for a partition to be its NOT NULL columns, imply that every row meets the condition.
pub fn is_implied(judge: &Judge, relation: &Relation, condition: &str, with_not_null: bool) -> bool {
    let checks = relation.constraints.iter().filter(|constraint| constraint.validated);
    let checks = checks.filter_map(|constraint| constraint.check.clone());
    let not_null = relation.columns.iter().filter(|column| with_not_null && column.not_null);
    let not_null = not_null.map(|column| format!("{} is not null", quote_identifier(&column.name)));
    let all: Vec<String> = checks.chain(not_null).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    judge.checks_imply(relation, &all, condition)
}

/// What the server requires of the rows of a partition of one plain key column; None: of a hash, an expression, several columns.
/// `others` are the bounds of the partitions that there are, for a default.
pub fn bound_condition(parent: &Relation, bound: &Bound, others: &[String]) -> Option<String> {
    if bound.default {
        if others.is_empty() {
            return Some("true".to_string());
        }
        let conditions: Option<Vec<String>> = others
            .iter()
            .map(|text| bound_condition(parent, &Bound { default: false, text: text.clone() }, &[]))
            .map(|condition| condition.map(|condition| format!("not ({condition})")))
            .collect();
        return conditions.map(|conditions| conditions.join(" and "));
    }
    let [Some(key)] = &parent.partition_columns[..] else { return None };
    let column = parent.column(key)?;
    let (key, of_type) = (quote_identifier(key), &column.type_name);
    let lists = parenthesized(&bound.text);
    let lower = bound.text.trim_start().to_lowercase();
    let words = lower.split_whitespace().skip(2).collect::<Vec<_>>();
    let not_null = format!("{key} is not null");
    match (words.first().copied().unwrap_or(""), &lists[..]) {
        (word, [from, to]) if word.starts_with("from") => {
            let mut parts = vec![not_null];
            if !from.trim().eq_ignore_ascii_case("minvalue") {
                parts.push(format!("{key} >= ({from})::{of_type}"));
            }
            if !to.trim().eq_ignore_ascii_case("maxvalue") {
                parts.push(format!("{key} < ({to})::{of_type}"));
            }
            Some(parts.join(" and "))
        }
        (word, [values]) if word.starts_with("in") => {
            let all = elements(values);
            let (nulls, values): (Vec<&str>, Vec<&str>) =
                all.iter().map(|value| value.trim()).partition(|value| value.eq_ignore_ascii_case("null"));
            let values: Vec<String> = values.iter().map(|value| format!("({value})::{of_type}")).collect();
            let member = format!("{key} = any (array[{}]::{of_type}[])", values.join(", "));
            match (nulls.is_empty(), values.is_empty()) {
                (true, _) => Some(format!("{not_null} and {member}")),
                (false, true) => Some(format!("{key} is null")),
                (false, false) => Some(format!("{key} is null or {member}")),
            }
        }
        _ => None,
    }
}

/// What stands in parentheses at the outermost level.
fn parenthesized(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start, mut quoted) = (Vec::new(), 0, 0, false);
    for (position, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => {
                depth += 1;
                if depth == 1 {
                    start = position + 1;
                }
            }
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[start..position]);
                }
            }
            _ => {}
        }
    }
    found
}

/// Separated by commas outside of quotes and parentheses.
fn elements(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start, mut quoted) = (Vec::new(), 0, 0, false);
    for (position, character) in list.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                found.push(&list[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_outside_of_quotes() {
        assert_eq!(parenthesized("FOR VALUES FROM ('a)') TO (lower('B'))"), ["'a)'", "lower('B')"]);
        assert_eq!(elements("'a,b', f(1, 2), null"), ["'a,b'", " f(1, 2)", " null"]);
    }
}
