//! A statement's text, analyzed by the server against the live catalogs: names, types and views are exact.
//!
//! Analysis and planning run code: input functions of types, immutable functions of constants, CHECKs of domains. Text of
//! another role is analyzed with that role's rights, never the caller's (`db::as_role`).

mod bindings;
mod conditions;
mod distances;
mod expressions;
#[cfg(any(test, feature = "pg_test"))]
mod in_server;
mod orders;
mod owners;
mod parameters;
mod patterns;
mod reading;
mod recorded;
mod shape;
mod statement;
mod tree;
mod ways;
mod whole;

pub use owners::owners;
pub use parameters::representative;
pub use recorded::{Analyzed, Chosen, PRINTED_IN, Text, may_be_query, may_be_select, recorded_statement};
pub use shape::install_hook;
pub use statement::statement;
pub use whole::Whole;

use super::server;
use crate::db::{self, Arena, raise};
use crate::facts::Statement;
use crate::facts::query::{QueryShape, Write};
use crate::facts::statement_tree::Source;
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgList, PgSqlErrorCode};
use reading::{RawWrite, reading_part};
use regex_lite::Regex;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;
use tree::Raw;

const MOST_PARAMETERS: i32 = 65535;
/// SQLSTATEs of a parameter whose type the context does not tell: ambiguous function or operator, indeterminate type.
pub const UNKNOWN_TYPE: [&str; 2] = ["42725", "42P18"];

/// SQLSTATE of a statement that is not one plannable query, feature_not_supported.
pub const NOT_A_QUERY: &str = "0A000";

/// One SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES, ready to be planned. It holds ACCESS SHARE on its tables until the
/// transaction ends.
pub struct Query {
    /// No other query of this backend has it.
    number: u64,
    /// The reading part, analyzed and rewritten; None when there is none.
    tree: Option<*mut pg_sys::Query>,
    text: CString,
    /// The reading part, analyzed and not rewritten.
    analyzed: Option<*mut pg_sys::Query>,
    raw: Raw,
    /// Of `$1` and so on.
    parameter_types: Vec<pg_sys::Oid>,
    write: Option<Write>,
    /// Where `tree` and the values bound to it live.
    arena: Arena,
}

thread_local! {
    static NUMBERS: Cell<u64> = const { Cell::new(0) };
}

/// The value of a parameter, printed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Unknown,
    Null,
    Text(String),
}

impl Value {
    /// None where it is unknown or NULL.
    pub fn into_text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            Value::Unknown | Value::Null => None,
        }
    }
}

/// Values for all parameters of one query, as the planner takes them.
#[derive(Clone, Copy)]
pub struct Bound {
    list: pg_sys::ParamListInfo,
    /// The tree of the query that they are of: they live as long as it does.
    tree: *const pg_sys::Query,
}

impl Bound {
    /// No values: a generic plan.
    pub const GENERIC: Bound = Bound { list: null_mut(), tree: null() };
}

impl Query {
    /// Raises the server's error when the text is wrong, and one of ours when it is not one plannable statement. `argument`
    /// is what the message calls the text.
    pub fn analyze(argument: &str, text: &str) -> Query {
        Query::analyze_with(argument, text, false)
    }

    /// As `analyze`, with all parameters integers: pg_stat_statements replaces constants whose type was known by parameters
    /// whose type may not be, as in `generate_series($1, $2)`.
    pub fn analyze_with_integers(argument: &str, text: &str) -> Query {
        Query::analyze_with(argument, text, true)
    }

    fn analyze_with(argument: &str, text: &str, integers: bool) -> Query {
        let typed = typed_parameters(text);
        // What the parser takes as it is has such words in its constants and comments.
        let text = if typed != text && parses(text) { text.to_string() } else { typed };
        let Ok(text) = CString::new(text) else {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("argument {argument} holds a zero byte"),
                "SQL text has none.",
            )
        };
        let number = NUMBERS.replace(NUMBERS.get() + 1);
        let mut query = Query {
            number,
            tree: None,
            analyzed: None,
            raw: Raw::default(),
            text,
            parameter_types: Vec::new(),
            write: None,
            arena: Arena::new(),
        };
        // SAFETY: what the parser allocates goes with the arena; the finished tree is copied out of it first.
        Arena::new().enter(|| unsafe { query.read(argument, integers) });
        query
    }

    unsafe fn read(&mut self, argument: &str, integers: bool) {
        // SAFETY: the trees are the server's own, in the current memory context; the copy is in `self.arena`.
        unsafe {
            let statement = only_statement(argument, &self.text);
            self.raw = Raw::of((*statement).stmt);
            if self.raw.parameters > MOST_PARAMETERS {
                raise(
                    PgSqlErrorCode::ERRCODE_TOO_MANY_ARGUMENTS,
                    format!("argument {argument} has {} parameters", self.raw.parameters),
                    format!("The protocol allows {MOST_PARAMETERS}."),
                )
            }
            let (select, write) = reading_part((*statement).stmt);
            self.write = write.and_then(|write| resolve(&write));
            let Some(select) = select else { return };
            (*statement).stmt = select;
            let state = pg_sys::make_parsestate(null_mut());
            (*state).p_sourcetext = self.text.as_ptr();
            let (mut types, mut number) = (null_mut::<pg_sys::Oid>(), 0);
            if integers {
                let assumed = integer_parameters(&self.text);
                number = assumed.len() as i32;
                types = pg_sys::palloc0(size_of::<pg_sys::Oid>() * assumed.len().max(1)).cast();
                for (position, is_integer) in assumed.into_iter().enumerate() {
                    types.add(position).write(if is_integer { pg_sys::INT4OID } else { pg_sys::InvalidOid });
                }
            }
            server::setup_parse_variable_parameters(state, &raw mut types, &raw mut number);
            let analyzed = pg_sys::transformTopLevelStmt(state, statement);
            server::check_variable_parameters(state, analyzed);
            self.parameter_types = (0..number as usize).map(|position| *types.add(position)).collect();
            pg_sys::free_parsestate(state);
            let copy = |query: *mut pg_sys::Query| self.arena.enter(|| pg_sys::copyObjectImpl(query.cast()).cast());
            self.analyzed = Some(copy(analyzed));
            let rewritten = PgList::<pg_sys::Query>::from_pg(pg_sys::pg_rewrite_query(analyzed));
            let tree = rewritten.get_ptr(0).expect("a SELECT is rewritten to one");
            self.tree = Some(copy(tree));
        }
    }

    /// Raises an error when the role in force may not read what the query reads.
    pub fn shape(&self) -> QueryShape {
        // SAFETY: the tree is analyzed and rewritten, and a SELECT.
        let shape = self.tree.map(|tree| unsafe { shape::shape(tree) }).unwrap_or_default();
        QueryShape { write: self.write.clone(), ..shape }
    }

    /// The statement as plain data, views not expanded.
    pub fn statement(&self) -> Statement {
        self.plain(self.analyzed)
    }

    /// The statement as plain data, each view the subquery that it stands for.
    pub fn expanded_statement(&self) -> Statement {
        self.plain(self.tree)
    }

    fn plain(&self, tree: Option<*mut pg_sys::Query>) -> Statement {
        let text = self.text.to_string_lossy().into_owned();
        // SAFETY: the tree is of this text, analyzed, and a SELECT. What is printed goes with an arena of its own.
        let query = tree.map(|tree| Arena::new().enter(|| unsafe { tree::select(tree, &self.raw, &text) }));
        let write = self.raw.writing_statement.map(|writing| match &self.write {
            Some(write) => writing.resolved(write.table, write.columns.clone()),
            None => writing.resolved(0, Vec::new()),
        });
        Statement { text, source: Source::Analyzed, query, write }
    }

    /// Roles other than superusers whose code planning the query may run: see `owners`.
    pub fn lesser_owners(&self) -> Vec<u32> {
        // SAFETY: the tree is analyzed and rewritten.
        let owners = self.tree.map(|tree| unsafe { owners(tree.cast()) }).unwrap_or_default();
        owners.into_iter().filter(|owner| !db::is_superuser(*owner)).collect()
    }

    /// What the statement writes.
    pub fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    pub fn text(&self) -> &CStr {
        &self.text
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Those of the whole statement.
    pub fn parameters(&self) -> usize {
        self.parameter_types.len().max(self.raw.parameters as usize)
    }

    fn address(&self) -> *const pg_sys::Query {
        self.tree.map_or(null(), |tree| tree.cast_const())
    }

    /// A copy of the tree in the current memory context, for the planner changes what it plans.
    pub(super) unsafe fn tree(&self) -> Option<*mut pg_sys::Query> {
        // SAFETY: the tree lives as long as `self`.
        self.tree.map(|tree| unsafe { pg_sys::copyObjectImpl(tree.cast()).cast() })
    }

    /// Parallel plans are considered, as they are for statements that only read.
    pub(super) fn cursor_options(&self) -> i32 {
        if self.write.is_none() { pg_sys::CURSOR_OPT_PARALLEL_OK as i32 } else { 0 }
    }

    /// Values for the first parameters, the others unknown. Raises the error of a type's input function.
    pub fn bind(&self, values: &[Value]) -> Bound {
        let types = &self.parameter_types;
        // SAFETY: the list has room for all parameters; list and values live as long as `self`.
        unsafe {
            self.arena.enter(|| {
                let list = pg_sys::makeParamList(types.len() as i32);
                let slots = (*list).params.as_mut_slice(types.len());
                for (position, (slot, oid)) in slots.iter_mut().zip(types).enumerate() {
                    *slot = match values.get(position) {
                        // Without a type the planner leaves the parameter alone.
                        None | Some(Value::Unknown) => pg_sys::ParamExternData { isnull: true, ..Default::default() },
                        Some(Value::Null) => constant(*oid, None),
                        Some(Value::Text(text)) => constant(*oid, Some(text)),
                    };
                }
                Bound { list, tree: self.address() }
            })
        }
    }
}

impl Bound {
    /// Of the values of a query each its own.
    pub(super) fn address(self) -> usize {
        self.list as usize
    }

    /// Panics when they are of another query, which may be gone.
    pub(super) fn list(self, query: &Query) -> pg_sys::ParamListInfo {
        assert!(self.list.is_null() || self.tree == query.address(), "values of another query");
        self.list
    }
}

/// A parameter that the planner may take as a constant; None: NULL. Raises the error of the type's input function.
unsafe fn constant(oid: pg_sys::Oid, text: Option<&str>) -> pg_sys::ParamExternData {
    // SAFETY: the type is one that analysis found.
    let value = text.map(|text| unsafe { input(oid, text) });
    pg_sys::ParamExternData {
        isnull: value.is_none(),
        value: value.unwrap_or(pg_sys::Datum::null()),
        pflags: pg_sys::PARAM_FLAG_CONST as u16,
        ptype: oid,
    }
}

unsafe fn input(oid: pg_sys::Oid, text: &str) -> pg_sys::Datum {
    let text = CString::new(text).expect("SQL values hold no zero byte");
    let (mut function, mut argument) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: an input function takes a C string, its type parameter and a type modifier.
    unsafe {
        pg_sys::getTypeInputInfo(oid, &raw mut function, &raw mut argument);
        pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), argument, -1)
    }
}

/// The parse tree of the only statement of `text`; an error when there is none, or several, or one that is not planned.
unsafe fn only_statement(argument: &str, text: &CStr) -> *mut pg_sys::RawStmt {
    let refuse = |what: String| -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("argument {argument} {what}"),
            "Pass one SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES.",
        )
    };
    // SAFETY: the tree is the server's own, in the current memory context; nodes are cast after a look at their tags.
    unsafe {
        let statements = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = PgList::<pg_sys::RawStmt>::from_pg(statements);
        let statement = match statements.len() {
            1 => statements.get_ptr(0).expect("there is one"),
            0 => refuse("holds no statement".to_string()),
            several => refuse(format!("holds {several} statements")),
        };
        let node = (*statement).stmt;
        match (*node).type_ {
            NodeTag::T_SelectStmt if into(node.cast()) => refuse("is a SELECT INTO, which creates a table".to_string()),
            NodeTag::T_SelectStmt
            | NodeTag::T_InsertStmt
            | NodeTag::T_UpdateStmt
            | NodeTag::T_DeleteStmt
            | NodeTag::T_MergeStmt => statement,
            _ => {
                let name = CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(node)));
                refuse(format!("is a {} statement, which has no plan", name.to_string_lossy()))
            }
        }
    }
}

/// SELECT … INTO; in a set operation it is the first SELECT that says so.
unsafe fn into(select: *mut pg_sys::SelectStmt) -> bool {
    // SAFETY: arms of a set operation are SelectStmts.
    unsafe { !select.is_null() && (!(*select).intoClause.is_null() || into((*select).larg)) }
}

fn parses(text: &str) -> bool {
    let Ok(text) = CString::new(text) else { return false };
    // SAFETY: a C string; the trees go with the arena.
    let parse = || unsafe { pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT) };
    db::guarded(|| Arena::new().enter(parse)).is_ok()
}

/// None: there is no such table, which the analysis will say.
unsafe fn resolve(write: &RawWrite) -> Option<Write> {
    // SAFETY: the RangeVar is of the parse tree; nothing is locked.
    unsafe {
        let missing_ok = pg_sys::RVROption::RVR_MISSING_OK;
        let table = pg_sys::RangeVarGetRelidExtended(write.relation, 0, missing_ok, None, null_mut());
        if table == pg_sys::InvalidOid {
            return None;
        }
        let numbers = |list: &*mut pg_sys::List| {
            let targets = PgList::<pg_sys::ResTarget>::from_pg(*list);
            targets.iter_ptr().map(|target| column_number(table, (*target).name)).collect::<Vec<_>>()
        };
        numbers(&write.inserted);
        let mut columns: Vec<i16> = write.sets.iter().flat_map(numbers).collect();
        columns.sort_unstable();
        columns.dedup();
        Some(Write { table: table.to_u32(), kind: write.kind, columns })
    }
}

/// Raises the server's error when there is none: what a statement sets is not part of what is analyzed.
unsafe fn column_number(table: pg_sys::Oid, name: *const c_char) -> i16 {
    // SAFETY: a C string, unless several columns are set at once from one row, where each has its name.
    unsafe {
        let number = pg_sys::get_attnum(table, name);
        if number <= 0 {
            let name = CStr::from_ptr(name).to_string_lossy();
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("column {name:?} of the table that is written does not exist"),
                "A statement writes columns of its table.",
            )
        }
        number
    }
}

/// For `$1` and so on up to the highest: may it be an integer? It has no cast of its own.
fn integer_parameters(text: &CStr) -> Vec<bool> {
    static PARAMETER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$(\d{1,5})\b(::)?").expect("a constant"));
    let text = text.to_string_lossy();
    let mut assumed = Vec::new();
    for captures in PARAMETER.captures_iter(&text) {
        let number: usize = captures[1].parse().expect("at most five digits");
        if (1..=MOST_PARAMETERS as usize).contains(&number) {
            assumed.resize(assumed.len().max(number), true);
            assumed[number - 1] &= captures.get(2).is_none();
        }
    }
    assumed
}

/// pg_stat_statements writes `interval '1 day'` as `interval $1`, and `extract(year from d)` as `extract($1 from d)`, which are
/// no SQL: they become `$1::interval` and `date_part($1::text, d)`.
fn typed_parameters(text: &str) -> String {
    // Words that may stand before a constant, and never before a parameter.
    const TYPES: &str = "interval|date|time|timetz|timestamp|timestamptz|jsonb?|uuid|numeric|decimal|bigint|smallint|integer|int[248]|real|float[48]|money|boolean|bool|text|varchar|bpchar|name|citext|bytea|bit|varbit|inet|cidr|macaddr8?|xml|int[48]range|numrange|ts(?:tz)?range|daterange|point|box|line|lseg|path|polygon|circle|tsvector|tsquery|oid|regclass|hstore|ltree|vector|halfvec|sparsevec";
    const MODIFIER: &str = r"(?:\s*\(\s*\d+(?:\s*,\s*\d+)?\s*\))?(?:\s+with(?:out)?\s+time\s+zone)?";
    const FIELD: &str = r"\s+(?:year|month|day|hour|minute|second)(?:\s+to\s+(?:month|hour|minute|second))?\b";
    static TYPED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r"(?i)\b({TYPES})({MODIFIER})\s+(\$\d+)(?:{FIELD})?")).expect("constants")
    });
    static EXTRACT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)\bextract\s*\(\s*(\$\d+)\s+from\s+").expect("a constant"));
    if !text.contains('$') {
        return text.to_string();
    }
    let text = EXTRACT.replace_all(text, "date_part($1::text, ");
    TYPED.replace_all(&text, "($3::$1$2)").into_owned()
}

#[cfg(test)]
mod unit_tests {
    use super::typed_parameters;

    #[test]
    fn parameters_behind_a_type_become_casts() {
        let cases = [
            ("select now() - interval $1", "select now() - ($1::interval)"),
            ("d < date $1 + interval $2 year and", "d < ($1::date) + ($2::interval) and"),
            ("t > TIMESTAMP (3) with time zone $3", "t > ($3::TIMESTAMP (3) with time zone)"),
            ("select extract($1 from d), jsonb $2", "select date_part($1::text, d), ($2::jsonb)"),
            ("select date, update_date $1", "select date, update_date $1"),
            ("select a from t where date = $1", "select a from t where date = $1"),
        ];
        for (text, expected) in cases {
            assert_eq!(typed_parameters(text), expected);
        }
    }
}
