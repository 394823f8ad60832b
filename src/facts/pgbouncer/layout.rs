//! The columns of what PgBouncer's console shows. dblink is told them in advance and checks no more than their number: of each
//! command every layout since 1.12 (src/admin.c, src/stats.c) has a number of its own.

use super::Unreadable;
use crate::facts::calendar::days;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Version,
    Clients,
    Config,
    Databases,
    Lists,
    Pools,
    Servers,
    State,
    Stats,
    Users,
}

type Columns = &'static [&'static str];

impl Command {
    pub fn sql(self) -> &'static str {
        match self {
            Command::Version => "SHOW VERSION",
            Command::Clients => "SHOW CLIENTS",
            Command::Config => "SHOW CONFIG",
            Command::Databases => "SHOW DATABASES",
            Command::Lists => "SHOW LISTS",
            Command::Pools => "SHOW POOLS",
            Command::Servers => "SHOW SERVERS",
            Command::State => "SHOW STATE",
            Command::Stats => "SHOW STATS",
            Command::Users => "SHOW USERS",
        }
    }

    /// With the version that brought it, newest first.
    pub fn layouts(self) -> &'static [((u32, u32), Columns)] {
        match self {
            Command::Version => &[((1, 12), &["version"])],
            Command::Config => CONFIG,
            Command::Databases => DATABASES,
            Command::Lists => &[((1, 12), &["list", "items"])],
            Command::Pools => POOLS,
            Command::Clients | Command::Servers => SOCKETS,
            Command::State => &[((1, 19), &["key", "value"])],
            Command::Stats => STATS,
            Command::Users => USERS,
        }
    }

    /// That of the version before all others: what a distribution patches in is found by its number of columns.
    pub fn candidates(self, version: (u32, u32)) -> Vec<Columns> {
        let mut layouts: Vec<_> = self.layouts().to_vec();
        let own = layouts.iter().position(|(since, _)| *since <= version).unwrap_or(0);
        layouts[..=own].rotate_right(1);
        layouts.into_iter().map(|(_, columns)| columns).collect()
    }
}

const CONFIG: &[((u32, u32), Columns)] =
    &[((1, 15), &["key", "value", "default", "changeable"]), ((1, 12), &["key", "value", "changeable"])];

#[rustfmt::skip]
const DATABASES: &[((u32, u32), Columns)] = &[
    ((1, 24), &[
        "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool", "server_lifetime",
        "pool_mode", "load_balance_hosts", "max_connections", "current_connections", "max_client_connections",
        "current_client_connections", "paused", "disabled",
    ]),
    ((1, 23), &[
        "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool", "server_lifetime",
        "pool_mode", "max_connections", "current_connections", "paused", "disabled",
    ]),
    ((1, 16), &[
        "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool", "pool_mode",
        "max_connections", "current_connections", "paused", "disabled",
    ]),
    ((1, 12), &[
        "name", "host", "port", "database", "force_user", "pool_size", "reserve_pool", "pool_mode", "max_connections",
        "current_connections", "paused", "disabled",
    ]),
];

#[rustfmt::skip]
const POOLS: &[((u32, u32), Columns)] = &[
    ((1, 24), &[
        "database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active",
        "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
        "pool_mode", "load_balance_hosts",
    ]),
    ((1, 18), &[
        "database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active",
        "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
        "pool_mode",
    ]),
    ((1, 16), &[
        "database", "user", "cl_active", "cl_waiting", "cl_cancel_req", "sv_active", "sv_idle", "sv_used", "sv_tested",
        "sv_login", "maxwait", "maxwait_us", "pool_mode",
    ]),
    ((1, 12), &[
        "database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait",
        "maxwait_us", "pool_mode",
    ]),
];

#[rustfmt::skip]
const SOCKETS: &[((u32, u32), Columns)] = &[
    ((1, 24), &[
        "type", "user", "database", "replication", "state", "addr", "port", "local_addr", "local_port", "connect_time",
        "request_time", "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
        "prepared_statements", "id",
    ]),
    ((1, 23), &[
        "type", "user", "database", "replication", "state", "addr", "port", "local_addr", "local_port", "connect_time",
        "request_time", "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
        "prepared_statements",
    ]),
    ((1, 21), &[
        "type", "user", "database", "state", "addr", "port", "local_addr", "local_port", "connect_time", "request_time",
        "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name", "prepared_statements",
    ]),
    ((1, 18), &[
        "type", "user", "database", "state", "addr", "port", "local_addr", "local_port", "connect_time", "request_time",
        "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
    ]),
    ((1, 12), &[
        "type", "user", "database", "state", "addr", "port", "local_addr", "local_port", "connect_time", "request_time",
        "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls",
    ]),
];

#[rustfmt::skip]
const STATS: &[((u32, u32), Columns)] = &[
    ((1, 26), &[
        "database", "total_server_assignment_count", "total_xact_count", "total_query_count", "total_received", "total_sent",
        "total_xact_time", "total_query_time", "total_wait_time", "total_client_parse_count", "total_server_parse_count",
        "total_bind_count", "total_client_login_count", "avg_server_assignment_count", "avg_xact_count", "avg_query_count",
        "avg_recv", "avg_sent", "avg_xact_time", "avg_query_time", "avg_wait_time", "avg_client_parse_count",
        "avg_server_parse_count", "avg_bind_count", "avg_client_login_count",
    ]),
    ((1, 24), &[
        "database", "total_server_assignment_count", "total_xact_count", "total_query_count", "total_received", "total_sent",
        "total_xact_time", "total_query_time", "total_wait_time", "total_client_parse_count", "total_server_parse_count",
        "total_bind_count", "avg_server_assignment_count", "avg_xact_count", "avg_query_count", "avg_recv", "avg_sent",
        "avg_xact_time", "avg_query_time", "avg_wait_time", "avg_client_parse_count", "avg_server_parse_count",
        "avg_bind_count",
    ]),
    ((1, 23), &[
        "database", "total_server_assignment_count", "total_xact_count", "total_query_count", "total_received", "total_sent",
        "total_xact_time", "total_query_time", "total_wait_time", "avg_server_assignment_count", "avg_xact_count",
        "avg_query_count", "avg_recv", "avg_sent", "avg_xact_time", "avg_query_time", "avg_wait_time",
    ]),
    ((1, 12), &[
        "database", "total_xact_count", "total_query_count", "total_received", "total_sent", "total_xact_time",
        "total_query_time", "total_wait_time", "avg_xact_count", "avg_query_count", "avg_recv", "avg_sent", "avg_xact_time",
        "avg_query_time", "avg_wait_time",
    ]),
];

#[rustfmt::skip]
const USERS: &[((u32, u32), Columns)] = &[
    ((1, 24), &[
        "name", "pool_size", "reserve_pool_size", "pool_mode", "max_connections", "current_connections",
        "max_client_connections", "current_client_connections",
    ]),
    ((1, 23), &["name", "pool_size", "pool_mode", "max_connections", "current_connections"]),
    ((1, 12), &["name", "pool_mode"]),
];

/// What a command has shown.
#[derive(Debug)]
pub struct Shown {
    pub command: Command,
    pub columns: Columns,
    pub rows: Vec<Vec<Option<String>>>,
}

/// A row whose columns are found by their names.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    shown: &'a Shown,
    values: &'a [Option<String>],
}

impl Shown {
    /// A value of each line; what does not fit says that the layout is not known.
    pub fn lines<T>(&self, mut value: impl FnMut(Line) -> Result<T, Unreadable>) -> Result<Vec<T>, Unreadable> {
        self.rows.iter().map(|values| value(Line { shown: self, values })).collect()
    }
}

impl<'a> Line<'a> {
    /// None: NULL, or not in this version.
    pub fn text(self, column: &str) -> Option<&'a str> {
        let position = self.shown.columns.iter().position(|name| *name == column)?;
        self.values[position].as_deref()
    }

    /// As `text`; never empty.
    pub fn name(self, column: &str) -> Result<String, Unreadable> {
        self.text(column).map(str::to_string).ok_or_else(|| self.odd(column))
    }

    /// None: empty, or not in this version.
    pub fn number(self, column: &str) -> Result<Option<u64>, Unreadable> {
        match self.text(column).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| self.odd(column)),
        }
    }

    pub fn count(self, column: &str) -> Result<u64, Unreadable> {
        self.number(column)?.ok_or_else(|| self.odd(column))
    }

    /// Seconds since 1970, of a local time as PgBouncer prints it: `2026-11-22 06:01:28 CET`.
    pub fn local_time(self, column: &str) -> Option<i64> {
        let text = self.text(column)?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        let (year, month, day) = (next()?, next()?, next()?);
        let (hour, minute, second) = (next()?, next()?, next()?);
        Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
    }

    pub fn odd(self, column: &str) -> Unreadable {
        Unreadable(format!(
            "{}: the column taken for {column} holds {}",
            self.shown.command.sql(),
            self.text(column).map_or("nothing".to_string(), |text| format!("{text:?}"))
        ))
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const COMMANDS: [Command; 10] = [
        Command::Version,
        Command::Clients,
        Command::Config,
        Command::Databases,
        Command::Lists,
        Command::Pools,
        Command::Servers,
        Command::State,
        Command::Stats,
        Command::Users,
    ];

    #[test]
    fn the_number_of_columns_tells_the_layout() {
        for command in COMMANDS {
            let mut lengths: Vec<_> = command.layouts().iter().map(|(_, columns)| columns.len()).collect();
            assert!(command.layouts().is_sorted_by(|newer, older| newer.0 > older.0), "{command:?}");
            lengths.sort();
            lengths.dedup();
            assert_eq!(lengths.len(), command.layouts().len(), "{command:?}");
        }
    }

    #[test]
    fn that_of_the_version_is_tried_first() {
        let first = |version| Command::Pools.candidates(version)[0].len();
        assert_eq!([(1, 30), (1, 24), (1, 20), (1, 17), (1, 12), (1, 5)].map(first), [17, 17, 16, 13, 12, 17]);
        for command in COMMANDS {
            assert_eq!(command.candidates((1, 17)).len(), command.layouts().len(), "{command:?}");
        }
    }
}
