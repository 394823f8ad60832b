//! Why an estimate is wrong, as far as it can be told.

use super::FEW_ROWS;
use crate::facts::plan::{Conjunct, Operand, OperandKind, conjuncts};
use crate::facts::{
    Column, Explained, ExtendedStatistics, Facts, Function, PlannedColumn, PlannedTable, Sample, Table, Volatility,
};

pub struct Expression {
    pub text: String,
    /// It is immutable for certain, so that statistics can be made on it.
    pub is_fixed: bool,
}

pub enum Cause<'a> {
    /// The table was never analyzed, or changed much since.
    Stale(&'a Table),
    /// Rows that a function is declared to return.
    Function(&'a Function),
    Correlated(&'a Table, &'a Sample),
    Expression(&'a Table, Expression),
    Skewed(&'a Table, &'a PlannedColumn),
    Unknown,
}

/// Of a table's rows, modified since the last ANALYZE.
const STALE: f64 = 0.1;
const JUST_NOW_DAYS: f64 = 2.0 / 1440.0;
/// Shares from which a sample shows dependence.
const DEPENDENT: f64 = 0.6;
const TOGETHER: f64 = 0.25;
/// Of rows that equal a value, of those that do not, and of those below or above one, where there are no statistics.
const GUESSED_SHARES: [f64; 3] = [0.005, 0.995, 1.0 / 3.0];

pub fn cause(facts: &Facts, node: usize) -> Cause<'_> {
    let explained = facts.explained();
    let here = explained.node(node);
    if here.kind == "Function Scan" || here.kind == "ProjectSet" {
        let function = set_function(explained, node);
        let own = function.filter(|function| !function.supported && function.schema != "pg_catalog");
        return own.map_or(Cause::Unknown, Cause::Function);
    }
    let known =
        explained.tables[node].and_then(|oid| Some((facts.catalog().known(oid)?, explained.statistics.get(&oid)?)));
    let conditions: Vec<Conjunct> = here.conditions().flat_map(conjuncts).collect();
    let compared = known.and_then(|(table, statistics)| {
        let expression =
            conditions.iter().find_map(|conjunct| expression(explained, facts, table, statistics, conjunct))?;
        Some((table, statistics, expression))
    });
    // Of what it knows nothing, the planner takes fixed shares, however old its statistics are.
    let guessed = compared.as_ref().is_some_and(|(_, statistics, _)| {
        let share = explained.plan.estimated_total_rows(node)
            / explained.plan.executions(node).unwrap_or(1.0).max(1.0)
            / statistics.rows.unwrap_or_default().max(1.0);
        GUESSED_SHARES.iter().any(|guess| (share / guess - 1.0).abs() < 0.1)
    });
    if let Some((table, _, expression)) = compared.filter(|_| guessed) {
        return Cause::Expression(table, expression);
    }
    // A join that goes wrong by itself does so by what is known of its tables.
    let tables = explained.plan.subtree(node).filter_map(|below| facts.catalog().known(explained.tables[below]?));
    if let Some(table) = tables.into_iter().find(|table| is_stale(explained, table)) {
        return Cause::Stale(table);
    }
    let Some((table, statistics)) = known else { return Cause::Unknown };
    let sample = explained.samples.iter().find(|sample| sample.node == node && is_dependent(sample));
    if let Some(sample) = sample.filter(|sample| !has_statistics_on(statistics, &sample.columns)) {
        return Cause::Correlated(table, sample);
    }
    let bare = conditions.iter().all(|conjunct| {
        matches!(conjunct.left.kind, OperandKind::Column { .. }) || is_text(&conjunct.left, table, facts)
    });
    skewed(explained, statistics, node, &conditions)
        .filter(|_| bare)
        .map_or(Cause::Unknown, |column| Cause::Skewed(table, column))
}

fn is_stale(explained: &Explained, table: &Table) -> bool {
    explained.statistics.get(&table.oid).is_some_and(|statistics| {
        let unknown = statistics.columns.iter().all(|column| column.n_distinct.is_none());
        if statistics.analyzed_days_ago.is_none() && unknown {
            return statistics.owned && statistics.modified_rows > 0.0;
        }
        let rows = statistics.rows.unwrap_or_default().max(statistics.live_rows).max(1.0);
        // A session's writes may be counted a little after the ANALYZE that saw them.
        let counted_late = statistics.analyzed_days_ago.is_some_and(|days| days < JUST_NOW_DAYS)
            && table.growth().is_none_or(|growth| growth < 1.0 + STALE / 2.0);
        statistics.modified_rows >= (STALE * rows).max(FEW_ROWS) && !counted_late
    })
}

/// The function whose rows the node returns.
pub fn set_function(explained: &Explained, node: usize) -> Option<&Function> {
    let here = explained.node(node);
    let mut called: Vec<String> = here.function.iter().cloned().collect();
    called.extend(here.output.iter().flat_map(|column| conjuncts(column)).flat_map(|conjunct| {
        conjunct
            .functions()
            .into_iter()
            .map(|name| name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_string())
            .collect::<Vec<_>>()
    }));
    let mut functions =
        explained.functions.iter().filter(|function| function.rows.is_some() && called.contains(&function.name));
    let function = functions.next()?;
    // Of several of a name it cannot be told which.
    functions.next().is_none().then_some(function)
}

/// The columns depend on each other: few of the combinations that independent columns would have are there.
fn is_dependent(sample: &Sample) -> bool {
    let product: f64 = sample.distinct.iter().product();
    sample.dependency >= DEPENDENT || sample.distinct_together <= TOGETHER * product.min(sample.rows)
}

fn has_statistics_on(statistics: &PlannedTable, columns: &[i16]) -> bool {
    let covers = |extended: &ExtendedStatistics| {
        extended.built && extended.mcv && columns.iter().all(|column| extended.columns.contains(column))
    };
    statistics.extended.iter().any(covers)
}

/// What is compared in place of a bare column: the planner knows nothing of it.
fn expression(
    explained: &Explained,
    facts: &Facts,
    table: &Table,
    statistics: &PlannedTable,
    conjunct: &Conjunct,
) -> Option<Expression> {
    let operand = &conjunct.left;
    let is_expression = match &operand.kind {
        OperandKind::Call { .. } | OperandKind::Operation { .. } | OperandKind::Other => true,
        OperandKind::Cast { .. } => !is_text(operand, table, facts),
        _ => false,
    };
    let constant = conjunct.right.as_ref().is_none_or(|right| right.columns().is_empty());
    if conjunct.operator.is_none() || !is_expression || !constant {
        return None;
    }
    let text = unqualified(&operand.text, table);
    let columns: Vec<&Column> = match operand.kind {
        OperandKind::Other => table.columns.iter().filter(|column| mentions(&text, &column.name.to_string())).collect(),
        _ => {
            let column = |(_, name): (_, &str)| table.columns.iter().find(|column| column.name.raw() == name);
            operand.columns().into_iter().map(column).collect::<Option<_>>()?
        }
    };
    let in_statistics = statistics
        .extended
        .iter()
        .any(|extended| extended.built && extended.expressions.iter().any(|printed| same(printed, &text)));
    let in_index =
        table.indexes.iter().any(|index| index.expressions.as_deref().is_some_and(|list| contains(list, &text)));
    if columns.is_empty() || in_statistics || in_index {
        return None;
    }
    let catalog = facts.catalog();
    // Times and dates follow TimeZone and DateStyle.
    let of_time = columns.iter().any(|column| {
        let of_type = catalog.type_of(catalog.base_type(column.type_oid));
        of_type.is_none_or(|of_type| matches!(of_type.category, 'D' | 'T'))
    });
    let immutable = operand.functions().iter().all(|call| {
        let name = call.rsplit('.').next().unwrap_or(call).trim_matches('"');
        let mut meant = explained.functions.iter().filter(|function| function.name == name).peekable();
        meant.peek().is_some() && meant.all(|function| function.volatility == Volatility::Immutable)
    });
    let is_fixed = immutable && !of_time && !matches!(operand.kind, OperandKind::Other | OperandKind::Cast { .. });
    Some(Expression { text, is_fixed })
}

/// A cast that changes nothing but the name of the type.
fn is_text(operand: &Operand, table: &Table, facts: &Facts) -> bool {
    let of_text = |name: &str| {
        let column = table.columns.iter().find(|column| column.name.raw() == name);
        let of_type = column.and_then(|column| facts.catalog().type_of(facts.catalog().base_type(column.type_oid)));
        of_type.is_some_and(|of_type| of_type.category == 'S')
    };
    is_bare(operand) && operand.columns().iter().all(|(_, name)| of_text(name))
}

/// As a word.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '$';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(part_of_word)
            && !text[at + name.len()..].starts_with(|c: char| part_of_word(c) || c == '(')
    })
}

/// Without `t.` before the columns of the scan.
fn unqualified(text: &str, table: &Table) -> String {
    let mut text = text.to_string();
    for column in &table.columns {
        let name = column.name.to_string();
        let mut from = 0;
        while let Some(at) = text[from..].find(&format!(".{name}")).map(|at| at + from) {
            let start = text[..at]
                .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"' || c == '$'))
                .map_or(0, |p| p + text[p..].chars().next().map_or(1, char::len_utf8));
            text.replace_range(start..=at, "");
            from = start;
        }
    }
    text
}

fn same(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '(' | ')' | ' ')).collect::<String>();
    plain(a) == plain(b)
}

fn contains(list: &str, expression: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '(' | ')' | ' ')).collect::<String>();
    plain(list).contains(&plain(expression))
}

/// The only column compared, if the value is beyond what its most common values or its histogram can tell.
fn skewed<'a>(
    explained: &Explained,
    statistics: &'a PlannedTable,
    node: usize,
    conditions: &[Conjunct],
) -> Option<&'a PlannedColumn> {
    let mut columns: Vec<&str> =
        conditions.iter().flat_map(|conjunct| conjunct.columns()).map(|(_, name)| name).collect();
    columns.sort_unstable();
    columns.dedup();
    let [name] = columns[..] else { return None };
    let bare = conditions.iter().all(|conjunct| {
        is_bare(&conjunct.left) && matches!(conjunct.operator.as_deref(), Some("=" | "= ANY" | "<" | ">" | "<=" | ">="))
    });
    let column = statistics.columns.iter().find(|column| column.name == name)?;
    let rows = statistics.rows.filter(|rows| *rows > 0.0)?;
    let executions = explained.plan.executions(node).unwrap_or(1.0).max(1.0);
    let share = (explained.plan.total_rows(node)? / executions / rows).max(explained.node(node).rows / rows);
    let target = column
        .target
        .filter(|target| *target > 0)
        .map_or_else(|| explained.setting("default_statistics_target"), |t| Some(f64::from(t)))?;
    // Below the least of the values that are listed, or within one step of the histogram.
    let least = column.common.last().map_or(0.0, |share| f64::from(*share));
    let beyond = share <= least * 1.5 || share <= 2.0 / (column.histogram_bounds as f64).max(2.0);
    let full = column.common.len() as f64 >= 0.9 * target || column.histogram_bounds as f64 > 0.9 * target;
    (bare && beyond && full && target < 10_000.0).then_some(column)
}

/// A column, or one of varchar that is compared as text.
fn is_bare(operand: &Operand) -> bool {
    match &operand.kind {
        OperandKind::Column { .. } => true,
        OperandKind::Cast { of, to } => to == "text" && matches!(of.kind, OperandKind::Column { .. }),
        _ => false,
    }
}
