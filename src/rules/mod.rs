//! The rules: one file each below the folder of its category, found by `build.rs`.

use crate::rule::Rule;

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

pub fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied()
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

/// A rule's id is the name of its file, its category that of the folder. Checked when compiling.
const fn is_at_home(rule: &Rule, folder: &str, file: &str) -> bool {
    same(rule.category, folder) && same(rule.id, file)
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut position = 0;
    while position < a.len() && position < b.len() && a[position] == b[position] {
        position += 1;
    }
    position == a.len() && position == b.len()
}
