//! Comparisons of an expression over a column that an index has, which that index cannot find.

use super::rewrite::range::{self, Kind as RangeKind};
use super::statements::{self, advise, columns_before, comparison, has_indexed_equality, is_deterministic, large};
use crate::facts::statement_tree::{Comparison, Expression, Fixed, Kind, Select, Statement, Volatility};
use crate::facts::{Catalog, Column, Table};
use crate::finding::{Finding, Severity, object};
use crate::units::Count;

pub struct Wrapped<'a> {
    pub table: &'a Table,
    pub rows: Count,
    pub column: &'a Column,
    /// What is compared.
    pub side: &'a Expression,
    pub how: Comparison,
    pub place: usize,
    pub location: Option<usize>,
    /// An index on another column finds the rows too.
    pub found_otherwise: bool,
}

/// Conditions of WHERE and inner joins that compare with a constant.
pub fn wrapped<'a>(select: &'a Select, catalog: &'a Catalog, min_rows: f64) -> Vec<Wrapped<'a>> {
    let fixed = Fixed::of(select, catalog);
    let of = |conjunct: &'a Expression| -> Option<Wrapped<'a>> {
        let (side, how, _) = comparison(conjunct)?;
        let columns = side.columns();
        let named = columns.first().filter(|first| columns.iter().all(|column| column == *first))?;
        let (table, rows) = large(select, catalog, named.item, min_rows)?;
        let column = table.column(named.attribute)?;
        let plain = how == Comparison::NotEqual || side.column().is_some() || !side.sublinks().is_empty();
        if plain || fixed.item(named.item) || is_volatile(side) {
            return None;
        }
        let before = columns_before(select, table, named.item, column.number)?;
        // An index on an expression over the column may be on this one.
        let is_over = |text: &String| names(text, column.name.raw());
        let helped = table.indexes.iter().any(|index| index.expressions.as_ref().is_some_and(is_over));
        (!helped).then_some(Wrapped {
            table,
            rows,
            column,
            side,
            how,
            place: statements::place(side)?,
            location: conjunct.location,
            found_otherwise: before == 0 && has_indexed_equality(select, table, named.item),
        })
    };
    let mut found: Vec<Wrapped> = Vec::new();
    for wrapped in select.conjuncts().into_iter().filter_map(of) {
        // BETWEEN is two comparisons of one expression.
        if found.iter().all(|other| other.place != wrapped.place) {
            found.push(wrapped);
        }
    }
    found
}

impl Wrapped<'_> {
    pub fn finding(&self, statement: &Statement, severity: Severity, what: &str) -> Finding {
        let name = self.table.columns_of(&[self.column.number]);
        let mut finding =
            statements::finding(statement, &format!("{what} on {name}"), self.location.or(Some(self.place)));
        finding.severity = if self.found_otherwise { Severity::low } else { severity };
        finding.weight = self.rows.0;
        finding.summary =
            format!("{what} on {name} keeps an index on it from finding rows among {}", self.rows.of("row"));
        finding.evidence.append(&mut object! {
            "table": self.table.name.to_string(),
            "table_rows": self.rows,
            "column": name,
            "another_condition_is_indexed": self.found_otherwise,
        });
        finding
    }

    /// Shows the comparison of the column itself, where it is known to be the same; true where it is.
    pub fn rewrite(&self, finding: &mut Finding, statement: &Statement, otherwise: &str) -> bool {
        let rewritten = match (self.kind(), is_all_builtin(self.side)) {
            (Some(kind), true) => range::rewrite(&statement.text, self.place, kind, true),
            _ => None,
        };
        let done = rewritten.is_some();
        if done && self.column.type_oid == TIMESTAMPTZ {
            finding.cause += " The bounds are midnights of the session's TimeZone, as the days are. Where clocks go \
                              back to a midnight that has been (America/Havana, Atlantic/Azores), rows of the hour that comes \
                              twice count to the day before, once a year.";
        }
        if done && statement.text.contains('$') {
            finding.cause += " Rewritten for finite values of parameters.";
        }
        advise(finding, rewritten, otherwise);
        done
    }

    fn kind(&self) -> Option<RangeKind> {
        match self.column.type_oid {
            1082 | 1114 | TIMESTAMPTZ => Some(RangeKind::Time),
            20 | 21 | 23 => Some(RangeKind::Integer),
            25 | 1043 if is_deterministic(self.column.collation) => Some(RangeKind::Text),
            2950 => Some(RangeKind::Uuid),
            _ => None,
        }
    }
}

const TIMESTAMPTZ: u32 = 1184;

fn is_volatile(side: &Expression) -> bool {
    side.any(|part| match &part.kind {
        Kind::Function(call) => call.volatility == Volatility::Volatile || call.returns_set,
        Kind::Operator(operator) => operator.volatility == Volatility::Volatile,
        Kind::Aggregate(_) | Kind::Window(_) | Kind::SubLink(_) => true,
        _ => false,
    })
}

fn is_all_builtin(side: &Expression) -> bool {
    side.all().into_iter().all(|part| match &part.kind {
        Kind::Function(call) => call.builtin,
        Kind::Operator(operator) => operator.builtin,
        _ => true,
    })
}

/// The expression has the name in it, as a word.
fn names(expression: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    expression
        .match_indices(name)
        .any(|(at, _)| !expression[..at].ends_with(is_part) && !expression[at + name.len()..].starts_with(is_part))
}
