//! `SELECT DISTINCT` over joins that only ask whether there is a match, as EXISTS.

use super::parts::{conjuncts, has_subquery, is_named, is_plain_table, no_group_by, operand, where_clause};
use super::{Draft, query};
use sqlparser::ast::{Distinct, Expr, JoinConstraint, JoinOperator, Select, TableFactor};
use std::collections::BTreeSet;

/// FROM names `kept` and tables of which no output comes; `others` are the places of their columns. All joins must be inner, and
/// the output must hold a unique key of `kept`, which is never NULL.
pub fn rewrite(text: &str, kept: &str, others: &BTreeSet<usize>) -> Option<String> {
    let mut draft = Draft::read(text)?;
    let select = draft.query.body.as_select()?;
    let distinct = matches!(select.distinct, Some(Distinct::Distinct));
    let plain = distinct && no_group_by(select) && select.having.is_none() && select.named_window.is_empty();
    if !plain || draft.query.limit_clause.is_some() || draft.query.fetch.is_some() {
        return None;
    }
    let (factors, mut parts) = flat(select)?;
    parts.extend(select.selection.iter().flat_map(conjuncts));
    let (kept, dropped): (Vec<&TableFactor>, Vec<_>) = factors.into_iter().partition(|factor| is_named(factor, kept));
    let [kept] = kept.as_slice() else { return None };
    if dropped.is_empty() || parts.iter().any(|part| has_subquery(part)) {
        return None;
    }
    let of_others = |part: &&Expr| !draft.places(part).is_disjoint(others);
    let (inside, outside): (Vec<&Expr>, Vec<&Expr>) = parts.into_iter().partition(of_others);
    let inside: Vec<_> = inside.into_iter().map(operand).collect();
    let dropped: Vec<_> = dropped.into_iter().map(ToString::to_string).collect();
    let mut conditions: Vec<_> = outside.into_iter().map(operand).collect();
    conditions.push(format!("EXISTS (SELECT 1 FROM {}{})", dropped.join(", "), where_clause(&inside)));
    let projection: Vec<_> = select.projection.iter().map(ToString::to_string).collect();
    let body = query(&format!("SELECT {} FROM {kept}{}", projection.join(", "), where_clause(&conditions)))?.body;
    draft.query.body = body;
    draft.print()
}

/// The tables of inner joins, and their conditions.
fn flat(select: &Select) -> Option<(Vec<&TableFactor>, Vec<&Expr>)> {
    let (mut factors, mut parts) = (Vec::new(), Vec::new());
    for from in &select.from {
        factors.push(&from.relation);
        for join in &from.joins {
            factors.push(&join.relation);
            match &join.join_operator {
                JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on)) => {
                    parts.extend(conjuncts(on))
                }
                JoinOperator::CrossJoin(JoinConstraint::None) => {}
                _ => return None,
            }
        }
    }
    factors.iter().all(|factor| is_plain_table(factor)).then_some((factors, parts))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn others(text: &str, names: &[&str]) -> BTreeSet<usize> {
        names.iter().flat_map(|name| text.match_indices(name).map(|(at, _)| at)).collect()
    }

    #[test]
    fn joins_without_output() {
        let text = "select distinct c.id, name from c join o on o.c = c.id, i where i.o = o.id and (o.x > 5 or i.y) and c.z order by 2";
        let expected = "SELECT c.id, name FROM c WHERE c.z AND EXISTS (SELECT 1 FROM o, i WHERE o.c = c.id AND i.o = o.id AND \
                        (o.x > 5 OR i.y)) ORDER BY 2";
        assert_eq!(rewrite(text, "c", &others(text, &["o.c", "o.id", "o.x", "i.o", "i.y"])).as_deref(), Some(expected));
    }

    #[test]
    fn other_joins_and_limits() {
        for text in [
            "select distinct c.id from c left join o on o.c = c.id",
            "select distinct c.id from c join o using (c)",
            "select distinct c.id from c natural join o",
            "select distinct c.id from c join o on o.c = c.id limit 3",
            "select distinct on (c.id) c.id from c join o on o.c = c.id",
            "select c.id from c join o on o.c = c.id",
            "select distinct c.id from c, lateral (select 1) o where o.c = c.id",
            "select distinct c.id from c join o on o.c = c.id where exists (select 1 from x where x.o = o.id)",
            "select distinct c.id from c",
        ] {
            assert_eq!(rewrite(text, "c", &others(text, &["o.c"])), None, "{text}");
        }
    }
}
