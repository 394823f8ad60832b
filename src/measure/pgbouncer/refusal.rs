//! Why PgBouncer's console could not be reached. What libpq says quotes pieces of the connection string, a password among them
//! where it was taken for something else: only words that are known from here are passed on.

use super::HINT;
use crate::db::{self, Caught};
use pgrx::PgSqlErrorCode;

pub fn refuse(caught: Caught, is_foreign_server: bool) -> ! {
    let says = caught.detail.as_deref().unwrap_or_default().trim();
    if !caught.sqlstate.starts_with("08") {
        match caught.hint {
            Some(_) => db::raise_again(caught),
            None => db::raise_sqlstate(&caught.sqlstate, caught.message, HINT),
        }
    }
    if is_unreadable(says) {
        let message = match is_foreign_server {
            true => "the options of the foreign server that argument pgbouncer names make no connection string",
            false => {
                "argument pgbouncer is neither a foreign server of this database nor a connection string that can be read"
            }
        };
        db::raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, HINT)
    }
    let (why, hint) = match reasons(says) {
        Some(reasons) => (reasons, "Is PgBouncer there, and is the user in its admin_users or stats_users?"),
        None if says.starts_with("could not translate host name ") => {
            ("the name of its host has no address".to_string(), HINT)
        }
        None => ("why is not passed on, as it may quote the connection string".to_string(), HINT),
    };
    db::raise_sqlstate(&caught.sqlstate, format!("PgBouncer's console cannot be reached: {why}"), hint)
}

pub fn lost(caught: Caught) -> ! {
    let why = reason(caught.message.trim()).map(|why| format!(": {why}")).unwrap_or_default();
    db::raise(
        PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
        format!("PgBouncer has ended the connection{why}"),
        "Its log says why.",
    )
}

/// libpq takes it for no connection string, or not for values of what it sets.
fn is_unreadable(says: &str) -> bool {
    let quotes = ["connection info string", "percent-encoded", "URI query parameter", "in URI"];
    let starts = ["invalid ", "could not match ", "could not parse network address ", "definition of service "];
    starts.iter().any(|start| says.starts_with(start)) || quotes.iter().any(|words| says.contains(words))
}

/// Of each attempt to connect, as a name may have several addresses; each once. None: one of them is not known.
fn reasons(says: &str) -> Option<String> {
    let attempts = says.lines().filter(|line| line.starts_with("connection to server "));
    let mut reasons: Vec<&str> = Vec::new();
    for attempt in attempts {
        // A socket's folder is from the string too.
        let why = attempt.rsplit_once(" failed: ").and_then(|(_, why)| reason(why))?;
        if !reasons.contains(&why) {
            reasons.push(why);
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// In the words that are known.
fn reason(says: &str) -> Option<&'static str> {
    let says = says.strip_prefix("FATAL:").or_else(|| says.strip_prefix("ERROR:")).unwrap_or(says).trim();
    // What is quoted is a name that was given.
    let shape: String = says.split('"').enumerate().map(|(n, part)| if n % 2 == 1 { "\"…\"" } else { part }).collect();
    // A certificate may have other names too.
    let shape = match shape.split_once(" (and ").and_then(|(head, rest)| Some((head, rest.split_once(')')?.1))) {
        Some((head, rest)) => format!("{head}{rest}"),
        None => shape,
    };
    KNOWN.into_iter().find(|known| shape.starts_with(known))
}

#[rustfmt::skip]
const KNOWN: [&str; 44] = [
    // The operating system's, and libpq's.
    "Connection refused", "No such file or directory", "Permission denied", "Connection timed out", "timeout expired",
    "No route to host", "Network is unreachable", "Connection reset by peer", "server closed the connection unexpectedly",
    "server does not support SSL, but SSL was required", "SSL error: certificate verify failed",
    "fe_sendauth: no password supplied",
    "root certificate file \"…\" does not exist", "could not read root certificate file \"…\"",
    "server certificate for \"…\" does not match host name \"…\"",
    "could not open certificate file \"…\"", "could not read certificate file \"…\"",
    "certificate present, but not private key file \"…\"", "private key file \"…\" has group or world access",
    // PgBouncer's.
    "not allowed", "no such user", "no such database", "password authentication failed", "SASL authentication failed",
    "\"…\" authentication failed", "no more connections allowed", "client_login_timeout", "query_wait_timeout",
    "unix socket login rejected", "login rejected", "SSL required", "TLS connection required", "pooler is shutting down",
    "server shutting down", "unsupported startup parameter", "unsupported options startup parameter",
    "database \"…\" is disabled",
    // PostgreSQL's.
    "sorry, too many clients already", "remaining connection slots are reserved", "the database system is starting up",
    "the database system is shutting down", "no pg_hba.conf entry", "database \"…\" does not exist", "role \"…\" does not exist",
];

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_passed_on() {
        let at = |why: &str| format!("connection to server at \"s3cret\" (10.0.0.5), port 6432 failed: {why}");
        for (says, expected) in [
            (at("Connection refused\n\tIs the server running on that host?"), Some("Connection refused")),
            (at("FATAL:  password authentication failed for user \"s3cret\""), Some("password authentication failed")),
            (at("FATAL:  \"trust\" authentication failed"), Some("\"…\" authentication failed")),
            (at("FATAL:  no such database: s3cret"), Some("no such database")),
            (at("FATAL:  database \"s3cret\" does not exist"), Some("database \"…\" does not exist")),
            (at("FATAL:  unsupported startup parameter in options: s3cret"), Some("unsupported startup parameter")),
            (at("FATAL:  s3cret is not allowed"), None),
            (
                at("root certificate file \"/s3cret\" does not exist\nEither provide the file, use …"),
                Some("root certificate file \"…\" does not exist"),
            ),
            (
                at("server certificate for \"s3cret\" does not match host name \"10.0.0.5\""),
                Some("server certificate for \"…\" does not match host name \"…\""),
            ),
            (
                at("could not open certificate file \"/s3cret\": No such file or directory"),
                Some("could not open certificate file \"…\""),
            ),
            (
                at("server certificate for \"s3cret\" (and 2 other names) does not match host name \"10.0.0.5\""),
                Some("server certificate for \"…\" does not match host name \"…\""),
            ),
            (format!("{}\n{}", at("Connection refused"), at("Connection refused")), Some("Connection refused")),
            (
                format!("{}\n{}", at("Connection refused"), at("timeout expired")),
                Some("Connection refused; timeout expired"),
            ),
            (format!("{}\n{}", at("Connection refused"), at("s3cret")), None),
            ("could not translate host name \"s3cret\" to address: Name or service not known".to_string(), None),
            ("connection to server on socket \"/ failed: not allowed/.s.PGSQL.1\" failed: s3cret".to_string(), None),
            (String::new(), None),
        ] {
            assert_eq!(reasons(&says).as_deref(), expected, "{says}");
        }
    }
}
