//! Functions in SQL and PL/pgSQL that a role's statements call: what they run, pg_stat_statements does not tell of the role.

use super::concurrency::StatementTime;
use crate::db;
use crate::facts::migration::text::lexer::{Kind, Tokens};
use std::collections::HashMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalledFunction {
    pub schema: String,
    pub name: String,
    pub body: String,
    /// Of the statements that call it.
    pub calls: u64,
}

/// A statement that does not name the schema may mean any.
type Called = HashMap<(Option<String>, String), u64>;

pub fn read(statements: &[StatementTime]) -> Vec<CalledFunction> {
    let called = called(statements, db::check_for_interrupts);
    let mut names: Vec<String> = called.keys().map(|(_, name)| name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Vec::new();
    }
    let sql = include_str!("../../../sql/facts/activity/called_functions.sql");
    let read = db::read(sql, &[names.into()], |row| CalledFunction {
        schema: row.take(),
        name: row.take(),
        body: row.take(),
        calls: 0,
    });
    let with_calls = |function: CalledFunction| {
        let calls = calls(&called, &function);
        (calls > 0).then_some(CalledFunction { calls, ..function })
    };
    read.into_iter().filter_map(with_calls).collect()
}

fn called(statements: &[StatementTime], interrupts: impl Fn()) -> Called {
    let mut called = Called::new();
    for statement in statements {
        interrupts();
        let text = statement.text.as_deref().unwrap_or_default();
        let tokens: Vec<_> = Tokens::of(text).filter(|token| token.kind != Kind::Comment).collect();
        let mut names: Vec<_> = (1..tokens.len())
            .filter(|open| tokens[*open].is("("))
            .filter_map(|open| {
                let schema = open.checked_sub(3).filter(|_| tokens[open - 2].is(".")).and_then(|at| tokens[at].name());
                Some((schema, tokens[open - 1].name()?))
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *called.entry(name).or_default() += statement.calls as u64;
        }
    }
    called
}

fn calls(called: &Called, function: &CalledFunction) -> u64 {
    let of =
        |schema: Option<&String>| called.get(&(schema.cloned(), function.name.clone())).copied().unwrap_or_default();
    of(None) + of(Some(&function.schema))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn by_name_with_or_without_its_schema() {
        let statement =
            |text: &str, calls| StatementTime { text: Some(text.to_string()), calls, ..StatementTime::default() };
        let statements = [
            statement("select App.take($1), lower(x), app.take($2) from t", 3.0),
            statement("call take($1)", 4.0),
            statement("select other.take(), \"Take\"(1)", 5.0),
            statement("select take from t", 6.0),
        ];
        let called = called(&statements, || ());
        for (schema, name, expected) in
            [("app", "take", 7), ("other", "take", 9), ("third", "take", 4), ("app", "Take", 5), ("app", "give", 0)]
        {
            let function = CalledFunction { schema: schema.to_string(), name: name.to_string(), ..Default::default() };
            assert_eq!(calls(&called, &function), expected, "{schema}.{name}");
        }
    }
}
