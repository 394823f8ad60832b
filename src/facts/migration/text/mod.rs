//! A migration's text: its statements with their places, and what is no SQL.

mod allowed;
pub mod constants;
mod convert;
mod do_block;
mod formats;
pub mod lexer;
mod lines;
mod node;
mod parser;
mod piece;
mod split;
mod statements;
pub mod uses;

use super::{Allowed, Origin, Statement, Unread, UnreadKind};
use allowed::Pending;
use lines::Lines;
use split::Splitter;
use statements::{Found, statements};

/// The text, taken apart.
pub struct Script {
    pub statements: Vec<Parsed>,
    pub unread: Vec<Unread>,
    pub origin: Origin,
    /// The format says that no transaction is wrapped around it, or that one is; None: it says nothing.
    pub wrapped: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct Parsed {
    /// From 1, of its first word.
    pub line: usize,
    /// Without comments before it and the semicolon.
    pub text: String,
    pub statement: Statement,
    pub allowed: Vec<Allowed>,
}

/// Takes any text apart. What cannot be parsed is a statement of its own, `Statement::SyntaxError`.
pub fn read(sql: &str) -> Script {
    // An editor's mark of UTF-8, which would be a syntax error.
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    if formats::is_python(sql) {
        return of_python(sql);
    }
    let mut splitter = Splitter::of(sql);
    let found = statements(sql, &mut splitter);
    let lines = Lines::of(sql);
    let mut unread = Vec::new();
    let mut pending = Pending::default();
    let mut comments = std::mem::take(&mut splitter.comments).into_iter().peekable();
    let mut parsed = Vec::with_capacity(found.len());
    for Found { range, mut statement } in found {
        while let Some(comment) = comments.next_if(|comment| comment.start < range.start) {
            pending.take(&comment, &lines, &mut unread);
        }
        while let Some(comment) = comments.next_if(|comment| comment.start < range.end) {
            Pending::misplaced(&comment, &lines, &mut unread);
        }
        let allowed = pending.for_statement(lines.at(range.end));
        let (line, text) = (lines.at(range.start), sql[range].to_string());
        number_lines_of_body(&mut statement, &text, line);
        parsed.push(Parsed { line, text, statement, allowed });
    }
    comments.for_each(|comment| pending.take(&comment, &lines, &mut unread));
    pending.left(&mut unread);
    unread.extend(statements::unread(splitter.skipped, |place| lines.at(place)));
    unread.sort_by_key(|unread| unread.line);
    Script { statements: parsed, unread, origin: splitter.origin, wrapped: splitter.wrapped }
}

/// Statements of a DO block are numbered within its body until the block's own line is known.
fn number_lines_of_body(statement: &mut Statement, text: &str, line: usize) {
    let Statement::Do { body, statements, .. } = statement else { return };
    let before = text.find(body.as_str()).map_or(0, |at| text[..at].matches('\n').count());
    statements.iter_mut().for_each(|nested| nested.line += before + line - 1);
}

fn of_python(text: &str) -> Script {
    let first = text.lines().enumerate().find(|(_, line)| !line.trim().is_empty());
    let unread = first.map(|(line, text)| Unread {
        what: UnreadKind::Python,
        line: line + 1,
        text: text.to_string(),
        why: "it is Python, and what is reviewed is SQL".to_string(),
    });
    Script { statements: Vec::new(), unread: unread.into_iter().collect(), origin: Origin::Python, wrapped: None }
}
