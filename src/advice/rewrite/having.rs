//! HAVING on the columns of GROUP BY alone as WHERE.

use super::Draft;
use super::parts::{all_of, conjuncts, operand, select_mut};
use sqlparser::ast::{Expr, GroupByExpr, visit_expressions};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// `keys` are the places of columns in HAVING that GROUP BY has too.
pub fn rewrite(text: &str, keys: &BTreeSet<usize>) -> Option<String> {
    let mut draft = Draft::read(text)?;
    let select = draft.query.body.as_select()?;
    let plain_keys = match &select.group_by {
        GroupByExpr::Expressions(keys, modifiers) => {
            let column = |key: &Expr| matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_));
            modifiers.is_empty() && !keys.is_empty() && keys.iter().all(column)
        }
        GroupByExpr::All(_) => false,
    };
    let having = select.having.as_ref().filter(|_| plain_keys)?;
    let movable = |part: &&Expr| {
        let places = draft.places(part);
        !places.is_empty() && places.is_subset(keys) && is_simple(part)
    };
    let (moved, kept): (Vec<&Expr>, Vec<&Expr>) = conjuncts(having).into_iter().partition(movable);
    if moved.is_empty() {
        return None;
    }
    let mut condition: Vec<_> = select.selection.iter().map(operand).collect();
    condition.extend(moved.into_iter().map(operand));
    let kept: Vec<_> = kept.into_iter().map(operand).collect();
    let (selection, having) = (all_of(&condition), all_of(&kept));
    let select = select_mut(&mut draft.query)?;
    select.selection = selection;
    select.having = having;
    draft.print()
}

/// Comparisons of columns and constants: equal values of a group give the same answer.
fn is_simple(expr: &Expr) -> bool {
    visit_expressions(expr, |part| match part {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Nested(_)
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    })
    .is_continue()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn conditions_on_keys_move() {
        let text = "select a, count(*) from t where b = 1 or c group by a having a <> 'x' and count(*) > 1";
        let expected = "SELECT a, count(*) FROM t WHERE (b = 1 OR c) AND a <> 'x' GROUP BY a HAVING count(*) > 1";
        let keys = BTreeSet::from([text.find("a <>").unwrap()]);
        assert_eq!(rewrite(text, &keys).as_deref(), Some(expected));
        assert_eq!(rewrite(text, &BTreeSet::new()), None);
        for text in [
            "select a from t group by rollup (a) having a <> 'x'",
            "select a from t group by a having lower(a) <> 'x'",
            "select a from t group by a having exists (select 1 from u where u.a <> 'x')",
            "select a from t group by a having count(*) > 1 or a <> 'x'",
            "select a from t where a <> 'x'",
        ] {
            let keys = text.find("a <>").into_iter().collect();
            assert_eq!(rewrite(text, &keys), None, "{text}");
        }
    }
}
