//! Arguments that several functions share, validated: bad input is an error that names the argument and what is valid.

use crate::db::{self, guarded, raise};
use crate::engine::Selection;
use crate::facts::activity::Slots;
use crate::finding::{Severity, severity};
use crate::rule::Rule;
use crate::rules;
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use std::ffi::CString;
use std::time::Duration;

/// A SQL `text[]`; its elements may be NULL.
pub type TextArray = Vec<Option<String>>;

const SCHEMAS_NAMED_IN_A_HINT: usize = 20;

pub fn selection(
    categories: Option<TextArray>,
    rules: Option<TextArray>,
    schemas: Option<TextArray>,
    min_severity: Option<severity>,
) -> Selection {
    let valid_categories = rules::categories();
    let valid_rules: Vec<_> = rules::all().map(|rule| rule.id).collect();
    Selection {
        categories: names("categories", categories, |name| {
            unknown("category", name, valid_categories.iter().copied(), "Categories")
        }),
        rules: names("rules", rules, |name| unknown("rule", name, valid_rules.iter().copied(), "Rules")),
        schemas: names_of_schemas(schemas),
        min_severity: min_severity.unwrap_or_else(|| {
            raise(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "argument min_severity is NULL",
                format!("Severities: {}.", Severity::ALL.map(Severity::name).join(", ")),
            )
        }),
    }
}

/// The rule with this id.
pub fn rule(id: &str) -> &'static Rule {
    rules::by_id(id).unwrap_or_else(|| {
        let refusal =
            unknown("rule", id, rules::all().map(|rule| rule.id), "Rules").expect("it is not among the rules");
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, refusal.message, refusal.hint)
    })
}

/// Where unqualified names of texts are looked up; by default the caller's own setting.
pub fn search_path(given: Option<&str>) -> CString {
    const HINT: &str =
        "Leave it out for that of the session; otherwise names of schemas, quoted where needed, between commas.";
    let path = CString::new(required("search_path", given, HINT)).unwrap_or_default();
    if guarded(|| db::with_search_path(&path, || ())).is_err() {
        let message = format!("argument search_path is no list of schemas: {}", path.to_string_lossy());
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, HINT)
    }
    path
}

/// The value of an argument that may not be NULL.
pub fn required<T>(argument: &str, value: Option<T>, hint: &str) -> T {
    value.unwrap_or_else(|| {
        raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("argument {argument} is NULL"), hint)
    })
}

/// One of a few words.
pub fn choice<'a, T>(argument: &str, given: Option<&str>, choices: &'a [(&str, T)]) -> &'a T {
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let hint = format!("It is one of: {}.", names.join(", "));
    let given = required(argument, given, &hint);
    match choices.iter().find(|(name, _)| *name == given) {
        Some((_, chosen)) => chosen,
        None => {
            raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("argument {argument} is {given:?}"), hint)
        }
    }
}

/// A number from `least` to `most`.
pub fn within<T: PartialOrd + std::fmt::Display + Copy>(argument: &str, given: Option<T>, least: T, most: T) -> T {
    let hint = format!("It goes from {least} to {most}.");
    let given = required(argument, given, &hint);
    if !(given >= least && given <= most) {
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("argument {argument} is {given}"), hint)
    }
    given
}

/// `2GB`, as the server reads sizes.
pub fn bytes(argument: &str, text: &str) -> u64 {
    const HINT: &str = "Write a size as pg_size_bytes() takes it: '500MB', '2 GB'; null is no limit.";
    let read = guarded(|| db::read("select pg_catalog.pg_size_bytes($1)", &[text.into()], |row| row.take::<i64>()));
    match read.ok().and_then(|mut sizes| sizes.pop()).and_then(|size| u64::try_from(size).ok()) {
        Some(size) => size,
        None => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument}: {text:?} is not a size"),
            HINT,
        ),
    }
}

/// A positive interval of at most a day.
pub fn duration(argument: &str, interval: Option<Interval>) -> Duration {
    const HINT: &str = "Pass a positive interval of at most a day: '30 s'.";
    const DAY_MICROSECONDS: i128 = 86_400_000_000;
    let interval = required(argument, interval, HINT);
    let microseconds = interval.as_micros();
    if !(1..=DAY_MICROSECONDS).contains(&microseconds) {
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("argument {argument} is out of range"), HINT)
    }
    Duration::from_micros(microseconds as u64)
}

/// A SQL `text[]` in which no element may be NULL.
pub fn elements(argument: &str, given: TextArray) -> Vec<String> {
    let what = format!("{argument}, one element,");
    given.into_iter().map(|element| required(&what, element, "Leave it out.")).collect()
}

struct Refusal {
    message: String,
    hint: String,
}

fn unknown(what: &str, name: &str, valid: impl Iterator<Item = &'static str>, label: &str) -> Option<Refusal> {
    let valid: Vec<_> = valid.collect();
    (!valid.contains(&name)).then(|| Refusal {
        message: format!("unknown {what} {name:?}"),
        hint: format!("{label}: {}.", valid.join(", ")),
    })
}

fn names(argument: &str, given: Option<TextArray>, refuse: impl Fn(&str) -> Option<Refusal>) -> Option<Vec<String>> {
    let given = given?;
    if given.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument} is an empty array"),
            format!("Leave {argument} out, or pass NULL, for all of them."),
        );
    }
    let names = given.into_iter().map(|name| {
        let hint = format!("Leave {argument} out, or pass NULL instead of an array, for all of them.");
        required(&format!("{argument}, one element,"), name, &hint)
    });
    let names: Vec<String> = names.collect();
    if let Some(refusal) = names.iter().find_map(|name| refuse(name)) {
        let message = format!("argument {argument}: {}", refusal.message);
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, refusal.hint);
    }
    Some(names)
}

/// The schemas of a `schemas` argument, which exist; None: all.
pub fn names_of_schemas(given: Option<TextArray>) -> Option<Vec<String>> {
    let names = names("schemas", given, |_| None)?;
    let existing = db::read(include_str!("../../sql/facts/schemas.sql"), &[], |row| row.take::<String>());
    if let Some(missing) = names.iter().find(|name| !existing.contains(name)) {
        let some: Vec<_> =
            existing.iter().filter(|name| !name.starts_with("pg_")).take(SCHEMAS_NAMED_IN_A_HINT).cloned().collect();
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            format!("argument schemas: schema {missing:?} does not exist"),
            format!("Names are not quoted here. Schemas of this database: {}.", some.join(", ")),
        );
    }
    Some(names)
}

/// The database that an argument `target_database` names.
pub fn existing_database(name: &str, slots: &Slots) -> u32 {
    let Some(databases) = &slots.databases else {
        raise(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            format!(
                "argument target_database: {name:?} cannot be looked up, for another session has pg_database locked"
            ),
            "Leave target_database out for the sessions of all databases.",
        )
    };
    match databases.iter().find(|database| database.name == name) {
        Some(database) => database.oid,
        None => raise(
            PgSqlErrorCode::ERRCODE_INVALID_CATALOG_NAME,
            format!("argument target_database: database {name:?} does not exist"),
            "Names are not quoted here; leave it out, or pass NULL, for all databases.",
        ),
    }
}
