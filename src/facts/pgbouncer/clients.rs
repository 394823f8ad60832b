//! The clients of PgBouncer that wait for a connection of a pool, and those that hold one.

use super::layout::{Line, Shown};
use super::{CONSOLE, Pgbouncer, Pool, Unreadable};
use crate::facts::activity::Session;

#[derive(Clone, Debug, Default)]
pub struct Client {
    pub database: String,
    /// Whose pool it uses: the one that its database forces, or its login.
    pub user: String,
    pub login: String,
    /// PgBouncer looks it up by auth_query first, which takes a connection of another pool.
    pub logs_in: bool,
    pub waits: bool,
    pub wait_seconds: f64,
    /// None: it has said none, or this version does not show it.
    pub application: Option<String>,
    /// `unix`: by a Unix socket.
    pub address: String,
    /// What PgBouncer calls it, and the connection that it holds.
    id: String,
    holds: Option<String>,
}

/// Clients that wait, of one application and address.
pub struct Waiting<'a> {
    pub application: Option<&'a str>,
    pub address: &'a str,
    pub clients: u64,
    pub longest_seconds: f64,
}

/// The user of a client that logs in.
const NOT_YET_KNOWN: &str = "(nouser)";

/// Without those that are idle, and the console's.
pub fn clients(shown: &Shown) -> Result<Vec<Client>, Unreadable> {
    let requests = shown.lines(|line| Ok(line.local_time("request_time")))?;
    // It was this session's, on the console.
    let now = requests.into_iter().flatten().max();
    let clients = shown.lines(|line| client(line, now))?;
    Ok(clients.into_iter().filter(|c| c.database != CONSOLE && (c.waits || c.holds.is_some())).collect())
}

fn client(line: Line, now: Option<i64>) -> Result<Client, Unreadable> {
    if line.text("type") != Some("C") {
        return Err(line.odd("type"));
    }
    let given = |column| line.text(column).filter(|text| !text.is_empty()).map(str::to_string);
    // Of one that waits to be let in, before the first connection of its pool stands, PgBouncer counts no wait.
    let since_request = now.zip(line.local_time("request_time")).map_or(0, |(now, request)| (now - request).max(0));
    let wait = line.count("wait")? as f64 + line.count("wait_us")? as f64 / 1e6;
    let login = line.name("user")?;
    Ok(Client {
        database: line.name("database")?,
        logs_in: login == NOT_YET_KNOWN,
        user: login.clone(),
        login,
        waits: line.name("state")? == "waiting",
        wait_seconds: if wait > 0.0 { wait } else { since_request as f64 },
        application: given("application_name"),
        address: line.name("addr")?,
        id: line.name("ptr")?,
        holds: given("link"),
    })
}

impl Pgbouncer {
    /// With what they show of the waits for their pools.
    pub fn set_clients(&mut self, mut clients: Vec<Client>) {
        for client in clients.iter_mut().filter(|client| !client.logs_in) {
            if let Some(forced) = self.database(&client.database).and_then(|database| database.force_user.clone()) {
                client.user = forced;
            }
        }
        let named: Vec<(String, String)> =
            clients.iter().filter(|c| c.waits && !c.logs_in).map(|c| (c.database.clone(), c.user.clone())).collect();
        for client in clients.iter_mut().filter(|client| client.waits && client.logs_in) {
            if let Some(pool) = self.pool_of_auth_query(&client.database, &named) {
                (client.database, client.user) = (pool.database.clone(), pool.user.clone());
            }
        }
        for client in clients.iter().filter(|client| client.waits) {
            let of = |pool: &&mut Pool| (&pool.database, &pool.user) == (&client.database, &client.user);
            if let Some(pool) = self.pools.iter_mut().find(of) {
                pool.longest_wait_seconds = pool.longest_wait_seconds.max(client.wait_seconds);
            }
        }
        self.active_clients = clients;
    }

    /// For which clients wait of whom none has its name: `named` are the databases and users of those that wait and have one.
    fn pool_of_auth_query(&self, database: &str, named: &[(String, String)]) -> Option<&Pool> {
        let place = self.setting("auth_dbname").filter(|name| !name.is_empty()).unwrap_or(database);
        self.pools.iter().find(|pool| {
            let other = |(database, user): &(String, String)| (database, user) != (&pool.database, &pool.user);
            pool.clients_waiting > 0 && pool.database == place && named.iter().all(other)
        })
    }

    /// Of the clients that wait for a connection of it, those that it is to look up.
    pub fn logging_in(&self, pool: &Pool) -> u64 {
        let of_pool = |client: &&Client| {
            client.waits && client.logs_in && client.database == pool.database && client.user == pool.user
        };
        self.active_clients.iter().filter(of_pool).count() as u64
    }

    /// Most first.
    pub fn waiting_for(&self, pool: &Pool) -> Vec<Waiting<'_>> {
        let mut groups: Vec<Waiting> = Vec::new();
        let of_pool = |client: &&Client| client.waits && client.database == pool.database && client.user == pool.user;
        for client in self.active_clients.iter().filter(of_pool) {
            let (application, address) = (client.application.as_deref(), client.address.as_str());
            let known = groups.iter_mut().find(|group| (group.application, group.address) == (application, address));
            match known {
                Some(group) => {
                    group.clients += 1;
                    group.longest_seconds = group.longest_seconds.max(client.wait_seconds);
                }
                None => groups.push(Waiting { application, address, clients: 1, longest_seconds: client.wait_seconds }),
            }
        }
        groups.sort_by_key(|group| (std::cmp::Reverse(group.clients), group.application, group.address));
        groups
    }

    /// Who holds this session of the server. Connections and clients were shown one after the other: only where both name each other.
    pub fn holder_of(&self, session: &Session) -> Option<&Client> {
        let connection = self.servers.iter().find(|connection| self.is_session(connection, session))?;
        self.active_clients.iter().find(|client| {
            connection.held_by.as_ref() == Some(&client.id)
                && client.holds.as_ref() == Some(&connection.id)
                && (&client.database, &client.user) == (&connection.database, &connection.user)
        })
    }
}
