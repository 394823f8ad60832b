//! What rules on the text of one statement share.

use crate::facts::statement_tree::{
    Column, Comparison, Expression, Fixed, From, Item, ItemKind, JoinKind, Kind, Select, Statement, Volatility,
};
use crate::facts::{Catalog, ColumnStatistics, Index, Table};
use crate::finding::{Finding, object};
use crate::rule::OptionSpec;
use crate::units::Count;
use serde_json::json;

pub const MIN_ROWS: OptionSpec =
    OptionSpec::number("min_rows", (10_000.0, "rows"), (1.0, 1e12), "Smaller tables are not judged.");

/// What every finding about a place in a statement begins with.
pub fn finding(statement: &Statement, what: &str, location: Option<usize>) -> Finding {
    let mut evidence = object! { "query": statement.excerpt(location) };
    if let Some(position) = statement.position(location) {
        evidence.insert("position".to_string(), json!(position));
    }
    Finding { object: statement.object(what), evidence, ..Finding::that_changes_nothing() }
}

/// Shows a query with the same rows, where there is one, and `otherwise` what to do.
pub fn advise(finding: &mut Finding, rewritten: Option<String>, otherwise: &str) {
    finding.app_fix = Some(match &rewritten {
        Some(text) => format!("Send the query that returns the same rows: {text}"),
        None => otherwise.to_string(),
    });
    if let Some(text) = rewritten {
        finding.evidence.insert("rewritten_query".to_string(), json!(text));
    }
}

/// The table that an item is and its rows, if they are at least `min_rows`.
pub fn large<'a>(select: &Select, catalog: &'a Catalog, item: usize, min_rows: f64) -> Option<(&'a Table, Count)> {
    let table = select.table(catalog, item)?;
    let rows = catalog.rows(table)?;
    (rows.0 as f64 >= min_rows).then_some((table, rows))
}

/// The largest table of which the query may read many rows: no unique key makes it one row.
pub fn largest<'a>(select: &Select, catalog: &'a Catalog, min_rows: f64) -> Option<(&'a Table, Count)> {
    let fixed = Fixed::of(select, catalog);
    let items = select.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item));
    items.filter_map(|item| large(select, catalog, item, min_rows)).max_by_key(|(_, rows)| *rows)
}

/// Rows of an item that equalities with what is fixed leave, by the statistics. None: not known.
pub fn rows_left(select: &Select, catalog: &Catalog, statistics: &ColumnStatistics, item: usize) -> Option<f64> {
    let table = select.table(catalog, item)?;
    let mut rows = catalog.rows(table)?.0 as f64;
    let counted = rows;
    for column in fixed_columns(select, &Fixed::of(select, catalog), item) {
        rows /= statistics.of(table.oid, column)?.distinct(counted).max(1.0);
    }
    Some(rows)
}

/// Columns of an item that equal one value: a constant, a parameter, a column of the one row of another table.
pub fn fixed_columns(select: &Select, fixed: &Fixed, item: usize) -> Vec<i16> {
    let mut columns = Vec::new();
    for (left, right) in select.conjuncts().into_iter().filter_map(Expression::equality) {
        for (side, other) in [(left, right), (right, left)] {
            let column = side.column().filter(|column| column.item == item);
            columns.extend(column.filter(|_| fixed.expression(other)).map(|column| column.attribute));
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Some equality with a constant or another table's column can use an index.
pub fn has_indexed_equality(select: &Select, table: &Table, item: usize) -> bool {
    equal_columns(select, item).into_iter().any(|column| is_indexed(table, column))
}

/// Columns of an item that equalities tie to constants or to other tables.
fn equal_columns(select: &Select, item: usize) -> Vec<i16> {
    let mut columns = Vec::new();
    for (left, right) in select.conjuncts().into_iter().filter_map(Expression::equality) {
        for (side, other) in [(left, right), (right, left)] {
            let column = side.column().filter(|column| column.item == item);
            if let Some(column) = column.filter(|_| other.columns().iter().all(|column| column.item != item)) {
                columns.push(column.attribute);
            }
        }
    }
    columns
}

/// The columns before this one in a btree on all rows, where the query has equalities for all of them; the fewest.
pub fn columns_before(select: &Select, table: &Table, item: usize, attribute: i16) -> Option<usize> {
    let equal = equal_columns(select, item);
    let usable = |index: &&Index| &*index.method == "btree" && index.is_usable() && index.predicate.is_none();
    let before = table.indexes.iter().filter(usable).filter_map(|index| {
        let position = index.key_attributes().position(|number| number == attribute)?;
        index.key_attributes().take(position).all(|number| equal.contains(&number)).then_some(position)
    });
    before.min()
}

/// A btree on all rows begins with the column.
pub fn is_indexed(table: &Table, attribute: i16) -> bool {
    table.indexes.iter().any(|index| {
        &*index.method == "btree"
            && index.is_usable()
            && index.predicate.is_none()
            && index.key_attributes().next() == Some(attribute)
    })
}

/// Where the first column in the expression is named.
pub fn place(expression: &Expression) -> Option<usize> {
    expression.all().into_iter().find(|part| matches!(part.kind, Kind::Column(_)))?.location
}

/// `column operator constant`, whichever side the column is on.
pub fn comparison(expression: &Expression) -> Option<(&Expression, Comparison, &Expression)> {
    let Kind::Operator(operator) = &expression.kind else { return None };
    let (left, right) = operator.sides()?;
    let comparison = operator.comparison?;
    if right.is_constant() && !left.is_constant() {
        return Some((left, comparison, right));
    }
    (left.is_constant() && !right.is_constant()).then_some((right, turned(comparison), left))
}

pub fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::Equal | Comparison::NotEqual => comparison,
    }
}

/// It, or a query within it, calls something volatile.
pub fn is_volatile(select: &Select) -> bool {
    let volatile = |expression: &Expression| match &expression.kind {
        Kind::Function(call) | Kind::Aggregate(call) | Kind::Window(call) => call.volatility == Volatility::Volatile,
        Kind::Operator(operator) | Kind::Distinct(operator) => operator.volatility == Volatility::Volatile,
        Kind::AnyArray { operator, .. } => operator.volatility == Volatility::Volatile,
        Kind::Cast(cast) => cast.volatility == Volatility::Volatile,
        _ => false,
    };
    let all = select.selects();
    let writes = all.iter().any(|query| query.with.iter().any(|with| with.writes));
    writes || all.into_iter().flat_map(Select::expressions).any(|expression| expression.any(volatile))
}

/// Items of this query that the expression names, in subqueries too.
pub fn items_named(expression: &Expression) -> Vec<usize> {
    let mut items: Vec<usize> = expression.columns().into_iter().map(|column| column.item).collect();
    for link in expression.sublinks() {
        outer_columns(&link.query, 1, &mut |column, _| items.push(column.item));
    }
    items
}

/// Gives `found` each column in `select` that belongs to the query `level` queries around it, with its place.
pub fn outer_columns<'a>(select: &'a Select, level: usize, found: &mut dyn FnMut(&'a Column, Option<usize>)) {
    for part in select.expressions().into_iter().flat_map(Expression::all) {
        match &part.kind {
            Kind::Column(column) if column.level == level => found(column, part.location),
            Kind::SubLink(link) => outer_columns(&link.query, level + 1, found),
            _ => {}
        }
    }
    let inner = select.with.iter().map(|with| &with.query).chain(select.items.iter().filter_map(subquery));
    inner.for_each(|query| outer_columns(query, level + 1, found));
}

pub fn subquery(item: &Item) -> Option<&Select> {
    match &item.kind {
        ItemKind::Subquery(query) => Some(query),
        _ => None,
    }
}

/// All joins are inner ones.
pub fn joins_are_inner(from: &From) -> bool {
    match from {
        From::Item(_) => true,
        From::Join { kind, left, right, .. } => {
            *kind == JoinKind::Inner && joins_are_inner(left) && joins_are_inner(right)
        }
    }
}

/// Why the expression can be NULL, where that is certain to be possible: a column without NOT NULL, an outer join, NULL itself.
pub fn nullable(expression: &Expression, select: &Select, catalog: &Catalog) -> Option<Nullable> {
    let expression = expression.bare();
    if expression.is_null_constant() {
        return Some(Nullable::Constant);
    }
    let column = match &expression.kind {
        Kind::Column(column) if column.level == 0 => column,
        Kind::Cast(cast) => return nullable(&cast.argument, select, catalog),
        _ => return None,
    };
    if select.conjuncts().into_iter().any(|conjunct| refuses_null(conjunct, column)) {
        return None;
    }
    let outer = select.from.iter().any(|from| is_outer(from, column.item));
    if let Some(inner) = select.items.get(column.item).and_then(subquery) {
        let target = usize::try_from(column.attribute - 1).ok().and_then(|position| inner.targets.get(position));
        return match target {
            Some(target) if inner.set_operation.is_none() && !outer => nullable(&target.expression, inner, catalog),
            _ => outer.then_some(Nullable::OuterJoin),
        };
    }
    let table = select.table(catalog, column.item)?;
    let definition = table.column(column.attribute)?;
    match (outer, definition.not_null) {
        (true, _) => Some(Nullable::OuterJoin),
        (false, true) => None,
        (false, false) => Some(Nullable::Column { table: table.oid, attribute: column.attribute }),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nullable {
    Constant,
    OuterJoin,
    Column { table: u32, attribute: i16 },
}

/// It is not true where the column is NULL.
fn refuses_null(condition: &Expression, column: &Column) -> bool {
    let is_it = |side: &Expression| side.column() == Some(column);
    match &condition.kind {
        Kind::Operator(operator) => operator.strict && operator.arguments.iter().any(is_it),
        Kind::AnyArray { operator, left, .. } => operator.strict && is_it(left),
        Kind::IsNull { argument, negated } => *negated && is_it(argument),
        _ => false,
    }
}

/// An outer join fills the item with NULLs.
fn is_outer(from: &From, item: usize) -> bool {
    let From::Join { kind, left, right, .. } = from else { return false };
    let (in_left, in_right) = (left.items().contains(&item), right.items().contains(&item));
    let filled = match kind {
        JoinKind::Inner => false,
        JoinKind::Left => in_right,
        JoinKind::Right => in_left,
        JoinKind::Full => in_left || in_right,
    };
    filled || is_outer(left, item) || is_outer(right, item)
}

/// Equal texts are the same text: of the column's collation.
pub fn is_deterministic(collation: u32) -> bool {
    // Of no collation, the database's own, "C", "POSIX".
    matches!(collation, 0 | 100 | 950 | 951)
}

/// Types of which equal values are the same value, or are printed as one: constants can be compared by their text.
pub fn has_plain_equality(type_oid: u32) -> bool {
    // bool, bigint, smallint, integer, text, varchar, date, uuid
    matches!(type_oid, 16 | 20 | 21 | 23 | 25 | 1043 | 1082 | 2950)
}
