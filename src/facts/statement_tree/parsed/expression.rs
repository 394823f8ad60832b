//! Expressions.

use super::{Reader, names};
use crate::facts::statement_tree::{
    Call, Cast, Comparison, Expression, Kind, Operator, SubLink, SubLinkKind, Volatility,
};
use sqlparser::ast::{self, Expr, FunctionArgumentClause, FunctionArguments, Query, UnaryOperator, Value};

/// Functions of the server that are aggregates, where neither FILTER nor WITHIN GROUP says so.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "stddev",
    "string_agg",
    "sum",
    "variance",
    "xmlagg",
];

impl Reader {
    pub(super) fn optional(&self, expression: Option<&Expr>) -> Option<Expression> {
        expression.map(|expression| self.expression(expression))
    }

    pub(super) fn expressions(&self, expressions: &[Expr]) -> Vec<Expression> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    pub(super) fn expression(&self, expression: &Expr) -> Expression {
        let kind = self.kind(expression);
        let location = match expression {
            Expr::Identifier(name) => self.location(name.span.start),
            Expr::CompoundIdentifier(parts) => parts.first().and_then(|name| self.location(name.span.start)),
            Expr::Value(value) => self.location(value.span.start),
            Expr::Function(call) => {
                let first = call.name.0.first().and_then(|part| part.as_ident());
                first.and_then(|name| self.location(name.span.start))
            }
            _ => None,
        };
        let first = |kind: &Kind| match kind {
            Kind::Operator(operator) => operator.arguments.first().and_then(|argument| argument.location),
            Kind::And(parts) | Kind::Or(parts) => parts.first().and_then(|part| part.location),
            Kind::IsNull { argument, .. } | Kind::Not(argument) => argument.location,
            Kind::Cast(cast) => cast.argument.location,
            Kind::AnyArray { left, .. } => left.location,
            _ => None,
        };
        Expression { location: location.or_else(|| first(&kind)), kind, type_oid: 0 }
    }

    fn kind(&self, expression: &Expr) -> Kind {
        let boxed = |expression: &Expr| Box::new(self.expression(expression));
        match expression {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Kind::Name,
            Expr::Nested(inner) => self.kind(inner),
            Expr::Value(value) => constant(&value.value),
            Expr::TypedString(typed) => constant(&typed.value.value),
            Expr::BinaryOp { left, op, right } => match op {
                ast::BinaryOperator::And => Kind::And(self.chain(expression, &ast::BinaryOperator::And)),
                ast::BinaryOperator::Or => Kind::Or(self.chain(expression, &ast::BinaryOperator::Or)),
                _ => operation(&op.to_string(), vec![self.expression(left), self.expression(right)]),
            },
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Kind::Not(boxed(expr)),
            Expr::UnaryOp { op, expr } => operation(&op.to_string(), vec![self.expression(expr)]),
            Expr::IsNull(inner) => Kind::IsNull { argument: boxed(inner), negated: false },
            Expr::IsNotNull(inner) => Kind::IsNull { argument: boxed(inner), negated: true },
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                Kind::Distinct(operator("=", vec![self.expression(left), self.expression(right)]))
            }
            Expr::InList { expr, list, negated } => Kind::AnyArray {
                operator: operator(if *negated { "<>" } else { "=" }, Vec::new()),
                all: *negated,
                left: boxed(expr),
                array: Box::new(Expression { kind: Kind::Array(self.expressions(list)), location: None, type_oid: 0 }),
            },
            Expr::AnyOp { left, compare_op, right, .. } => match &**right {
                Expr::Subquery(query) => self.tested(SubLinkKind::Any, query, left, &compare_op.to_string()),
                array => Kind::AnyArray {
                    operator: operator(&compare_op.to_string(), Vec::new()),
                    all: false,
                    left: boxed(left),
                    array: boxed(array),
                },
            },
            Expr::AllOp { left, compare_op, right } => match &**right {
                Expr::Subquery(query) => self.tested(SubLinkKind::All, query, left, &compare_op.to_string()),
                array => Kind::AnyArray {
                    operator: operator(&compare_op.to_string(), Vec::new()),
                    all: true,
                    left: boxed(left),
                    array: boxed(array),
                },
            },
            Expr::InSubquery { expr, subquery, negated } => {
                negatable(self.tested(SubLinkKind::Any, subquery, expr, "="), *negated)
            }
            Expr::Exists { subquery, negated } => negatable(self.sub_link(SubLinkKind::Exists, subquery), *negated),
            Expr::Subquery(query) => self.sub_link(SubLinkKind::Scalar, query),
            Expr::Between { expr, negated, low, high } => {
                let sides = |bound: &Expr| vec![self.expression(expr), self.expression(bound)];
                let bound =
                    |name, bound| Expression { kind: operation(name, sides(bound)), location: None, type_oid: 0 };
                negatable(Kind::And(vec![bound(">=", low), bound("<=", high)]), *negated)
            }
            Expr::Like { negated, expr, pattern, .. } => self.pattern("~~", *negated, expr, pattern),
            Expr::ILike { negated, expr, pattern, .. } => self.pattern("~~*", *negated, expr, pattern),
            Expr::Cast { expr, .. } => Kind::Cast(Cast {
                argument: boxed(expr),
                implicit: false,
                relabels: false,
                volatility: Volatility::Unknown,
            }),
            Expr::Case { operand, conditions, else_result, .. } => {
                let mut parts: Vec<Expression> = operand.iter().map(|operand| self.expression(operand)).collect();
                for when in conditions {
                    parts.extend([self.expression(&when.condition), self.expression(&when.result)]);
                }
                parts.extend(else_result.iter().map(|result| self.expression(result)));
                Kind::Case(parts)
            }
            Expr::Tuple(parts) => Kind::Row(self.expressions(parts)),
            Expr::Array(array) => Kind::Array(self.expressions(&array.elem)),
            Expr::Extract { expr, .. } => Kind::Function(call("extract", vec![self.expression(expr)])),
            Expr::Function(function) => self.function_call(function),
            Expr::Collate { expr, .. } => Kind::Other(vec![self.expression(expr)]),
            Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => Kind::Other(vec![self.expression(inner)]),
            Expr::AtTimeZone { timestamp, time_zone } => {
                Kind::Function(call("timezone", vec![self.expression(time_zone), self.expression(timestamp)]))
            }
            Expr::Interval(interval) => Kind::Other(vec![self.expression(&interval.value)]),
            // What it names is not known, so that it may not pass for a constant.
            _ => Kind::Other(vec![Expression { kind: Kind::Name, location: None, type_oid: 0 }]),
        }
    }

    /// The parts of `a AND b AND c`, however many.
    fn chain(&self, expression: &Expr, operator: &ast::BinaryOperator) -> Vec<Expression> {
        let (mut parts, mut rest) = (Vec::new(), expression);
        while let Expr::BinaryOp { left, op, right } = rest
            && op == operator
        {
            parts.push(self.expression(right));
            rest = left;
        }
        parts.push(self.expression(rest));
        parts.reverse();
        parts
    }

    fn pattern(&self, name: &str, negated: bool, expr: &Expr, pattern: &Expr) -> Kind {
        let name = if negated { format!("!{name}") } else { name.to_string() };
        operation(&name, vec![self.expression(expr), self.expression(pattern)])
    }

    fn sub_link(&self, kind: SubLinkKind, query: &Query) -> Kind {
        // Without the columns of the tables nothing tells whose column a name is.
        Kind::SubLink(SubLink { kind, correlated: true, query: Box::new(self.query(query)), test: None })
    }

    fn tested(&self, kind: SubLinkKind, query: &Query, left: &Expr, name: &str) -> Kind {
        let output = Expression { kind: Kind::Output, location: None, type_oid: 0 };
        let test = operation(name, vec![self.expression(left), output]);
        let test = Some(Box::new(Expression { kind: test, location: None, type_oid: 0 }));
        Kind::SubLink(SubLink { kind, correlated: true, query: Box::new(self.query(query)), test })
    }

    fn function_call(&self, function: &ast::Function) -> Kind {
        let name = names(&function.name);
        let short = name.last().map(String::as_str).unwrap_or_default();
        let (mut arguments, mut ordered) = (Vec::new(), false);
        match &function.args {
            FunctionArguments::List(list) => {
                arguments = self.arguments(&list.args);
                ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
            }
            FunctionArguments::Subquery(query) => {
                let kind = self.sub_link(SubLinkKind::Array, query);
                arguments.push(Expression { kind, location: None, type_oid: 0 });
            }
            FunctionArguments::None => {}
        }
        let filter = function.filter.as_ref().map(|filter| Box::new(self.expression(filter)));
        let ordered = ordered || !function.within_group.is_empty();
        let aggregate = AGGREGATES.contains(&short) || filter.is_some() || ordered;
        if short == "coalesce" {
            return Kind::Coalesce(arguments);
        }
        let call = Call { filter, ..call(short, arguments) };
        match (&function.over, aggregate) {
            (Some(_), _) => Kind::Window(call),
            (None, true) => Kind::Aggregate(call),
            (None, false) => Kind::Function(call),
        }
    }
}

fn negatable(kind: Kind, negated: bool) -> Kind {
    if negated { Kind::Not(Box::new(Expression { kind, location: None, type_oid: 0 })) } else { kind }
}

fn constant(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Constant(None),
        Value::Number(number, _) => Kind::Constant(Some(number.clone())),
        Value::Boolean(value) => Kind::Constant(Some(if *value { "t" } else { "f" }.to_string())),
        Value::Placeholder(name) => match name.trim_start_matches('$').parse() {
            Ok(number) => Kind::Parameter(number),
            Err(_) => Kind::Parameter(0),
        },
        other => Kind::Constant(Some(other.clone().into_string().unwrap_or_default())),
    }
}

fn operation(name: &str, arguments: Vec<Expression>) -> Kind {
    Kind::Operator(operator(name, arguments))
}

/// By its usual meaning: no type says otherwise.
fn operator(name: &str, arguments: Vec<Expression>) -> Operator {
    let comparison = match name {
        "=" => Some(Comparison::Equal),
        "<>" => Some(Comparison::NotEqual),
        "<" => Some(Comparison::Less),
        "<=" => Some(Comparison::LessOrEqual),
        ">" => Some(Comparison::Greater),
        ">=" => Some(Comparison::GreaterOrEqual),
        _ => None,
    };
    Operator {
        name: name.to_string(),
        builtin: false,
        comparison,
        volatility: Volatility::Unknown,
        strict: false,
        arguments,
    }
}

fn call(name: &str, arguments: Vec<Expression>) -> Call {
    Call {
        schema: String::new(),
        name: name.to_string(),
        builtin: false,
        volatility: Volatility::Unknown,
        returns_set: false,
        arguments,
        filter: None,
        level: 0,
    }
}
