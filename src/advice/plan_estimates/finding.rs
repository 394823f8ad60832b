//! What findings on estimates have in common.

use super::Misestimate;
use crate::advice::plan_weight::{self, shown};
use crate::facts::{Facts, Name, PlannedTable, QualifiedName, Table};
use crate::finding::{Finding, Severity, object};
use crate::units::rounded;

/// What every finding on an estimate tells; None: too little time hangs on it.
pub fn finding(facts: &Facts, wrong: &Misestimate) -> Option<Finding> {
    let explained = facts.explained();
    let mut finding = plan_weight::finding(facts, wrong.node, wrong.explains)?;
    if !wrong.has_effect {
        finding.severity = Severity::low;
    }
    let executions = explained.plan.executions(wrong.node).unwrap_or(1.0).max(1.0);
    finding.summary = format!(
        "{} returns {} rows where {} were expected: {} times too {}",
        explained.node(wrong.node).describe(),
        shown(wrong.actual / executions),
        shown(wrong.estimated / executions),
        shown(wrong.error.round()),
        if wrong.actual > wrong.estimated { "few" } else { "many" },
    );
    finding.cause = match wrong.has_effect {
        true => "Joins, sorts and access paths above were chosen for that many rows.".to_string(),
        false => {
            "Nothing in this plan hangs on it; another query with the same condition may be less lucky.".to_string()
        }
    };
    let conditions: Vec<&str> = explained.node(wrong.node).conditions().collect();
    finding.evidence.extend(object! {
        "estimate_error": rounded(wrong.error),
        "conditions": conditions,
    });
    Some(finding)
}

/// What ANALYZE and new statistics cost.
pub const ANALYZE_RISK: &str = "ANALYZE takes SHARE UPDATE EXCLUSIVE and reads a sample of the table: reads and writes go on. Plans of \
                                other queries on the table may change, as a rule for the better.";

/// A name for statistics that the table does not have yet.
pub fn statistics_name(statistics: Option<&PlannedTable>, table: &Table, parts: &[&str]) -> QualifiedName {
    let plain = |text: &str| text.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect::<String>();
    let base =
        std::iter::once(table.name.name.raw()).chain(parts.iter().copied()).map(plain).collect::<Vec<_>>().join("_");
    let base: String = base.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 54).map(|(_, c)| c).collect();
    let named = |suffix: String| QualifiedName {
        schema: table.name.schema.clone(),
        name: Name::from(format!("{base}_stat{suffix}")),
    };
    let taken =
        |name: &QualifiedName| statistics.is_some_and(|s| s.extended.iter().any(|e| e.name == name.to_string()));
    let names = std::iter::once(String::new()).chain((2..).map(|number: usize| number.to_string())).map(named);
    let mut free = names.filter(|name| !taken(name));
    free.next().expect("numbers do not end")
}
