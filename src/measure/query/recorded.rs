//! A text with whose rights and search_path give it its meaning: those of the role that ran it, where the server has recorded it.

use super::{Bound, Query, UNKNOWN_TYPE, Value, representative};
use crate::db::{self, Caught, as_role, guarded, raise};
use crate::facts::query::QueryShape;
use crate::facts::{MeasuredStatement, Statement};
use crate::measure::what_if::{Planned, WhatIf};
use pgrx::PgSqlErrorCode;
use regex_lite::Regex;
use std::ffi::{CStr, CString};
use std::sync::LazyLock;

/// What is printed of a query means the same wherever it is read.
pub const PRINTED_IN: &CStr = c"pg_catalog, pg_temp";

/// Sets of parameter values of which the one is taken whose planned rows are nearest to the measured.
const SETS: usize = 3;

/// An `array[1, 2]` has become `array[$1, $2]`, which is an array of text.
const NO_OPERATOR: &str = "42883";

pub struct Text {
    pub text: String,
    /// By the server or made of names, not written by the caller.
    pub is_recorded: bool,
    /// As measured, to choose parameters by.
    pub rows_per_call: Option<f64>,
    pub role: u32,
    pub search_path: CString,
}

/// How a text is analyzed: `Query::analyze` or `Query::analyze_with_integers`.
pub type How = fn(&str, &str) -> Query;

pub struct Analyzed {
    pub query: Query,
    pub shape: QueryShape,
    /// With whose rights it may be planned.
    pub role: u32,
}

/// Values of the parameters, and the plan that they give.
pub struct Chosen {
    pub values: Bound,
    /// The same, printed; empty: none are known.
    pub printed: Vec<Value>,
    pub planned: Planned,
}

impl Text {
    pub fn recorded(statement: &MeasuredStatement) -> Text {
        Text {
            text: statement.text.clone(),
            is_recorded: true,
            rows_per_call: Some(statement.rows_per_call()),
            role: statement.role,
            search_path: schemas(&statement.search_path),
        }
    }

    /// `body` analyzes the text; once more, where what was a constant has lost its type in pg_stat_statements.
    pub fn guarded<T>(&self, body: impl Fn(How) -> T) -> Result<T, Caught> {
        guarded(|| body(Query::analyze)).or_else(|first| {
            match self.is_recorded && (UNKNOWN_TYPE.contains(&first.sqlstate.as_str()) || first.sqlstate == NO_OPERATOR)
            {
                // Another error than the first is not what is wrong with the text.
                true => guarded(|| body(Query::analyze_with_integers)).map_err(|_| first),
                false => Err(first),
            }
        })
    }

    /// Raises an error when the text is wrong, or may not be planned with rights that the caller could have.
    pub fn analyze(&self, how: How) -> Analyzed {
        let query = self.query(how);
        let role = self.planning_role(&query);
        // Planned too, with a look at permissions, but printed in a search_path in which names are qualified.
        let shape = as_role(role, PRINTED_IN, || query.shape());
        Analyzed { query, shape, role }
    }

    fn query(&self, how: How) -> Query {
        if !db::may_become(self.role) {
            raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "it is planned with the rights of the role that ran it, which the caller may not become",
                "GRANT the role to the caller, or call as a superuser.",
            )
        }
        as_role(self.role, &self.search_path, || how("query", &self.text))
    }

    /// The role that ran it; of a superuser, the owner of what the query names, if that is another's: planning runs the
    /// owner's code as it is now.
    fn planning_role(&self, query: &Query) -> u32 {
        if !self.is_recorded || !db::is_superuser(self.role) {
            return self.role;
        }
        match query.lesser_owners().as_slice() {
            [] => self.role,
            [owner] => *owner,
            _ => raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "a superuser ran it, and planning it would run what several other roles own",
                "Pass it in queries => ARRAY[…] if you trust the owners of its tables and functions.",
            ),
        }
    }

    /// The statement as plain data, each view the subquery that it stands for. Nothing is planned: analysis and rewriting alone
    /// run no code of the owners of what it names.
    fn statement(&self, how: How) -> Statement {
        let query = self.query(how);
        as_role(self.role, &self.search_path, || query.expanded_statement())
    }

    /// Plans it with these values, or without any.
    pub fn plan_with(&self, analyzed: &Analyzed, values: &[Value]) -> Chosen {
        let planner = WhatIf::new();
        self.plan(&planner, analyzed, Some(values.to_vec()))
    }

    /// Plans it with values from column statistics: of several sets that whose rows are nearest to those measured.
    pub fn plan_with_sampled(&self, analyzed: &Analyzed) -> Chosen {
        let planner = WhatIf::new();
        let number = analyzed.query.parameters();
        // What the role may not see it is not shown.
        let sample = || representative(&analyzed.shape.parameters, number, SETS);
        let sets = if number > 0 { as_role(analyzed.role, PRINTED_IN, sample) } else { Vec::new() };
        // Without a measurement the first set is as good as any.
        let distance = |rows: f64| match self.rows_per_call {
            Some(measured) => ((rows + 1.0) / (measured + 1.0)).ln().abs(),
            None => 0.0,
        };
        let mut best: Option<(Chosen, f64)> = None;
        for set in sets {
            let chosen = self.plan(&planner, analyzed, Some(set));
            let found = distance(chosen.planned.rows);
            if best.as_ref().is_none_or(|(_, least)| found < *least) {
                best = Some((chosen, found));
            }
        }
        best.map_or_else(|| self.plan(&planner, analyzed, None), |(chosen, _)| chosen)
    }

    pub fn plan_generic(&self, analyzed: &Analyzed) -> Chosen {
        self.plan(&WhatIf::new(), analyzed, None)
    }

    fn plan(&self, planner: &WhatIf, analyzed: &Analyzed, set: Option<Vec<Value>>) -> Chosen {
        as_role(analyzed.role, &self.search_path, || {
            let values = set.as_ref().map_or(Bound::GENERIC, |set| analyzed.query.bind(set));
            let planned = planner.plan(&analyzed.query, values, &[], &[]);
            Chosen { values, printed: set.unwrap_or_default(), planned }
        })
    }
}

/// The statement as plain data; why there is none, where the text cannot be analyzed.
pub fn recorded_statement(measured: &MeasuredStatement) -> Result<Statement, Caught> {
    let text = Text::recorded(measured);
    text.guarded(|how| text.statement(how))
}

/// pg_stat_statements puts parameters into utility statements too, where the parser takes none.
pub fn may_be_query(text: &str) -> bool {
    may_be_select(text) || ["insert", "update", "delete", "merge"].contains(&first_word(text).as_str())
}

/// WITH may begin a statement that writes.
pub fn may_be_select(text: &str) -> bool {
    ["select", "with", "values", "table"].contains(&first_word(text).as_str())
}

/// In lower case, behind comments and parentheses.
fn first_word(text: &str) -> String {
    static BEFORE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(?:\s|\(|--[^\n]*\n|/\*(?s:.*?)\*/)+").expect("a constant"));
    let text = BEFORE.replace(text, "");
    text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase()
}

fn schemas(setting: &str) -> CString {
    CString::new(setting).expect("settings hold no zero byte")
}
