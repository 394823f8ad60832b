//! A statement as plain data, analyzed by the server where it can be.

use super::{Query, UNKNOWN_TYPE};
use crate::db::guarded;
use crate::facts::Statement;
use crate::facts::statement_tree::{Source, parse};

/// SQLSTATEs of a statement whose tables, columns, functions or types are not here.
const NOT_HERE: &[&str] = &["42P01", "42703", "3F000", "42883", "42704"];

/// Raises errors as `Query::analyze` does, but for what is not here: of such a statement the text alone is read.
pub fn statement(argument: &str, text: &str) -> Statement {
    match guarded(|| Query::analyze(argument, text).statement()) {
        Ok(statement) => statement,
        Err(why) if NOT_HERE.contains(&why.sqlstate.as_str()) => {
            let text = text.to_string();
            match parse(&text) {
                Ok((query, write)) => Statement { text, source: Source::Parsed { why }, query, write },
                Err(parser) => Statement { text, source: Source::Unknown { why, parser }, query: None, write: None },
            }
        }
        // As pg_stat_statements has it, the constant was no parameter.
        Err(why) if UNKNOWN_TYPE.contains(&why.sqlstate.as_str()) => {
            let assumed = guarded(|| Query::analyze_with_integers(argument, text).statement());
            assumed.unwrap_or_else(|_| Query::analyze(argument, text).statement())
        }
        // Once more, for the server's own error with all that it says.
        Err(_) => Query::analyze(argument, text).statement(),
    }
}
