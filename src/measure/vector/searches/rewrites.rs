//! Forms of a search that an index could serve, proved by analysis and planning.

use crate::advice::vector_index::{key_text, operator_text};
use crate::advice::vector_rewrite::{nearest_first, with_order};
use crate::advice::vector_search;
use crate::db;
use crate::facts::MeasuredStatement;
use crate::facts::vector::{Extension, Key, Limit, Order, Rewrite, VectorColumn, VectorSearch};
use crate::measure::query::Text;

/// None: it needs none, or none was found.
pub fn find(
    measured: &MeasuredStatement,
    extension: &Extension,
    column: &VectorColumn,
    search: &VectorSearch,
) -> Option<Rewrite> {
    if search.joined {
        return None;
    }
    let text = measured.text.trim_end().trim_end_matches(';').trim_end();
    let candidates: Vec<(String, &Key)> = match &search.order {
        Order::Ascending if search.function.is_none() && search.limit == Limit::None => {
            vec![(format!("{text} LIMIT 10"), &search.key)]
        }
        Order::Ascending if search.function.is_none() => with_cast(text, extension, column, search),
        Order::Ascending | Order::Wrapped { .. } if nearest_first(search) == Some(true) => {
            let order = vector_search::distance(extension, search);
            with_order(text, &order).into_iter().map(|text| (text, &search.key)).collect()
        }
        _ => Vec::new(),
    };
    candidates.into_iter().find_map(|(sql, key)| proved(measured, column, search, key, sql))
}

/// By the key of an index, where the column's own has none.
fn with_cast<'a>(
    text: &str,
    extension: &Extension,
    column: &'a VectorColumn,
    search: &VectorSearch,
) -> Vec<(String, &'a Key)> {
    if search.key != Key::Column || vector_search::serving(column, search).next().is_some() {
        return Vec::new();
    }
    let other = column.indexes.iter().filter(|index| {
        matches!(index.key, Key::Cast { .. })
            && index.operator == search.operator
            && vector_search::is_usable(index, search)
    });
    let written = other.flat_map(|index| {
        let cast = |operand: &str| key_text(extension, &index.key, index.element, operand);
        let operator = operator_text(extension, search.operator);
        let order = format!("{} {operator} {}", cast(&column.name.to_string()), cast(&search.compared_with));
        with_order(text, &order).into_iter().map(|text| (text, &index.key))
    });
    written.collect()
}

fn proved(
    measured: &MeasuredStatement,
    column: &VectorColumn,
    search: &VectorSearch,
    key: &Key,
    sql: String,
) -> Option<Rewrite> {
    let text = Text { text: sql, ..Text::recorded(measured) };
    let indexes = text.guarded(|how| {
        let analyzed = text.analyze(how);
        let served = analyzed.shape.distances.iter().any(|distance| {
            (distance.table, distance.column) == (column.table, column.number)
                && vector_search::is_same_key(&distance.key, key)
                && distance.operator == search.operator
                && distance.function.is_none()
                && distance.order == Order::Ascending
                && (search.limit == Limit::None || distance.limit == search.limit)
        });
        served.then(|| {
            let plan = || text.plan_generic(&analyzed).planned.existing;
            let used = db::with_settings(&[(c"enable_seqscan", c"off")], plan);
            used.into_iter().filter(|oid| column.indexes.iter().any(|index| index.oid == *oid)).collect()
        })
    });
    Some(Rewrite { indexes: indexes.ok()??, sql: text.text })
}
