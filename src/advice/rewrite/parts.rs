//! What several rewrites ask of a query's parts.

use super::expression;
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query, Select,
    SetExpr, TableFactor, Value, visit_expressions,
};
use std::ops::ControlFlow;

/// The SELECT that a query is, if it is nothing but that: no WITH, ORDER BY, LIMIT, lock or set operation.
pub fn only_select(query: &Query) -> Option<&Select> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    query.body.as_select().filter(|_| plain)
}

/// FROM, WHERE and one or more output columns are all that it has.
pub fn is_flat(select: &Select) -> bool {
    select.distinct.is_none()
        && no_group_by(select)
        && select.having.is_none()
        && select.named_window.is_empty()
        && select.into.is_none()
}

pub fn no_group_by(select: &Select) -> bool {
    matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty())
}

pub fn select_mut(query: &mut Query) -> Option<&mut Select> {
    match &mut *query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

pub fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        _ => expr,
    }
}

/// What AND connects.
pub fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut left = vec![expr];
    while let Some(next) = left.pop() {
        match next {
            Expr::BinaryOp { left: first, op: BinaryOperator::And, right } => left.extend([&**right, &**first]),
            Expr::Nested(inner) if matches!(bare(inner), Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
                left.push(inner)
            }
            other => found.push(other),
        }
    }
    found
}

/// `a AND b`; None: nothing to connect.
pub fn all_of(parts: &[String]) -> Option<Expr> {
    if parts.is_empty() { None } else { expression(&parts.join(" AND ")) }
}

/// As a side of AND.
pub fn operand(expr: &Expr) -> String {
    match expr {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => format!("({expr})"),
        _ => expr.to_string(),
    }
}

/// `WHERE a AND b`, or nothing.
pub fn where_clause(parts: &[String]) -> String {
    if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) }
}

pub fn has_subquery(expr: &Expr) -> bool {
    visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        Expr::Function(function) if !matches!(function.args, FunctionArguments::List(_) | FunctionArguments::None) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// A table by its name, and nothing more.
pub fn is_plain_table(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { args: None, sample: None, with_ordinality: false, .. })
}

/// FROM calls it so.
pub fn is_named(factor: &TableFactor, name: &str) -> bool {
    let TableFactor::Table { name: table, alias, .. } = factor else { return false };
    let own = match alias {
        Some(alias) => Some(&alias.name),
        None => table.0.last().and_then(|part| part.as_ident()),
    };
    own.is_some_and(|own| raw(own) == name)
}

fn raw(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// An aggregate with nothing behind its arguments but FILTER: its name in lower case, the call.
pub fn plain_call(expr: &Expr) -> Option<(String, &Function)> {
    let Expr::Function(function) = bare(expr) else { return None };
    let plain = function.over.is_none()
        && function.within_group.is_empty()
        && function.null_treatment.is_none()
        && matches!(function.parameters, FunctionArguments::None)
        && function.name.0.len() == 1;
    let name = function.name.0.first()?.as_ident()?;
    let name = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    plain.then_some((name, function))
}

/// What is given to a function, positional arguments alone.
pub fn arguments(function: &Function) -> Option<Vec<&FunctionArgExpr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(expr) => Some(expr),
        _ => None,
    });
    arguments.collect::<Option<Vec<_>>>().filter(|_| list.clauses.is_empty())
}

/// The whole number that the text says.
pub fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => integer(expr)?.checked_neg(),
        Expr::Nested(inner) => integer(inner),
        _ => None,
    }
}

/// `'…'`
pub fn string(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

pub fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

/// `b > a` for `a < b`; None: no comparison.
pub fn turned(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::Eq,
        BinaryOperator::NotEq => BinaryOperator::NotEq,
        BinaryOperator::Lt => BinaryOperator::Gt,
        BinaryOperator::LtEq => BinaryOperator::GtEq,
        BinaryOperator::Gt => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::LtEq,
        _ => return None,
    })
}
