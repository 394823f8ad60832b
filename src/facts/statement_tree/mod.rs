//! A statement as plain data: what the server understood of its text, before views are expanded and rules applied.

mod expression;
mod fixed;
mod parsed;
mod select;
mod visit;

pub use expression::{Call, Cast, Column, Comparison, Expression, Kind, Operator, SubLink, SubLinkKind, Volatility};
pub use fixed::{Fixed, at_most_one_row, missing_key, output_keys, unique_indexes};
pub use parsed::parse;
pub use select::{
    Distinct, From, Item, ItemKind, JoinKind, Lock, LockStrength, LockWait, Select, SetKind, SetOperation, SetPart,
    SortKey, Target, Window, With,
};

use super::normalized::normalized;
use super::query::WriteKind;
use crate::db::Caught;
use std::hash::Hasher;

/// Of a longer text the beginning is shown.
const EXCERPT: usize = 80;

#[derive(Debug)]
pub struct Statement {
    /// Locations are byte offsets in it.
    pub text: String,
    pub source: Source,
    /// The query, or of a statement that writes the one that reads its rows. None: it reads nothing.
    pub query: Option<Select>,
    pub write: Option<Writing>,
}

#[derive(Debug)]
pub enum Source {
    /// Names, types and operators are those of this database.
    Analyzed,
    /// The server could not: tables are not here. Columns are names, operators and functions have no OIDs.
    Parsed { why: Caught },
    /// Nor could the parser: there is no tree.
    Unknown { why: Caught, parser: String },
}

/// What an INSERT, UPDATE, DELETE or MERGE writes.
#[derive(Debug)]
pub struct Writing {
    pub kind: WriteKind,
    /// OID of the table, a view or a foreign table; 0: not known.
    pub table: u32,
    /// Columns that are set: of UPDATE, of MERGE and of ON CONFLICT DO UPDATE.
    pub columns: Vec<i16>,
    /// UPDATE and DELETE: it has a WHERE.
    pub has_condition: bool,
    pub on_conflict: bool,
    pub returning: bool,
}

impl Statement {
    pub fn is_analyzed(&self) -> bool {
        matches!(self.source, Source::Analyzed)
    }

    /// All queries in it, each before those within it.
    pub fn selects(&self) -> Vec<&Select> {
        self.query.iter().flat_map(Select::selects).collect()
    }

    /// The identity of what a rule says about this statement: the same for other constants and another layout.
    pub fn object(&self, what: &str) -> String {
        let mut hasher = fnv::FnvHasher::default();
        hasher.write(normalized(&self.text).as_bytes());
        let query = format!("query {:016x}", hasher.finish());
        if what.is_empty() { query } else { format!("{what} in {query}") }
    }

    /// The text from a place on, in one line.
    pub fn excerpt(&self, location: Option<usize>) -> String {
        let from = self.text.get(location.unwrap_or(0)..).unwrap_or(&self.text);
        let mut words = from.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = words.char_indices().nth(EXCERPT) {
            words.truncate(end);
            words.push('…');
        }
        words
    }

    /// The character of the text, from 1, as the server's messages count.
    pub fn position(&self, location: Option<usize>) -> Option<usize> {
        Some(self.text.get(..location?)?.chars().count() + 1)
    }
}
