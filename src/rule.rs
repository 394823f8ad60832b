//! What a rule is: data that documents it, and a check from facts to findings.

use crate::facts::Facts;
use crate::finding::{Finding, Severity};
use serde_json::{Map, Value, json};

pub struct Rule {
    /// snake_case, names the bad state; the file's name.
    pub id: &'static str,
    pub category: &'static str,
    pub severity: Severity,
    pub since: &'static str,
    pub enabled: bool,
    pub condition: &'static str,
    pub effect: &'static str,
    pub workaround: &'static str,
    pub sources: &'static [&'static str],
    pub options: &'static [OptionSpec],
    pub needs: &'static [Need],
    pub cases: &'static [Case],
    pub check: fn(&Facts, &Options) -> Verdict,
}

/// Findings, or why the rule cannot judge here and now.
pub type Verdict = Result<Vec<Finding>, Skip>;

pub struct Skip(pub String);

/// A fact beyond the database's own data that a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Catalog,
    ColumnStatistics,
    RelationNames,
    Workload,
    DynamicFunctions,
    /// Not read by `check()`: the search takes its time.
    IndexAdvice,
    /// Not read by `check()`: it is the text that the caller gives.
    Statement,
    /// Not read by `check()`: it is a query's plan.
    Plan,
    /// Not read by `check()`: the workload has its own functions.
    StatementStatistics,
    /// Not read by `check()`: a server's log may be large.
    ServerLog,
    /// Not read by `check()`: the texts of all statements are analyzed for it.
    Lookups,
    /// Not read by `check()`: what the hook has seen.
    Bursts,
    /// Not read by `check()`: it is the migration that the caller gives.
    Migration,
    /// Not read by `check()`: it is what a statement on the table that the caller names reaches.
    Cascade,
    /// Not read by `check()`: rows are sampled and the texts of searches analyzed for it.
    Vectors,
    /// Not read by `check()`: it is of this moment.
    Activity,
    /// Not read by `check()`: another server is asked.
    Pgbouncer,
}

impl Need {
    pub fn name(self) -> &'static str {
        match self {
            Need::Catalog => "catalog",
            Need::ColumnStatistics => "column statistics",
            Need::RelationNames => "relation names",
            Need::Workload => "workload (pg_stat_statements, where installed)",
            Need::DynamicFunctions => "functions that execute text",
            Need::IndexAdvice => "index advice (dbre.index_advice())",
            Need::Statement => "statement (dbre.query_findings())",
            Need::Plan => "plan (dbre.explain_findings(), dbre.plan_findings())",
            Need::StatementStatistics => "statement statistics (dbre.workload_findings())",
            Need::ServerLog => "server log (dbre.log_findings())",
            Need::Lookups => "lookups among the statements (dbre.n_plus_one())",
            Need::Bursts => "bursts that the hook has seen (dbre.n_plus_one())",
            Need::Migration => "migration (dbre.migration_findings())",
            Need::Cascade => "cascade (dbre.cascade_findings())",
            Need::Vectors => "vectors (dbre.vector_index_advice())",
            Need::Activity => "activity of this moment (dbre.pool_pressure())",
            Need::Pgbouncer => "PgBouncer's console (dbre.pgbouncer_pressure())",
        }
    }

    /// Why `check()` runs no rule that needs it, where that is so.
    pub fn elsewhere(self) -> Option<&'static str> {
        match self {
            Need::IndexAdvice => Some("it judges what dbre.index_advice() finds, and is run by that"),
            Need::Statement => Some("it judges the query that dbre.query_findings() is given, and is run by that"),
            Need::Plan => {
                Some("it judges the plan that dbre.explain_findings() makes or dbre.plan_findings() is given")
            }
            Need::StatementStatistics => {
                Some("it judges what pg_stat_statements has counted, and is run by dbre.workload_findings()")
            }
            Need::ServerLog => Some("it judges the server's log, and is run by dbre.log_findings()"),
            Need::Lookups | Need::Bursts => Some("it is run by dbre.n_plus_one() and dbre.workload_findings()"),
            Need::Migration => {
                Some("it judges the migration that dbre.migration_findings() is given, and is run by that")
            }
            Need::Cascade => {
                Some("it judges what a statement on the table reaches that dbre.cascade_findings() is given")
            }
            Need::Vectors => {
                Some("it judges vector columns and searches on them, and is run by dbre.vector_index_advice()")
            }
            Need::Activity => Some("it judges the sessions of this moment, and is run by dbre.pool_pressure()"),
            Need::Pgbouncer => Some("it judges a PgBouncer, and is run by dbre.pgbouncer_pressure()"),
            _ => None,
        }
    }
}

pub struct OptionSpec {
    pub name: &'static str,
    pub kind: OptionKind,
    pub unit: &'static str,
    pub description: &'static str,
}

pub enum OptionKind {
    Number { default: f64, min: f64, max: f64 },
    Pattern { default: &'static str },
}

impl OptionSpec {
    pub const fn number(
        name: &'static str,
        (default, unit): (f64, &'static str),
        (min, max): (f64, f64),
        description: &'static str,
    ) -> OptionSpec {
        OptionSpec { name, kind: OptionKind::Number { default, min, max }, unit, description }
    }

    pub const fn bytes(name: &'static str, default: u64, description: &'static str) -> OptionSpec {
        OptionSpec::number(name, (default as f64, "bytes"), (0.0, (1u64 << 50) as f64), description)
    }

    pub const fn pattern(name: &'static str, default: &'static str, description: &'static str) -> OptionSpec {
        OptionSpec { name, kind: OptionKind::Pattern { default }, unit: "regular expression", description }
    }

    pub fn default(&self) -> Value {
        match self.kind {
            OptionKind::Number { default, .. } => number(default),
            OptionKind::Pattern { default } => json!(default),
        }
    }

    /// Why `value` is none of this option's, if so.
    pub fn refuse(&self, value: &Value) -> Option<String> {
        match self.kind {
            OptionKind::Number { min, max, .. } => match value.as_f64() {
                Some(given) if (min..=max).contains(&given) => None,
                _ => Some(format!(
                    "{} must be a number from {} to {} ({}), not {value}",
                    self.name,
                    number(min),
                    number(max),
                    self.unit
                )),
            },
            OptionKind::Pattern { .. } => match value.as_str().map(regex_lite::Regex::new) {
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(format!("{} is no regular expression: {error}", self.name)),
                None => Some(format!("{} must be a string that holds a regular expression, not {value}", self.name)),
            },
        }
    }

    /// The option as `dbre.rules` shows it.
    pub fn describe(&self, current: &Value) -> Value {
        let mut shown = json!({
            "default": self.default(), "current": current, "unit": self.unit, "description": self.description,
        });
        if let OptionKind::Number { min, max, .. } = self.kind {
            shown["min"] = number(min);
            shown["max"] = number(max);
        }
        shown
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

/// A rule's options with the values in force.
#[derive(Debug)]
pub struct Options(Map<String, Value>);

impl Options {
    /// Defaults, overridden by `settings`; an unknown option or a value out of range is an error that says what is valid.
    pub fn resolve(rule: &Rule, settings: &Map<String, Value>) -> Result<Options, InvalidOption> {
        let Options(mut values) = Options::defaults(rule);
        for (name, value) in settings {
            let Some(option) = rule.options.iter().find(|option| option.name == name) else {
                return Err(InvalidOption::unknown(rule, name));
            };
            if let Some(refusal) = option.refuse(value) {
                return Err(InvalidOption { message: refusal, hint: option.description.to_string() });
            }
            values.insert(name.clone(), value.clone());
        }
        Ok(Options(values))
    }

    pub fn defaults(rule: &Rule) -> Options {
        Options(rule.options.iter().map(|option| (option.name.to_string(), option.default())).collect())
    }

    /// Panics when the rule declares no such number: a mistake in the rule's file.
    pub fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().expect("a number option")
    }

    pub fn bytes(&self, name: &str) -> u64 {
        self.number(name) as u64
    }

    pub fn pattern(&self, name: &str) -> regex_lite::Regex {
        regex_lite::Regex::new(self.0[name].as_str().expect("a pattern option")).expect("validated when it was set")
    }

    pub fn get(&self, name: &str) -> &Value {
        &self.0[name]
    }
}

#[derive(Debug)]
pub struct InvalidOption {
    pub message: String,
    pub hint: String,
}

impl InvalidOption {
    pub fn unknown(rule: &Rule, name: &str) -> InvalidOption {
        let names: Vec<_> = rule.options.iter().map(|option| option.name).collect();
        InvalidOption {
            message: format!("rule {} has no option {name:?}", rule.id),
            hint: if names.is_empty() {
                "It has no options.".to_string()
            } else {
                format!("Its options are: {}.", names.join(", "))
            },
        }
    }
}

/// Setup SQL with the expected outcome; run by the scenarios in a database of its own. For a rule that judges index advice it
/// leaves a table `workload` to advise on, for one that judges plans `example (query, analyze)` or `example (plan)`, for one that
/// judges statements `example (query)`, with one row, for one that judges the log `example (line)`, for one that judges statement
/// statistics, lookups, bursts or vectors `traffic (step, query, times)`: what a client is to send, `%s` in it the number of the time; for one
/// that judges migrations `example (migration)`: applying a fix means to put it in the place of the step that evidence names. It
/// may set example.time_limit for the database. For one that judges activity it may leave `sessions (step, session, role, statement,
/// waits)`: clients that stay connected, named by application_name, and what each sends; one that `waits` is not waited for. For one
/// that judges a PgBouncer it leaves `pgbouncer (settings, console)` with one row, lines of its ini file and, if need be, a command
/// for its console: those clients go through it.
pub struct Case {
    pub name: &'static str,
    pub setup: &'static str,
    /// How many findings of this rule the setup causes.
    pub finds: usize,
    /// Applying every finding's `fix_sql` makes all of them disappear.
    pub fix_clears: bool,
}
