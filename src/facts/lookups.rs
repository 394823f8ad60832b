//! Statements that look rows up by key, and statements whose rows such keys come from.

use super::MeasuredStatement;
use crate::db::{self, Caught};
use pgrx::pg_sys::Oid;
use std::collections::BTreeMap;

/// The SELECTs of pg_stat_statements, each with what it looks up and which tables' rows it returns.
#[derive(Debug, Default)]
pub struct Lookups {
    /// pg_stat_statements can be read.
    pub known: bool,
    pub watch: Watch,
    pub statements: Vec<ReadingStatement>,
    /// Of statements that only the hook has seen, by query id and role.
    pub burst_shapes: BTreeMap<(i64, u32), ReadingShape>,
    pub not_analyzed: Vec<NotAnalyzed>,
    /// Statements that time did not suffice for.
    pub not_reached: u64,
    /// Of all statements that clients sent, analyzed or not.
    pub total_ms: f64,
}

/// Whether executions are seen one by one.
#[derive(Debug, Default)]
pub struct Watch {
    /// New sessions load the hook.
    pub loaded: bool,
    /// dbre.n_plus_one_threshold is not 0.
    pub on: bool,
    /// As sessions of this one's role have it; None: hidden from the caller.
    pub session_preload_libraries: Option<String>,
}

impl Watch {
    pub fn read() -> Watch {
        let setting = "select pg_catalog.current_setting('session_preload_libraries')";
        Watch {
            loaded: super::hook_is_loaded(),
            on: super::why_bursts_are_not_recorded().is_none(),
            session_preload_libraries: db::guarded(|| db::read(setting, &[], |row| row.take::<String>()))
                .ok()
                .and_then(|mut rows| rows.pop()),
        }
    }
}

impl Lookups {
    pub fn statement(&self, query_id: i64, role: u32) -> Option<&ReadingStatement> {
        self.statements.iter().find(|one| one.measured.query_id == query_id && one.measured.role == role)
    }

    /// None: the statement is not known, or not one whose rows are those of its tables.
    pub fn shape(&self, query_id: i64, role: u32) -> Option<&ReadingShape> {
        let measured = self.statement(query_id, role).map(|statement| &statement.shape);
        measured.or_else(|| self.burst_shapes.get(&(query_id, role)))
    }
}

/// With which sessions of the role begin in this database.
pub fn search_path_of(role: u32) -> String {
    let sql = include_str!("../../sql/facts/role_search_path.sql");
    db::read(sql, &[Oid::from(role).into()], |row| row.take::<String>()).pop().expect("one row")
}

#[derive(Debug)]
pub struct ReadingStatement {
    pub measured: MeasuredStatement,
    pub shape: ReadingShape,
}

#[derive(Debug)]
pub struct NotAnalyzed {
    pub query_id: i64,
    pub calls: u64,
    pub total_ms: f64,
    pub why: Caught,
}

/// What a SELECT takes from which tables, views and subqueries looked through.
#[derive(Clone, Debug, Default)]
pub struct ReadingShape {
    pub sources: Vec<Source>,
    /// Position in `sources` of the table that is looked up in.
    pub lookup: Option<Lookup>,
    /// It asks for NULL in a column that is never NULL.
    pub finds_nothing: bool,
    /// As analyzed; places in it are byte offsets.
    pub text: String,
}

/// A table as one FROM item reads it. A partition is its partitioned table.
#[derive(Clone, Debug, Default)]
pub struct Source {
    pub table: u32,
    /// Attribute numbers of the columns that are returned, in order.
    pub returned: Vec<i16>,
    /// Of those that equal a value that is not a column's, in order.
    pub fixed: Vec<i16>,
    /// Columns that equal columns of other sources: own, the other's position, its column.
    pub joined: Vec<(i16, usize, i16)>,
    /// Its row is one: `fixed` has a unique key.
    pub is_one_row: bool,
}

#[derive(Clone, Debug)]
pub struct Lookup {
    pub source: usize,
    /// `column = $n`, for each of the source's fixed columns that equal a parameter.
    pub keys: Vec<LookupKey>,
    /// It counts or sums: one row, whatever it finds.
    pub aggregates: bool,
    pub limited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupKey {
    pub column: i16,
    /// `$n`
    pub parameter: i32,
    /// Where in the text the equality begins, and `$n`.
    pub place: Option<(usize, usize)>,
}
