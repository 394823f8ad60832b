//! Parts of a statement's text: the tree says where they begin, the tokens where they end.

use super::super::lexer::{Kind, Token, Tokens};
use super::super::node::Node;
use crate::facts::migration::statement::{ExpressionText, TypeAsWritten};
use std::cell::OnceCell;
use std::ops::Range;

pub struct Source<'a> {
    pub text: &'a str,
    /// Where it begins in the text whose places the tree has.
    start: usize,
    tokens: OnceCell<Vec<Token<'a>>>,
}

/// What ends a type in the definition of a column or domain.
const AFTER_TYPE: &[&str] = &[
    "storage",
    "compression",
    "options",
    "constraint",
    "not",
    "null",
    "default",
    "check",
    "unique",
    "primary",
    "references",
    "generated",
    "collate",
    "deferrable",
    "initially",
    "using",
    "cascade",
    "restrict",
];

impl<'a> Source<'a> {
    pub fn new(text: &'a str, start: usize) -> Source<'a> {
        Source { text, start, tokens: OnceCell::new() }
    }

    /// Without comments.
    pub fn tokens(&self) -> &[Token<'a>] {
        self.tokens.get_or_init(|| Tokens::of(self.text).filter(|token| token.kind != Kind::Comment).collect())
    }

    pub fn token(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens().get(at)
    }

    /// The token at which a node begins; all of them are before it if that is not known.
    pub fn at(&self, node: Node) -> usize {
        let place = node.location().map_or(usize::MAX, |location| location.saturating_sub(self.start));
        self.tokens().partition_point(|token| token.start < place)
    }

    /// The first token from `from` on that is in no brackets and ends what began there, or closes the brackets around it.
    pub fn end(&self, from: usize, ends: impl Fn(&Token) -> bool) -> usize {
        let mut depth = 0;
        for (at, token) in self.tokens().iter().enumerate().skip(from) {
            if depth == 0 && (token.is(")") || token.is("]") || ends(token)) {
                return at;
            }
            match token.kind {
                Kind::Mark if matches!(token.text, "(" | "[") => depth += 1,
                Kind::Mark if matches!(token.text, ")" | "]") => depth -= 1,
                _ => {}
            }
        }
        self.tokens().len()
    }

    /// The end of an element of a list.
    pub fn element_end(&self, from: usize) -> usize {
        self.end(from, |token| token.is(","))
    }

    /// The first such keyword of the range that is in no brackets.
    pub fn find(&self, range: Range<usize>, word: &str) -> Option<usize> {
        let mut from = range.start;
        loop {
            let at = self.end(from, |token| token.word(word));
            if at >= range.end {
                return None;
            }
            if self.token(at).is_some_and(|token| token.word(word)) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    pub fn slice(&self, range: Range<usize>) -> &'a str {
        let tokens = self.tokens();
        let range = range.start..range.end.min(tokens.len());
        if range.is_empty() {
            return "";
        }
        &self.text[tokens[range.start].start..tokens[range.end - 1].end()]
    }

    pub fn expression(&self, range: Range<usize>) -> ExpressionText {
        let offset = self.token(range.start).map_or(self.text.len(), |token| token.start);
        ExpressionText { text: self.slice(range).to_string(), offset }
    }

    /// What is in the first parentheses from `from` on.
    pub fn in_parentheses(&self, from: usize) -> ExpressionText {
        let open = self.end(from, |token| token.is("("));
        self.expression(open + 1..self.end(open + 1, |_| false))
    }

    /// All behind the keyword, up to `end`.
    pub fn behind(&self, range: Range<usize>, word: &str) -> Option<ExpressionText> {
        let at = self.find(range.clone(), word)?;
        Some(self.expression(at + 1..range.end))
    }

    pub fn of_type(&self, type_name: Node) -> TypeAsWritten {
        let from = self.at(type_name);
        let ends = |token: &Token| {
            token.is(",") || token.is(";") || AFTER_TYPE.iter().any(|word| token.word(word)) || token.text == "="
        };
        let names = type_name.names("names");
        TypeAsWritten {
            text: self.slice(from..self.end(from, ends)).to_string(),
            serial: match names.as_slice() {
                [name] => {
                    matches!(name.as_str(), "serial" | "serial4" | "bigserial" | "serial8" | "smallserial" | "serial2")
                }
                _ => false,
            },
        }
    }
}
