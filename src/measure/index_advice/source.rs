//! Where the queries come from, and what each counts.

use super::Request;
use crate::db::{self, raise, with_search_path};
use crate::facts::query::QueryShape;
use crate::facts::{Database, MeasuredStatement, NotPlanned, Source, statements};
use crate::measure::query::{Analyzed, Bound, Chosen, NOT_A_QUERY, Query, Text, Value, may_be_query};
use pgrx::PgSqlErrorCode;
use std::ffi::{CStr, CString};
use std::time::Instant;

#[derive(Clone, Debug)]
pub enum Origin<'a> {
    Statements,
    /// Some of pg_stat_statements.
    Recorded(Vec<&'a MeasuredStatement>),
    /// A table or a query that gives query, calls and mean_ms; the text is a query.
    Query(String),
    Texts(Vec<&'a str>),
    /// Queries that were made of the names of a table and its columns.
    Conditions(Vec<String>),
}

impl Origin<'_> {
    pub fn source(&self) -> Source {
        match self {
            Origin::Statements => Source::Statements,
            Origin::Query(_) => Source::Table,
            Origin::Texts(_) | Origin::Conditions(_) | Origin::Recorded(_) => Source::Texts,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    TotalTime,
    Calls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    Sampled,
    Generic,
    /// Of the only query.
    Given(Vec<Value>),
}

/// A query that was planned as it is.
pub struct Sourced {
    pub queries: Vec<SourcedQuery>,
    pub not_planned: Vec<NotPlanned>,
    pub left_out: u64,
    /// Time did not suffice for all.
    pub cut_off: bool,
}

pub struct SourcedQuery {
    pub query_id: Option<i64>,
    pub text: String,
    pub calls: f64,
    pub mean_ms: Option<f64>,
    pub rows_per_call: Option<f64>,
    /// Planned as it is, unweighted.
    pub cost: f64,
    pub indexes: Vec<u32>,
    pub weight: f64,
    pub shape: QueryShape,
    pub query: Query,
    pub values: Bound,
    /// Whose rights and search_path give the text its meaning.
    pub role: u32,
    pub search_path: CString,
}

struct Counted {
    text: Text,
    query_id: Option<i64>,
    calls: f64,
    mean_ms: Option<f64>,
}

/// Of calls, and of a mean time in ms.
const MOST: f64 = 1e15;

pub fn read(request: &Request, database: &Database, until: Instant) -> Sourced {
    let mut sourced = Sourced { queries: Vec::new(), not_planned: Vec::new(), left_out: 0, cut_off: false };
    let texts = texts(request, database);
    let single = texts.len() == 1 && matches!(request.origin, Origin::Texts(_) | Origin::Conditions(_));
    for (place, Counted { text, query_id, calls, mean_ms }) in texts.into_iter().enumerate() {
        db::check_for_interrupts();
        if place > 0 && Instant::now() > until {
            sourced.cut_off = true;
            break;
        }
        let planned = |how| {
            let analyzed = text.analyze(how);
            let chosen = match &request.parameters {
                Parameters::Sampled => text.plan_with_sampled(&analyzed),
                Parameters::Generic => text.plan_generic(&analyzed),
                Parameters::Given(values) => text.plan_with(&analyzed, values),
            };
            (analyzed, chosen)
        };
        // Of a single query the caller wants to see the server's own error.
        let planned = if single { Ok(planned(Query::analyze)) } else { text.guarded(planned) };
        match planned {
            Ok((Analyzed { shape, .. }, _)) if shape.references.is_empty() && shape.write.is_none() => {
                sourced.left_out += 1;
            }
            Ok((Analyzed { query, shape, role }, Chosen { values, planned, .. })) => {
                sourced.queries.push(SourcedQuery {
                    query_id,
                    calls,
                    mean_ms,
                    rows_per_call: text.rows_per_call,
                    cost: planned.cost,
                    indexes: planned.existing,
                    weight: 0.0,
                    shape,
                    query,
                    values,
                    role,
                    search_path: text.search_path,
                    text: text.text,
                });
            }
            Err(caught) if caught.sqlstate == NOT_A_QUERY => sourced.left_out += 1,
            Err(why) => sourced.not_planned.push(NotPlanned { query_id, text: text.text, calls, why }),
        }
    }
    for query in &mut sourced.queries {
        query.weight = match (request.weigh_by, query.mean_ms) {
            (Weight::TotalTime, Some(mean_ms)) => query.calls * mean_ms / query.cost.max(0.01),
            _ => query.calls,
        };
    }
    sourced
}

fn texts(request: &Request, database: &Database) -> Vec<Counted> {
    let caller = db::current_role();
    let of_caller = |text: String, calls: f64, mean_ms: Option<f64>| Counted {
        text: Text {
            text,
            is_recorded: matches!(request.origin, Origin::Conditions(_)),
            rows_per_call: None,
            role: caller,
            search_path: request.search_path.to_owned(),
        },
        query_id: None,
        calls,
        mean_ms,
    };
    let recorded = |statement: &MeasuredStatement| Counted {
        text: Text::recorded(statement),
        query_id: Some(statement.query_id),
        calls: statement.calls as f64,
        mean_ms: Some(statement.mean_ms()),
    };
    match &request.origin {
        Origin::Conditions(texts) => texts.iter().map(|text| of_caller(text.clone(), 1.0, None)).collect(),
        Origin::Texts(texts) => texts.iter().map(|text| of_caller(text.to_string(), 1.0, None)).collect(),
        Origin::Recorded(statements) => statements.iter().map(|statement| recorded(statement)).collect(),
        Origin::Query(sql) => table(sql, request.search_path, request.max_queries)
            .into_iter()
            .map(|(text, calls, mean_ms)| of_caller(text, calls, mean_ms))
            .collect(),
        Origin::Statements => {
            let Some(statements) = statements(database, request.max_queries) else {
                raise(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "there is no workload: pg_stat_statements is not installed in this database, or not preloaded",
                    "Set shared_preload_libraries = 'pg_stat_statements', restart, CREATE EXTENSION pg_stat_statements; or pass \
                     queries => ARRAY['SELECT …'], or workload => the name of a table with the columns query, calls, mean_ms.",
                )
            };
            let queries = statements.iter().filter(|statement| statement.calls > 0 && may_be_query(&statement.text));
            queries.map(recorded).collect()
        }
    }
}

/// The rows of a table or query of the caller's.
fn table(sql: &str, search_path: &CStr, limit: u32) -> Vec<(String, f64, Option<f64>)> {
    // A line of its own: the text may end with a comment.
    let wrapped = format!(
        "select w.query::text, w.calls::float8, w.mean_ms::float8 from ({sql}\n) w where w.query is not null \
         order by pg_catalog.ln(greatest(coalesce(w.calls::float8, 1), 1e-9)) + pg_catalog.ln(greatest(coalesce(w.mean_ms::float8, 1), 1e-9)) \
         desc nulls last, w.query::text limit $1"
    );
    let rows = with_search_path(search_path, || {
        // Text that is more than one query is refused before it is made part of one.
        Query::analyze("workload", sql);
        db::read(&wrapped, &[i64::from(limit).into()], |row| {
            (row.take::<String>(), row.take_option::<f64>(), row.take_option::<f64>())
        })
    });
    let checked = |column: &str, value: f64| {
        if !(0.0..=MOST).contains(&value) {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("argument workload: {column} is {value}"),
                format!("It goes from 0 to {MOST:e}; null: 1 call, an unknown time."),
            )
        }
        value
    };
    let checked = |(text, calls, mean_ms): (String, Option<f64>, Option<f64>)| {
        let calls = calls.map_or(1.0, |calls| checked("calls", calls));
        (text, calls, mean_ms.map(|mean_ms| checked("mean_ms", mean_ms)))
    };
    rows.into_iter().map(checked).collect()
}
