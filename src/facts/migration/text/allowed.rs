//! `-- dbre: allow <rule> <reason>` before a statement.

use super::super::{Allowed, Unread, UnreadKind};
use super::lexer::Token;
use super::lines::Lines;

const FORM: &str = "write -- dbre: allow <rule> <reason> on a line before the statement";

/// It may say something to us.
pub fn concerns(comment: &Token) -> bool {
    comment.text.trim_start_matches(['-', '/', '*', ' ', '\t']).starts_with("dbre:")
}

/// What the comments since the last statement allow for the next.
#[derive(Default)]
pub struct Pending {
    comments: Vec<(String, Allowed)>,
    /// The line on which the last statement ends.
    ended: usize,
}

impl Pending {
    /// A comment between two statements.
    pub fn take(&mut self, comment: &Token, lines: &Lines, unread: &mut Vec<Unread>) {
        let line = lines.at(comment.start);
        match allowed(comment.text, line) {
            _ if line == self.ended => unread.push(unheard(line, comment, "it stands behind a statement")),
            Ok(allowed) => self.comments.push((comment.text.to_string(), allowed)),
            Err(why) => unread.push(unheard(line, comment, why)),
        }
    }

    /// A comment in a statement.
    pub fn misplaced(comment: &Token, lines: &Lines, unread: &mut Vec<Unread>) {
        unread.push(unheard(lines.at(comment.start), comment, "it stands within a statement"));
    }

    pub fn for_statement(&mut self, ends: usize) -> Vec<Allowed> {
        self.ended = ends;
        self.comments.drain(..).map(|(_, allowed)| allowed).collect()
    }

    /// After the last statement.
    pub fn left(self, unread: &mut Vec<Unread>) {
        unread.extend(self.comments.into_iter().map(|(text, allowed)| Unread {
            what: UnreadKind::Suppression,
            line: allowed.line,
            text,
            why: format!("no statement follows it: {FORM}"),
        }));
    }
}

fn unheard(line: usize, comment: &Token, why: &str) -> Unread {
    Unread { what: UnreadKind::Suppression, line, text: comment.text.to_string(), why: format!("{why}: {FORM}") }
}

fn allowed(comment: &str, line: usize) -> Result<Allowed, &'static str> {
    let text = comment.strip_prefix("--").unwrap_or(comment);
    let text = text.strip_prefix("/*").map_or(text, |text| text.strip_suffix("*/").unwrap_or(text)).trim();
    let said = text.strip_prefix("dbre:").ok_or("it is not understood")?.trim_start();
    let (verb, rest) = first_word(said);
    let (rule, reason) = first_word(rest);
    match (verb, rule, reason) {
        ("allow", "", _) => Err("it names no rule"),
        ("allow", _, "") => Err("it gives no reason"),
        ("allow", ..) => Ok(Allowed { line, rule: rule.to_string(), reason: reason.to_string() }),
        _ => Err("it is not understood"),
    }
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_rule_and_a_reason_are_wanted() {
        let allowed = |comment| allowed(comment, 1);
        let expected =
            Allowed { line: 1, rule: "index_not_concurrent".to_string(), reason: "the table is small".to_string() };
        assert_eq!(allowed("-- dbre: allow index_not_concurrent the table is small"), Ok(expected.clone()));
        assert_eq!(allowed("/*dbre: allow  index_not_concurrent\tthe table is small */"), Ok(expected.clone()));
        assert_eq!(allowed("/* dbre: allow index_not_concurrent the table is small */"), Ok(expected));
        assert_eq!(allowed("-- dbre: allow index_not_concurrent"), Err("it gives no reason"));
        assert_eq!(allowed("-- dbre: allow"), Err("it names no rule"));
        assert_eq!(allowed("-- dbre: ignore all of it"), Err("it is not understood"));
    }
}
