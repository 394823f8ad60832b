//! How the user has set up the rules: settings and suppressions.

use crate::db;
use crate::finding::Severity;
use pgrx::JsonB;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

#[derive(Debug, Default)]
pub struct RuleSetting {
    pub enabled: Option<bool>,
    pub severity: Option<Severity>,
    pub options: Map<String, Value>,
}

/// By the rule's id.
pub fn rule_settings() -> HashMap<String, RuleSetting> {
    let settings = db::read(include_str!("../../sql/facts/rule_settings.sql"), &[], |row| {
        let rule: String = row.take();
        let setting = RuleSetting {
            enabled: row.take_option(),
            severity: row.take_option::<String>().and_then(|name| Severity::from_name(&name)),
            options: match row.take::<JsonB>().0 {
                Value::Object(options) => options,
                _ => Map::new(),
            },
        };
        (rule, setting)
    });
    settings.into_iter().collect()
}

/// Positions (from 0) of the findings, given as fingerprint, rule and object, that are suppressed.
pub fn suppressed(findings: &[(&str, &str, &str)]) -> HashSet<usize> {
    let column = |of: fn(&(&str, &str, &str)) -> String| findings.iter().map(of).collect::<Vec<_>>();
    let args = [
        column(|finding| finding.0.to_string()).into(),
        column(|finding| finding.1.to_string()).into(),
        column(|finding| finding.2.to_string()).into(),
    ];
    db::read(include_str!("../../sql/facts/suppressed.sql"), &args, |row| row.take::<i64>() as usize - 1)
        .into_iter()
        .collect()
}
