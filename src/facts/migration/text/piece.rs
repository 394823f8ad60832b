//! The statement that is being read, token by token.

use super::lexer::{Kind, Token};
use std::ops::Range;

#[derive(Default)]
pub struct Piece {
    pub range: Option<Range<usize>>,
    depth: usize,
    /// BEGIN and CASE in the body of a routine, which have an END.
    blocks: usize,
    words: Vec<String>,
    /// FROM, then STDIN.
    pub copies: bool,
    after_from: bool,
    /// Between goose's StatementBegin and StatementEnd.
    pub whole: bool,
}

impl Piece {
    /// For the next statement.
    pub fn restart(&mut self) {
        *self = Piece { whole: self.whole, ..Piece::default() };
    }

    pub fn add(&mut self, token: &Token) {
        let range = self.range.get_or_insert(token.start..token.start);
        range.end = token.end();
        match token.text {
            "(" | "[" => self.depth += 1,
            ")" | "]" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if token.kind != Kind::Word {
            return;
        }
        if self.words.len() < 4 {
            self.words.push(token.text.to_ascii_lowercase());
        }
        self.copies |= self.after_from && token.word("stdin") && self.is("copy");
        self.after_from = token.word("from");
        if self.is_routine() && self.depth == 0 {
            match () {
                () if token.word("begin") => self.blocks += 1,
                () if token.word("case") && self.blocks > 0 => self.blocks += 1,
                () if token.word("end") => self.blocks = self.blocks.saturating_sub(1),
                () => {}
            }
        }
    }

    fn is(&self, first: &str) -> bool {
        self.words.first().is_some_and(|word| word == first)
    }

    fn is_routine(&self) -> bool {
        self.is("create") && self.words.iter().any(|word| word == "function" || word == "procedure")
    }

    pub fn ends_at_semicolon(&self) -> bool {
        self.depth == 0 && self.blocks == 0 && !self.whole
    }
}
