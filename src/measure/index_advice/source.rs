//! Where the queries come from, and what each counts.

use super::Request;
use crate::db::{self, as_role, guarded, raise, with_search_path};
use crate::facts::query::QueryShape;
use crate::facts::{Database, NotPlanned, Source, statements};
use crate::measure::query::{Bound, Query, UNKNOWN_TYPE, Value, representative};
use crate::measure::what_if::{Planned, WhatIf};
use pgrx::PgSqlErrorCode;
use regex_lite::Regex;
use std::ffi::{CStr, CString};
use std::sync::LazyLock;
use std::time::Instant;

#[derive(Clone, Debug)]
pub enum Origin<'a> {
    Statements,
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
            Origin::Texts(_) | Origin::Conditions(_) => Source::Texts,
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

/// What is printed of a query means the same wherever it is read.
pub const PRINTED_IN: &CStr = c"pg_catalog, pg_temp";

/// Sets of parameter values of which the one is taken whose planned rows are nearest to the measured.
const SETS: usize = 3;

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

struct Text {
    /// By the server or made of names, not written by the caller.
    is_recorded: bool,
    query_id: Option<i64>,
    text: String,
    calls: f64,
    mean_ms: Option<f64>,
    rows_per_call: Option<f64>,
    role: u32,
    search_path: CString,
}

/// Of calls, and of a mean time in ms.
const MOST: f64 = 1e15;
/// SQLSTATE of a statement that is not one plannable query.
const NOT_A_QUERY: &str = "0A000";

pub fn read(request: &Request, database: &Database, until: Instant) -> Sourced {
    let mut sourced = Sourced { queries: Vec::new(), not_planned: Vec::new(), left_out: 0, cut_off: false };
    let texts = texts(request, database);
    let single = texts.len() == 1 && request.origin.source() == Source::Texts;
    for (place, text) in texts.into_iter().enumerate() {
        db::check_for_interrupts();
        if place > 0 && Instant::now() > until {
            sourced.cut_off = true;
            break;
        }
        // Of a single query the caller wants to see the server's own error.
        let analyzed = match single {
            true => Ok(analyze(&text, &request.parameters, Query::analyze)),
            false => guarded(|| analyze(&text, &request.parameters, Query::analyze)).or_else(|first| {
                match text.query_id.is_some() && UNKNOWN_TYPE.contains(&first.sqlstate.as_str()) {
                    // Another error than the first is not what is wrong with the text.
                    true => {
                        guarded(|| analyze(&text, &request.parameters, Query::analyze_with_integers)).map_err(|_| first)
                    }
                    false => Err(first),
                }
            }),
        };
        match analyzed {
            Ok(Analyzed { shape, .. }) if shape.references.is_empty() && shape.write.is_none() => {
                sourced.left_out += 1;
            }
            Ok(Analyzed { query, shape, values, planned, role }) => sourced.queries.push(SourcedQuery {
                query_id: text.query_id,
                calls: text.calls,
                mean_ms: text.mean_ms,
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
            }),
            Err(caught) if caught.sqlstate == NOT_A_QUERY => sourced.left_out += 1,
            Err(why) => sourced.not_planned.push(NotPlanned {
                query_id: text.query_id,
                text: text.text,
                calls: text.calls,
                why,
            }),
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

struct Analyzed {
    query: Query,
    shape: QueryShape,
    values: Bound,
    /// As things are.
    planned: Planned,
    role: u32,
}

/// The role that ran it; of a superuser, the owner of what the query names, if that is another's: planning runs the owner's
/// code as it is now.
fn planning_role(text: &Text, query: &Query) -> u32 {
    if !text.is_recorded || !db::is_superuser(text.role) {
        return text.role;
    }
    match query.lesser_owners().as_slice() {
        [] => text.role,
        [owner] => *owner,
        _ => raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "a superuser ran it, and planning it would run what several other roles own",
            "Pass it in queries => ARRAY[…] if you trust the owners of its tables and functions.",
        ),
    }
}

fn analyze(text: &Text, parameters: &Parameters, how: fn(&str, &str) -> Query) -> Analyzed {
    if !db::may_become(text.role) {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "it is planned with the rights of the role that ran it, which the caller may not become",
            "GRANT the role to the caller, or call as a superuser.",
        )
    }
    let planner = WhatIf::new();
    let query = as_role(text.role, &text.search_path, || how("query", &text.text));
    let role = planning_role(text, &query);
    // Planned too, with a look at permissions, but printed in a search_path in which names are qualified.
    let shape = as_role(role, PRINTED_IN, || query.shape());
    let plan = |values: Bound| as_role(role, &text.search_path, || planner.plan(&query, values, &[], &[]));
    let sets = match parameters {
        Parameters::Sampled if query.parameters() > 0 => sample(role, &query, &shape),
        Parameters::Given(values) => vec![values.clone()],
        _ => Vec::new(),
    };
    // How far a plan's rows are from those measured; without a measurement the first set is as good as any.
    let distance = |rows: f64| match text.rows_per_call {
        Some(measured) => ((rows + 1.0) / (measured + 1.0)).ln().abs(),
        None => 0.0,
    };
    let mut best: Option<(Bound, Planned, f64)> = None;
    for set in sets {
        let values = as_role(role, &text.search_path, || query.bind(&set));
        let planned = plan(values);
        let found = distance(planned.rows);
        if best.as_ref().is_none_or(|(_, _, least)| found < *least) {
            best = Some((values, planned, found));
        }
    }
    let (values, planned) = match best {
        Some((values, planned, _)) => (values, planned),
        None => (Bound::GENERIC, plan(Bound::GENERIC)),
    };
    Analyzed { query, shape, values, planned, role }
}

fn sample(role: u32, query: &Query, shape: &QueryShape) -> Vec<Vec<Value>> {
    // What the role may not see it is not shown.
    as_role(role, PRINTED_IN, || representative(&shape.parameters, query.parameters(), SETS))
}

fn texts(request: &Request, database: &Database) -> Vec<Text> {
    let caller = db::current_role();
    let of_caller = |text: String, calls: f64, mean_ms: Option<f64>| Text {
        is_recorded: matches!(request.origin, Origin::Conditions(_)),
        query_id: None,
        text,
        calls,
        mean_ms,
        rows_per_call: None,
        role: caller,
        search_path: request.search_path.to_owned(),
    };
    match &request.origin {
        Origin::Conditions(texts) => texts.iter().map(|text| of_caller(text.clone(), 1.0, None)).collect(),
        Origin::Texts(texts) => texts.iter().map(|text| of_caller(text.to_string(), 1.0, None)).collect(),
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
            statements
                .into_iter()
                .filter(|statement| statement.calls > 0 && may_be_query(&statement.text))
                .map(|statement| Text {
                    is_recorded: true,
                    query_id: Some(statement.query_id),
                    calls: statement.calls as f64,
                    mean_ms: Some(statement.total_ms / statement.calls as f64),
                    rows_per_call: Some(statement.rows as f64 / statement.calls as f64),
                    role: statement.role,
                    search_path: schemas(&statement.search_path),
                    text: statement.text,
                })
                .collect()
        }
    }
}

/// pg_stat_statements puts parameters into utility statements too, where the parser takes none.
fn may_be_query(text: &str) -> bool {
    const QUERIES: [&str; 8] = ["select", "with", "values", "table", "insert", "update", "delete", "merge"];
    static BEFORE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(?:\s|\(|--[^\n]*\n|/\*(?s:.*?)\*/)+").expect("a constant"));
    let text = BEFORE.replace(text, "");
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    QUERIES.iter().any(|query| word.eq_ignore_ascii_case(query))
}

fn schemas(setting: &str) -> CString {
    CString::new(setting).expect("settings hold no zero byte")
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
