//! The rules: one file each below the folder of its category, found by `build.rs`.

use crate::rule::Rule;

/// A rule with the place it was found in.
pub struct Entry {
    pub rule: &'static Rule,
    pub category: &'static str,
    pub file: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

pub fn all() -> impl Iterator<Item = &'static Rule> {
    ENTRIES.iter().map(|entry| entry.rule)
}

pub fn by_id(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id == id)
}

/// Names of the categories that have rules, each once, in order.
pub fn categories() -> Vec<&'static str> {
    let mut categories: Vec<_> = all().map(|rule| rule.category).collect();
    categories.dedup();
    categories
}
