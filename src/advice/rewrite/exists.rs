//! `(SELECT count(*) …) > 0` as EXISTS, which stops at the first row.

use super::parts::{arguments, bare, integer, is_flat, is_null, only_select, operand, plain_call, turned};
use super::{Draft, expression};
use sqlparser::ast::{BinaryOperator, Expr, FunctionArgExpr, Query, Select, SelectItem, Value};

/// All comparisons of counts that only ask whether there is a row. The counted queries must call nothing volatile: EXISTS reads
/// fewer rows.
pub fn rewrite(text: &str) -> Option<String> {
    let mut draft = Draft::read(text)?;
    let whole = whole(&draft.query);
    let mut changed = false;
    if let Some(query) = whole {
        draft.query = query;
        changed = true;
    }
    changed |= draft.change(|_, expr| match comparison(expr) {
        Some(replacement) => {
            *expr = replacement;
            true
        }
        None => false,
    });
    if changed { draft.print() } else { None }
}

/// `SELECT count(*) > 0 FROM …`
fn whole(query: &Query) -> Option<Query> {
    let select = only_select(query)?;
    let (expr, alias) = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => (expr, String::new()),
        [SelectItem::ExprWithAlias { expr, alias }] => (expr, format!(" AS {alias}")),
        _ => return None,
    };
    let (count, present) = sides(expr)?;
    super::query(&format!("SELECT {}{alias}", exists(select, count, present)?))
}

fn comparison(expr: &Expr) -> Option<Expr> {
    let (count, present) = sides(expr)?;
    let Expr::Subquery(query) = bare(count) else { return None };
    let select = only_select(query)?;
    let count = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(count) | SelectItem::ExprWithAlias { expr: count, .. }] => count,
        _ => return None,
    };
    // In parentheses, for NOT would take what stands before it.
    expression(&format!("({})", exists(select, count, present)?))
}

/// What is compared, and whether the comparison is true when it is not zero.
fn sides(expr: &Expr) -> Option<(&Expr, bool)> {
    let Expr::BinaryOp { left, op, right } = expr else { return None };
    let (count, op, number) = match (integer(left), integer(right)) {
        (None, Some(number)) => (left, op.clone(), number),
        (Some(number), None) => (right, turned(op)?, number),
        _ => return None,
    };
    let present = match (op, number) {
        (BinaryOperator::Gt | BinaryOperator::NotEq, 0) | (BinaryOperator::GtEq, 1) => true,
        (BinaryOperator::Eq | BinaryOperator::LtEq, 0) | (BinaryOperator::Lt, 1) => false,
        _ => return None,
    };
    Some((count, present))
}

fn exists(select: &Select, count: &Expr, present: bool) -> Option<String> {
    let (name, function) = plain_call(count)?;
    if name != "count" || !is_flat(select) || select.from.is_empty() {
        return None;
    }
    let mut conditions: Vec<String> = select.selection.iter().map(operand).collect();
    conditions.extend(function.filter.iter().map(|filter| operand(filter)));
    match arguments(function)?.as_slice() {
        [FunctionArgExpr::Wildcard] => {}
        [FunctionArgExpr::Expr(Expr::Value(value))] if !matches!(value.value, Value::Null | Value::Placeholder(_)) => {}
        [FunctionArgExpr::Expr(counted @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_)))] if !is_null(counted) => {
            conditions.push(format!("{counted} IS NOT NULL"));
        }
        _ => return None,
    }
    let from: Vec<_> = select.from.iter().map(ToString::to_string).collect();
    let not = if present { "" } else { "NOT " };
    Some(format!("{not}EXISTS (SELECT 1 FROM {}{})", from.join(", "), super::parts::where_clause(&conditions)))
}

#[cfg(test)]
mod unit_tests {
    use super::rewrite;

    #[test]
    fn counts_that_ask_for_a_row() {
        let cases = [
            (
                "select * from a where (select count(*) from b where b.a = a.id) > 0",
                "SELECT * FROM a WHERE (EXISTS (SELECT 1 FROM b WHERE b.a = a.id))",
            ),
            (
                "select * from a where 0 = (select count(b.x) from b where p or q) and y",
                "SELECT * FROM a WHERE (NOT EXISTS (SELECT 1 FROM b WHERE (p OR q) AND b.x IS NOT NULL)) AND y",
            ),
            (
                "select count(*) >= 1 as any_left from t where x = $1",
                "SELECT EXISTS (SELECT 1 FROM t WHERE x = $1) AS any_left",
            ),
            ("select (select count(*) filter (where q) from t) < 1", "SELECT (NOT EXISTS (SELECT 1 FROM t WHERE q))"),
        ];
        for (text, expected) in cases {
            assert_eq!(rewrite(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn counts_that_ask_for_more() {
        for text in [
            "select * from a where (select count(*) from b where b.a = a.id) > 1",
            "select * from a where (select count(*) from b group by x) > 0",
            "select * from a where (select count(*) from b limit 1) > 0",
            "select * from a where (select sum(x) from b) > 0",
            "select * from a where (select count(*) over () from b) > 0",
            "select * from a where (select count(x + 1) from b) > 0",
            "select * from a where (select count(null) from b) > 0",
            "select * from a where (select count(*) from b having sum(x) > 3) > 0",
            "select count(*) > 0, 1 from t",
            "select count(*) > 0 from t group by x",
            "select x from t group by x having count(*) > 0",
            "select count(*) > 0 from t; select 1",
        ] {
            assert_eq!(rewrite(text), None, "{text}");
        }
    }
}
