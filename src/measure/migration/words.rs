//! The words of a migration that may be names: what is looked up in the catalogs at once, before anything is followed.

use crate::facts::migration::text::Parsed;
use std::collections::BTreeSet;

/// A longer one is no name.
const LONGEST: usize = 63;

/// Identifiers as the server would fold them, quoted ones as they are; also those in strings and bodies of code.
pub fn words(statements: &[Parsed]) -> Vec<String> {
    let mut words = BTreeSet::new();
    for parsed in statements {
        crate::db::check_for_interrupts();
        collect(&parsed.text, &mut words);
    }
    words.into_iter().collect()
}

fn collect(text: &str, words: &mut BTreeSet<String>) {
    // A quote in a string or comment turns inside and outside around: from each quote on there may be a name.
    for (start, _) in text.match_indices('"') {
        if let Some(name) = quoted(&text[start + 1..]) {
            add(&name, words);
        }
    }
    for word in text.split(|character: char| !is_part(character)) {
        if !word.starts_with(|first: char| first.is_ascii_digit()) {
            add(word, words);
            add(&word.to_lowercase(), words);
        }
    }
}

/// Up to the closing quote; two of them stand for one.
fn quoted(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '"' && characters.next_if_eq(&'"').is_none() {
            return Some(name);
        }
        name.push(character);
        if name.len() > 2 * LONGEST {
            break;
        }
    }
    None
}

/// Cut to the length that the server cuts names to.
fn add(word: &str, words: &mut BTreeSet<String>) {
    let mut end = word.len().min(LONGEST);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    let word = &word[..end];
    if !word.is_empty() && !words.contains(word) {
        words.insert(word.to_string());
    }
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn words_are_those_that_may_be_names() {
        let mut words = BTreeSet::new();
        collect(r#"alter table "My Table" add Note text default 'x_y', add "b" int, "say ""so""" int"#, &mut words);
        for expected in ["My Table", "note", "x_y", "b", "table", "say \"so\""] {
            assert!(words.contains(expected), "{expected} is not in {words:?}");
        }
        assert!(!words.contains("1"));
    }
}
