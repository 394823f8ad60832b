//! `dbre.what_if()`.

use super::arguments::{self, TextArray, elements, required, within};
use crate::db::{raise, with_search_path};
use crate::facts::ParameterOrigin;
use crate::measure::query::{Bound, Query, Value, representative};
use crate::measure::what_if::{WhatIf, is_index, relation_name, with_parts};
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde::Deserialize;
use serde_json::json;

/// At most that many sets of sampled values.
const MOST_SETS: i32 = 10;

/// How the planner would plan a query if indexes existed, and others did not. Nothing is built or executed.
///
/// One row for each set of parameter values: those given; sampled from column statistics; or, where neither is to be had,
/// none (a generic plan). Costs are the planner's; of a statement that writes, those of finding its rows. `indexes` tells
/// of each hypothetical index its name, statement, size in bytes, height (of btrees) and whether the plan uses it.
#[pg_extern(
    stable,
    sql = r#"
create function what_if(
    query text,
    create_indexes text[] default '{}',
    drop_indexes regclass[] default '{}',
    params text[] default null,
    parameter_sets int default 1,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    parameters text[],
    parameter_source text,
    cost_before float8,
    cost_after float8,
    plan_before text,
    plan_after text,
    plan_before_json jsonb,
    plan_after_json jsonb,
    indexes_used text[],
    indexes jsonb
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn what_if(
    query: Option<&str>,
    create_indexes: Option<TextArray>,
    drop_indexes: Option<Vec<Option<Oid>>>,
    params: Option<TextArray>,
    parameter_sets: Option<i32>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(parameters, Vec<Option<String>>),
        name!(parameter_source, &'static str),
        name!(cost_before, f64),
        name!(cost_after, f64),
        name!(plan_before, String),
        name!(plan_after, String),
        name!(plan_before_json, JsonB),
        name!(plan_after_json, JsonB),
        name!(indexes_used, Vec<String>),
        name!(indexes, JsonB),
    ),
> {
    let text = required("query", query, "Pass the text of one statement.");
    let statements = elements("create_indexes", create_indexes.unwrap_or_default());
    let mut hidden: Vec<u32> = drop_indexes
        .unwrap_or_default()
        .into_iter()
        .flat_map(|oid| existing_index(required("drop_indexes, one element,", oid, "Leave it out.")))
        .collect();
    hidden.sort_unstable();
    let sets = within("parameter_sets", parameter_sets, 1, MOST_SETS);
    let search_path = arguments::search_path(search_path);
    let mut planner = WhatIf::new();
    let (query, created) = with_search_path(&search_path, || {
        let query = Query::analyze("query", text);
        let created: Vec<usize> = statements.iter().map(|statement| planner.add("create_indexes", statement)).collect();
        (query, created)
    });
    let (source, sets) = values(&query, params, sets as usize);
    let rows = with_search_path(&search_path, || {
        sets.into_iter().map(|values| row(&planner, &query, (source, values), &created, &hidden)).collect::<Vec<_>>()
    });
    TableIterator::new(rows)
}

type Row = (Vec<Option<String>>, &'static str, f64, f64, String, String, JsonB, JsonB, Vec<String>, JsonB);

fn row(
    planner: &WhatIf,
    query: &Query,
    (source, values): (ParameterOrigin, Vec<Value>),
    created: &[usize],
    hidden: &[u32],
) -> Row {
    let bound = match source {
        ParameterOrigin::None | ParameterOrigin::Generic => Bound::GENERIC,
        _ => query.bind(&values),
    };
    let (before, after) = (planner.explain(query, bound, &[], &[]), planner.explain(query, bound, created, hidden));
    let name = |number: &usize| planner.index(*number).name().to_string();
    let mut used: Vec<String> = after.planned.created.iter().map(name).collect();
    used.extend(after.planned.existing.iter().filter_map(|oid| relation_name((*oid).into())));
    let indexes = created.iter().map(|number| {
        let index = planner.index(*number);
        json!({
            "name": index.name(),
            "definition": index.statement(),
            "bytes": index.bytes,
            "height": index.height,
            "rows": index.tuples.round(),
            "used": after.planned.created.contains(number),
        })
    });
    let parsed = |text: &str| {
        // A plan is as deep as the query makes it; the server has limited that already.
        let mut json = serde_json::Deserializer::from_str(text);
        json.disable_recursion_limit();
        JsonB(serde_json::Value::deserialize(&mut json).expect("EXPLAIN writes JSON"))
    };
    (
        values.into_iter().map(Value::into_text).collect(),
        source.name(),
        before.planned.cost,
        after.planned.cost,
        before.text,
        after.text,
        parsed(&before.json),
        parsed(&after.json),
        used,
        JsonB(indexes.collect()),
    )
}

/// Where the values come from, and one set of them for each plan.
pub fn values(query: &Query, given: Option<TextArray>, sets: usize) -> (ParameterOrigin, Vec<Vec<Value>>) {
    let number = query.parameters();
    if let Some(given) = given {
        if given.len() > number {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("argument params has {} values, the query {number} parameters", given.len()),
                "The first value is that of $1; those left out are unknown to the planner.",
            )
        }
        let values = given.into_iter().map(|value| value.map_or(Value::Null, Value::Text));
        return (ParameterOrigin::Given, vec![values.collect()]);
    }
    if number == 0 {
        return (ParameterOrigin::None, vec![Vec::new()]);
    }
    let sampled = representative(&query.shape().parameters, number, sets);
    match sampled.is_empty() {
        true => (ParameterOrigin::Generic, vec![Vec::new()]),
        false => (ParameterOrigin::Sampled, sampled),
    }
}

fn existing_index(oid: Oid) -> Vec<u32> {
    if !is_index(oid) {
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("argument drop_indexes: relation with OID {} is not an index", oid.to_u32()),
            "Name existing indexes: 'public.orders_customer_idx'::regclass.",
        )
    }
    with_parts(oid)
}
