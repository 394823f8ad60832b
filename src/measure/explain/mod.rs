//! A query's plan, planned or run, with all that the rules on plans want to know beside it.

mod recorded;
mod relate;
mod run;
mod samples;
mod trials;

pub use recorded::{Recorded, recorded};
pub use relate::given;

use super::index_advice::{self, Origin, Parameters, Weight};
use super::query::{Bound, Query, Value};
use super::what_if::WhatIf;
use crate::advice::index_selection::Options;
use crate::db::{PRINTING, as_role, raise, with_search_path, with_settings};
use crate::facts::plan::{self, Plan};
use crate::facts::{Catalog, Database, Explained, IndexAdvice, MeasuredStatement, ParameterOrigin, PlanOrigin};
use pgrx::PgSqlErrorCode;
use run::{Execution, Ran, run};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// What to explain, and how.
pub struct Request<'a> {
    pub query: Query,
    pub text: &'a str,
    pub values: Vec<Value>,
    pub parameters: ParameterOrigin,
    /// Run it.
    pub analyze: bool,
    pub allow_writes: bool,
    /// Run it again under the settings that are tried.
    pub compare_runs: bool,
    pub time_limit: Duration,
    pub search_path: &'a CStr,
    pub rights: Rights<'a>,
}

/// With whose rights a query is planned, and run.
#[derive(Clone, Copy)]
pub enum Rights<'a> {
    Caller,
    /// Of the role with which a recorded statement may be planned. It is not run.
    Of(u32, &'a MeasuredStatement),
}

impl Request<'_> {
    /// Plans with the rights and in the search_path that give the text its meaning.
    fn planning<T>(&self, body: impl FnOnce() -> T) -> T {
        match self.rights {
            Rights::Caller => with_search_path(self.search_path, body),
            Rights::Of(role, _) => as_role(role, self.search_path, body),
        }
    }
}

/// Proofs take at most this share of the time that the query took when it was run …
const SHARE_OF_RUN: f64 = 0.05;
/// … but this long in any case, and never longer than that.
const LEAST_FOR_PROOFS: Duration = Duration::from_millis(300);
const MOST_FOR_PROOFS: Duration = Duration::from_secs(2);
/// Plans that cost less are not worth a search for indexes.
const LEAST_COST: f64 = 50.0;

/// The plan, and indexes that would make it cheaper. Raises the statement's own error when running it fails.
pub fn explain(request: &Request, database: &Database, catalog: &Catalog) -> (Explained, IndexAdvice) {
    let (plan, origin) = plan_or_run(request);
    with_settings(&PRINTING, || with_proofs(request, plan, origin, database, catalog))
}

/// The plan alone.
pub fn plan(request: &Request) -> Plan {
    plan_or_run(request).0
}

fn plan_or_run(request: &Request) -> (Plan, PlanOrigin) {
    match request.analyze {
        true => run_it(request),
        false => (planned(request), PlanOrigin::Planned),
    }
}

fn with_proofs(
    request: &Request,
    plan: Plan,
    origin: PlanOrigin,
    database: &Database,
    catalog: &Catalog,
) -> (Explained, IndexAdvice) {
    let for_proofs = match plan.execution_ms {
        Some(ms) => Duration::from_secs_f64(ms * SHARE_OF_RUN / 1000.0).clamp(LEAST_FOR_PROOFS, MOST_FOR_PROOFS),
        None => MOST_FOR_PROOFS.min(request.time_limit),
    };
    let deadline = Instant::now() + for_proofs;
    let advice = match is_worth_a_search(&plan) {
        true => advise(request, database, catalog, for_proofs),
        false => IndexAdvice::none(),
    };
    let mut explained = relate::with_catalog(plan, origin, catalog);
    explained.text = Some(request.text.to_string());
    explained.parameters = request.parameters;
    explained.values = request.values.iter().cloned().map(Value::into_text).collect();
    explained.write = request.query.write().cloned();
    explained.scan_of_step = relate::scans_of_steps(&explained, &advice, catalog);
    explained.trials = trials::try_settings(request, &explained, deadline);
    explained.samples = samples::draw(&explained, catalog, deadline);
    (explained, advice)
}

fn bound(request: &Request) -> Bound {
    match request.parameters {
        ParameterOrigin::None | ParameterOrigin::Generic => Bound::GENERIC,
        ParameterOrigin::Given | ParameterOrigin::Sampled => request.query.bind(&request.values),
    }
}

/// Of a statement that writes, the plan that finds its rows; no nodes, if it reads nothing.
fn planned(request: &Request) -> Plan {
    let begun = Instant::now();
    let json = request.planning(|| WhatIf::new().explain_verbosely(&request.query, bound(request)));
    let planning_ms = begun.elapsed().as_secs_f64() * 1000.0;
    Plan { planning_ms: Some(planning_ms), ..json.map(|json| plan_of(&json)).unwrap_or_default() }
}

fn run_it(request: &Request) -> (Plan, PlanOrigin) {
    let Ran { json, planning_ms, execution_ms, stopped, in_triggers } = run(&execution(request, request.time_limit));
    let origin = match stopped {
        true => PlanOrigin::Stopped { after_ms: execution_ms, in_triggers },
        false => PlanOrigin::Run,
    };
    let plan = match json {
        Some(json) => plan_of(&json),
        None => planned(request),
    };
    (Plan { planning_ms: Some(planning_ms), execution_ms: Some(execution_ms), ..plan }, origin)
}

fn execution<'a>(request: &'a Request, time_limit: Duration) -> Execution<'a> {
    Execution {
        text: request.query.text(),
        values: &request.values,
        time_limit,
        allow_writes: request.allow_writes,
        search_path: request.search_path,
    }
}

fn plan_of(json: &str) -> Plan {
    let plans = plan::read(json).unwrap_or_else(|wrong| {
        raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("the plan of argument query cannot be read: {wrong}"),
            "Split the query: its plan has too many or too deep nodes.",
        )
    });
    plans.into_iter().next().unwrap_or_default()
}

fn is_worth_a_search(plan: &Plan) -> bool {
    let scans_or_sorts = |kind: &str| kind.ends_with("Scan") || kind.ends_with("Sort");
    let root = plan.nodes.first();
    root.is_some_and(|root| root.total_cost >= LEAST_COST) && plan.nodes.iter().any(|node| scans_or_sorts(&node.kind))
}

fn advise(request: &Request, database: &Database, catalog: &Catalog, time_limit: Duration) -> IndexAdvice {
    let parameters = match request.parameters {
        ParameterOrigin::None | ParameterOrigin::Generic => Parameters::Generic,
        ParameterOrigin::Given | ParameterOrigin::Sampled => Parameters::Given(request.values.clone()),
    };
    let origin = match request.rights {
        Rights::Caller => Origin::Texts(vec![request.text]),
        Rights::Of(_, statement) => Origin::Recorded(vec![statement]),
    };
    let request = index_advice::Request {
        origin,
        weigh_by: Weight::Calls,
        parameters,
        max_queries: 1,
        time_limit,
        options: Options { drop_indexes: false, ..Options::default() },
        search_path: request.search_path,
    };
    index_advice::advise(request, database, catalog)
}
