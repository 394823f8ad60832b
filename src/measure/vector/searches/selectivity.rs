//! Which share of a table's rows the filters of a search take.

use crate::db;
use crate::facts::vector::{Distance, Filter, Selectivity};
use crate::measure::query::{PRINTED_IN, Query, Value};
use crate::measure::what_if::{WhatIf, relation_name};
use pgrx::pg_sys;

/// Of all filters together, and sets that of each.
pub fn measure(role: u32, distance: &mut Distance, values: &[Value]) -> Option<Selectivity> {
    if distance.filters.is_empty() {
        return None;
    }
    let table = relation_name(distance.table.into())?;
    let rows = |condition: &str| -> Option<f64> {
        let sql = format!("select from {table}{condition}");
        // One that is not in it has no type that a value could be of.
        let named = parameters(condition);
        let value = |(position, value): (usize, &Value)| match named.contains(&(position + 1)) {
            true => value.clone(),
            false => Value::Unknown,
        };
        let values: Vec<Value> = values.iter().enumerate().map(value).collect();
        let plan = || {
            let query = Query::analyze("filter", &sql);
            WhatIf::new().plan(&query, query.bind(&values), &[], &[]).rows
        };
        db::guarded(|| db::as_role(role, PRINTED_IN, plan)).ok()
    };
    let all = rows("")?.max(1.0);
    let known = |filter: &Filter| {
        let parameters = parameters(&filter.sql);
        parameters.iter().all(|number| values.get(number - 1).is_some_and(|value| *value != Value::Unknown))
    };
    let share = |condition: &str, known: bool| -> Option<Selectivity> {
        let share = (rows(&format!(" where {condition}"))? / all).clamp(0.0, 1.0);
        Some(Selectivity { share, basis: if known { "planned" } else { "estimated" } })
    };
    add_columns(distance, all);
    for filter in &mut distance.filters {
        filter.selectivity = share(&filter.sql, known(filter));
    }
    let conditions: Vec<&str> = distance.filters.iter().map(|filter| filter.sql.as_str()).collect();
    share(&format!("({})", conditions.join(") and (")), distance.filters.iter().all(known))
}

fn add_columns(distance: &mut Distance, rows: f64) {
    let table = pg_sys::Oid::from_u32(distance.table);
    for filter in &mut distance.filters {
        let arguments = [table.into(), filter.columns.clone().into()];
        let columns = db::read(include_str!("../../../../sql/facts/vector/filter_columns.sql"), &arguments, |row| {
            let _number: i16 = row.take();
            (row.take_option::<f64>(), row.take::<bool>())
        });
        filter.indexed = columns.iter().any(|(_, indexed)| *indexed);
        if let [(Some(distinct), _)] = columns[..] {
            filter.distinct =
                Some(if distinct < 0.0 { -distinct * rows } else { distinct }).filter(|number| *number >= 1.0);
        }
    }
}

/// Numbers of `$1` and so on in what the server has printed.
fn parameters(printed: &str) -> Vec<usize> {
    let after = printed.split('$').skip(1);
    let numbers = after.filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.filter(|number| *number > 0).collect()
}
