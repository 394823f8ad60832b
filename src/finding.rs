//! The one output type: what a rule has found, with evidence, fix, risk, rollback and verification.

use pgrx::PostgresEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::hash::Hasher;

/// In the order of urgency; the labels of the SQL type `dbre.severity` are the variants' names.
#[allow(non_camel_case_types, reason = "PostgresEnum takes the SQL labels from the variants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, PostgresEnum)]
pub enum severity {
    critical,
    high,
    medium,
    low,
}
pub use severity as Severity;

impl Severity {
    pub const ALL: [Severity; 4] = [Severity::critical, Severity::high, Severity::medium, Severity::low];

    pub fn name(self) -> &'static str {
        match self {
            Severity::critical => "critical",
            Severity::high => "high",
            Severity::medium => "medium",
            Severity::low => "low",
        }
    }

    pub fn from_name(name: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// What a rule says about one object. Rule, category and fingerprint are added by the engine.
#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// The qualified, quoted name as Postgres prints it; with the rule's id it is the finding's identity.
    pub object: String,
    /// Orders findings of one severity: the bytes concerned.
    pub weight: u64,
    pub summary: String,
    pub cause: String,
    pub evidence: Map<String, Value>,
    pub impact: Map<String, Value>,
    pub fix_sql: Option<String>,
    pub app_fix: Option<String>,
    pub risk: String,
    pub rollback: Rollback,
    pub verify_sql: Option<String>,
}

impl Finding {
    pub const NO_RISK: &str = "None: nothing is changed.";

    /// What a finding has that only tells: no fix, no impact, no risk.
    pub fn that_changes_nothing() -> Finding {
        Finding {
            severity: Severity::low,
            object: String::new(),
            weight: 0,
            summary: String::new(),
            cause: String::new(),
            evidence: Map::new(),
            impact: Map::new(),
            fix_sql: None,
            app_fix: None,
            risk: Finding::NO_RISK.to_string(),
            rollback: Rollback::None,
            verify_sql: None,
        }
    }

    /// Leaves what was found, for the caller to decide.
    pub fn take_fix_away(&mut self) {
        self.fix_sql = None;
        self.risk = Finding::that_changes_nothing().risk;
    }
}

/// How to undo `fix_sql`.
#[derive(Clone, Debug)]
pub enum Rollback {
    None,
    Sql(String),
    /// Create again the index with this OID, which the fix drops, between other statements, if any. The engine asks the
    /// server for the definition when the rules have run: doing so for every index of a database would open every table.
    Recreate {
        before: Option<String>,
        index: u32,
        after: Option<String>,
    },
}

/// A stable hash of rule and object identity, 16 hexadecimal digits. Evidence does not enter.
pub fn fingerprint(rule: &str, object: &str) -> String {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(rule.as_bytes());
    hasher.write_u8(0);
    hasher.write(object.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// Builds evidence and impact: `object! { "table_bytes": table.bytes, "scans": 7 }`.
macro_rules! object {
    ($($key:literal : $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "an object may have no keys")]
        let mut object = ::serde_json::Map::new();
        $(object.insert($key.to_string(), ::serde_json::json!($value));)*
        object
    }};
}
pub(crate) use object;

/// One figure of `impact`: before and after, and how each was come by (`measured`, `planned`, `estimated`).
pub fn change<B: Serialize, A: Serialize>(before: (B, &str), after: (A, &str)) -> Value {
    serde_json::json!({
        "before": {"value": before.0, "basis": before.1},
        "after": {"value": after.0, "basis": after.1},
    })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn fingerprints_depend_on_rule_and_object_alone() {
        assert_eq!(fingerprint("a", "b"), fingerprint("a", "b"));
        assert_ne!(fingerprint("a", "b"), fingerprint("ab", ""));
        assert_eq!(fingerprint("unused_index", "public.i"), "4160eac6f806dac4");
    }

    #[test]
    fn critical_comes_first() {
        assert!(Severity::critical < Severity::low);
        assert_eq!(Severity::from_name("high"), Some(Severity::high));
        assert_eq!(Severity::from_name("High"), None);
    }
}
