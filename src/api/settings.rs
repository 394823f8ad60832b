//! Configuring rules and suppressing findings.

use super::arguments::{required, rule};
use crate::db::{self, raise};
use crate::facts;
use crate::finding::severity;
use crate::rule::{InvalidOption, Options};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::{Map, Value};

/// Sets what is not NULL: whether the rule runs, the severity of its findings, and options by name. An option given as null
/// goes back to its default.
#[pg_extern]
#[search_path(pg_catalog, dbre, pg_temp)]
fn configure_rule(
    rule: Option<&str>,
    enabled: default!(Option<bool>, "NULL"),
    severity: default!(Option<severity>, "NULL"),
    options: default!(Option<JsonB>, "NULL"),
) {
    let rule = self::rule(required("rule", rule, "The view dbre.rules lists the rules."));
    if enabled.is_none() && severity.is_none() && options.is_none() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "arguments enabled, severity and options are all NULL: nothing to set",
            "dbre.reset_rule() goes back to the rule's defaults.",
        );
    }
    let changes = match options.map(|options| options.0) {
        None => Map::new(),
        Some(Value::Object(changes)) => changes,
        Some(_) => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument options is not a JSON object",
            "Write {\"option\": value}.",
        ),
    };
    let mut values = facts::rule_settings().remove(rule.id).unwrap_or_default().options;
    for (name, value) in changes {
        if !rule.options.iter().any(|option| option.name == name) {
            refuse(InvalidOption::unknown(rule, &name));
        }
        if value.is_null() {
            values.remove(&name);
        } else {
            values.insert(name, value);
        }
    }
    if let Err(invalid) = Options::resolve(rule, &values) {
        refuse(invalid);
    }
    db::write(
        c"dbre.configure_rule()",
        include_str!("../../sql/settings/configure_rule.sql"),
        &[rule.id.into(), enabled.into(), severity.map(severity::name).into(), JsonB(Value::Object(values)).into()],
    );
}

fn refuse(invalid: InvalidOption) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("argument options: {}", invalid.message),
        invalid.hint,
    )
}

/// Goes back to the rule's own defaults.
#[pg_extern]
#[search_path(pg_catalog, dbre, pg_temp)]
fn reset_rule(rule: Option<&str>) {
    let rule = self::rule(required("rule", rule, "The view dbre.rules lists the rules."));
    db::write(c"dbre.reset_rule()", "delete from dbre.rule_settings where rule = $1", &[rule.id.into()]);
}

/// Leaves a finding out of all results: one by its fingerprint, or those of a rule on objects that match a LIKE pattern. Given
/// again, reason and end are replaced.
#[pg_extern]
#[search_path(pg_catalog, dbre, pg_temp)]
fn suppress(
    fingerprint: default!(Option<&str>, "NULL"),
    rule: default!(Option<&str>, "NULL"),
    object_pattern: default!(Option<&str>, "NULL"),
    reason: default!(Option<&str>, "NULL"),
    until: default!(Option<TimestampWithTimeZone>, "NULL"),
) {
    let target = Target::from_arguments(fingerprint, rule, object_pattern);
    let reason = required("reason", reason, "Say why the finding is accepted: the next one to read it will ask.");
    if reason.trim().is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument reason is empty",
            "Say why the finding is accepted.",
        );
    }
    db::write(
        c"dbre.suppress()",
        include_str!("../../sql/settings/suppress.sql"),
        &[target.fingerprint.into(), target.rule.into(), target.object_pattern.into(), reason.into(), until.into()],
    );
}

/// Takes suppressions back; the number of them.
#[pg_extern]
#[search_path(pg_catalog, dbre, pg_temp)]
fn unsuppress(
    fingerprint: default!(Option<&str>, "NULL"),
    rule: default!(Option<&str>, "NULL"),
    object_pattern: default!(Option<&str>, "NULL"),
) -> i64 {
    let target = Target::from_arguments(fingerprint, rule, object_pattern);
    let removed = db::write(
        c"dbre.unsuppress()",
        include_str!("../../sql/settings/unsuppress.sql"),
        &[target.fingerprint.into(), target.rule.into(), target.object_pattern.into()],
    );
    removed as i64
}

/// What a suppression is of.
struct Target<'a> {
    fingerprint: Option<&'a str>,
    rule: Option<&'static str>,
    object_pattern: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn from_arguments(
        fingerprint: Option<&'a str>,
        rule: Option<&'a str>,
        object_pattern: Option<&'a str>,
    ) -> Target<'a> {
        match (fingerprint, rule, object_pattern) {
            (Some(fingerprint), None, None) => {
                if fingerprint.len() != 16 || !fingerprint.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    raise(
                        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                        format!("argument fingerprint: {fingerprint:?} is not a fingerprint"),
                        "Take it from the column fingerprint of dbre.findings: 16 hexadecimal digits.",
                    );
                }
                Target { fingerprint: Some(fingerprint), rule: None, object_pattern: None }
            }
            (None, Some(id), pattern) => {
                let pattern = pattern.unwrap_or("%");
                // LIKE would raise this for the objects that match as far as that, at every check.
                if pattern.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
                    raise(
                        PgSqlErrorCode::ERRCODE_INVALID_ESCAPE_SEQUENCE,
                        "argument object_pattern: LIKE pattern must not end with escape character",
                        "Write two backslashes for one.",
                    );
                }
                Target { fingerprint: None, rule: Some(self::rule(id).id), object_pattern: Some(pattern) }
            }
            _ => raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "pass either argument fingerprint, or argument rule with or without object_pattern",
                "For example: rule => 'unused_index', object_pattern => 'public.old_%'.",
            ),
        }
    }
}
