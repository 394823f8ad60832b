//! Finds where the statements are, and what stands between them that is no SQL.

use super::super::{Origin, UnreadKind};
use super::allowed;
use super::formats::{Directive, directive, of_psql};
use super::lexer::{Kind, Token, Tokens, is_closed};
use super::piece::Piece;
use std::ops::Range;

/// What is parsed at once.
const MOST_PIECES: usize = 200;
const MOST_BYTES: usize = 65_536;

/// Statements that follow each other with nothing between them but comments.
pub type Part = Vec<Range<usize>>;

pub struct Skipped {
    pub what: UnreadKind,
    pub start: usize,
    pub text: String,
    pub why: String,
}

/// Goes through the text from front to back; it may be sent back to a place before.
pub struct Splitter<'a> {
    sql: &'a str,
    tokens: Tokens<'a>,
    pub skipped: Vec<Skipped>,
    /// Those that may allow something.
    pub comments: Vec<Token<'a>>,
    pub origin: Origin,
    pub wrapped: Option<bool>,
}

impl<'a> Splitter<'a> {
    pub fn of(sql: &'a str) -> Splitter<'a> {
        Splitter {
            sql,
            tokens: Tokens::of(sql),
            skipped: Vec::new(),
            comments: Vec::new(),
            origin: Origin::Plain,
            wrapped: None,
        }
    }

    /// The next statements; empty at the end of the text.
    pub fn next_part(&mut self) -> Part {
        let mut part = Part::new();
        let mut piece = Piece::default();
        while let Some(token) = self.tokens.next() {
            match token.kind {
                Kind::Comment if is_closed(&token) => {
                    if self.comment(&token, &mut piece) {
                        part.extend(piece.range.take());
                        piece.restart();
                    }
                }
                Kind::Mark if token.text == "\\" => {
                    part.extend(piece.range.take());
                    self.skip_psql(token.start);
                    if !part.is_empty() {
                        return part;
                    }
                    piece = Piece::default();
                }
                Kind::Mark if token.text == ";" && piece.ends_at_semicolon() => {
                    part.extend(piece.range.take());
                    if piece.copies {
                        self.skip_copied(token.end());
                        return part;
                    }
                    piece = Piece::default();
                    let bytes = part.first().map_or(0, |first| token.end() - first.start);
                    if part.len() >= MOST_PIECES || bytes >= MOST_BYTES {
                        return part;
                    }
                }
                _ => piece.add(&token),
            }
        }
        part.extend(piece.range);
        part
    }

    /// Reads on from there, as if what lies behind had not been read.
    pub fn restart(&mut self, at: usize) {
        self.tokens = Tokens::from(self.sql, at);
        self.skipped.retain(|skipped| skipped.start < at);
        self.comments.retain(|comment| comment.start < at);
    }

    /// Whether it ends the statement before it.
    fn comment(&mut self, comment: &Token<'a>, piece: &mut Piece) -> bool {
        if allowed::concerns(comment) {
            self.comments.push(*comment);
        }
        match directive(comment.text) {
            None => return false,
            Some(Directive::Of(origin, wrapped)) => self.is_of(origin, wrapped),
            Some(Directive::Up(origin, wrapped)) => {
                self.is_of(origin, wrapped);
                return true;
            }
            Some(Directive::Down(origin)) => {
                self.is_of(origin, None);
                self.skip_down(comment);
                return true;
            }
            Some(Directive::StatementBegin) => piece.whole = true,
            Some(Directive::StatementEnd) => {
                piece.whole = false;
                return true;
            }
        }
        false
    }

    /// Who said that there is no transaction is not talked over.
    fn is_of(&mut self, origin: Origin, wrapped: Option<bool>) {
        self.origin = origin;
        if self.wrapped != Some(false) {
            self.wrapped = wrapped.or(self.wrapped);
        }
    }

    fn skip(&mut self, what: UnreadKind, start: usize, to: usize, text: &str, why: String) {
        self.skipped.push(Skipped { what, start, text: text.trim_end().to_string(), why });
        self.tokens = Tokens::from(self.sql, to);
    }

    fn line_end(&self, from: usize) -> usize {
        memchr::memchr(b'\n', &self.sql.as_bytes()[from..]).map_or(self.sql.len(), |length| from + length)
    }

    fn skip_psql(&mut self, start: usize) {
        let end = self.line_end(start);
        let line = &self.sql[start..end];
        self.skip(UnreadKind::Psql, start, end, line, of_psql(line).to_string());
    }

    /// From the line behind the statement to that of `\.`
    fn skip_copied(&mut self, from: usize) {
        let first = (self.line_end(from) + 1).min(self.sql.len());
        let (mut at, mut rows) = (first, 0);
        while at < self.sql.len() {
            let end = self.line_end(at);
            let line = self.sql[at..end].trim_end();
            at = (end + 1).min(self.sql.len());
            if line == "\\." {
                break;
            }
            rows += 1;
        }
        let text = self.sql[first..self.line_end(first)].to_string();
        if at > first {
            self.skip(UnreadKind::CopyData, first, at, &text, format!("{rows} lines of data for COPY"));
        }
    }

    fn skip_down(&mut self, comment: &Token) {
        let mut at = comment.end();
        while at < self.sql.len() {
            let end = self.line_end(at);
            if let Some(Directive::Up(..)) = directive(self.sql[at..end].trim()) {
                break;
            }
            at = (end + 1).min(self.sql.len());
        }
        let why = "it is the way down; only the way up is reviewed".to_string();
        self.skip(UnreadKind::Down, comment.start, at, comment.text, why);
    }
}

/// Within a statement that does not parse: where its first semicolon may have been meant, when a bracket or a quote is left
/// open. `from`: the error.
pub fn meant_end(sql: &str, piece: &Range<usize>, from: usize) -> Option<usize> {
    let words: Vec<&str> = Tokens::of(&sql[piece.clone()]).take(4).map(|token| token.text).collect();
    if words.first()?.eq_ignore_ascii_case("create")
        && words.iter().any(|word| word.eq_ignore_ascii_case("function") || word.eq_ignore_ascii_case("procedure"))
    {
        return None;
    }
    let text = &sql[piece.clone()];
    for token in Tokens::of(text).filter(|token| piece.start + token.end() > from) {
        let at = piece.start + token.start;
        match token.kind {
            Kind::Mark if token.text == ";" && at >= from => return Some(at),
            Kind::String if token.text.starts_with('$') => {}
            Kind::String | Kind::Quoted | Kind::Comment => {
                let line_ends = token.text.match_indices(";").filter(|(end, _)| {
                    let behind = &token.text[end + 1..];
                    at + end >= from && behind.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
                });
                if let Some((end, _)) = line_ends.into_iter().next() {
                    return Some(at + end);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn pieces(sql: &str) -> (Vec<&str>, Vec<String>, Option<bool>) {
        let mut splitter = Splitter::of(sql);
        let mut found = Vec::new();
        loop {
            let part = splitter.next_part();
            if part.is_empty() {
                return (found, splitter.skipped.into_iter().map(|skipped| skipped.text).collect(), splitter.wrapped);
            }
            found.extend(part.into_iter().map(|range| &sql[range]));
        }
    }

    #[test]
    fn statements_end_at_semicolons() {
        let sql = "a 1; -- b;\n c (d; e) ';' $$;$$;; create function f() begin atomic select case 1 when 1 then 2 end; end; g";
        let expected =
            ["a 1", "c (d; e) ';' $$;$$", "create function f() begin atomic select case 1 when 1 then 2 end; end", "g"];
        assert_eq!(pieces(sql).0, expected);
    }

    #[test]
    fn what_is_no_sql_is_passed_over() {
        let sql = "\\set a 1\nselect 1 \\gexec\ncopy t from stdin;\n1\t2\n3;\n\\.\nselect 2;\ncopy t from stdin;\n";
        let (found, skipped, _) = pieces(sql);
        assert_eq!(found, ["select 1", "copy t from stdin", "select 2", "copy t from stdin"]);
        assert_eq!(skipped, ["\\set a 1", "\\gexec", "1\t2"]);
    }

    #[test]
    fn the_way_down_is_passed_over() {
        let sql = "-- +goose NO TRANSACTION\n-- +goose Up\na;\n-- +goose StatementBegin\nb; c\n-- +goose StatementEnd\n\
                   -- +goose Down\nd;\n-- +goose Up\ne;";
        let (found, skipped, wrapped) = pieces(sql);
        assert_eq!((found, skipped), (vec!["a", "b; c", "e"], vec!["-- +goose Down".to_string()]));
        assert_eq!(wrapped, Some(false));
    }

    #[test]
    fn a_quote_left_open_ends_at_the_end_of_a_line() {
        let sql = "insert into t values ('it's');\nalter table t;";
        assert_eq!(meant_end(sql, &(0..sql.len()), 25), Some(29));
        let sql = "create table t (a int;\ncreate table u (b int)";
        assert_eq!(meant_end(sql, &(0..sql.len()), 21), Some(21));
        let sql = "do x $$ a;\n b $$";
        assert_eq!(meant_end(sql, &(0..sql.len()), 3), None);
    }
}
