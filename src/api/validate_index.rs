//! `dbre.validate_index()`.

use super::arguments::{self, TextArray, elements, required};
use crate::db::raise;
use crate::facts::{Facts, shortened};
use crate::measure::index_advice::{Origin, Validated, validate};
use crate::rule::Need;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

/// After an index was built: which queries of the workload the planner takes it for, their cost with and without it, and the
/// mean time before (as the last snapshot of index advice has it) and since.
///
/// The workload is that of pg_stat_statements, or `queries`. When no query uses the index, one row says so. Raises an error
/// for what is no valid index of a table.
#[pg_extern(
    stable,
    sql = r#"
create function validate_index(
    index regclass,
    queries text[] default null,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    query_id bigint,
    query text,
    calls bigint,
    used boolean,
    cost_with float8,
    cost_without float8,
    mean_ms_before float8,
    calls_since bigint,
    mean_ms_since float8,
    verdict text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn validate_index(
    index: Option<Oid>,
    queries: Option<TextArray>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(query_id, Option<i64>),
        name!(query, Option<String>),
        name!(calls, Option<i64>),
        name!(used, bool),
        name!(cost_with, Option<f64>),
        name!(cost_without, Option<f64>),
        name!(mean_ms_before, Option<f64>),
        name!(calls_since, Option<i64>),
        name!(mean_ms_since, Option<f64>),
        name!(verdict, String),
    ),
> {
    let oid = required("index", index, "Name an index: 'public.orders_customer_idx'.");
    let queries = queries.map(|queries| elements("queries", queries));
    let origin = match &queries {
        Some(queries) if queries.is_empty() => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument queries is an empty array",
            "Leave it out for pg_stat_statements.",
        ),
        Some(queries) => Origin::Texts(queries.iter().map(String::as_str).collect()),
        None => Origin::Statements,
    };
    let facts = Facts::read(&[Need::Catalog], None);
    let catalog = facts.catalog();
    let known = catalog.all_tables().find_map(|table| Some((table, table.index(oid.to_u32())?)));
    let refuse = |what: &str| -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("argument index: the relation with OID {} {what}", oid.to_u32()),
            "Name a valid index of a table: 'public.orders_customer_idx'.",
        )
    };
    let Some((table, index)) = known else { refuse("is no index of a table") };
    if !index.is_usable() {
        refuse("is an index that is not valid: the planner never takes it")
    }
    let search_path = arguments::search_path(search_path);
    let validated = validate(origin, &search_path, &facts.database, catalog, (table, index));
    let used = validated.iter().any(|query| query.used);
    let verdict = format!("no query of the workload uses it ({} read its table)", validated.len());
    let nothing = (!used).then_some((None, None, None, false, None, None, None, None, None, verdict));
    let rows = validated.into_iter().map(|query| {
        let verdict = verdict_on(&query).to_string();
        (
            query.query_id,
            Some(shortened(&query.text)),
            Some(query.calls as i64),
            query.used,
            Some(query.cost_with),
            Some(query.cost_without),
            query.mean_ms_before,
            query.calls_since.map(|calls| calls as i64),
            query.mean_ms_since,
            verdict,
        )
    });
    TableIterator::new(nothing.into_iter().chain(rows).collect::<Vec<_>>())
}

fn verdict_on(query: &Validated) -> &'static str {
    match (query.used, query.mean_ms_before, query.mean_ms_since) {
        (false, ..) => "not used",
        (true, Some(before), Some(since)) if since < before => "used, and faster",
        (true, Some(_), Some(_)) => "used, and not faster",
        (true, Some(_), None) => "used; not called since the snapshot",
        (true, None, _) => "used; no snapshot says how fast it was before",
    }
}
