//! PgBouncer's connections to the server, and which sessions they are.

use super::layout::Shown;
use super::{CONSOLE, Pgbouncer, Pool, Unreadable};
use crate::facts::activity::Session;

#[derive(Clone, Debug, Default)]
pub struct ServerConnection {
    pub database: String,
    pub user: String,
    /// `active`: a client holds it.
    pub state: String,
    /// The server's process.
    pub pid: i32,
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
            pid: line.count("remote_pid")?.try_into().map_err(|_| line.odd("remote_pid"))?,
            id: line.name("ptr")?,
            held_by: line.text("link").filter(|link| !link.is_empty()).map(str::to_string),
        })
    })?;
    Ok(connections.into_iter().filter(|connection| connection.database != CONSOLE).collect())
}

impl Pgbouncer {
    pub(super) fn is_session(&self, connection: &ServerConnection, session: &Session) -> bool {
        let database = self.database(&connection.database);
        let on_server = database.map_or(connection.database.as_str(), |database| database.on_server.as_str());
        let role = database.and_then(|database| database.force_user.as_deref()).unwrap_or(&connection.user);
        session.pid == connection.pid
            && session.database.as_deref() == Some(on_server)
            && session.role.as_deref() == Some(role)
    }

    /// The session of this server that a connection is. None: it leads to another server.
    fn session<'a>(&self, connection: &ServerConnection, sessions: &'a [Session]) -> Option<&'a Session> {
        sessions.iter().find(|session| self.is_session(connection, session))
    }

    /// The sessions of this server that are connections of a pool.
    pub fn sessions_of<'a>(&self, pool: &Pool, sessions: &'a [Session]) -> Vec<&'a Session> {
        let of_pool = self.servers.iter().filter(|of| of.database == pool.database && of.user == pool.user);
        of_pool.filter_map(|connection| self.session(connection, sessions)).collect()
    }

    /// As `sessions_of`, those that clients hold.
    pub fn held_sessions_of<'a>(&self, pool: &Pool, sessions: &'a [Session]) -> Vec<&'a Session> {
        let of_pool = self.servers.iter().filter(|of| of.database == pool.database && of.user == pool.user);
        let held = of_pool.filter(|connection| connection.state == "active");
        held.filter_map(|connection| self.session(connection, sessions)).collect()
    }

    /// Where its connections lead, as PgBouncer is told: a host and a port.
    fn place_of(&self, database: &str) -> Option<(Option<&str>, u64)> {
        self.database(database).map(|database| (database.host.as_deref(), database.port))
    }

    /// The pools that lead to this server: one connection of their place is a session here.
    pub fn pools_here<'a>(&'a self, sessions: &'a [Session]) -> impl Iterator<Item = &'a Pool> {
        let is_here = |pool: &Pool| !self.sessions_of(pool, sessions).is_empty();
        let places: Vec<_> =
            self.pools.iter().filter(|pool| is_here(pool)).map(|pool| self.place_of(&pool.database)).collect();
        self.pools.iter().filter(move |pool| places.contains(&self.place_of(&pool.database)))
    }
}
