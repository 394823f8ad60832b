//! `(SELECT aggregate(…) FROM t WHERE t.key = outer.column)` as one LEFT JOIN on groups, and a lookup of one row as a LEFT JOIN.

use super::parts::{
    arguments, bare, conjuncts, has_subquery, is_flat, is_named, is_null, only_select, operand, plain_call,
    where_clause,
};
use super::{Draft, expression, new_name};
use sqlparser::ast::{BinaryOperator, Expr, FunctionArgExpr, Ident, Query, Select, SelectItem, TableWithJoins, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Of any order of rows they give the same value, and NULL (count: 0) of none.
const AGGREGATES: [&str; 8] = ["count", "sum", "avg", "min", "max", "bool_and", "bool_or", "every"];

/// What the subquery becomes.
struct Replacement {
    value: Expr,
    /// What the server calls the subquery's output.
    name: Ident,
    join: String,
}

/// `outer` are the places of all columns in the subquery that belong to the query around it, which is the whole statement, and
/// what FROM calls their tables. The subquery is compared by equalities that the grouping agrees with. With `one_row` it has no
/// aggregate, and a unique key makes it one row at most.
pub fn rewrite(text: &str, outer: &BTreeMap<usize, String>, one_row: bool) -> Option<String> {
    let mut draft = Draft::read(text)?;
    let select = draft.query.body.as_select().filter(|select| is_flat(select))?;
    let names: BTreeSet<&String> = outer.values().collect();
    let position = select.from.iter().position(|from| names.iter().all(|name| has_table(from, name)))?;
    let outer: &BTreeSet<usize> = &outer.keys().copied().collect();
    let star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::ExprWithAliases { .. });
    let limited = draft.query.limit_clause.is_some() || draft.query.fetch.is_some() || !draft.query.locks.is_empty();
    if limited || outer.is_empty() || select.projection.iter().any(star) {
        return None;
    }
    let table = new_name(text, if one_row { "looked_up" } else { "per_key" });
    let mut done: Option<Replacement> = None;
    draft.change(|draft, expr| {
        let Expr::Subquery(query) = &*expr else { return false };
        if done.is_some() {
            return false;
        }
        done = replacement(draft, query, outer, &table, one_row);
        match &done {
            Some(replacement) => {
                *expr = replacement.value.clone();
                true
            }
            None => false,
        }
    });
    let done = done?;
    let mut select = draft.query.body.as_select()?.clone();
    // ON comes before the new join.
    if select.from.iter().any(|from| from.to_string().contains(&table)) {
        return None;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && without_cast(expr) == &done.value
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: done.name.clone() };
        }
    }
    let from = super::query(&format!("SELECT 1 FROM {} LEFT JOIN {}", select.from[position], done.join))?;
    select.from[position] = from.body.as_select()?.from.first()?.clone();
    *draft.query.body = sqlparser::ast::SetExpr::Select(Box::new(select));
    draft.print()
}

fn has_table(from: &TableWithJoins, name: &str) -> bool {
    is_named(&from.relation, name) || from.joins.iter().any(|join| is_named(&join.relation, name))
}

/// A cast is called as what it casts.
fn without_cast(expr: &Expr) -> &Expr {
    match bare(expr) {
        Expr::Cast { expr, .. } => without_cast(expr),
        other => other,
    }
}

fn replacement(
    draft: &Draft,
    query: &Query,
    outer: &BTreeSet<usize>,
    table: &str,
    one_row: bool,
) -> Option<Replacement> {
    let select = only_select(query).filter(|select| is_flat(select) && !select.from.is_empty())?;
    let (keys, inner) = correlation(draft, select, outer)?;
    let (output, name) = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => (expr, None),
        [SelectItem::ExprWithAlias { expr, alias }] => (expr, Some(alias.clone())),
        _ => return None,
    };
    if has_subquery(output) || !draft.places(output).is_disjoint(outer) {
        return None;
    }
    let name = match name {
        Some(name) => name,
        None => output_name(output)?,
    };
    // Names of which the text has none: what it names without a table stays what it is.
    let (key_name, value_name) = (&new_name(&draft.text, "key"), &new_name(&draft.text, "value"));
    let column = format!("{table}.{value_name}");
    let (output, value) = if one_row { (output.to_string(), column) } else { aggregate(output, &column)? };
    let listed = keys.iter().enumerate().map(|(position, (key, _))| format!("{key} AS {key_name}_{}", position + 1));
    let joined =
        keys.iter().enumerate().map(|(position, (_, other))| format!("{table}.{key_name}_{} = {other}", position + 1));
    let from: Vec<_> = select.from.iter().map(ToString::to_string).collect();
    let grouped = match one_row {
        true => String::new(),
        false => format!(" GROUP BY {}", keys.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>().join(", ")),
    };
    let join = format!(
        "(SELECT {}, {output} AS {value_name} FROM {}{}{grouped}) AS {table} ON {}",
        listed.collect::<Vec<_>>().join(", "),
        from.join(", "),
        where_clause(&inner),
        joined.collect::<Vec<_>>().join(" AND ")
    );
    Some(Replacement { value: expression(&value)?, name, join })
}

/// Pairs of an inner and an outer column that are compared, and the conditions on inner columns alone.
type Correlation<'a> = (Vec<(&'a Expr, &'a Expr)>, Vec<String>);

fn correlation<'a>(draft: &Draft, select: &'a Select, outer: &BTreeSet<usize>) -> Option<Correlation<'a>> {
    let (mut keys, mut inner, mut left) = (Vec::new(), Vec::new(), outer.clone());
    for part in conjuncts(select.selection.as_ref()?) {
        let places = draft.places(part);
        if has_subquery(part) {
            return None;
        }
        if places.is_disjoint(outer) {
            inner.push(operand(part));
            continue;
        }
        let Expr::BinaryOp { left: one, op: BinaryOperator::Eq, right: other } = bare(part) else { return None };
        let is_outer = |expr: &Expr| draft.place(expr).is_some_and(|place| outer.contains(&place));
        let (key, outside) = if is_outer(other) { (&**one, &**other) } else { (&**other, &**one) };
        let column = matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if !column || is_outer(key) || !is_outer(outside) {
            return None;
        }
        left.remove(&draft.place(outside)?);
        keys.push((key, outside));
    }
    (left.is_empty() && !keys.is_empty()).then_some((keys, inner))
}

/// What the groups compute, and the value from it for all outer rows.
fn aggregate(output: &Expr, column: &str) -> Option<(String, String)> {
    if is_null_of_none(output)? {
        return Some((output.to_string(), column.to_string()));
    }
    let (name, function) = plain_call(output)?;
    if name == "coalesce" {
        let [FunctionArgExpr::Expr(first), FunctionArgExpr::Expr(default @ Expr::Value(_))] = arguments(function)?[..]
        else {
            return None;
        };
        let (inner, value) = aggregate(first, column)?;
        return (!is_null(default))
            .then(|| (inner, if value == column { format!("coalesce({column}, {default})") } else { value }));
    }
    AGGREGATES.contains(&name.as_str()).then_some(())?;
    arguments(function)?;
    let value = if name == "count" { format!("coalesce({column}, 0)") } else { column.to_string() };
    Some((output.to_string(), value))
}

/// Arithmetic on aggregates that are NULL of no rows, and so is it; None: on others too.
fn is_null_of_none(output: &Expr) -> Option<bool> {
    use BinaryOperator::{Divide, Minus, Multiply, Plus};
    match bare(output) {
        Expr::BinaryOp { left, op: Plus | Minus | Multiply | Divide, right } => {
            let sides = (is_null_of_none(left)?, is_null_of_none(right)?);
            (sides.0 || sides.1).then_some(true)
        }
        Expr::Value(value) => matches!(value.value, Value::Number(..)).then_some(false),
        call => {
            let (name, function) = plain_call(call)?;
            let known = AGGREGATES.contains(&name.as_str()) && arguments(function).is_some();
            (known || name == "coalesce").then_some(known && name != "count")
        }
    }
}

fn output_name(output: &Expr) -> Option<Ident> {
    match output {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(names) => names.last().cloned(),
        Expr::BinaryOp { .. } => Some(Ident::with_quote('"', "?column?")),
        other => Some(Ident::new(plain_call(other)?.0)),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn outer(text: &str) -> BTreeMap<usize, String> {
        text.match_indices("c.id)").map(|(at, _)| (at, "c".to_string())).collect()
    }

    #[test]
    fn aggregates_become_groups() {
        let cases = [
            (
                "select c.name, (select count(*) from o where o.x > 1 and o.c = c.id) from c where c.y order by 1",
                "SELECT c.name, coalesce(per_key.value, 0) AS count FROM c LEFT JOIN (SELECT o.c AS key_1, count(*) AS value \
                 FROM o WHERE o.x > 1 GROUP BY o.c) AS per_key ON per_key.key_1 = c.id WHERE c.y ORDER BY 1",
            ),
            (
                "select name from c where (select coalesce(sum(x), 0) from o where o.c = c.id) > 5",
                "SELECT name FROM c LEFT JOIN (SELECT o.c AS key_1, sum(x) AS value FROM o GROUP BY o.c) AS per_key ON \
                 per_key.key_1 = c.id WHERE coalesce(per_key.value, 0) > 5",
            ),
            (
                "select sum(p) from d, c where p < (select 0.2 * avg(x) from o where o.c = c.id)",
                "SELECT sum(p) FROM d, c LEFT JOIN (SELECT o.c AS key_1, 0.2 * avg(x) AS value FROM o GROUP BY o.c) AS per_key ON \
                 per_key.key_1 = c.id WHERE p < per_key.value",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(rewrite(text, &outer(text), false).as_deref(), Some(expected));
        }
    }

    #[test]
    fn lookups_become_joins() {
        let text = "select (select o.name from o where o.k = c.id) as n from c";
        let expected = "SELECT looked_up.value AS n FROM c LEFT JOIN (SELECT o.k AS key_1, o.name AS value FROM o) AS looked_up \
                        ON looked_up.key_1 = c.id";
        assert_eq!(rewrite(text, &outer(text), true).as_deref(), Some(expected));
    }

    #[test]
    fn what_groups_cannot_say() {
        for text in [
            "select (select count(*) from o where o.c > c.id) from c",
            "select (select count(*) + 1 from o where o.c = c.id) from c",
            "select (select array_agg(x) from o where o.c = c.id) from c",
            "select (select max(x order by x) from o where o.c = c.id) from c",
            "select (select count(*) from o where o.c = c.id) from c limit 10",
            "select *, (select count(*) from o where o.c = c.id) from c",
            "select (select count(*) from o where o.c = c.id), count(*) from c group by c.id",
            "select (select count(*) from o where o.c = c.id limit 1) from c",
            "select (select count(*) from o where o.c = c.id or o.d = c.id) from c",
            "select (select count(*) from o where o.c + 1 = c.id) from c",
            "select (select count(*) from o where o.c = c.id) from d, e",
            "select (select 2 * count(*) from o where o.c = c.id) from c",
            "select (select max(x) + y from o where o.c = c.id) from c",
            "select distinct (select count(*) from o where o.c = c.id) from c",
            "select (select count(*) from o where o.c = c.id) from c for update",
            "select 1 from c join d on (select count(*) from o where o.c = c.id) > 1",
        ] {
            assert_eq!(rewrite(text, &outer(text), false), None, "{text}");
        }
    }
}
