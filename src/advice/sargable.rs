//! How to write a condition so that the column in it stands alone, as an index wants it.

use crate::facts::plan::{Operand, OperandKind};
use crate::facts::{Column, Facts};

/// `expression operator value`, where the expression is computed from one column.
pub struct Parts<'a> {
    pub expression: &'a Operand,
    pub operator: &'a str,
    pub value: &'a Operand,
    pub column: &'a Column,
    /// It was `value operator expression`.
    pub flipped: bool,
}

#[derive(Debug, Default, PartialEq)]
pub struct Form {
    pub why: &'static str,
    /// The same condition. None: there is none, or none that is the same for certain.
    pub rewritten: Option<String>,
    /// What to heed.
    pub note: &'static str,
    /// Letters of either case are alike in it.
    pub folds_case: bool,
}

pub fn form_of(facts: &Facts, parts: &Parts) -> Form {
    let catalog = facts.catalog();
    let type_ = catalog.type_of(catalog.base_type(parts.column.type_oid));
    let (name, category) = type_.map_or(("", ' '), |type_| (type_.name.as_str(), type_.category));
    let column = parts.column.name.to_string();
    form(parts.expression, parts.operator, parts.value, (&column, name, category), parts.flipped)
}

/// The column's name is quoted.
fn form(
    expression: &Operand,
    operator: &str,
    value: &Operand,
    (column, type_name, category): (&str, &str, char),
    flipped: bool,
) -> Form {
    let is_time = type_name.starts_with("timestamp");
    let has_days = is_time || type_name == "date";
    let is_integer = ["smallint", "integer", "bigint"].contains(&type_name);
    match &expression.kind {
        OperandKind::Cast { of, to } if is_column(of) && to == "date" && is_time => {
            day(operator, value, column, flipped)
        }
        OperandKind::Call { function, arguments } if function == "date" && is_time && is_only(arguments) => {
            day(operator, value, column, flipped)
        }
        OperandKind::Call { function, arguments } if function == "date_trunc" && is_time => {
            truncated(arguments, operator, value, column)
        }
        OperandKind::Call { function, arguments }
            if has_days && ["EXTRACT", "date_part"].contains(&function.as_str()) =>
        {
            extracted(arguments, operator, value, column)
        }
        OperandKind::Call { function, arguments } if has_days && function == "to_char" => {
            formatted(arguments, operator, value, column)
        }
        OperandKind::Cast { of, to }
            if is_column(of) && is_integer && ["numeric", "double precision", "real"].contains(&to.as_str()) =>
        {
            Form {
                why: "The column is an integer and is converted for each row, because the value is of a type with fractions: a driver \
                      that binds a Decimal or float, or a literal with a point.",
                rewritten: whole_number(value)
                    .map(|number| format!("{column} {} {number}", direction(operator, flipped))),
                note: "bind the value as an integer",
                ..Form::default()
            }
        }
        OperandKind::Cast { of, to } if is_column(of) && to.starts_with("text") => {
            // Each value of these has one text, as people write it.
            let plain = is_integer || category == 'E' || ["uuid", "date"].contains(&type_name);
            Form {
                why: "The column is converted to text for each row, because the value is text.",
                rewritten: (operator == "=" && plain)
                    .then(|| format!("{column} = CAST({} AS {type_name})", bare(value))),
                note: "bind the value in the column's own type; '07' is 7 then, and text that is no value of the type an error",
                ..Form::default()
            }
        }
        OperandKind::Operation { operator: sign, operands } if is_integer && ["+", "-"].contains(&sign.as_str()) => {
            moved(sign, operands, operator, value, column, flipped)
        }
        OperandKind::Call { function, arguments } if function.eq_ignore_ascii_case("coalesce") && operator == "=" => {
            coalesced(arguments, value, column)
        }
        OperandKind::Call { function, .. } if ["lower", "upper"].contains(&function.as_str()) => Form {
            why: "Letters of either case are to match. A column of type citext, or of a nondeterministic collation, compares that way \
                  with its own index.",
            folds_case: true,
            ..Form::default()
        },
        _ => Form { why: "What is computed has another order than the column.", ..Form::default() },
    }
}

fn is_column(operand: &Operand) -> bool {
    matches!(operand.kind, OperandKind::Column { .. })
}

fn is_only(arguments: &[Operand]) -> bool {
    matches!(arguments, [only] if is_column(only))
}

/// As the operator reads with the column on its left.
fn direction(operator: &str, flipped: bool) -> &str {
    match (operator, flipped) {
        ("<", true) => ">",
        ("<=", true) => ">=",
        (">", true) => "<",
        (">=", true) => "<=",
        _ => operator,
    }
}

const ZONE: &str = "of a timestamptz column, days begin where they do in the session's TimeZone, in both forms";

fn day(operator: &str, value: &Operand, column: &str, flipped: bool) -> Form {
    let value = &value.text;
    let rewritten = match direction(operator, flipped) {
        "=" => Some(format!("{column} >= {value} AND {column} < ({value} + 1)")),
        ">=" => Some(format!("{column} >= {value}")),
        ">" => Some(format!("{column} >= ({value} + 1)")),
        "<" => Some(format!("{column} < {value}")),
        "<=" => Some(format!("{column} < ({value} + 1)")),
        _ => None,
    };
    Form { why: "A day is a range of times.", rewritten, note: ZONE, ..Form::default() }
}

fn truncated(arguments: &[Operand], operator: &str, value: &Operand, column: &str) -> Form {
    let rewritten = match arguments {
        [unit, of] if is_column(of) && operator == "=" => {
            text_of(unit).filter(|unit| UNITS.contains(&unit.as_str())).map(|unit| {
                let value = &value.text;
                let unit = if unit == "quarter" { "3 months".to_string() } else { format!("1 {unit}") };
                format!("{column} >= {value} AND {column} < ({value} + interval '{unit}')")
            })
        }
        _ => None,
    };
    Form {
        why: "What is truncated to the same unit is a range of times.",
        rewritten,
        note: "if the value is itself at the beginning of such a unit; otherwise no row matches",
        ..Form::default()
    }
}

const UNITS: [&str; 8] = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];

fn extracted(arguments: &[Operand], operator: &str, value: &Operand, column: &str) -> Form {
    let year = match arguments {
        [unit, of]
            if is_column(of)
                && operator == "="
                && text_of(unit).is_some_and(|unit| unit.eq_ignore_ascii_case("year")) =>
        {
            whole_number(value)
        }
        _ => None,
    };
    Form {
        why: "A year is a range of times.",
        rewritten: year
            .filter(|year| (1..9999).contains(year))
            .map(|year| format!("{column} >= '{year:04}-01-01' AND {column} < '{:04}-01-01'", year + 1)),
        note: ZONE,
        ..Form::default()
    }
}

/// `to_char(c, 'YYYY-MM') = '2024-05'`
fn formatted(arguments: &[Operand], operator: &str, value: &Operand, column: &str) -> Form {
    let range = match (arguments, text_of(value)) {
        ([of, format], Some(value)) if is_column(of) && operator == "=" => {
            text_of(format).and_then(|format| period(&format, &value))
        }
        _ => None,
    };
    Form {
        why: "What has the same year or month is a range of times.",
        rewritten: range.map(|(from, to)| format!("{column} >= '{from}' AND {column} < '{to}'")),
        note: ZONE,
        ..Form::default()
    }
}

/// First day of a year or month written in the format, and that of the next.
fn period(format: &str, value: &str) -> Option<(String, String)> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let same_marks = format.len() == value.len()
        && format
            .bytes()
            .zip(value.bytes())
            .all(|(f, v)| if f.is_ascii_alphabetic() { v.is_ascii_digit() } else { f == v });
    let letters: String = format.chars().filter(char::is_ascii_alphabetic).collect();
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<u32>().ok();
    let (year, month) = (part(0, 4)?, part(4, 6));
    match (same_marks, letters.as_str(), month) {
        (true, "YYYY", _) => Some((format!("{year:04}-01-01"), format!("{:04}-01-01", year + 1))),
        (true, "YYYYMM", Some(12)) => Some((format!("{year:04}-12-01"), format!("{:04}-01-01", year + 1))),
        (true, "YYYYMM", Some(month @ 1..12)) => {
            Some((format!("{year:04}-{month:02}-01"), format!("{year:04}-{:02}-01", month + 1)))
        }
        _ => None,
    }
}

fn moved(sign: &str, operands: &[Operand], operator: &str, value: &Operand, column: &str, flipped: bool) -> Form {
    let opposite = if sign == "+" { "-" } else { "+" };
    let rewritten = match operands {
        [of, number] if is_column(of) => {
            Some(format!("{column} {} ({} {opposite} {})", direction(operator, flipped), value.text, number.text))
        }
        [number, of] if is_column(of) && sign == "+" => {
            Some(format!("{column} {} ({} - {})", direction(operator, flipped), value.text, number.text))
        }
        _ => None,
    };
    Form { why: "The sum can be moved to the other side.", rewritten, ..Form::default() }
}

fn coalesced(arguments: &[Operand], value: &Operand, column: &str) -> Form {
    let rewritten = match arguments {
        [of, default] if is_column(of) => match text_of(default).zip(text_of(value)) {
            Some((default, wanted)) if default == wanted => {
                Some(format!("({column} = {} OR {column} IS NULL)", value.text))
            }
            // 0 and 0.0 may be the same: that depends on the type.
            Some((default, wanted)) => {
                let number = |text: &str| text.parse::<f64>().ok();
                let alike = number(&default).is_some() && number(&default) == number(&wanted);
                (!alike).then(|| format!("{column} = {}", value.text))
            }
            None => None,
        },
        _ => None,
    };
    Form { why: "NULL is to count as another value.", rewritten, ..Form::default() }
}

/// `'month'::text` is month.
fn text_of(operand: &Operand) -> Option<String> {
    let OperandKind::Constant(text) = &operand.kind else { return None };
    Some(bare_text(text))
}

fn bare(operand: &Operand) -> String {
    match &operand.kind {
        OperandKind::Constant(text) => text.split("::").next().unwrap_or(text).to_string(),
        _ => operand.text.clone(),
    }
}

fn bare_text(text: &str) -> String {
    text.split("::").next().unwrap_or(text).trim_matches('\'').to_string()
}

fn whole_number(operand: &Operand) -> Option<i64> {
    let OperandKind::Constant(text) = &operand.kind else { return None };
    let number: f64 = bare_text(text).parse().ok()?;
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

#[cfg(test)]
mod unit_tests;
