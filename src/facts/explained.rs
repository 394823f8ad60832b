//! A plan with what is known of the tables it reads, and what was tried to make it cheaper: a fact that the rules on plans
//! judge. `measure::explain` makes it.

use super::plan::{Node, Plan};
use super::query::Write;
use std::collections::BTreeMap;

pub struct Explained {
    pub plan: Plan,
    pub origin: PlanOrigin,
    /// The query, where its text is known.
    pub text: Option<String>,
    pub parameters: ParameterOrigin,
    /// Of `$1` and so on; null where unknown.
    pub values: Vec<Option<String>>,
    /// What the query writes; not known of a plan from elsewhere.
    pub write: Option<Write>,
    /// For each node, the OID of the table it scans, as the catalog knows it.
    pub tables: Vec<Option<u32>>,
    /// For each node, the OID of the index it scans.
    pub indexes: Vec<Option<u32>>,
    /// By table OID; only tables of the plan that the caller may read.
    pub statistics: BTreeMap<u32, PlannedTable>,
    /// All functions of a name that stands in the plan's conditions.
    pub functions: Vec<Function>,
    /// Settings that bear on plans, as `SHOW` prints them.
    pub settings: BTreeMap<String, String>,
    /// The same query planned (and run, where the caller asked for it) under other settings.
    pub trials: Vec<Trial>,
    /// What a sample says of columns that a misestimated node compares.
    pub samples: Vec<Sample>,
    /// For each step of the index advice, the scan of its table that it serves: that which takes most. A plan from elsewhere
    /// has advice on single scans.
    pub scan_of_step: Vec<Option<usize>>,
    /// For a plan from elsewhere: the scan for which a query of the advice stands, by its place.
    pub scan_of_query: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlanOrigin {
    /// Planned, not run.
    Planned,
    /// Run to its end.
    Run,
    /// Run until the time limit: what it had done by then, but for parallel workers.
    Stopped { after_ms: f64, in_triggers: bool },
    /// From elsewhere: it may be of another time, with other statistics.
    Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterOrigin {
    None,
    Given,
    /// Chosen from the statistics of the columns.
    Sampled,
    /// Unknown to the planner.
    Generic,
}

impl ParameterOrigin {
    pub fn name(self) -> &'static str {
        match self {
            ParameterOrigin::None => "none",
            ParameterOrigin::Given => "given",
            ParameterOrigin::Sampled => "sampled",
            ParameterOrigin::Generic => "generic",
        }
    }
}

/// What the planner knows of a table, and how old that is.
#[derive(Clone, Debug, Default)]
pub struct PlannedTable {
    /// As counted last; None: never.
    pub rows: Option<f64>,
    pub pages: f64,
    pub all_visible_pages: f64,
    pub live_rows: f64,
    pub dead_rows: f64,
    /// Inserted, updated or deleted since the last ANALYZE.
    pub modified_rows: f64,
    pub analyzed_days_ago: Option<f64>,
    pub vacuumed_days_ago: Option<f64>,
    pub columns: Vec<PlannedColumn>,
    pub extended: Vec<ExtendedStatistics>,
    pub policies: Vec<Policy>,
    /// Row security applies to the caller.
    pub row_security: bool,
    /// The caller may run ANALYZE and CREATE STATISTICS: he owns it.
    pub owned: bool,
}

#[derive(Clone, Debug, Default)]
pub struct PlannedColumn {
    /// Raw.
    pub name: String,
    /// As pg_stats has it: negative values are fractions of the rows. None: no statistics, or not the caller's to see.
    pub n_distinct: Option<f64>,
    /// Frequencies of the most common values, highest first.
    pub common: Vec<f32>,
    pub histogram_bounds: usize,
    /// Set by ALTER COLUMN … SET STATISTICS.
    pub target: Option<i32>,
}

#[derive(Clone, Debug, Default)]
pub struct ExtendedStatistics {
    /// Qualified and quoted.
    pub name: String,
    pub columns: Vec<i16>,
    /// Printed.
    pub expressions: Vec<String>,
    pub mcv: bool,
    /// ANALYZE has filled it.
    pub built: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Quoted.
    pub name: String,
    /// As printed.
    pub using: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Function {
    pub schema: String,
    pub name: String,
    /// `name(argument types)`, qualified and quoted, as ALTER FUNCTION takes it.
    pub signature: String,
    pub volatility: Volatility,
    pub language: String,
    pub cost: f64,
    /// Of one that returns a set.
    pub rows: Option<f64>,
    pub parallel_safe: bool,
    /// Its planner support function may replace cost and rows.
    pub supported: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    #[default]
    Volatile,
}

/// The query under other settings.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// `work_mem`, `join_collapse_limit` …
    pub setting: String,
    /// As SET takes it.
    pub value: String,
    /// Of the whole query.
    pub cost_before: f64,
    pub cost_after: f64,
    /// Measured, where the caller asked for runs to compare.
    pub ms_before: Option<f64>,
    pub ms_after: Option<f64>,
}

/// Rows of a table, drawn at random blocks.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The node whose estimate is off.
    pub node: usize,
    /// Attribute numbers.
    pub columns: Vec<i16>,
    pub rows: f64,
    /// Distinct values of each column, and of all together.
    pub distinct: Vec<f64>,
    pub distinct_together: f64,
    /// The highest share of rows whose other columns follow from one of them, 0 to 1.
    pub dependency: f64,
}

impl Explained {
    pub fn node(&self, number: usize) -> &Node {
        &self.plan.nodes[number]
    }

    /// Of the table that the node scans.
    pub fn statistics_of(&self, node: usize) -> Option<&PlannedTable> {
        self.statistics.get(&self.tables[node]?)
    }

    pub fn trial(&self, setting: &str) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.setting == setting)
    }

    /// Steps of the index advice that serve the scan, in their order.
    pub fn steps_of(&self, scan: usize) -> impl Iterator<Item = usize> {
        let serves = move |(_, served): &(usize, &Option<usize>)| **served == Some(scan);
        self.scan_of_step.iter().enumerate().filter(serves).map(|(step, _)| step)
    }

    /// It was executed, be it not to its end.
    pub fn is_measured(&self) -> bool {
        self.plan.nodes.first().is_some_and(|root| root.actual.is_some())
    }

    /// A setting in the unit in which the server counts it: kB for memory, ms for times.
    pub fn setting(&self, name: &str) -> Option<f64> {
        parse_setting(self.settings.get(name)?)
    }
}

/// `4MB`, `100`, `on`, `1.5`, `2ms`.
fn parse_setting(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim() {
        "" | "kB" | "ms" => 1.0,
        "B" => 1.0 / 1024.0,
        "8kB" => 8.0,
        "MB" => 1024.0,
        "GB" => 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0,
        "us" => 0.001,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    Some(number * unit)
}

#[cfg(test)]
mod unit_tests {
    use super::parse_setting;

    #[test]
    fn settings_are_read_in_their_base_units() {
        assert_eq!(parse_setting("4MB"), Some(4096.0));
        assert_eq!(parse_setting("64kB"), Some(64.0));
        assert_eq!(parse_setting("1.1"), Some(1.1));
        assert_eq!(parse_setting("30s"), Some(30_000.0));
        assert_eq!(parse_setting("off"), None);
    }
}
