//! A comparison of an expression over a column as one of the column itself, which an index on it finds.

use super::parts::{all_of, arguments, bare, integer, plain_call, string, turned};
use super::{Draft, expression};
use sqlparser::ast::{BinaryOperator, DataType, DateTimeField, Expr, FunctionArgExpr, FunctionArguments, Value};

/// What the column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// date, timestamp, or timestamp with time zone: then the bounds are midnights of the session's time zone.
    Time,
    /// smallint, integer or bigint
    Integer,
    /// text or varchar of a deterministic collation
    Text,
    Uuid,
}

/// Comparisons with the column at `place`. `only_true`: nobody tells false from NULL, as in a condition of WHERE that AND
/// connects with the others.
pub fn rewrite(text: &str, place: usize, kind: Kind, only_true: bool) -> Option<String> {
    let mut draft = Draft::read(text)?;
    draft
        .change(|draft, expr| match replacement(draft, expr, place, kind, only_true) {
            Some(replacement) => {
                *expr = replacement;
                true
            }
            None => false,
        })
        .then_some(())?;
    draft.print()
}

/// What is compared, how, and with what.
struct Comparison<'a> {
    side: &'a Expr,
    op: BinaryOperator,
    other: &'a Expr,
}

fn replacement(draft: &Draft, expr: &Expr, place: usize, kind: Kind, only_true: bool) -> Option<Expr> {
    let comparisons = match expr {
        Expr::BinaryOp { left, op, right } => {
            let turned = turned(op)?;
            let is_side = |side: &Expr| draft.places(side).contains(&place);
            match (is_side(left), is_side(right)) {
                (true, false) => vec![Comparison { side: left, op: op.clone(), other: right }],
                (false, true) => vec![Comparison { side: right, op: turned, other: left }],
                _ => return None,
            }
        }
        Expr::Between { expr, negated: false, low, high } if draft.places(expr).contains(&place) => vec![
            Comparison { side: expr, op: BinaryOperator::GtEq, other: low },
            Comparison { side: expr, op: BinaryOperator::LtEq, other: high },
        ],
        _ => return None,
    };
    let of = |comparison: &Comparison| {
        let is_column = |expr: &Expr| draft.place(bare(expr)) == Some(place);
        match kind {
            Kind::Time => period(comparison, is_column),
            Kind::Integer => shifted(comparison, is_column)
                .or_else(|| widened(comparison, is_column))
                .or_else(|| {
                    printed(comparison, is_column, &|text| text.parse::<i64>().is_ok_and(|n| n.to_string() == text), "")
                })
                .or_else(|| defaulted(comparison, is_column, only_true)),
            Kind::Text => defaulted(comparison, is_column, only_true),
            Kind::Uuid => printed(comparison, is_column, &is_printed_uuid, "'"),
        }
    };
    let parts = comparisons.iter().map(of).collect::<Option<Vec<_>>>()?;
    let whole = all_of(&parts)?;
    // A range beside OR or NOT stays together.
    if matches!(whole, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. }) {
        return expression(&format!("({whole})"));
    }
    Some(whole)
}

/// Days, months … as half-open ranges.
fn period(comparison: &Comparison, is_column: impl Fn(&Expr) -> bool) -> Option<String> {
    let (column, unit) = unit(comparison.side).filter(|(column, _)| is_column(column))?;
    let (low, high) = bounds(comparison.other, unit)?;
    match comparison.op {
        BinaryOperator::Eq => Some(format!("{column} >= {low} AND {column} < {high}")),
        BinaryOperator::Lt => Some(format!("{column} < {low}")),
        BinaryOperator::LtEq => Some(format!("{column} < {high}")),
        BinaryOperator::Gt => Some(format!("{column} >= {high}")),
        BinaryOperator::GtEq => Some(format!("{column} >= {low}")),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// As a date.
    Date,
    /// As the midnight with which a period of so many days or months begins.
    Day,
    Months(u32),
    /// As a number.
    Year,
}

/// The column and what is made of it.
fn unit(side: &Expr) -> Option<(&Expr, Unit)> {
    match bare(side) {
        Expr::Cast { expr, data_type: DataType::Date, .. } => Some((expr, Unit::Date)),
        Expr::Extract { field: DateTimeField::Year, expr, .. } => Some((expr, Unit::Year)),
        call => {
            let (name, function) = plain_call(call)?;
            match (name.as_str(), arguments(function)?.as_slice()) {
                ("date", [FunctionArgExpr::Expr(column)]) => Some((column, Unit::Date)),
                ("date_part", [FunctionArgExpr::Expr(field), FunctionArgExpr::Expr(column)]) => {
                    (string(field)? == "year").then_some((column, Unit::Year))
                }
                ("date_trunc", [FunctionArgExpr::Expr(field), FunctionArgExpr::Expr(column)]) => {
                    let unit = match string(field)? {
                        "day" => Unit::Day,
                        "month" => Unit::Months(1),
                        "quarter" => Unit::Months(3),
                        "year" => Unit::Months(12),
                        _ => return None,
                    };
                    Some((column, unit))
                }
                _ => None,
            }
        }
    }
}

/// First moment of the period, and first moment after it.
fn bounds(other: &Expr, unit: Unit) -> Option<(String, String)> {
    if unit == Unit::Year {
        let year = u32::try_from(integer(other)?).ok().filter(|year| (1..9999).contains(year))?;
        return Some((Day { year, month: 1, day: 1 }.literal(), Day { year: year + 1, month: 1, day: 1 }.literal()));
    }
    if let Some(first) = literal_day(other) {
        let next = match unit {
            Unit::Months(months) => first.begins_period(months).then(|| first.plus_months(months))?,
            _ => first.next(),
        };
        return Some((first.literal(), next.literal()));
    }
    // A parameter or a function gives any time of the day, unless it is a date.
    let other = bare(other);
    let date = match other {
        Expr::Value(value) if unit == Unit::Date && matches!(value.value, Value::Placeholder(_)) => {
            format!("{other}::date")
        }
        Expr::Cast { expr, data_type: DataType::Date, .. } if matches!(&**expr, Expr::Value(_)) => other.to_string(),
        Expr::Function(function) if matches!(function.args, FunctionArguments::None) => {
            let name = other.to_string().to_lowercase();
            (name == "current_date").then_some(name)?
        }
        _ => return None,
    };
    match unit {
        Unit::Date | Unit::Day => Some((date.clone(), format!("{date} + 1"))),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: u32,
    month: u32,
    day: u32,
}

impl Day {
    fn literal(self) -> String {
        format!("'{:04}-{:02}-{:02}'", self.year, self.month, self.day)
    }

    fn days_of_month(self) -> u32 {
        match self.month {
            2 if self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn next(self) -> Day {
        if self.day < self.days_of_month() {
            return Day { day: self.day + 1, ..self };
        }
        Day { day: 1, ..self }.plus_months(1)
    }

    fn plus_months(self, months: u32) -> Day {
        let months = self.month - 1 + months;
        Day { year: self.year + months / 12, month: months % 12 + 1, ..self }
    }

    fn begins_period(self, months: u32) -> bool {
        self.day == 1 && (self.month - 1).is_multiple_of(months)
    }
}

/// `'2024-05-31'`, `DATE '2024-05-31'`, with or without a midnight.
fn literal_day(expr: &Expr) -> Option<Day> {
    let text = match bare(expr) {
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) if typed.data_type == DataType::Date => text.as_str(),
            _ => return None,
        },
        Expr::Cast { expr, data_type: DataType::Date, .. } => string(expr)?,
        other => string(other)?,
    };
    let date = text.strip_suffix(" 00:00:00").unwrap_or(text);
    let digits = |from: usize, to: usize| -> Option<u32> {
        let part = date.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let dashes = date.len() == 10 && date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    let day = dashes.then_some(Day { year: digits(0, 4)?, month: digits(5, 7)?, day: digits(8, 10)? })?;
    let exists = (1..=9998).contains(&day.year) && (1..=12).contains(&day.month) && day.day >= 1;
    (exists && day.day <= day.days_of_month()).then_some(day)
}

/// `column + 1 > 5` as `column > 4`.
fn shifted(comparison: &Comparison, is_column: impl Fn(&Expr) -> bool) -> Option<String> {
    let Expr::BinaryOp { left, op: sign, right } = bare(comparison.side) else { return None };
    let value = integer(comparison.other)?;
    let (column, value) = match sign {
        BinaryOperator::Plus if is_column(left) => (left, value.checked_sub(integer(right)?)?),
        BinaryOperator::Plus if is_column(right) => (right, value.checked_sub(integer(left)?)?),
        BinaryOperator::Minus if is_column(left) => (left, value.checked_add(integer(right)?)?),
        _ => return None,
    };
    Some(format!("{column} {} {value}", comparison.op))
}

/// `column::numeric = 5` as `column = 5`: the wider type has all values of the column's.
fn widened(comparison: &Comparison, is_column: impl Fn(&Expr) -> bool) -> Option<String> {
    let whole = |text: &str| {
        text.split_once('.').filter(|(_, rest)| rest.bytes().all(|b| b == b'0')).map(|(n, _)| n.to_string())
    };
    let column = match bare(comparison.side) {
        Expr::Cast {
            expr, data_type: DataType::BigInt(None) | DataType::Int8(None) | DataType::Numeric(_), ..
        } => expr,
        column if is_column(column) => column,
        _ => return None,
    };
    let exact = match bare(comparison.side) {
        Expr::Cast { data_type: DataType::Numeric(info), .. } => *info == sqlparser::ast::ExactNumberInfo::None,
        _ => true,
    };
    let value = match (integer(comparison.other), comparison.other) {
        (Some(value), _) => value.to_string(),
        (None, Expr::Value(value)) => match &value.value {
            Value::Number(digits, false) => whole(digits)?.parse::<i64>().ok()?.to_string(),
            _ => return None,
        },
        _ => return None,
    };
    (exact && is_column(column)).then(|| format!("{column} {} {value}", comparison.op))
}

/// `column::text = '5'` as `column = 5`, where the text is as the server prints the value.
fn printed(
    comparison: &Comparison,
    is_column: impl Fn(&Expr) -> bool,
    is_as_printed: &dyn Fn(&str) -> bool,
    quote: &str,
) -> Option<String> {
    let Expr::Cast { expr: column, data_type: DataType::Text | DataType::Varchar(None), .. } = bare(comparison.side)
    else {
        return None;
    };
    let text = string(comparison.other).filter(|text| is_as_printed(text))?;
    let equality = matches!(comparison.op, BinaryOperator::Eq | BinaryOperator::NotEq);
    (equality && is_column(column)).then(|| format!("{column} {} {quote}{text}{quote}", comparison.op))
}

fn is_printed_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// `coalesce(column, 0) = 5` as `column = 5`; `= 0`, as `(column = 0 OR column IS NULL)`.
fn defaulted(comparison: &Comparison, is_column: impl Fn(&Expr) -> bool, only_true: bool) -> Option<String> {
    let (name, function) = plain_call(comparison.side).filter(|(name, _)| name == "coalesce" && only_true)?;
    debug_assert_eq!(name, "coalesce");
    let [FunctionArgExpr::Expr(column), FunctionArgExpr::Expr(default)] = arguments(function)?[..] else { return None };
    is_column(column).then_some(())?;
    let op = &comparison.op;
    let taken = match (integer(default), integer(comparison.other)) {
        (Some(default), Some(value)) => match op {
            BinaryOperator::Eq => default == value,
            BinaryOperator::NotEq => default != value,
            BinaryOperator::Lt => default < value,
            BinaryOperator::LtEq => default <= value,
            BinaryOperator::Gt => default > value,
            BinaryOperator::GtEq => default >= value,
            _ => return None,
        },
        (None, None) => match op {
            BinaryOperator::Eq => string(default)? == string(comparison.other)?,
            BinaryOperator::NotEq => string(default)? != string(comparison.other)?,
            _ => return None,
        },
        _ => return None,
    };
    let own = format!("{column} {op} {}", comparison.other);
    Some(if taken { format!("({own} OR {column} IS NULL)") } else { own })
}

#[cfg(test)]
mod unit_tests;
