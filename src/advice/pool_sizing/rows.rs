//! Rows of the answer: every number with what it rests on.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Answer,
    Warning,
    Demand,
    Server,
    Budget,
    Measured,
    Application,
    Pgbouncer,
    Timeouts,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Part::Answer => "answer",
            Part::Warning => "warning",
            Part::Demand => "demand",
            Part::Server => "server",
            Part::Budget => "budget",
            Part::Measured => "measured",
            Part::Application => "application",
            Part::Pgbouncer => "pgbouncer",
            Part::Timeouts => "timeouts",
        }
    }
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// By the caller, or computed from that alone.
    Given,
    Measured,
    /// Computed from what was measured, with an assumption.
    Estimated,
    /// Nothing was measured.
    Default,
}

impl Basis {
    pub fn name(self) -> &'static str {
        match self {
            Basis::Given => "given",
            Basis::Measured => "measured",
            Basis::Estimated => "estimated",
            Basis::Default => "default",
        }
    }
}

/// SQL that puts the row into effect.
#[derive(Clone, Debug)]
pub struct Statements {
    pub fix: String,
    pub rollback: String,
    pub risk: &'static str,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub part: Part,
    pub name: &'static str,
    pub value: Option<f64>,
    pub unit: Option<&'static str>,
    pub basis: Basis,
    pub rests_on: String,
    pub statements: Option<Statements>,
    /// To be pasted into the application or PgBouncer.
    pub text: Option<String>,
}

#[derive(Debug, Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    pub fn add(
        &mut self,
        part: Part,
        name: &'static str,
        value: f64,
        unit: &'static str,
        basis: Basis,
        rests_on: &str,
    ) {
        let (value, unit) = (Some(value), Some(unit));
        self.push(Row { part, name, value, unit, basis, rests_on: rests_on.to_string(), statements: None, text: None });
    }

    /// Words without a number.
    pub fn say(&mut self, part: Part, name: &'static str, basis: Basis, rests_on: String) {
        self.push(Row { part, name, value: None, unit: None, basis, rests_on, statements: None, text: None });
    }

    pub fn paste(&mut self, part: Part, name: &'static str, basis: Basis, rests_on: String, text: String) {
        self.push(Row { part, name, value: None, unit: None, basis, rests_on, statements: None, text: Some(text) });
    }

    pub fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub fn finish(self) -> Vec<Row> {
        self.0
    }
}

/// What a product of decimals is off by: 50 × 1.1 is 55.000000000000007.
const INEXACT: f64 = 1e-9;

pub fn rounded_up(value: f64) -> u64 {
    (value - INEXACT).ceil().max(0.0) as u64
}

pub fn rounded_down(value: f64) -> u64 {
    (value + INEXACT).floor() as u64
}

/// `2`, `1.25`
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{}", (value * 100.0).round() / 100.0) }
}

/// `80%`
pub fn percent(share: f64) -> String {
    format!("{}%", number((share * 1000.0).round() / 10.0))
}

/// `90 s`, `3 hours`, `12 days`
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{} s", number(if s < 10.0 { s } else { s.round() })),
        s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} hours", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
