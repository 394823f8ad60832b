//! Lines for pgbouncer.ini.

use super::pgbouncer::{Bouncer, MAX_PREPARED_STATEMENTS};
use super::rows::number;
use super::texts::{POOL_TIMEOUT, half, suffixed};
use super::timeouts::Timeouts;
use super::{Input, Plan, Through};

const SERVER_IDLE: f64 = 600.0;

/// What clients name the database by. The file has no quotes for it: ASCII letters, digits and `_-.` are all there is.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Name,
    Alias(String),
    /// Not even dbname='…' holds a line break: the line is for every database, by its own name.
    Any,
}

impl Key {
    pub fn of(database: &str) -> Key {
        if database.contains(['\n', '\r']) {
            Key::Any
        } else if database == "pgbouncer" || !database.chars().all(is_plain) {
            Key::Alias(suffixed(database, "app"))
        } else {
            Key::Name
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
    let (key, dbname, hint) = match Key::of(name) {
        Key::Name => (name.clone(), format!(" dbname={name}"), String::new()),
        Key::Alias(alias) => {
            let hint = format!("; clients connect to {alias}: this file cannot hold the name of the database\n");
            (alias, format!(" dbname='{}'", name.replace('\'', "''")), hint)
        }
        Key::Any => {
            let hint =
                "; all databases that have no line of their own: this file cannot hold a name with a line break\n";
            ("*".to_string(), String::new(), hint.to_string())
        }
    };
    let mode = if plan.through == Through::SessionPooling { "session" } else { "transaction" };
    let server_idle = timeouts.idle_session_seconds.map_or(SERVER_IDLE, |idle| half(idle, SERVER_IDLE));
    let mut settings = vec![
        ("pool_mode", mode.to_string()),
        ("default_pool_size", bouncer.default_pool_size.to_string()),
        ("min_pool_size", bouncer.min_pool_size.to_string()),
        ("reserve_pool_size", bouncer.reserve_pool_size.to_string()),
        ("reserve_pool_timeout", "3".to_string()),
        ("max_db_connections", bouncer.most().to_string()),
        ("max_client_conn", bouncer.max_client_conn.to_string()),
        ("query_wait_timeout", number(POOL_TIMEOUT)),
        ("server_lifetime", "3600".to_string()),
        ("server_idle_timeout", number(server_idle)),
    ];
    if plan.through == Through::TransactionPooling {
        settings.push(("max_prepared_statements", MAX_PREPARED_STATEMENTS.to_string()));
    }
    let settings: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    format!("[databases]\n{host_hint}{hint}{key} = host={host} port={port}{dbname}\n\n[pgbouncer]\n{settings}")
}
