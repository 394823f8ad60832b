//! What a later release of PostgreSQL has and this one has not.

use super::Model;
use crate::facts::migration::text::{Parsed, constants};
use crate::facts::migration::{Effect, Failure, Statement};

/// Functions of PostgreSQL 18.
const FUNCTIONS: &[&str] = &["uuidv7", "uuidv4", "casefold", "crc32", "crc32c", "array_sort", "array_reverse"];

/// Where the parser of this release stops at what the next one knows: the words before the place and from it on.
const SYNTAX: &[(&str, &str, &str)] = &[
    ("", "virtual", "A virtual generated column"),
    ("not", "enforced", "NOT ENFORCED"),
    ("", "enforced", "ENFORCED"),
    ("", "without overlaps", "WITHOUT OVERLAPS"),
    ("without", "overlaps", "WITHOUT OVERLAPS"),
    ("", "period", "PERIOD of a foreign key"),
];

const VERSION: u32 = 18;

pub fn newer_server(parsed: &Parsed, model: &Model) -> Vec<Effect> {
    let fails = |feature: String, sqlstate| Effect::Fails {
        why: Failure::NewerServer { feature, version: VERSION },
        sqlstate,
        certain: true,
    };
    if let Statement::SyntaxError(error) = &parsed.statement {
        let at = error.offset.unwrap_or(0).min(parsed.text.len());
        let feature = syntax(&parsed.text[..at], &parsed.text[at..]);
        return feature.map(|feature| fails(feature.to_string(), "42601")).into_iter().collect();
    }
    if matches!(parsed.statement, Statement::CreateFunction { .. }) {
        return Vec::new();
    }
    let is_missing = |name: &&&str| constants::calls(&parsed.text, name) && !model.has_function(None, name);
    FUNCTIONS.iter().filter(is_missing).map(|name| fails(format!("{name}()"), "42883")).collect()
}

fn syntax(before: &str, behind: &str) -> Option<&'static str> {
    let lower = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (before, behind) = (lower(before), lower(&behind.chars().take(100).collect::<String>()));
    let is = |(earlier, later, _): &&(&str, &str, &str)| {
        let ends = earlier.is_empty() || before.ends_with(earlier);
        let rest = behind.strip_prefix(later);
        ends && rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let table = SYNTAX.iter().find(is).map(|(.., feature)| *feature);
    // ADD CONSTRAINT name NOT NULL column
    let named_not_null = behind.starts_with("not null ") && before.split(' ').rev().nth(1) == Some("constraint");
    table.or(named_not_null.then_some("NOT NULL as a named constraint of the table"))
}

#[cfg(test)]
mod unit_tests {
    use super::syntax;

    #[test]
    fn what_the_next_release_knows_is_told_by_its_words() {
        assert_eq!(
            syntax("alter table t add v int generated always as (a) ", "virtual, b"),
            Some("A virtual generated column")
        );
        assert_eq!(syntax("alter table t add check (a > 0) not ", "enforced"), Some("NOT ENFORCED"));
        assert!(syntax("alter table t add constraint c ", "not null a").is_some());
        assert_eq!(syntax("alter table t ad ", "virtually"), None);
        assert_eq!(syntax("alter table t ad ", "c int"), None);
    }
}
