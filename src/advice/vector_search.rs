//! What rules say of a search in the same words.

use super::vector_index;
use crate::facts::vector::{
    Extension, Key, Limit, Method, Order, SearchSource, VectorColumn, VectorIndex, VectorSearch, Vectors,
};
use crate::facts::{Facts, shortened};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::OptionSpec;
use crate::units::rounded;
use serde_json::{Map, Value, json};

/// From here on a search that reads the whole table is a matter of more than some milliseconds.
pub const MIN_ROWS: OptionSpec = OptionSpec::number(
    "min_rows",
    (10_000.0, "rows"),
    (0.0, 1e12),
    "Searches on tables with fewer rows are not judged: reading 10,000 vectors of 384 dimensions takes some 10 ms.",
);

const SLOW_MS: f64 = 1000.0;

/// Searches on columns with at least `min_rows` rows that no rule on a partition's root judges as well.
pub fn large<'a>(
    vectors: &'a Vectors,
    min_rows: f64,
) -> impl Iterator<Item = (&'a VectorColumn, &'a VectorSearch)> + 'a {
    vectors.searches().filter(move |(column, _)| vectors.rows(column) >= min_rows)
}

/// The identity of what is found.
pub fn object(column: &VectorColumn, search: &VectorSearch) -> String {
    match search.query_id {
        Some(id) => format!("{} searched by query {id}", column.object()),
        // One that was captured without its query id.
        None => format!(
            "{} searched by {} {} as {}",
            column.object(),
            search.key_sql,
            search.operator.sql(),
            search.role_name
        ),
    }
}

pub fn severity(search: &VectorSearch) -> Severity {
    if search.mean_ms >= SLOW_MS { Severity::high } else { Severity::medium }
}

pub fn weight(column: &VectorColumn) -> u64 {
    column.table_bytes + column.toast_bytes
}

pub fn evidence(column: &VectorColumn, search: &VectorSearch) -> Map<String, Value> {
    let filters: Vec<Value> = search
        .filters
        .iter()
        .map(|filter| {
            json!({
                "condition": filter.sql,
                "share_of_rows": filter.selectivity.map(|selectivity| rounded(selectivity.share)),
                "basis": filter.selectivity.map(|selectivity| selectivity.basis),
            })
        })
        .collect();
    object! {
        "query": search.text.as_deref().map(shortened),
        "query_id": search.query_id,
        "known_from": match search.source {
            SearchSource::Statements => "pg_stat_statements",
            SearchSource::Captured => "dbre.vector_queries",
        },
        "role": search.role_name,
        "calls": search.calls,
        "mean_ms": rounded(search.mean_ms),
        "rows_per_call": search.rows_per_call.map(rounded),
        "table_rows": column.rows,
        "compared": search.key_sql,
        "operator": search.operator.sql(),
        "order": order(search),
        "limit": limit(search),
        "filters": filters,
        "reads_whole_table": search.planned_sequential,
    }
}

fn order(search: &VectorSearch) -> String {
    match &search.order {
        Order::Ascending => "by distance".to_string(),
        Order::Descending => "by distance, farthest first".to_string(),
        Order::Wrapped { expression, descending } => {
            format!("by {expression}{}", if *descending { " DESC" } else { "" })
        }
        Order::Later => "by other keys, then by distance".to_string(),
        Order::None => "not by distance".to_string(),
    }
}

fn limit(search: &VectorSearch) -> Value {
    match search.limit {
        Limit::None => json!("none"),
        Limit::Rows(rows) => json!(rows),
        Limit::Parameter => json!("not known: a parameter, or a constant that pg_stat_statements leaves out"),
    }
}

/// `embedding <=> $1`
pub fn distance(extension: &Extension, search: &VectorSearch) -> String {
    let operator = vector_index::operator_text(extension, search.operator);
    format!("{} {operator} {}", search.key_sql, search.compared_with)
}

/// Valid indexes that can deliver the search's order.
pub fn serving<'a>(column: &'a VectorColumn, search: &'a VectorSearch) -> impl Iterator<Item = &'a VectorIndex> {
    column.indexes.iter().filter(|index| {
        is_usable(index, search) && is_same_key(&index.key, &search.key) && index.operator == search.operator
    })
}

/// Valid, and of a partial one the search has the predicate among its conditions.
pub fn is_usable(index: &VectorIndex, search: &VectorSearch) -> bool {
    let bare = |sql: &str| sql.replace(['(', ')', ' '], "").to_lowercase();
    index.valid
        && index.ready
        && index
            .predicate
            .as_ref()
            .is_none_or(|predicate| search.filters.iter().any(|filter| bare(&filter.sql) == bare(predicate)))
}

pub fn is_same_key(one: &Key, other: &Key) -> bool {
    let bare = |sql: &str| sql.replace(['(', ')', ' '], "");
    match (one, other) {
        (Key::Other(one), Key::Other(other)) => bare(one) == bare(other),
        _ => one == other,
    }
}

/// The HNSW index that a plan made now uses.
pub fn planned_hnsw<'a>(column: &'a VectorColumn, search: &VectorSearch) -> Option<&'a VectorIndex> {
    planned(column, search).find(|index| matches!(index.method, Method::Hnsw { .. }))
}

pub fn planned<'a>(column: &'a VectorColumn, search: &VectorSearch) -> impl Iterator<Item = &'a VectorIndex> {
    let used = search.planned_indexes.clone().unwrap_or_default();
    column.indexes.iter().filter(move |index| used.contains(&index.oid))
}

/// Sessions of the role set it themselves, as far as pg_stat_statements tells.
pub fn is_set_by_sessions(vectors: &Vectors, search: &VectorSearch, name: &str) -> bool {
    vectors.workload.set_by_sessions.iter().any(|(role, set, _)| *role == search.role && set == name)
}

/// A setting for the sessions of a role in this database.
pub struct RoleSetting {
    pub fix_sql: String,
    pub rollback: Rollback,
    pub verify_sql: String,
    pub risk: String,
}

impl RoleSetting {
    /// `before` is what is in force for the role now.
    pub fn new(facts: &Facts, search: &VectorSearch, name: &str, before: &str, after: &str) -> RoleSetting {
        let database = crate::db::quote_identifier(&facts.database.name);
        let role = &search.role_name;
        let setting = crate::db::quote_literal(&format!("{name}={after}"));
        RoleSetting {
            fix_sql: format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = '{after}';"),
            rollback: Rollback::Sql(format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = '{before}';")),
            verify_sql: format!(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting WHERE setrole = {}::oid AND setdatabase = \
                 (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND {setting} = \
                 ANY (setconfig)) AS is_set;",
                search.role
            ),
            risk: format!(
                "Sessions of {role} that begin after it have it; those of a pool keep what they have until they are made \
                 anew. SET {name} in a session tries it first."
            ),
        }
    }
}

/// The index that a search like it should have, as CREATE INDEX would make it.
pub fn advised_index(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> Option<String> {
    let extension = vectors.extension.as_ref()?;
    let advice = vector_index::choose(vectors, column, Some((&search.key, search.operator)));
    let design = advice.design()?;
    Some(format!("CREATE INDEX CONCURRENTLY ON {} {};", column.table_name, design.specification(extension, column)))
}

/// What to say of the search in the form that an index can serve.
pub fn rewritten(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> String {
    let Some(extension) = &vectors.extension else { return String::new() };
    let order = format!("ORDER BY {}", distance(extension, search));
    let Some(rewrite) = &search.rewrite else {
        return format!(
            "Order by the distance itself, nearest first: {order} LIMIT ….{}",
            needed_index(vectors, column, search)
        );
    };
    let served = column.indexes.iter().find(|index| rewrite.indexes.contains(&index.oid));
    match served {
        Some(index) => format!("{}\n-- planned: {} can serve it", rewrite.sql, index.name),
        None => format!("{}\n{}", rewrite.sql, needed_index(vectors, column, search).trim_start()),
    }
}

fn needed_index(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> String {
    if serving(column, search).next().is_some() {
        return String::new();
    }
    match advised_index(vectors, column, search) {
        Some(index) => format!(" -- no index serves that yet: {index}"),
        None => String::new(),
    }
}

/// All but what it says and what to do.
pub fn finding(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> Finding {
    Finding {
        severity: severity(search),
        object: object(column, search),
        weight: weight(column),
        evidence: evidence(column, search),
        impact: impact(vectors, column, search),
        ..Finding::that_changes_nothing()
    }
}

/// By the index that the column should have, where it is faster than what was measured.
fn impact(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> Map<String, Value> {
    let advice = vector_index::choose(vectors, column, Some((&search.key, search.operator)));
    let faster = advice.chosen().filter(|chosen| chosen.design.is_some() && chosen.search_ms < search.mean_ms);
    faster.map_or_else(Map::new, |chosen| {
        object! { "search_ms": change((rounded(search.mean_ms), "measured"), (rounded(chosen.search_ms), "estimated")) }
    })
}

/// Candidates by distance first, then what the search orders by.
pub fn candidates(vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> String {
    let Some(extension) = &vectors.extension else { return String::new() };
    let (table, distance) = (&column.table_name, distance(extension, search));
    let most = 10 * vectors.goal.k;
    format!(
        "SELECT * FROM (SELECT *, {distance} AS distance FROM {table} ORDER BY {distance} LIMIT {most}) nearest ORDER BY <the \
         other keys> LIMIT …: {most} candidates instead of all rows (with HNSW set hnsw.ef_search to at least that).{}",
        needed_index(vectors, column, search)
    )
}

/// Of a search that no index on the column serves: one on another expression of it, for the same distance or for its bits.
pub fn with_other_key<'a>(column: &'a VectorColumn, search: &'a VectorSearch) -> Option<&'a VectorIndex> {
    if serving(column, search).next().is_some() {
        return None;
    }
    let other = |index: &&VectorIndex| is_usable(index, search) && !is_same_key(&index.key, &search.key);
    let bits = |index: &VectorIndex| matches!(index.key, Key::BinaryQuantize { .. }) && search.key == Key::Column;
    let same = column.indexes.iter().filter(other).find(|index| index.operator == search.operator);
    same.or_else(|| column.indexes.iter().filter(other).find(|index| bits(index)))
}

/// The search as the index serves it.
pub fn served_by(
    vectors: &Vectors,
    column: &VectorColumn,
    index: &VectorIndex,
    search: &VectorSearch,
) -> Option<String> {
    let extension = vectors.extension.as_ref()?;
    if let Some(rewrite) = search.rewrite.as_ref().filter(|rewrite| rewrite.indexes.contains(&index.oid)) {
        return Some(format!("{}\n-- planned: {} can serve it", rewrite.sql, index.name));
    }
    let design = vector_index::Design::of(column, index)?;
    let design = vector_index::Design { ranking: search.operator, ..design };
    let setting = design.setting_for(&vectors.goal)?;
    let search_sql = design.search_sql(extension, column, &vectors.goal, &setting);
    Some(format!("{search_sql}\n-- with {}", design.search_settings(&setting)))
}
