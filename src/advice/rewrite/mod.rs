//! Queries rewritten to others that return the same rows, as text. What the catalogs must say for that is the caller's to know;
//! it names places in the text by the byte offset of a column's name, as the server's analysis gives it.

pub mod array;
pub mod exists;
pub mod grouped_join;
pub mod having;
pub mod keyset;
pub mod not_in;
mod parts;
pub mod range;
pub mod semi_join;
pub mod union;

use sqlparser::ast::{Expr, Ident, Query, Statement, VisitMut, VisitorMut, visit_expressions};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, Tokenizer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Every operator makes the tree deeper, which is walked by recursion.
const MOST_WORDS: usize = 1500;

/// A query that was read and can be printed again with the same meaning.
pub struct Draft {
    pub query: Query,
    /// Byte offset of each line's first character.
    lines: Vec<usize>,
    text: String,
    /// The query as it was read.
    given: Query,
}

impl Draft {
    /// None: it is no single query, or the parser does not give back what it was given.
    pub fn read(text: &str) -> Option<Draft> {
        let given = words(text)?;
        let deepens = |word: &&Token| !matches!(word, Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma);
        if given.iter().filter(deepens).count() > MOST_WORDS {
            return None;
        }
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
        let Some(Statement::Query(query)) = statements.pop().filter(|_| statements.is_empty()) else { return None };
        if words(&query.to_string())? != given {
            return None;
        }
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Some(Draft { given: (*query).clone(), query: *query, lines, text: text.to_string() })
    }

    /// The text, if there is a change, unless it would be read as another query than the one it is printed from.
    pub fn print(self) -> Option<String> {
        if self.query == self.given {
            return None;
        }
        let text = self.query.to_string();
        let read = Parser::parse_sql(&PostgreSqlDialect {}, &text).ok()?;
        (read == [Statement::Query(Box::new(self.query))]).then_some(text)
    }

    pub fn offset(&self, location: Location) -> Option<usize> {
        let line = *self.lines.get(usize::try_from(location.line).ok()?.checked_sub(1)?)?;
        let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
        Some(line + self.text.get(line..)?.char_indices().nth(column)?.0)
    }

    /// Where the column's name begins, if the expression is one.
    pub fn place(&self, expr: &Expr) -> Option<usize> {
        self.offset(first_name(expr)?.span.start)
    }

    /// Where all columns in it begin, those of subqueries too.
    pub fn places(&self, expr: &Expr) -> BTreeSet<usize> {
        let mut places = BTreeSet::new();
        let _ = visit_expressions(expr, |part| {
            places.extend(self.place(part));
            ControlFlow::<()>::Continue(())
        });
        places
    }

    /// Gives each expression of the query to `change`, inner ones first; true where it changed one.
    pub fn change(&mut self, change: impl FnMut(&Draft, &mut Expr) -> bool) -> bool {
        let mut query = self.query.clone();
        let mut walk = Walk { draft: self, change, changed: false };
        let _ = query.visit(&mut walk);
        let changed = walk.changed;
        self.query = query;
        changed
    }
}

struct Walk<'a, F> {
    draft: &'a Draft,
    change: F,
    changed: bool,
}

impl<F: FnMut(&Draft, &mut Expr) -> bool> VisitorMut for Walk<'_, F> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.changed |= (self.change)(self.draft, expr);
        ControlFlow::Continue(())
    }
}

/// The name of a column, or what qualifies it.
fn first_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.first(),
        _ => None,
    }
}

/// Expressions and queries are put together as text: what the parser makes of it is what it would read later.
pub fn expression(text: &str) -> Option<Expr> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?;
    let expr = parser.parse_expr().ok()?;
    (parser.peek_token() == Token::EOF).then_some(expr)
}

pub fn query(text: &str) -> Option<Query> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    match statements.pop().filter(|_| statements.is_empty()) {
        Some(Statement::Query(query)) => Some(*query),
        _ => None,
    }
}

/// A name that the text has nowhere.
pub fn new_name(text: &str, wish: &str) -> String {
    let text = text.to_lowercase();
    let numbered = (2..).map(|number| format!("{wish}_{number}"));
    std::iter::once(wish.to_string())
        .chain(numbered)
        .find(|name| !text.contains(name.as_str()))
        .expect("numbers do not run out")
}

/// What says the same in every layout, without words that may be left out.
fn words(text: &str) -> Option<Vec<Token>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().ok()?;
    let kept = tokens.into_iter().filter_map(|token| match token {
        Token::Whitespace(_) | Token::SemiColon => None,
        Token::Word(mut word) if word.quote_style.is_none() => {
            word.value = word.value.to_lowercase();
            (!["as", "inner", "outer"].contains(&word.value.as_str())).then_some(Token::Word(word))
        }
        other => Some(other),
    });
    Some(kept.collect())
}
