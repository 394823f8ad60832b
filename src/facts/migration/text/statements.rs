//! Parses what the text was split into, and goes on behind what does not parse.

use super::super::statement::{Statement, SyntaxError};
use super::super::{Unread, UnreadKind};
use super::convert;
use super::lexer::{Kind, Tokens};
use super::node::Tree;
use super::parser;
use super::split::{Skipped, Splitter, meant_end};
use std::ops::Range;

/// A text with more is no migration: the rest of it is not read.
const MOST_ERRORS: usize = 1000;

pub struct Found {
    pub range: Range<usize>,
    pub statement: Statement,
}

/// All statements of the text, in their order.
pub fn statements(sql: &str, splitter: &mut Splitter) -> Vec<Found> {
    let mut found = Vec::new();
    let mut errors = 0;
    loop {
        pgrx::check_for_interrupts!();
        let part = splitter.next_part();
        if part.is_empty() {
            return found;
        }
        let mut rest = &part[..];
        while let Some((refused, error)) = take(sql, rest, &mut found) {
            errors += 1;
            let piece = rest[refused].clone();
            let place = error.offset.map_or(piece.start, |offset| offset.max(piece.start));
            let end = meant_end(sql, &piece, place);
            let range = piece.start..end.unwrap_or(piece.end);
            let offset = error.offset.map(|offset| offset.saturating_sub(piece.start));
            found.push(Found { range, statement: Statement::SyntaxError(SyntaxError { offset, ..error }) });
            rest = &rest[refused + 1..];
            if errors >= MOST_ERRORS {
                splitter.skipped.push(what_follows(sql, end.unwrap_or(piece.end)));
                return found;
            }
            if let Some(end) = end {
                splitter.restart(end + 1);
                break;
            }
        }
    }
}

fn what_follows(sql: &str, start: usize) -> Skipped {
    let why = format!("{MOST_ERRORS} statements before it do not parse; what follows them is not read");
    let text = sql[start..].lines().nth(1).unwrap_or_default().to_string();
    Skipped { what: UnreadKind::Rest, start, text, why }
}

/// Adds the statements up to the first that is refused; that one's number among `pieces`, and why.
fn take(sql: &str, pieces: &[Range<usize>], found: &mut Vec<Found>) -> Option<(usize, SyntaxError)> {
    let (first, last) = (pieces.first()?, pieces.last()?);
    let text = &sql[first.start..last.end];
    match parse(text, first.start, pieces) {
        Ok(all) => {
            found.extend(all);
            None
        }
        Err(mut error) => {
            error.offset = error.offset.map(|offset| offset + first.start);
            // The scanner looks one token ahead: the place is in the statement, or at its end.
            let at = |offset: usize| pieces.iter().position(|piece| offset <= piece.end);
            let Some(refused) = error.offset.and_then(at).or((pieces.len() == 1).then_some(0)) else {
                return one_by_one(sql, pieces, found);
            };
            match take(sql, &pieces[..refused], found) {
                Some(earlier) => Some(earlier),
                None => Some((refused, error)),
            }
        }
    }
}

/// The error does not say where it is.
fn one_by_one(sql: &str, pieces: &[Range<usize>], found: &mut Vec<Found>) -> Option<(usize, SyntaxError)> {
    let refused = |number: usize| take(sql, &pieces[number..=number], found).map(|(_, error)| (number, error));
    (0..pieces.len()).find_map(refused)
}

fn parse(text: &str, start: usize, pieces: &[Range<usize>]) -> Result<Vec<Found>, SyntaxError> {
    let of = |raw: parser::Raw| {
        let end = raw.length.map_or(text.len(), |length| raw.start + length);
        let range = piece_at(pieces, start + raw.start, start + end)
            .unwrap_or_else(|| without_comments(text, raw.start, end, start));
        let own = &text[range.start - start..range.end - start];
        let tree = Tree::read(raw.tree);
        Found { statement: convert::statement(tree.root(), &raw.tag, own, range.start - start), range }
    };
    parser::parse(text, of)
}

/// The piece that the statement is, unless several are in one.
fn piece_at(pieces: &[Range<usize>], start: usize, end: usize) -> Option<Range<usize>> {
    let at = pieces.partition_point(|piece| piece.start < start);
    pieces.get(at).filter(|piece| piece.end <= end).cloned()
}

fn without_comments(text: &str, from: usize, to: usize, start: usize) -> Range<usize> {
    let tokens = Tokens::from(&text[..to], from).filter(|token| token.kind != Kind::Comment);
    let mut range = None;
    for token in tokens {
        range.get_or_insert(token.start..token.end()).end = token.end();
    }
    let range = range.unwrap_or(from..to);
    range.start + start..range.end + start
}

/// What the split left out, with line numbers.
pub fn unread(skipped: Vec<Skipped>, line: impl Fn(usize) -> usize) -> impl Iterator<Item = Unread> {
    skipped.into_iter().map(move |skipped| Unread {
        what: skipped.what,
        line: line(skipped.start),
        text: skipped.text,
        why: skipped.why,
    })
}
