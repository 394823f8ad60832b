//! Findings about what goes while it is used.

use crate::advice::migration_step;
use crate::facts::migration::{Effect, Migration, User};
use crate::finding::{Finding, Severity};
use crate::units::Count;
use serde_json::{Value, json};

/// Users that a finding names.
const SHOWN: usize = 20;

/// Of the steps that `is_ours` takes; `done`: what is done to the object.
pub fn findings(migration: &Migration, rule: &str, is_ours: impl Fn(&[Effect]) -> bool, done: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for step in migration.judged(rule).filter(|step| is_ours(&step.effects)) {
        for effect in &step.effects {
            let Effect::StillUsed { object, by } = effect else { continue };
            let Some(table) = &object.table else { continue };
            let mut finding = migration_step::finding(migration, step, table, &object.name);
            finding.summary = format!("{} is {done}, and {} still name{} it", object.name, said(by), plural(by));
            finding.cause = format!(
                "{} it by the name that it has before the migration: {}.",
                if by.len() == 1 { "One uses" } else { "They use" },
                names(by)
            );
            about_users(&mut finding, by);
            findings.push(finding);
        }
    }
    findings
}

/// What findings say of users in common.
pub fn about_users(finding: &mut Finding, by: &[User]) {
    // It fails at once and for all, whatever the size of the table.
    let counted = by.iter().any(|user| user.calls.is_some());
    finding.severity = if counted { Severity::high } else { Severity::medium };
    let shown = |user: &User| json!({"name": user.name, "text": user.text, "calls": user.calls});
    finding.evidence.insert("used_by".into(), by.iter().take(SHOWN).map(shown).collect::<Value>());
    finding.evidence.insert("users".into(), by.len().into());
    (finding.fix_sql, finding.app_fix) = (None, None);
    finding.risk = "They fail from the migration on, until their code has changed.".to_string();
}

/// `2 queries (1,234 calls) and 1 function`
pub fn said(by: &[User]) -> String {
    let queries: Vec<u64> = by.iter().filter_map(|user| user.calls).collect();
    let functions = by.len() - queries.len();
    let of_queries = match queries.len() {
        0 => None,
        1 => Some(format!("1 query ({})", Count(queries[0]).of("call"))),
        more => Some(format!("{more} queries ({})", Count(queries.iter().sum()).of("call"))),
    };
    let of_functions = (functions > 0).then(|| Count(functions as u64).of("function"));
    [of_queries, of_functions].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn plural(by: &[User]) -> &'static str {
    if by.len() == 1 { "s" } else { "" }
}

fn names(by: &[User]) -> String {
    let mut names: Vec<&str> = by.iter().take(3).map(|user| user.name.as_str()).collect();
    if by.len() > 3 {
        names.push("…");
    }
    names.join(", ")
}
