//! UNION as UNION ALL, and an OR over two tables as UNION.

use super::parts::{all_of, bare, conjuncts, is_flat, operand};
use super::{Draft, query};
use sqlparser::ast::{BinaryOperator, Expr, JoinOperator, Query, SelectItem, SetExpr, SetOperator, SetQuantifier};

/// The UNION that is the whole statement, where no two of its rows are equal.
pub fn keep_duplicates(text: &str) -> Option<String> {
    let mut draft = Draft::read(text)?;
    all(&mut draft.query.body).then_some(())?;
    draft.print()
}

/// False: it has other set operations too.
fn all(body: &mut SetExpr) -> bool {
    match body {
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            let known = matches!(set_quantifier, SetQuantifier::None | SetQuantifier::Distinct | SetQuantifier::All);
            *set_quantifier = SetQuantifier::All;
            known && *op == SetOperator::Union && all(left) && all(right)
        }
        SetExpr::Query(query) if is_operation(query) => all(&mut query.body),
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => true,
        _ => false,
    }
}

/// In parentheses that change nothing: with ORDER BY or LIMIT it is an arm.
fn is_operation(query: &Query) -> bool {
    let plain =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    plain && matches!(*query.body, SetExpr::SetOperation { .. })
}

/// `WHERE … AND (a OR b)`, the OR of the column at `place`, as two arms of a UNION. The output must hold a unique key of every
/// table in FROM, and only types that have an equality.
pub fn split_or(text: &str, place: usize) -> Option<String> {
    let draft = Draft::read(text)?;
    let plain = draft.query.order_by.is_none() && draft.query.limit_clause.is_none() && draft.query.fetch.is_none();
    let select = draft.query.body.as_select().filter(|select| is_flat(select))?;
    let inner = |joins: &JoinOperator| {
        matches!(joins, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
    };
    let inner = select.from.iter().flat_map(|from| &from.joins).all(|join| inner(&join.join_operator));
    if !plain || !inner || !draft.query.locks.is_empty() || draft.query.with.is_some() {
        return None;
    }
    // SELECT * has the columns of JOIN … USING once: both arms the same ones.
    let named = |item: &SelectItem| !matches!(item, SelectItem::ExprWithAliases { .. });
    select.projection.iter().all(named).then_some(())?;
    let parts = conjuncts(select.selection.as_ref()?);
    let split = parts.iter().position(|part| match bare(part) {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => draft.places(part).contains(&place),
        _ => false,
    })?;
    let Expr::BinaryOp { left, right, .. } = bare(parts[split]) else { return None };
    let arm = |side: &Expr| -> Option<String> {
        let mut conditions: Vec<_> = parts.iter().map(|part| operand(part)).collect();
        conditions[split] = operand(side);
        let mut arm = select.clone();
        arm.selection = all_of(&conditions);
        Some(arm.to_string())
    };
    let union = query(&format!("{} UNION {}", arm(left)?, arm(right)?))?;
    Draft { query: union, ..draft }.print()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn unions() {
        let text = "select 1, a from t union select 2, a from t union all select 3, b from u order by 1";
        let expected = "SELECT 1, a FROM t UNION ALL SELECT 2, a FROM t UNION ALL SELECT 3, b FROM u ORDER BY 1";
        assert_eq!(keep_duplicates(text).as_deref(), Some(expected));
        for text in [
            "select a from t except select a from u union select 1",
            "select a from t",
            "select a from t union all select b from t",
            "(select a from t except select b from t) union select a from u",
        ] {
            assert_eq!(keep_duplicates(text), None, "{text}");
        }
    }

    #[test]
    fn ors() {
        let text = "select a.id, b.id from a join b on b.a = a.id where (a.x = 1 or b.y = 2) and a.z > 3";
        let expected = "SELECT a.id, b.id FROM a JOIN b ON b.a = a.id WHERE a.x = 1 AND a.z > 3 UNION SELECT a.id, b.id FROM a \
                        JOIN b ON b.a = a.id WHERE b.y = 2 AND a.z > 3";
        let place = text.find("a.x").unwrap();
        assert_eq!(split_or(text, place).as_deref(), Some(expected));
        for tail in [" order by 1", " limit 3", " group by 1, 2", " for update"] {
            assert_eq!(split_or(&format!("{text}{tail}"), place), None);
        }
        let outer = text.replace("join", "left join");
        assert_eq!(split_or(&outer, outer.find("a.x").unwrap()), None);
    }
}
