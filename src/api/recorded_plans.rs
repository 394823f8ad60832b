//! Findings on the plans and texts of recorded statements, one after the other, in one call.

use super::explain::{GIVEN, judge_plan};
use crate::advice::measured_query::object_of;
use crate::advice::workload_plans::{self, Load};
use crate::db::{self, Caught};
use crate::engine::{self, Outcome, Run, Status};
use crate::facts::{Facts, IndexAdvice, MeasuredStatement, NotPlanned};
use crate::measure::explain::{self, Recorded};
use crate::rule::{Need, Rule};
use std::collections::HashMap;
use std::time::Instant;

/// Of the time that is left, one statement may take as many times what would be its part.
const MOST_PARTS: u32 = 4;
/// SQLSTATE of what was stopped: query_canceled.
const STOPPED: &str = "57014";
const NOT_PLANNED_RULE: &str = "query_not_planned";

/// By query id and name of the role, as EXPLAIN prints them.
pub type Plans = HashMap<(i64, String), String>;

/// What the rules want in the facts.
pub fn needs() -> Vec<Need> {
    engine::needs(&GIVEN, takes)
}

fn takes(rule: &Rule) -> bool {
    rule.needs.contains(&Need::Plan) || rule.needs.contains(&Need::Statement)
}

/// Adds what is found of as many as there is time for; those without are a finding, as are those that cannot be planned.
pub fn judge(mut run: Run, statements: &[(MeasuredStatement, Load)], deadline: Instant) -> (Run, Plans) {
    let (mut plans, mut found, mut not_planned) = (Plans::new(), Vec::new(), Vec::new());
    for (place, (statement, load)) in statements.iter().enumerate() {
        db::check_for_interrupts();
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left / (statements.len() - place) as u32;
        let facts = &run.facts;
        let recorded = match left.is_zero() {
            true => Err(stopped()),
            false => explain::recorded(statement, left.min(part * MOST_PARTS), &facts.database, facts.catalog()),
        };
        let failed = match recorded {
            Ok(recorded) => {
                plans.insert((statement.query_id, statement.role_name.clone()), recorded.plan.clone());
                let judged = judge_one(run.facts, (statement, *load), recorded);
                run.facts = judged.facts;
                found.extend(judged.findings);
                judged.outcomes.iter().find_map(failure)
            }
            Err(why) => Some(why),
        };
        not_planned.extend(failed.map(|why| NotPlanned {
            query_id: Some(statement.query_id),
            text: statement.text.clone(),
            calls: statement.calls as f64,
            why,
        }));
    }
    run.facts.advise(|_, _| IndexAdvice { not_planned, ..IndexAdvice::none() });
    let told = engine::judge_with(&GIVEN, run.facts, |rule| rule.id == NOT_PLANNED_RULE);
    run.facts = told.facts;
    run.findings.extend(workload_plans::merged(found));
    run.findings.extend(told.findings);
    (run, plans)
}

fn stopped() -> Caught {
    let message = "time_limit was up before it was planned".to_string();
    Caught { sqlstate: STOPPED.to_string(), message, ..Caught::default() }
}

fn judge_one(mut facts: Facts, (statement, load): (&MeasuredStatement, Load), recorded: Recorded) -> Run {
    facts.set_statement(recorded.statement);
    facts.advise(|_, _| recorded.advice);
    facts.explain_one_of_several(object_of(statement.query_id, &statement.role_name), recorded.explained);
    let mut run = judge_plan(facts, takes);
    for reported in &mut run.findings {
        workload_plans::weigh(reported, statement, load);
    }
    run
}

fn failure(outcome: &Outcome) -> Option<Caught> {
    match &outcome.status {
        Status::Failed(caught) => {
            Some(Caught { message: format!("rule {} failed: {}", outcome.rule.id, caught.message), ..caught.clone() })
        }
        _ => None,
    }
}
