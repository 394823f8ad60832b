//! The next page by where the last one ended, instead of by OFFSET.

use super::{Draft, expression, query};
use sqlparser::ast::{Expr, LimitClause, OrderByKind, Value, visit_expressions};
use std::ops::ControlFlow;

/// The query without OFFSET, behind the row whose `columns`, in the order that it sorts by, are the parameters from the one
/// returned on. `added`: how many of the columns, the last ones, it does not sort by yet. All are never NULL, sorted in one
/// direction, and together unique.
pub fn rewrite(text: &str, columns: &[String], added: usize, descending: bool) -> Option<(String, i32)> {
    let mut draft = Draft::read(text)?;
    let first = highest_parameter(&draft) + 1;
    let parameters: Vec<String> = (first..).take(columns.len()).map(|number| format!("${number}")).collect();
    let operator = if descending { "<" } else { ">" };
    let behind = match (columns, parameters.as_slice()) {
        ([column], [parameter]) => format!("{column} {operator} {parameter}"),
        _ => format!("({}) {operator} ({})", columns.join(", "), parameters.join(", ")),
    };
    let direction = if descending { " DESC" } else { "" };
    let more: Vec<String> = columns[columns.len() - added..].iter().map(|name| format!("{name}{direction}")).collect();
    let select = super::parts::select_mut(&mut draft.query)?;
    let condition = match &select.selection {
        Some(condition) => format!("{} AND {behind}", super::parts::operand(condition)),
        None => behind,
    };
    select.selection = Some(expression(&condition)?);
    let Some(LimitClause::LimitOffset { offset, limit: Some(_), .. }) = &mut draft.query.limit_clause else {
        return None;
    };
    *offset = None;
    if !more.is_empty() {
        let sorted = query(&format!("SELECT 1 ORDER BY {}", more.join(", ")))?.order_by?;
        let (OrderByKind::Expressions(keys), OrderByKind::Expressions(more)) =
            (&mut draft.query.order_by.as_mut()?.kind, sorted.kind)
        else {
            return None;
        };
        keys.extend(more);
    }
    Some((draft.print()?, first))
}

fn highest_parameter(draft: &Draft) -> i32 {
    let mut highest = 0;
    let _ = visit_expressions(&draft.query, |part| {
        if let Expr::Value(value) = part
            && let Value::Placeholder(name) = &value.value
        {
            highest = highest.max(name.trim_start_matches('$').parse().unwrap_or(0));
        }
        ControlFlow::<()>::Continue(())
    });
    highest
}

#[cfg(test)]
mod unit_tests {
    use super::rewrite;

    #[test]
    fn the_page_behind_a_row() {
        let columns = ["t.day".to_string(), "t.id".to_string()];
        let page = |text: &str, added| rewrite(text, &columns, added, true);
        assert_eq!(
            page("select id from t where a = $1 or b order by day desc limit 20 offset $2", 1),
            Some((
                "SELECT id FROM t WHERE (a = $1 OR b) AND (t.day, t.id) < ($3, $4) ORDER BY day DESC, t.id DESC LIMIT 20"
                    .to_string(),
                3
            ))
        );
        assert_eq!(
            rewrite("select id from t order by id limit 20 offset 1000", &columns[1..], 0, false),
            Some(("SELECT id FROM t WHERE t.id > $1 ORDER BY id LIMIT 20".to_string(), 1))
        );
        assert_eq!(page("select id from t union select 1 order by 1 limit 5 offset 1", 0), None);
        assert_eq!(page("select id from t order by day desc, id desc offset 5", 0), None);
    }
}
