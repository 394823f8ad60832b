//! PgBouncer's connections to the server, and which sessions they are.

use super::layout::Shown;
use super::{CONSOLE, Pgbouncer, Pool, Unreadable};
use crate::facts::activity::Session;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug, Default)]
pub struct ServerConnection {
    pub database: String,
    pub user: String,
    /// `active`: a client holds it.
    pub state: String,
    /// The server's process.
    pub pid: i32,
    /// PgBouncer's end of it.
    pub port: u64,
    /// Seconds since 1970, by the local time of PgBouncer's machine.
    pub connected: Option<i64>,
    /// As `connected`: when the server said something last.
    pub last_answer: Option<i64>,
    /// What PgBouncer calls it, and the client that holds it.
    pub id: String,
    pub held_by: Option<String>,
}

pub fn connections(shown: &Shown) -> Result<Vec<ServerConnection>, Unreadable> {
    let connections = shown.lines(|line| {
        if line.text("type") != Some("S") {
            return Err(line.odd("type"));
        }
        Ok(ServerConnection {
            database: line.name("database")?,
            user: line.name("user")?,
            state: line.name("state")?,
            // Behind another PgBouncer it is any number.
            pid: line.text("remote_pid").and_then(|pid| pid.trim().parse().ok()).unwrap_or_default(),
            port: line.count("local_port")?,
            connected: line.local_time("connect_time"),
            last_answer: line.local_time("request_time"),
            id: line.name("ptr")?,
            held_by: line.text("link").filter(|link| !link.is_empty()).map(str::to_string),
        })
    })?;
    Ok(connections.into_iter().filter(|connection| connection.database != CONSOLE).collect())
}

impl ServerConnection {
    /// No client may have used it yet: what ran last in it can be PgBouncer's own connect_query.
    pub fn is_new(&self) -> bool {
        let spoke_for = self.last_answer.zip(self.connected).map(|(last, first)| last - first);
        self.state != "active" && spoke_for.is_none_or(|seconds| seconds < SLOW_LOGIN_SECONDS)
    }
}

const SLOW_LOGIN_SECONDS: i64 = 3;
/// What two clocks may differ, and what a connection may wait to be accepted.
const CLOCKS_SECONDS: f64 = 3.0;
/// By which the local times of the world differ.
const ZONES_SECONDS: f64 = 900.0;

/// The session began when PgBouncer connected. Which time zone PgBouncer has it does not say so that it can be relied on.
fn began_together(connection: &ServerConnection, session: &Session) -> bool {
    let (Some(connected), Some(began)) = (connection.connected, session.backend_start_epoch) else { return false };
    let apart = (began - connected as f64 + ZONES_SECONDS / 2.0).rem_euclid(ZONES_SECONDS) - ZONES_SECONDS / 2.0;
    apart.abs() <= CLOCKS_SECONDS
}

impl Pgbouncer {
    /// In another server a process may by chance have the same id, database and role.
    pub(super) fn is_session(&self, connection: &ServerConnection, session: &Session) -> bool {
        // First, as holder_of() asks it of all connections.
        if session.pid != connection.pid {
            return false;
        }
        let database = self.database(&connection.database);
        let on_server = database.map_or(connection.database.as_str(), |database| database.on_server.as_str());
        session.database.as_deref() == Some(on_server)
            && session.role.as_deref() == Some(&connection.user)
            && (session.client_port.is_some_and(|port| u64::from(port) == connection.port)
                || began_together(connection, session))
    }

    /// Those that are sessions of this server: the others lead elsewhere.
    fn here<'a, 'b>(
        &self,
        connections: impl Iterator<Item = &'b ServerConnection>,
        sessions: &'a [Session],
    ) -> impl Iterator<Item = (&'b ServerConnection, &'a Session)> {
        let by_pid: HashMap<i32, &Session> = sessions.iter().map(|session| (session.pid, session)).collect();
        connections.filter_map(move |connection| {
            let session = *by_pid.get(&connection.pid)?;
            self.is_session(connection, session).then_some((connection, session))
        })
    }

    /// The sessions of this server that are connections of these pools, and `take`n.
    pub fn sessions_of<'a>(
        &self,
        pools: &[&Pool],
        sessions: &'a [Session],
        take: impl Fn(&ServerConnection) -> bool,
    ) -> Vec<&'a Session> {
        let of = |connection: &&ServerConnection| {
            pools.iter().any(|pool| (&connection.database, &connection.user) == (&pool.database, &pool.user))
        };
        let taken = self.servers.iter().filter(of).filter(|connection| take(connection));
        self.here(taken, sessions).map(|(_, session)| session).collect()
    }

    /// The sessions of this server that no client of PgBouncer may have used yet.
    pub fn new_sessions<'a>(&self, sessions: &'a [Session]) -> impl Iterator<Item = &'a Session> {
        self.here(self.servers.iter().filter(|connection| connection.is_new()), sessions).map(|(_, session)| session)
    }

    /// Where its connections lead, as PgBouncer is told: a host and a port.
    fn place_of(&self, database: &str) -> Option<(Option<&str>, u64)> {
        self.database(database).map(|database| (database.host.as_deref(), database.port))
    }

    /// The pools that lead to this server: one connection of their place is a session here.
    pub fn pools_here<'a>(&'a self, sessions: &'a [Session]) -> impl Iterator<Item = &'a Pool> {
        let here = self.here(self.servers.iter(), sessions);
        let places: HashSet<_> = here.map(|(connection, _)| self.place_of(&connection.database)).collect();
        self.pools.iter().filter(move |pool| places.contains(&self.place_of(&pool.database)))
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn session(port: Option<u16>, began: f64) -> Session {
        let name = Some("shop".to_string());
        Session {
            pid: 7,
            database: name.clone(),
            role: name,
            client_port: port,
            backend_start_epoch: Some(began),
            ..Session::default()
        }
    }

    #[test]
    fn a_process_of_the_same_id_in_another_server_is_none_of_its() {
        let connection = ServerConnection {
            database: "shop".to_string(),
            user: "shop".to_string(),
            pid: 7,
            port: 40_001,
            // 5 h and 45 minutes before UTC.
            connected: Some(1_795_000_000 + 20_700),
            ..ServerConnection::default()
        };
        let is = |session: Session| Pgbouncer::default().is_session(&connection, &session);
        assert!(is(session(None, 1_795_000_000.9)));
        assert!(is(session(None, 1_794_999_998.0)));
        assert!(!is(session(None, 1_795_000_005.0)));
        assert!(!is(session(None, 1_794_999_900.0)));
        assert!(is(session(Some(40_001), 1_794_999_900.0)));
        assert!(!is(session(Some(40_002), 1_794_999_900.0)));
        assert!(!is(Session { pid: 8, ..session(Some(40_001), 1_795_000_000.9) }));
    }
}
