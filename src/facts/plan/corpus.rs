//! The plans in tests/plans, for unit tests.

use super::{Plan, read};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

/// `form`: `json` or `text`.
pub fn text(name: &str, form: &str) -> Option<String> {
    std::fs::read_to_string(folder().join(format!("{name}.{form}"))).ok()
}

pub fn plan(name: &str) -> Plan {
    read(&text(name, "json").expect(name)).expect(name).remove(0)
}

pub fn plans() -> Vec<(String, Plan)> {
    let queries = std::fs::read_to_string(folder().join("queries.txt")).expect("tests/plans/queries.txt");
    queries
        .lines()
        .map(|line| line.split('|').next().unwrap_or_default().to_string())
        .map(|name| (name.clone(), plan(&name)))
        .collect()
}
