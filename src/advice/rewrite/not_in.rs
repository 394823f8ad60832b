//! `NOT IN (SELECT …)` as NOT EXISTS, and NOT IN lists without their NULL: what was meant, for a NULL makes NOT IN true for no
//! row.

use super::parts::is_null;
use super::{Draft, expression, new_name};
use sqlparser::ast::{Expr, Query, SelectItem, SetExpr};

/// The NOT IN whose subquery has the column at `place` as its first output. Rows differ from the original's where a NULL is on
/// either side.
pub fn rewrite_subquery(text: &str, place: usize) -> Option<String> {
    let mut draft = Draft::read(text)?;
    let table = new_name(text, "excluded_rows");
    draft
        .change(|draft, expr| match without_nulls(draft, expr, place, &table) {
            Some(replacement) => {
                *expr = replacement;
                true
            }
            None => false,
        })
        .then_some(())?;
    draft.print()
}

fn without_nulls(draft: &Draft, expr: &Expr, place: usize, table: &str) -> Option<Expr> {
    let Expr::InSubquery { expr: left, subquery, negated: true } = expr else { return None };
    (first_output(draft, subquery)? == place).then_some(())?;
    let left: Vec<&Expr> = match &**left {
        Expr::Tuple(parts) => parts.iter().collect(),
        other => vec![other],
    };
    let columns: Vec<_> = (1..=left.len()).map(|number| format!("value_{number}")).collect();
    let equalities: Vec<_> =
        left.iter().zip(&columns).map(|(left, column)| format!("{table}.{column} = {left}")).collect();
    // The subquery stays whole, so that no name in it or beside it gets another meaning.
    expression(&format!(
        "(NOT EXISTS (SELECT 1 FROM ({subquery}) AS {table} ({}) WHERE {}))",
        columns.join(", "),
        equalities.join(" AND ")
    ))
}

fn first_output(draft: &Draft, query: &Query) -> Option<usize> {
    let mut body = &*query.body;
    loop {
        match body {
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &query.body,
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => return draft.place(expr),
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// All NOT IN lists with a NULL in them.
pub fn rewrite_list(text: &str) -> Option<String> {
    let mut draft = Draft::read(text)?;
    draft
        .change(|_, expr| match expr {
            Expr::InList { list, negated: true, .. } => {
                let before = list.len();
                let kept: Vec<_> = list.iter().filter(|element| !is_null(element)).cloned().collect();
                let changes = !kept.is_empty() && kept.len() < before;
                if changes {
                    *list = kept;
                }
                changes
            }
            _ => false,
        })
        .then_some(())?;
    draft.print()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_subquery_stays_whole() {
        let text = "select * from a where id not in (select a_id from b where x > 1) and y";
        let expected = "SELECT * FROM a WHERE (NOT EXISTS (SELECT 1 FROM (SELECT a_id FROM b WHERE x > 1) AS excluded_rows \
                        (value_1) WHERE excluded_rows.value_1 = id)) AND y";
        assert_eq!(rewrite_subquery(text, text.find("a_id").unwrap()).as_deref(), Some(expected));
        assert_eq!(rewrite_subquery(text, 3), None);
        let text = "select * from a where (x, y) not in (select p, q from b union select 1, 2)";
        let expected = "SELECT * FROM a WHERE (NOT EXISTS (SELECT 1 FROM (SELECT p, q FROM b UNION SELECT 1, 2) AS excluded_rows \
                        (value_1, value_2) WHERE excluded_rows.value_1 = x AND excluded_rows.value_2 = y))";
        assert_eq!(rewrite_subquery(text, text.find("p,").unwrap()).as_deref(), Some(expected));
        let text = "select * from a where id in (select a_id from b)";
        assert_eq!(rewrite_subquery(text, text.find("a_id").unwrap()), None);
    }

    #[test]
    fn lists_lose_their_null() {
        let text = "select * from a where id not in (1, null, 2) and b in (1, null)";
        let expected = "SELECT * FROM a WHERE id NOT IN (1, 2) AND b IN (1, NULL)";
        assert_eq!(rewrite_list(text).as_deref(), Some(expected));
        assert_eq!(rewrite_list("select * from a where id not in (null)"), None);
        assert_eq!(rewrite_list("select * from a where id not in (1, 2)"), None);
    }
}
