//! `dbre.workload_findings()`.

use super::advice::advice;
use super::arguments::{duration, within};
use super::n_plus_one;
use super::recorded_plans::{self, Plans};
use super::slow_queries::targets;
use crate::advice::measured_query;
use crate::advice::workload_plans::{self, Load};
use crate::db::raise;
use crate::engine::{self, Reported, Run};
use crate::facts::{Database, Facts, MeasuredStatement, StatementStatistics};
use crate::finding::{Finding, Severity, severity};
use crate::measure::query::may_be_query;
use crate::rule::{Need, Rule};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

const MOST_QUERIES: i32 = 10_000;

advice! {
    /// What is wrong with the workload that pg_stat_statements has counted; most urgent first.
    ///
    /// Judges the `max_queries` statements that lead by total time, mean, deviation, reads, temporary files, WAL, planning, JIT
    /// and growth since the snapshot taken at `compare_with` or last before it (null: the newest); what they repeat for each row
    /// of another (N+1); and text and plan of as many, those that a finding names before those that take most time. They are
    /// planned with the rights of the roles that ran them, which the caller must be allowed to become, with values from column
    /// statistics; nothing is executed. When `time_limit` is up a finding names those that are left.
    sql: r#"
create function workload_findings(
    max_queries int default 20,
    time_limit interval default '30 s',
    compare_with timestamptz default null
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn workload_findings(
        max_queries: Option<i32>, time_limit: Option<Interval>, compare_with: Option<TimestampWithTimeZone>
    ) {
        let begun = Instant::now();
        let leaders = within("max_queries", max_queries, 1, MOST_QUERIES) as usize;
        let deadline = begun + duration("time_limit", time_limit);
        judge(leaders, compare_with, deadline)
    }
}

/// Of the time, what analyzing texts for N+1 may take.
const SHARE_FOR_LOOKUPS: f64 = 0.3;
const MOST_LOOKUPS: u32 = 1000;
/// Of a longer plan the beginning is shown.
const PLAN_CHARACTERS: usize = 4000;
/// What is read before the rules run.
const READ: [Need; 3] = [Need::StatementStatistics, Need::Lookups, Need::Bursts];

fn judge(leaders: usize, compare_with: Option<TimestampWithTimeZone>, deadline: Instant) -> Run {
    let mut needs = engine::needs(&READ, takes);
    needs.extend(recorded_plans::needs());
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    let statistics = statistics(&facts.database, leaders, compare_with);
    facts.set_statement_statistics(statistics);
    let left = deadline.saturating_duration_since(Instant::now());
    n_plus_one::read(&mut facts, MOST_LOOKUPS, Instant::now() + left.mul_f64(SHARE_FOR_LOOKUPS));
    let mut run = engine::judge_with(&READ, facts, takes);
    super::check::refuse_total_failure(&run);
    n_plus_one::tell_once(&mut run);
    let statements = worst(&run, leaders);
    let (mut run, plans) = recorded_plans::judge(run, &statements, deadline);
    run.sort_by_urgency();
    workload_plans::indexes_once(&mut run.findings);
    tell_plans(&mut run.findings, &plans);
    run
}

/// How N+1 is watched is said by dbre.n_plus_one().
fn takes(rule: &Rule) -> bool {
    rule.needs.iter().any(|need| READ.contains(need)) && rule.id != "n_plus_one_not_watched"
}

/// Queries that a finding names, then those that take most time.
fn worst(run: &Run, number: usize) -> Vec<(MeasuredStatement, Load)> {
    let statistics = run.facts.statement_statistics();
    let notable = run.findings.iter().filter(|reported| reported.finding.severity < Severity::low);
    let named: HashSet<(i64, String)> = notable.filter_map(|reported| measured(&reported.finding)).collect();
    let judged = measured_query::judged(&run.facts).map(|(statement, _)| statement);
    let mut statements: Vec<&MeasuredStatement> =
        judged.filter(|statement| statement.calls > 0 && may_be_query(&statement.text)).collect();
    // The sort is stable: by time within each.
    statements.sort_by_key(|statement| !named.contains(&(statement.query_id, statement.role_name.clone())));
    let with_load = |statement: &MeasuredStatement| {
        let load = Load { share: statistics.share(statement), backends: statistics.busy(statement.total_ms) };
        (statement.clone(), load)
    };
    statements.into_iter().take(number).map(with_load).collect()
}

/// What was measured of a statement is shown with its plan, and with what was found in that.
fn tell_plans(findings: &mut [Reported], plans: &Plans) {
    let mut causes = HashMap::<(i64, String), Vec<Value>>::new();
    for Reported { fingerprint, rule, finding, .. } in findings.iter().filter(|reported| !is_measured(reported)) {
        if let Some(measured) = measured(finding) {
            let cause = json!({"fingerprint": fingerprint, "rule": rule.id, "summary": finding.summary});
            causes.entry(measured).or_default().push(cause);
        }
    }
    for reported in findings.iter_mut().filter(|reported| is_measured(reported)) {
        let Some(measured) = measured(&reported.finding) else { continue };
        let Finding { evidence, cause, .. } = &mut reported.finding;
        if let Some(plan) = plans.get(&measured) {
            evidence.insert("plan".to_string(), json!(plan.chars().take(PLAN_CHARACTERS).collect::<String>()));
        }
        if let Some(causes) = causes.get(&measured) {
            let first = causes.first().and_then(|first| first["summary"].as_str());
            *cause += &first.map(|first| format!(" Found in it: {first}.")).unwrap_or_default();
            evidence.insert("found_in_plan_and_text".to_string(), json!(causes));
        }
    }
}

/// The statement that a finding is about: query id and role.
fn measured(finding: &Finding) -> Option<(i64, String)> {
    let (id, role) = (finding.evidence.get("query_id")?.as_i64()?, finding.evidence.get("role")?.as_str()?);
    Some((id, role.to_string()))
}

/// Not found in its plan or text.
fn is_measured(reported: &Reported) -> bool {
    reported.rule.needs.iter().any(|need| READ.contains(need))
}

fn statistics(database: &Database, leaders: usize, compare_with: Option<TimestampWithTimeZone>) -> StatementStatistics {
    let asked = compare_with.is_some();
    let statistics = StatementStatistics::read(database, targets(), Some(leaders), compare_with);
    if asked && statistics.counts() && statistics.snapshot.is_none() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument compare_with: no snapshot was taken at that time or before",
            "dbre.workload_snapshots shows when; dbre.snapshot_workload() takes one.",
        )
    }
    statistics
}
