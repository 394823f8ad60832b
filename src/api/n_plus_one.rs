//! `dbre.n_plus_one()`.

use super::advice::advice;
use super::arguments::{duration, within};
use crate::engine::{self, Run};
use crate::facts::{Facts, StatementStatistics, bursts};
use crate::finding::severity;
use crate::measure::lookups;
use crate::rule::{Need, Rule};
use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

const GIVEN: [Need; 3] = [Need::Lookups, Need::Bursts, Need::StatementStatistics];
/// What says that there are no sums.
const NOT_TRACKED: &str = "statements_not_tracked";
const MOST_STATEMENTS: i32 = 100_000;

advice! {
    /// Statements that the application repeats for each row of another statement, with what would load all at once.
    ///
    /// By the sums of pg_stat_statements, with the confidence that they deserve, and exactly where the hook is loaded and has
    /// seen it (dbre.n_plus_one_bursts). Texts are analyzed with the rights of the roles that ran them, which the caller must be
    /// allowed to become; nothing is planned or executed. Most urgent first.
    sql: r#"
create function n_plus_one(max_statements int default 1000, time_limit interval default '30 s')
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn n_plus_one(max_statements: Option<i32>, time_limit: Option<Interval>) {
        let max_statements = within("max_statements", max_statements, 1, MOST_STATEMENTS) as u32;
        find(max_statements, duration("time_limit", time_limit))
    }
}

fn find(max_statements: u32, time_limit: Duration) -> Run {
    let until = Instant::now() + time_limit;
    let needs = engine::needs(&GIVEN, takes);
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    let tracking = StatementStatistics::tracking(&facts.database);
    facts.set_statement_statistics(tracking);
    read(&mut facts, max_statements, until);
    let mut run = engine::judge_with(&GIVEN, facts, takes);
    super::check::refuse_total_failure(&run);
    tell_once(&mut run);
    run.sort_by_urgency();
    run
}

fn takes(rule: &Rule) -> bool {
    rule.id == NOT_TRACKED || rule.needs.contains(&Need::Lookups) || rule.needs.contains(&Need::Bursts)
}

/// Adds what the rules on lookups and bursts judge to facts that hold the catalog and know whether statements are counted.
pub fn read(facts: &mut Facts, max_statements: u32, until: Instant) {
    let bursts = bursts();
    let limit = facts.statement_statistics().counts().then_some(max_statements);
    let lookups = lookups::read(&facts.database, facts.catalog(), &bursts, limit, until);
    facts.set_lookups(lookups);
    facts.set_bursts(bursts);
}

/// What the hook has seen of a statement is exact, and carries what its sums say.
pub fn tell_once(run: &mut Run) {
    let exact = |run: &Run| -> Vec<String> {
        let bursts = run.findings.iter().filter(|reported| reported.rule.id == "n_plus_one_burst");
        bursts.map(|reported| reported.finding.object.clone()).collect()
    };
    let exact = exact(run);
    run.findings.retain(|reported| reported.rule.id != "n_plus_one_query" || !exact.contains(&reported.finding.object));
}
