//! `dbre.index_advice()` and `dbre.suggest_index()`.

use super::advice::advice;
use super::arguments::{self, TextArray, bytes, choice, duration, elements, names_of_schemas, required, within};
use crate::advice::index_selection::Options;
use crate::db::raise;
use crate::engine::{self, Reported, Run};
use crate::facts::{Facts, Name};
use crate::finding::severity;
use crate::measure::index_advice::{Origin, Parameters, Request, Weight, advise};
use crate::rule::Need;
use pgrx::datum::Interval;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::Value;
use std::ffi::CStr;
use std::time::Duration;

const ONE_QUERY_SECONDS: u64 = 30;
const MOST_QUERIES: i32 = 100_000;

advice! {
    /// Which indexes a query or a workload would profit from, and which a workload does not need; findings in the order in which
    /// their fixes are to be run: each counts on those before it. Nothing is built or executed.
    ///
    /// The workload: `query`, one statement, whose errors are raised; or `queries`; or `workload`, a table or a query with the
    /// columns query, calls and mean_ms; all of them planned with the caller's rights, unqualified names looked up in
    /// `search_path`. Without these it is that of pg_stat_statements, planned with the rights of the roles that ran it; raises
    /// an error when there is none. A query of several that cannot be planned is a finding; the rest goes on. When `time_limit`
    /// is up the best so far is returned and says so.
    sql: r#"
create function index_advice(
    query text default null,
    budget text default null,
    workload text default null,
    queries text[] default null,
    weigh_by text default 'total_time',
    max_indexes_per_table int default 5,
    max_queries int default 1000,
    min_benefit_percent float8 default 1,
    drop_indexes boolean default true,
    parameters text default 'sampled',
    schemas text[] default null,
    time_limit interval default '30 s',
    search_path text default pg_catalog.current_setting('search_path')
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn index_advice(
        query: Option<&str>,
        budget: Option<&str>,
        workload: Option<&str>,
        queries: Option<TextArray>,
        weigh_by: Option<&str>,
        max_indexes_per_table: Option<i32>,
        max_queries: Option<i32>,
        min_benefit_percent: Option<f64>,
        drop_indexes: Option<bool>,
        parameters: Option<&str>,
        schemas: Option<TextArray>,
        time_limit: Option<Interval>,
        search_path: Option<&str>,
    ) {
        let queries = queries.map(|queries| elements("queries", queries));
        let origin = origin(query, workload, queries.as_deref());
        let settings = Settings {
            weigh_by: *choice("weigh_by", weigh_by, &[("total_time", Weight::TotalTime), ("calls", Weight::Calls)]),
            parameters: choice(
                "parameters",
                parameters,
                &[("sampled", Parameters::Sampled), ("generic", Parameters::Generic)],
            )
            .clone(),
            max_queries: within("max_queries", max_queries, 1, MOST_QUERIES) as u32,
            time_limit: duration("time_limit", time_limit),
            options: Options {
                budget: budget.map(|budget| bytes("budget", budget)),
                max_indexes_per_table: within("max_indexes_per_table", max_indexes_per_table, 0, 100) as usize,
                min_benefit_percent: within("min_benefit_percent", min_benefit_percent, 0.0, 100.0),
                drop_indexes: required("drop_indexes", drop_indexes, "Pass true or false."),
                ..Options::default()
            },
        };
        search(origin, settings, schemas, &arguments::search_path(search_path))
    }
}

advice! {
    /// Which index serves conditions on these columns of a table, for someone who has no query at hand: equality on each.
    ///
    /// Findings as those of index_advice(): none when an index is there or none would be used.
    sql: r#"
create function suggest_index("table" regclass, columns text[])
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn suggest_index(
        table: Option<Oid>, columns: Option<TextArray>
    ) {
        let table = required("table", table, "Name a table: 'public.orders'.");
        let columns = required("columns", columns, "Name columns of the table: array['customer_id', 'status'].");
        let Some(name) = crate::measure::what_if::relation_name(table) else {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("argument table: there is no relation with OID {}", table.to_u32()),
                "Name a table: 'public.orders'.",
            )
        };
        let mut conditions = Vec::new();
        for column in columns {
            let column = required("columns, one element,", column, "Name columns of the table.");
            let condition = format!("{} = ${}", Name::from(column), conditions.len() + 1);
            conditions.push(condition);
        }
        if conditions.is_empty() {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "argument columns is an empty array",
                "Name columns of the table: array['customer_id', 'status'].",
            )
        }
        let query = format!("SELECT * FROM {name} WHERE {}", conditions.join(" AND "));
        search(Origin::Conditions(vec![query]), Settings::of_one_query(), None, c"pg_catalog, pg_temp")
    }
}

struct Settings {
    weigh_by: Weight,
    parameters: Parameters,
    max_queries: u32,
    time_limit: Duration,
    options: Options,
}

impl Settings {
    fn of_one_query() -> Settings {
        Settings {
            weigh_by: Weight::Calls,
            parameters: Parameters::Sampled,
            max_queries: 1,
            time_limit: Duration::from_secs(ONE_QUERY_SECONDS),
            options: Options { drop_indexes: false, ..Options::default() },
        }
    }
}

fn search(origin: Origin, settings: Settings, schemas: Option<TextArray>, search_path: &CStr) -> Run {
    let schemas = names_of_schemas(schemas);
    let needs = [Need::Catalog, Need::RelationNames];
    let mut facts = Facts::read(&needs, schemas.as_deref());
    super::check::refuse_unread(&facts, &needs);
    let request = Request {
        origin,
        weigh_by: settings.weigh_by,
        parameters: settings.parameters,
        max_queries: settings.max_queries,
        time_limit: settings.time_limit,
        options: settings.options,
        search_path,
    };
    facts.advise(|database, catalog| advise(request, database, catalog));
    let mut run = engine::judge(Need::IndexAdvice, facts);
    super::check::refuse_total_failure(&run);
    let step = |reported: &Reported| reported.finding.evidence.get("step").and_then(Value::as_u64);
    // Creations first, in the order of the search; then drops, which count on them, and what is only told.
    run.findings.sort_by_key(|reported| (step(reported).unwrap_or(u64::MAX), reported.rule.id));
    run
}

fn origin<'a>(query: Option<&'a str>, workload: Option<&str>, queries: Option<&'a [String]>) -> Origin<'a> {
    const HINT: &str = "Give one of query, workload and queries, or none of them for pg_stat_statements.";
    let refuse = |message: &str| -> ! { raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, HINT) };
    match (query, workload, queries) {
        (None, None, None) => Origin::Statements,
        (Some(query), None, None) => Origin::Texts(vec![query]),
        (None, Some(workload), None) => Origin::Query(workload_query(workload)),
        (None, None, Some([])) => refuse("argument queries is an empty array"),
        (None, None, Some(queries)) => Origin::Texts(queries.iter().map(String::as_str).collect()),
        _ => refuse("more than one of the arguments query, workload and queries is given"),
    }
}

/// A query as it is; the name of a table becomes one.
fn workload_query(text: &str) -> String {
    let trimmed = text.trim().trim_end_matches(';').trim_end();
    let word = trimmed.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
    let query = trimmed.contains(char::is_whitespace) && ["select", "with", "values", "table"].contains(&word.as_str());
    match query || trimmed.starts_with('(') {
        true => trimmed.to_string(),
        false => format!("select query, calls, mean_ms from {trimmed}"),
    }
}
