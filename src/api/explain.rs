//! `dbre.explain_findings()`, `dbre.plan_findings()` and `dbre.plan_nodes()`.

use super::advice::advice;
use super::arguments::{self, TextArray, duration, required};
use super::what_if::values;
use crate::advice::plan_partitions;
use crate::db::{PRINTING, raise, with_search_path, with_settings};
use crate::engine::{self, Run};
use crate::facts::plan::{self, Plan};
use crate::facts::{Explained, Facts, IndexAdvice, ParameterOrigin, PlanOrigin, shortened};
use crate::finding::severity;
use crate::measure::explain::{self, Request, Rights};
use crate::measure::query::Query;
use crate::rule::{Need, Rule};
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::json;
use std::cmp::Reverse;

advice! {
    /// What makes a query slow, and what would make it fast; findings ranked by the share of its time (its cost, where it is
    /// not run) that each explains.
    ///
    /// `query` is one SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES. It is planned; with `"analyze"` (a reserved word: by
    /// name it is quoted) it is run, in a subtransaction that is rolled back, read-only unless `allow_writes`, and stopped when
    /// `time_limit` is up: what it had done by then is judged. Sequences, and what functions do outside of the database, are
    /// not rolled back. Values of `$1` and so on are those of `params`, or chosen from column statistics, or (where it is not
    /// run) left open; evidence says which. `compare_runs` runs it again under each setting that is tried. Indexes, join
    /// orders and work_mem are proved by planning the query again with them.
    sql: r#"
create function explain_findings(
    query text,
    "analyze" boolean default false,
    params text[] default null,
    allow_writes boolean default false,
    compare_runs boolean default false,
    time_limit interval default '30 s',
    search_path text default pg_catalog.current_setting('search_path')
)
returns setof advice
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn explain_findings(
        query: Option<&str>,
        analyze: Option<bool>,
        params: Option<TextArray>,
        allow_writes: Option<bool>,
        compare_runs: Option<bool>,
        time_limit: Option<Interval>,
        search_path: Option<&str>,
    ) {
        let arguments = Arguments { query, analyze, params, allow_writes, compare_runs, time_limit, search_path };
        let (facts, explained) = arguments.with_request(|request| {
            let mut facts = read_facts();
            facts.set_statement(with_search_path(request.search_path, || request.query.statement()));
            let explained = explain::explain(request, &facts.database, facts.catalog());
            (facts, explained)
        });
        findings(facts, explained, |rule| rule.needs.contains(&Need::Plan) || RULES_ON_TEXTS.contains(&rule.id))
    }
}

advice! {
    /// What a plan from elsewhere shows: from EXPLAIN in JSON or text format, with or without ANALYZE, or auto_explain. Its
    /// relations are looked up here by name; nothing of it is planned or run. Raises an error when it is no plan.
    sql: r#"
create function plan_findings(plan text)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn plan_findings(
        plan: Option<&str>
    ) {
        let runs = given_plans(plan).into_iter().map(|plan| {
            let facts = read_facts();
            let explained = explain::given(plan, &facts.database, facts.catalog());
            findings(facts, explained, |rule| rule.needs.contains(&Need::Plan))
        });
        let merged = runs.reduce(|mut all, run| {
            all.findings.extend(run.findings);
            all
        });
        merged.expect("what holds no plan was refused")
    }
}

const WHAT_A_PLAN_IS: &str = "Pass what EXPLAIN (FORMAT JSON), EXPLAIN or auto_explain wrote.";

fn given_plans(text: Option<&str>) -> Vec<Plan> {
    let text = required("plan", text, WHAT_A_PLAN_IS);
    plan::read(text).unwrap_or_else(|wrong| {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument plan: {} (at {})", wrong.message, wrong.at),
            wrong.hint,
        )
    })
}

struct Arguments<'a> {
    query: Option<&'a str>,
    analyze: Option<bool>,
    params: Option<TextArray>,
    allow_writes: Option<bool>,
    compare_runs: Option<bool>,
    time_limit: Option<Interval>,
    search_path: Option<&'a str>,
}

impl Arguments<'_> {
    fn with_request<T>(self, body: impl FnOnce(&Request) -> T) -> T {
        const YES_OR_NO: &str = "Pass true or false.";
        let text = required("query", self.query, "Pass the text of one statement.");
        let search_path = arguments::search_path(self.search_path);
        let analyze = required("analyze", self.analyze, YES_OR_NO);
        let allow_writes = required("allow_writes", self.allow_writes, YES_OR_NO);
        let compare_runs = required("compare_runs", self.compare_runs, YES_OR_NO);
        let time_limit = duration("time_limit", self.time_limit);
        if compare_runs && !analyze {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "argument compare_runs is true, but analyze is not",
                "Pass \"analyze\" => true, so that there is a run to compare with.",
            )
        }
        let query = with_search_path(&search_path, || Query::analyze("query", text));
        if analyze && query.write().is_some() && !allow_writes {
            raise(
                PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
                "argument query writes, and analyze would run it",
                "Pass allow_writes => true (what it wrote is rolled back), or leave analyze out: then it is only planned.",
            )
        }
        let (parameters, mut sets) = values(&query, self.params, 1);
        body(&Request {
            text,
            values: sets.pop().unwrap_or_default(),
            parameters,
            analyze,
            allow_writes,
            compare_runs,
            time_limit,
            search_path: &search_path,
            rights: Rights::Caller,
            query,
        })
    }
}

fn read_facts() -> Facts {
    let needs = [Need::Catalog, Need::RelationNames];
    let facts = with_settings(&PRINTING, || Facts::read(&needs, None));
    super::check::refuse_unread(&facts, &needs);
    facts
}

/// What is in a query's text and no plan shows.
const RULES_ON_TEXTS: [&str; 4] =
    ["count_for_existence", "distinct_over_fan_out", "not_in_nullable", "or_across_tables"];

fn findings(mut facts: Facts, (explained, advice): (Explained, IndexAdvice), takes: impl Fn(&Rule) -> bool) -> Run {
    let about = about(&explained);
    facts.advise(|_, _| advice);
    facts.explain(explained);
    let mut run = with_settings(&PRINTING, || judge_plan(facts, takes));
    super::check::refuse_total_failure(&run);
    for reported in &mut run.findings {
        reported.finding.evidence.insert("plan".to_string(), about.clone());
    }
    run.findings.sort_by_key(|reported| {
        (Reverse(reported.finding.weight), reported.finding.severity, reported.rule.id, reported.fingerprint.clone())
    });
    run
}

/// What is given for a plan.
pub(super) const GIVEN: [Need; 3] = [Need::Plan, Need::IndexAdvice, Need::Statement];

/// Runs these rules on facts that hold a plan. Of one that reads nothing there is only a text to judge.
pub(super) fn judge_plan(facts: Facts, takes: impl Fn(&Rule) -> bool) -> Run {
    let reads_nothing = facts.explained().plan.nodes.is_empty();
    let takes = |rule: &Rule| takes(rule) && !(reads_nothing && rule.needs.contains(&Need::Plan));
    let mut run = engine::judge_with(&GIVEN, facts, takes);
    run.findings = plan_partitions::merged(run.findings, &run.facts);
    run
}

/// Where the plan's figures come from.
fn about(explained: &Explained) -> serde_json::Value {
    let mut about = json!({
        "from": match explained.origin {
            PlanOrigin::Planned => "planned, not run",
            PlanOrigin::Run => "run",
            PlanOrigin::Stopped { in_triggers: false, .. } => "run until time_limit",
            PlanOrigin::Stopped { in_triggers: true, .. } => "run; time_limit was up while triggers ran",
            PlanOrigin::Given => "given",
        },
        "planning_ms": explained.plan.planning_ms,
        "execution_ms": explained.plan.execution_ms(),
        "cost": explained.plan.nodes.first().map(|root| root.total_cost),
    });
    if let Some(query) = &explained.plan.query {
        about["query"] = json!(shortened(query));
    }
    if explained.parameters != ParameterOrigin::None {
        about["parameters_from"] = json!(explained.parameters.name());
        about["parameters"] = json!(explained.values);
    }
    about
}

/// One row for each node of a query's plan, in EXPLAIN's order. Times in ms and blocks are of all executions, without those of
/// the nodes below where the name says `own`. Arguments as those of explain_findings(); or `plan`, as plan_findings() takes
/// it.
#[pg_extern(
    volatile,
    sql = r#"
create function plan_nodes(
    query text default null,
    "analyze" boolean default false,
    params text[] default null,
    allow_writes boolean default false,
    time_limit interval default '30 s',
    plan text default null,
    search_path text default pg_catalog.current_setting('search_path')
)
returns table (
    node int,
    parent int,
    path text,
    type text,
    relation text,
    index_name text,
    condition text,
    share float8,
    own_ms float8,
    total_ms float8,
    own_cost float8,
    total_cost float8,
    estimated_rows float8,
    actual_rows float8,
    loops float8,
    estimate_error float8,
    rows_removed float8,
    own_shared_hit_blocks float8,
    own_shared_read_blocks float8,
    own_shared_dirtied_blocks float8,
    own_temp_read_blocks float8,
    own_temp_written_blocks float8,
    own_wal_bytes float8
)
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#
)]
#[allow(
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "options with defaults, the columns of the result"
)]
fn plan_nodes(
    query: Option<&str>,
    analyze: Option<bool>,
    params: Option<TextArray>,
    allow_writes: Option<bool>,
    time_limit: Option<Interval>,
    plan: Option<&str>,
    search_path: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(node, i32),
        name!(parent, Option<i32>),
        name!(path, String),
        name!(r#type, String),
        name!(relation, Option<String>),
        name!(index_name, Option<String>),
        name!(condition, Option<String>),
        name!(share, f64),
        name!(own_ms, Option<f64>),
        name!(total_ms, Option<f64>),
        name!(own_cost, f64),
        name!(total_cost, f64),
        name!(estimated_rows, f64),
        name!(actual_rows, Option<f64>),
        name!(loops, Option<f64>),
        name!(estimate_error, Option<f64>),
        name!(rows_removed, Option<f64>),
        name!(own_shared_hit_blocks, Option<f64>),
        name!(own_shared_read_blocks, Option<f64>),
        name!(own_shared_dirtied_blocks, Option<f64>),
        name!(own_temp_read_blocks, Option<f64>),
        name!(own_temp_written_blocks, Option<f64>),
        name!(own_wal_bytes, Option<f64>),
    ),
> {
    let plan = match (query, plan) {
        (Some(_), None) => {
            let compare_runs = Some(false);
            let arguments = Arguments { query, analyze, params, allow_writes, compare_runs, time_limit, search_path };
            arguments.with_request(explain::plan)
        }
        (None, Some(_)) => given_plans(plan).swap_remove(0),
        _ => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "one of the arguments query and plan must be given, and not both",
            "Pass query => 'select …', or plan => what EXPLAIN (FORMAT JSON) wrote.",
        ),
    };
    let rows = (0..plan.nodes.len()).map(|number| {
        let node = &plan.nodes[number];
        let blocks = plan.own_blocks(number);
        let relation = node.relation.as_ref().map(|relation| {
            let names = relation.schema.iter().chain([&relation.name]);
            names.map(|name| crate::db::quote_identifier(name)).collect::<Vec<_>>().join(".")
        });
        let conditions: Vec<&str> = node.conditions().collect();
        (
            number as i32,
            node.parent.map(|parent| parent as i32),
            plan.path(number).to_string(),
            node.kind.clone(),
            relation,
            node.index.clone(),
            (!conditions.is_empty()).then(|| conditions.join(" and ")),
            to_digits(plan.share(number), 4),
            plan.own_ms(number).map(|ms| to_digits(ms, 3)),
            plan.total_ms(number).map(|ms| to_digits(ms, 3)),
            to_digits(plan.own_cost(number), 2),
            node.total_cost,
            to_digits(plan.estimated_total_rows(number), 0),
            plan.total_rows(number),
            node.actual.map(|actual| actual.loops),
            plan.estimate_error(number).map(|error| to_digits(error, 1)),
            plan.is_analyzed().then(|| plan.removed_rows(number)),
            blocks.map(|blocks| blocks.shared_hit),
            blocks.map(|blocks| blocks.shared_read),
            blocks.map(|blocks| blocks.shared_dirtied),
            blocks.map(|blocks| blocks.temp_read),
            blocks.map(|blocks| blocks.temp_written),
            plan.own_wal(number).map(|wal| wal.bytes),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

fn to_digits(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}
