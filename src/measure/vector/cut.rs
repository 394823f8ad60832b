//! Captured searches that got fewer rows than they asked for: are there more that match?

use crate::db;
use crate::facts::vector::captured::cut_searches;
use crate::facts::vector::{CutSearch, CutSearches, Vectors};
use crate::measure::query::{PRINTED_IN, Query, Text};
use crate::measure::time_limit::TimeLimit;
use std::time::{Duration, Instant};

/// Of one count.
const PATIENCE: Duration = Duration::from_millis(500);

/// Adds those on the columns, with what could be proven until `until`.
pub fn read(vectors: &mut Vectors, until: Instant) {
    let Some(cut) = cut_searches() else {
        let why = "captured searches in dbre.vector_queries, which the caller may not read";
        return vectors.left_out.push(why.to_string());
    };
    let schema = vectors.extension.as_ref().map(|extension| extension.schema.to_string()).unwrap_or_default();
    for mut searches in cut {
        if !vectors.columns.iter().any(|column| column.table == searches.table) {
            continue;
        }
        let newest = std::mem::take(&mut searches.proven);
        for search in newest {
            db::check_for_interrupts();
            let matching = if Instant::now() < until { matching(&searches, &search, &schema) } else { None };
            if let Some(matching) = matching.filter(|matching| *matching >= search.k) {
                searches.proven.push(CutSearch { matching, ..search });
            }
        }
        vectors.cut.push(searches);
    }
}

/// Rows that the search could have found, counted as far as k, with the rights of the role that searched. None: that role is
/// gone, or the caller may not become it; its conditions are not kept, or took too long.
fn matching(searches: &CutSearches, search: &CutSearch, schema: &str) -> Option<u64> {
    let role = search.role?;
    if search.filtered && search.filter.is_none() {
        return None;
    }
    let key = &searches.key;
    let mut conditions = vec![format!("({key}) is not null")];
    // Zero vectors have no angle, and are not indexed by it.
    if searches.operator == "<=>" {
        conditions.push(format!("(({key}) operator({schema}.<=>) ({key})) <> 'NaN'"));
    }
    conditions.extend(search.filter.iter().map(|filter| format!("({filter})")));
    let text = Text {
        text: format!("select from {} where {} limit {}", searches.table_name, conditions.join(" and "), search.k),
        is_recorded: true,
        rows_per_call: None,
        role,
        search_path: PRINTED_IN.to_owned(),
    };
    let count = || {
        let _limit = TimeLimit::start(PATIENCE);
        let role = text.analyze(Query::analyze).role;
        let count = format!("select count(*) from ({}) found", text.text);
        db::as_role(role, PRINTED_IN, || db::read(&count, &[], |row| row.take::<i64>()))
    };
    let counted = db::undone(|| db::with_settings(&[db::PATIENCE], count), TimeLimit::was_reached).ok()?;
    counted.first().map(|matching| *matching as u64)
}
