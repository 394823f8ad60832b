//! Lines for pgbouncer.ini.

use super::pgbouncer::{Bouncer, MAX_PREPARED_STATEMENTS};
use super::rows::number;
use super::texts::{POOL_TIMEOUT, half, suffixed};
use super::timeouts::Timeouts;
use super::{Input, Plan, Through};

/// PgBouncer's default.
const SERVER_IDLE: f64 = 600.0;

/// What clients name the database by. The file has no quotes for it: ASCII letters, digits and `_-.` are all there is.
#[derive(Clone, Debug, PartialEq)]
pub enum NameInFile {
    Name,
    Alias(String),
    /// Not even dbname='…' holds a line break: the line is for every database, by its own name.
    Any,
}

impl NameInFile {
    pub fn of(database: &str) -> NameInFile {
        if database.contains(['\n', '\r']) {
            NameInFile::Any
        } else if database == "pgbouncer" || !database.chars().all(is_plain) {
            NameInFile::Alias(suffixed(database, "app"))
        } else {
            NameInFile::Name
        }
    }
}

pub fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

pub fn ini(input: &Input, plan: &Plan, bouncer: &Bouncer, timeouts: &Timeouts) -> String {
    let (name, port) = (&input.role.database, &input.server.port);
    let (host, host_hint) = match &input.server.address {
        Some(address) => (address.as_str(), ""),
        None => ("127.0.0.1", "; host: of the server as PgBouncer reaches it; a folder means its Unix socket\n"),
    };
    let (key, dbname, hint) = match NameInFile::of(name) {
        NameInFile::Name => (name.clone(), format!(" dbname={name}"), String::new()),
        NameInFile::Alias(alias) => {
            let hint = format!("; clients connect to {alias}: this file cannot hold the name of the database\n");
            (alias, format!(" dbname='{}'", name.replace('\'', "''")), hint)
        }
        NameInFile::Any => {
            let hint =
                "; all databases that have no line of their own: this file cannot hold a name with a line break\n";
            ("*".to_string(), String::new(), hint.to_string())
        }
    };
    let mode = if plan.through == Through::SessionPooling { "session" } else { "transaction" };
    // Before 1.24 reserve_pool is its only name there.
    let sizes = format!(
        "pool_mode={mode} pool_size={} min_pool_size={} reserve_pool={} max_db_connections={}",
        bouncer.pool_size,
        bouncer.min_pool_size,
        bouncer.reserve_pool_size,
        bouncer.most()
    );
    let of_all = of_all(plan, bouncer, timeouts);
    format!(
        "[databases]\n; in place of the line that you have for it; PgBouncer before 1.16 knows no min_pool_size here\n{host_hint}{hint}\
         {key} = host={host} port={port}{dbname} {sizes}\n\n[pgbouncer]\n; These hold for all databases that it serves. Once the others \
         agree, remove the ; before a name.\n{of_all}"
    )
}

/// Each with what it means to the other databases; commented out, for they may have a value already.
fn of_all(plan: &Plan, bouncer: &Bouncer, timeouts: &Timeouts) -> String {
    let mut settings = vec![
        (
            "clients of this application: add those of the others; the default is 100",
            "max_client_conn",
            bouncer.max_client_conn.to_string(),
        ),
        (
            "seconds, no longer than pool_timeout: an error that comes soon is better than a queue; the default is 120",
            "query_wait_timeout",
            number(POOL_TIMEOUT),
        ),
    ];
    if let Some(idle) = timeouts.idle_session_seconds {
        let why =
            "seconds, at most: half of idle_session_timeout, after which the server ends them; the default is 600";
        settings.push((why, "server_idle_timeout", number(half(idle, SERVER_IDLE))));
    }
    if plan.through == Through::TransactionPooling {
        let why = "at least; the default from 1.24 on, 0 in 1.21 to 1.23, unknown before";
        settings.push((why, "max_prepared_statements", MAX_PREPARED_STATEMENTS.to_string()));
    }
    settings.iter().map(|(why, name, value)| format!("; {why}\n;{name} = {value}\n")).collect()
}
