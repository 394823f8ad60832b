//! How much of a query something in its plan explains: what findings on plans are ranked and judged by.

use crate::facts::{Explained, Facts, Name, QualifiedName};
use crate::finding::{Finding, Severity, object};
use crate::units::rounded;
use serde_json::{Map, Value, json};

/// Below this share nothing is worth a finding.
const MIN_SHARE: f64 = 0.01;
/// Queries that take less are left alone.
const MIN_MS: f64 = 1.0;
const MIN_COST: f64 = 100.0;

/// A part of a query's time, or of its cost where it was not run or not timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explains {
    /// Of the whole query, 0 to 1.
    pub share: f64,
    /// What the whole query takes: ms or planner units.
    pub whole: f64,
    pub basis: Basis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    Measured,
    Planned,
}

impl Basis {
    pub fn name(self) -> &'static str {
        match self {
            Basis::Measured => "measured",
            Basis::Planned => "planned",
        }
    }
}

impl Explains {
    /// What these nodes take themselves, without those below them.
    pub fn by_nodes(explained: &Explained, nodes: &[usize]) -> Explains {
        let plan = &explained.plan;
        let ms: Option<f64> = nodes.iter().map(|node| plan.own_ms(*node)).sum();
        match (ms, plan.execution_ms()) {
            (Some(ms), Some(_)) => Explains::by_ms(explained, ms),
            _ => Explains::by_cost(explained, nodes.iter().map(|node| plan.own_cost(*node)).sum()),
        }
    }

    pub fn by_node(explained: &Explained, node: usize) -> Explains {
        Explains::by_nodes(explained, &[node])
    }

    /// What the node and all below it take.
    pub fn by_branch(explained: &Explained, node: usize) -> Explains {
        let plan = &explained.plan;
        match (plan.total_ms(node), plan.execution_ms()) {
            (Some(ms), Some(_)) => Explains::by_ms(explained, ms),
            _ => Explains::by_cost(explained, plan.nodes[node].total_cost),
        }
    }

    /// A part of the execution, measured: triggers, JIT, a share of a node.
    pub fn by_ms(explained: &Explained, ms: f64) -> Explains {
        Explains::of(ms, explained.plan.execution_ms().unwrap_or(0.0), Basis::Measured)
    }

    /// A part of what planning and execution take together.
    pub fn by_planning(explained: &Explained, ms: f64) -> Explains {
        let plan = &explained.plan;
        let whole = plan.planning_ms.unwrap_or(0.0) + plan.execution_ms().unwrap_or(0.0);
        Explains::of(ms, whole, Basis::Measured)
    }

    pub fn by_cost(explained: &Explained, cost: f64) -> Explains {
        let whole = explained.plan.nodes.first().map_or(0.0, |root| root.total_cost);
        Explains::of(cost, whole, Basis::Planned)
    }

    fn of(part: f64, whole: f64, basis: Basis) -> Explains {
        let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
        Explains { share, whole, basis }
    }

    /// The part itself: ms or planner units.
    pub fn part(self) -> f64 {
        self.share * self.whole
    }

    /// None: too little for a finding.
    pub fn severity(self) -> Option<Severity> {
        let (least, noticed, waited_for) = match self.basis {
            Basis::Measured => (MIN_MS, 10.0, 1000.0),
            // Cost says little of time.
            Basis::Planned => (MIN_COST, 1000.0, f64::INFINITY),
        };
        if self.share < MIN_SHARE || self.whole < least {
            None
        } else if self.share >= 0.5 && self.whole >= waited_for {
            Some(Severity::high)
        } else if self.share >= 0.1 && self.whole >= noticed {
            Some(Severity::medium)
        } else {
            Some(Severity::low)
        }
    }

    pub fn weight(self) -> u64 {
        (self.share * 1e6) as u64
    }

    /// `4,210 ms, 83% of the query`, `12,000 cost units, 83% of the query`
    pub fn told(self) -> String {
        let percent = 100.0 * self.share;
        match self.basis {
            Basis::Measured => format!("{} ms, {percent:.0}% of the query's time", shown(self.part())),
            Basis::Planned => format!("{percent:.0}% of the query's planned cost"),
        }
    }
}

/// A finding on a node that explains so much, with what every one of them tells; None: too little.
pub fn finding(facts: &Facts, node: usize, explains: Explains) -> Option<Finding> {
    Some(Finding {
        severity: explains.severity()?,
        object: facts.explained().plan.path(node).to_string(),
        weight: explains.weight(),
        evidence: evidence(facts, node, explains),
        ..Finding::that_changes_nothing()
    })
}

/// Node, relation, share and the node's figures.
pub fn evidence(facts: &Facts, node: usize, explains: Explains) -> Map<String, Value> {
    let (plan, here) = (&facts.explained().plan, facts.explained().node(node));
    let mut evidence = object! {
        "node": plan.path(node),
        "share": rounded(explains.share),
        "basis": explains.basis.name(),
        "estimated_rows": rounded(here.rows),
        "cost": rounded(here.total_cost),
    };
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            evidence.insert(key.to_string(), value);
        }
    };
    add("relation", relation(facts, node).map(Value::from));
    add("own_ms", plan.own_ms(node).map(|ms| json!(rounded(ms))));
    add("total_ms", plan.total_ms(node).map(|ms| json!(rounded(ms))));
    add("execution_ms", plan.execution_ms().map(|ms| json!(rounded(ms))));
    if let Some(actual) = here.actual {
        add("actual_rows", Some(json!(rounded(actual.rows))));
        add("loops", Some(json!(rounded(actual.loops))));
    }
    evidence
}

/// The table that the node scans, qualified and quoted; as the plan has it where it is not known here.
pub fn relation(facts: &Facts, node: usize) -> Option<String> {
    let explained = facts.explained();
    let known = explained.tables[node].and_then(|oid| facts.catalog().known(oid));
    if let Some(table) = known {
        return Some(table.name.to_string());
    }
    let relation = explained.node(node).relation.as_ref()?;
    let name = Name::from(relation.name.clone());
    Some(match &relation.schema {
        Some(schema) => QualifiedName { schema: Name::from(schema.clone()), name }.to_string(),
        None => name.to_string(),
    })
}

/// `0.8`, `13`, `4,210`: a figure in a sentence.
pub fn shown(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        format!("{value:.1}")
    } else {
        crate::units::Count(value.round().max(0.0) as u64).to_string()
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn of(part: f64, whole: f64, basis: Basis) -> Option<Severity> {
        Explains::of(part, whole, basis).severity()
    }

    #[test]
    fn severity_follows_share_and_time() {
        use Basis::*;
        assert_eq!(of(600.0, 1000.0, Measured), Some(Severity::high));
        assert_eq!(of(400.0, 1000.0, Measured), Some(Severity::medium));
        assert_eq!(of(50.0, 1000.0, Measured), Some(Severity::low));
        assert_eq!(of(9.0, 1000.0, Measured), None);
        assert_eq!(of(5.0, 6.0, Measured), Some(Severity::low));
        assert_eq!(of(0.5, 0.6, Measured), None);
        assert_eq!(of(1e6, 1e6, Planned), Some(Severity::medium));
        assert_eq!(of(90.0, 100.0, Planned), Some(Severity::low));
        assert_eq!(of(90.0, 0.0, Planned), None);
    }

    #[test]
    fn parts_beyond_the_whole_are_the_whole() {
        // Clocks of parallel workers may add up to a little more.
        let explains = Explains::of(12.0, 10.0, Basis::Measured);
        assert_eq!((explains.share, explains.part(), explains.weight()), (1.0, 10.0, 1_000_000));
    }
}
