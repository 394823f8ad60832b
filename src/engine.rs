//! Selects rules, reads the facts they need, runs each guarded, and records what was skipped or failed.

use crate::db::{self, Caught, guarded, guarded_twice};
use crate::facts::{self, Facts, LeftOut, RuleSetting};
use crate::finding::{Finding, Rollback, Severity, fingerprint};
use crate::rule::{Need, Options, Rule};
use crate::rules;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// What to check. None: everything.
#[derive(Debug)]
pub struct Selection {
    pub categories: Option<Vec<String>>,
    pub rules: Option<Vec<String>>,
    pub schemas: Option<Vec<String>>,
    pub min_severity: Severity,
}

impl Selection {
    fn everything() -> Selection {
        Selection { categories: None, rules: None, schemas: None, min_severity: Severity::low }
    }

    fn takes(&self, rule: &Rule) -> bool {
        let among = |names: &Option<Vec<String>>, name: &str| {
            names.as_ref().is_none_or(|names| names.iter().any(|n| n == name))
        };
        let elsewhere = rule.needs.iter().any(|need| need.elsewhere().is_some());
        among(&self.categories, rule.category) && among(&self.rules, rule.id) && (!elsewhere || self.names(rule))
    }

    /// A rule named by its id runs even when it is disabled.
    fn names(&self, rule: &Rule) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.iter().any(|name| name == rule.id))
    }
}

/// All that one call has found.
pub struct Run {
    pub facts: Facts,
    /// Ordered by severity, then impact.
    pub findings: Vec<Reported>,
    pub outcomes: Vec<Outcome>,
    /// What went wrong beside the rules.
    pub gaps: Vec<String>,
}

pub struct Reported {
    pub rule: &'static Rule,
    pub fingerprint: String,
    pub finding: Finding,
    pub rollback_sql: Option<String>,
}

impl Reported {
    /// Severity first, then the bytes concerned; the rest makes the order the same every time.
    fn urgency(&self) -> (Severity, Reverse<u64>, &str, &str) {
        (self.finding.severity, Reverse(self.finding.weight), self.rule.id, &self.finding.object)
    }
}

/// What became of one rule.
pub struct Outcome {
    pub rule: &'static Rule,
    pub status: Status,
    pub findings: u64,
    pub suppressed: u64,
    pub left_out: LeftOut,
    pub duration: Duration,
}

pub enum Status {
    Ran,
    Skipped(String),
    Failed(Caught),
}

/// Runs the selected rules.
pub fn run(selection: &Selection) -> Run {
    let settings = facts::rule_settings();
    let selected: Vec<Plan> = rules::all()
        .filter(|rule| selection.takes(rule))
        .map(|rule| Plan::of(rule, selection, &settings, &[]))
        .collect();
    let needs: BTreeSet<Need> = selected
        .iter()
        .filter(|plan| plan.obstacle.is_none())
        .flat_map(|plan| plan.rule.needs.iter().copied())
        .collect();
    let facts = Facts::read(&Vec::from_iter(needs), selection.schemas.as_deref());
    let mut run = Run::execute_all(selected, facts, selection.min_severity);
    run.sort_by_urgency();
    run
}

/// Runs the rules that judge what `check()` does not read, on facts that hold it. Findings are in the order of the rules.
pub fn judge(given: Need, facts: Facts) -> Run {
    judge_with(&[given], facts, judges(given))
}

/// Runs these rules on facts that hold all of `given`. Findings are in the order of the rules.
pub fn judge_with(given: &[Need], facts: Facts, takes: impl Fn(&Rule) -> bool) -> Run {
    let settings = facts::rule_settings();
    let rules = rules::all().filter(|rule| takes(rule));
    let plans = rules.map(|rule| Plan::of(rule, &Selection::everything(), &settings, given));
    Run::execute_all(plans.collect(), facts, Severity::low)
}

/// What lock_timeout ends.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Tells what the other rules could not judge.
const TELLS_WHAT_IS_MISSING: &str = "activity_not_read";

/// Runs the rules on what the server does at this moment. What another session has locked is done without; a rule of its own
/// judges, last, what that and failures left out.
pub fn judge_activity(given: &[Need], facts: Facts) -> Run {
    judge_activity_by(given, facts, |_| true)
}

/// As `judge_activity`, by these rules alone.
pub fn judge_activity_by(given: &[Need], mut facts: Facts, wanted: impl Fn(&Rule) -> bool) -> Run {
    let settings = guarded(facts::rule_settings).unwrap_or_else(|caught| {
        let lost = format!("dbre.rule_settings: {}; rules run with their defaults", why(&caught));
        facts.activity_mut().left_out.push(lost);
        HashMap::new()
    });
    let plans = |takes: &dyn Fn(&Rule) -> bool| -> Vec<Plan> {
        let judges = |rule: &Rule| given.iter().any(|need| rule.needs.contains(need));
        let rules = rules::all().filter(|rule| judges(rule) && takes(rule));
        rules.map(|rule| Plan::of(rule, &Selection::everything(), &settings, given)).collect()
    };
    let last = |rule: &Rule| rule.id == TELLS_WHAT_IS_MISSING;
    let mut run = Run::execute_all(plans(&|rule| !last(rule) && wanted(rule)), facts, Severity::low);
    let failed = run.outcomes.iter().filter_map(|outcome| match &outcome.status {
        Status::Failed(caught) => Some(format!("rule {}: {}", outcome.rule.id, caught.message)),
        _ => None,
    });
    let missing: Vec<String> = run.gaps.iter().cloned().chain(failed).collect();
    run.facts.activity_mut().left_out.extend(missing);
    let told = Run::execute_all(plans(&last), run.facts, Severity::low);
    run.findings.extend(told.findings);
    run.outcomes.extend(told.outcomes);
    run.facts = told.facts;
    run.sort_by_urgency();
    run
}

fn why(caught: &Caught) -> &str {
    match caught.sqlstate.as_str() {
        LOCK_NOT_AVAILABLE => "another session has it locked",
        _ => &caught.message,
    }
}

/// What these rules want in the facts, beside what they are given.
pub fn needs(given: &[Need], takes: impl Fn(&Rule) -> bool) -> Vec<Need> {
    let rules = rules::all().filter(|rule| takes(rule));
    let needs: BTreeSet<Need> = rules.flat_map(|rule| rule.needs.iter().copied()).collect();
    needs.into_iter().filter(|need| !given.contains(need)).collect()
}

/// What `judge` wants in the facts, beside what it is given.
pub fn needs_of_judges(given: Need) -> Vec<Need> {
    needs(&[given], judges(given))
}

fn judges(given: Need) -> impl Fn(&Rule) -> bool {
    move |rule| rule.needs.contains(&given)
}

/// A rule's options as they are set; its defaults where what is set is not valid.
pub fn options(rule: &Rule) -> Options {
    let settings = facts::rule_settings();
    let set = settings.get(rule.id).and_then(|setting| Options::resolve(rule, &setting.options).ok());
    set.unwrap_or_else(|| Options::defaults(rule))
}

/// How a rule is to be run, or what stands in its way.
struct Plan {
    rule: &'static Rule,
    severity: Option<Severity>,
    options: Options,
    obstacle: Option<Status>,
}

impl Plan {
    fn of(rule: &'static Rule, selection: &Selection, settings: &HashMap<String, RuleSetting>, given: &[Need]) -> Plan {
        let none = RuleSetting::default();
        let setting = settings.get(rule.id).unwrap_or(&none);
        let enabled = setting.enabled.unwrap_or(rule.enabled) || selection.names(rule);
        let (options, mut obstacle) = match Options::resolve(rule, &setting.options) {
            Ok(options) => (options, None),
            Err(invalid) => (
                Options::defaults(rule),
                Some(Status::Failed(Caught {
                    sqlstate: "22023".to_string(),
                    message: format!("dbre.rule_settings: {}", invalid.message),
                    ..Caught::default()
                })),
            ),
        };
        let missing = rule.needs.iter().filter(|need| !given.contains(need)).find_map(|need| need.elsewhere());
        if let Some(why) = missing {
            obstacle = Some(Status::Skipped(why.to_string()));
        }
        if !enabled {
            let by = if rule.enabled { "disabled by dbre.rule_settings" } else { "off by default" };
            obstacle = Some(Status::Skipped(by.to_string()));
        }
        Plan { rule, severity: setting.severity, options, obstacle }
    }
}

impl Run {
    pub fn sort_by_urgency(&mut self) {
        self.findings.sort_by(|a, b| a.urgency().cmp(&b.urgency()));
    }

    fn execute_all(plans: Vec<Plan>, facts: Facts, min_severity: Severity) -> Run {
        let mut run = Run { facts, findings: Vec::new(), outcomes: Vec::new(), gaps: Vec::new() };
        for plan in plans {
            run.execute(plan, min_severity);
        }
        run.add_rollbacks();
        run.suppress();
        run
    }

    fn execute(&mut self, plan: Plan, min_severity: Severity) {
        db::check_for_interrupts();
        let rule = plan.rule;
        let begun = Instant::now();
        let unread = rule.needs.iter().find_map(|need| self.facts.failure(*need).map(|caught| (need, caught)));
        let (status, found) = if let Some(obstacle) = plan.obstacle {
            (obstacle, Vec::new())
        } else if let Some((need, caught)) = unread {
            let message = format!("reading the {} failed: {}", need.name(), caught.message);
            (Status::Failed(Caught { message, ..caught.clone() }), Vec::new())
        } else {
            match guarded(|| (rule.check)(&self.facts, &plan.options)) {
                Ok(Ok(findings)) => (Status::Ran, findings),
                Ok(Err(skip)) => (Status::Skipped(skip.0), Vec::new()),
                Err(caught) => (Status::Failed(caught), Vec::new()),
            }
        };
        let left_out = match status {
            Status::Ran => self.facts.left_out(rule.needs),
            _ => LeftOut::default(),
        };
        self.outcomes.push(Outcome { rule, status, findings: 0, suppressed: 0, left_out, duration: begun.elapsed() });
        for mut finding in found {
            finding.severity = plan.severity.unwrap_or(finding.severity);
            // A name may hold a line break; a summary is one line.
            finding.summary = finding.summary.replace(char::is_control, " ");
            if rule.needs.contains(&Need::Plan) {
                finding.object = self.facts.object_in_plan(&finding.object);
            }
            if finding.severity <= min_severity {
                let fingerprint = fingerprint(rule.id, &finding.object);
                self.findings.push(Reported { rule, fingerprint, finding, rollback_sql: None });
            }
        }
    }

    /// A finding about an index that has been dropped since the facts were read is dropped too.
    fn add_rollbacks(&mut self) {
        let oids: Vec<u32> = self
            .findings
            .iter()
            .filter_map(|reported| match reported.finding.rollback {
                Rollback::Recreate { index, .. } => Some(index),
                _ => None,
            })
            .collect();
        let definitions = match oids.is_empty() {
            true => Ok(HashMap::new()),
            false => guarded_twice(|| facts::index_definitions(&oids)),
        };
        if let Err(caught) = &definitions {
            self.gaps.push(format!("definitions of indexes, for rollback_sql, could not be read: {}", caught.message));
        }
        self.findings.retain_mut(|reported| {
            reported.rollback_sql = match &reported.finding.rollback {
                Rollback::None => None,
                Rollback::Sql(sql) => Some(sql.clone()),
                Rollback::Recreate { before, index, after } => {
                    let Ok(definitions) = &definitions else { return true };
                    let Some(definition) = definitions.get(index) else { return false };
                    let statements = [before.as_ref(), Some(definition), after.as_ref()];
                    Some(statements.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n"))
                }
            };
            true
        });
    }

    fn suppress(&mut self) {
        let identities: Vec<_> = self
            .findings
            .iter()
            .map(|reported| (reported.fingerprint.as_str(), reported.rule.id, reported.finding.object.as_str()))
            .collect();
        let suppressed = match identities.is_empty() {
            true => Default::default(),
            false => guarded(|| facts::suppressed(&identities)).unwrap_or_else(|caught| {
                self.gaps.push(format!("dbre.suppressions could not be applied: {}", why(&caught)));
                Default::default()
            }),
        };
        let mut position = 0;
        let outcomes = &mut self.outcomes;
        self.findings.retain(|reported| {
            let keep = !suppressed.contains(&position);
            position += 1;
            let outcome = outcomes.iter_mut().find(|outcome| outcome.rule.id == reported.rule.id);
            let outcome = outcome.expect("every finding comes from a rule that ran");
            if keep {
                outcome.findings += 1
            } else {
                outcome.suppressed += 1
            }
            keep
        });
    }
}

impl Outcome {
    /// `ran`, `skipped` or `failed`.
    pub fn status_name(&self) -> &'static str {
        match self.status {
            Status::Ran => "ran",
            Status::Skipped(_) => "skipped",
            Status::Failed(_) => "failed",
        }
    }

    /// Why it was skipped, how it failed, or what it had to leave out.
    pub fn reason(&self) -> Option<String> {
        match &self.status {
            Status::Skipped(reason) => Some(reason.clone()),
            Status::Failed(caught) => Some(caught.message.clone()),
            Status::Ran => self.left_out.reason(),
        }
    }
}
