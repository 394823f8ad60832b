//! What a PgBouncer says of itself on its console.

mod clients;
mod ini;
pub mod layout;
mod pools;
mod servers;

pub use clients::{Client, Waiting, clients};
pub use ini::{Key, Place};
pub use pools::{CONSOLE, Load, Mode, Own, Pool, PooledDatabase, PooledUser, databases, loads, pools, users};
pub use servers::{ServerConnection, connections};

use super::SessionStatement;
use layout::Shown;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Pgbouncer {
    /// `1.24.1`
    pub version: String,
    pub databases: Vec<PooledDatabase>,
    pub users: Vec<PooledUser>,
    pub pools: Vec<Pool>,
    pub loads: Vec<Load>,
    pub servers: Vec<ServerConnection>,
    /// Those that wait or hold a connection. Asked for only where some wait.
    pub active_clients: Vec<Client>,
    /// PAUSE or SUSPEND of all databases. None: older than 1.19.
    pub paused: Option<bool>,
    /// Clients that are connected, the console's among them.
    pub clients: Option<u64>,
    /// Of this server's pg_stat_statements, those that may use more of a session than a transaction. None: it is not installed here, or
    /// could not be read.
    pub statements: Option<Vec<SessionStatement>>,
    /// What could not be read, and why.
    pub left_out: Vec<String>,
    pub config: HashMap<String, String>,
}

/// The console has shown something that is not of this meaning in any version that is known.
#[derive(Clone, Debug)]
pub struct Unreadable(pub String);

impl Pgbouncer {
    pub fn set_config(&mut self, shown: &Shown) -> Result<(), Unreadable> {
        let pairs = shown.lines(|line| Ok((line.name("key")?, line.text("value").unwrap_or_default().to_string())))?;
        if !pairs.iter().any(|(key, _)| key == "pool_mode") {
            return Err(Unreadable("SHOW CONFIG: no pool_mode".to_string()));
        }
        self.config = pairs.into_iter().collect();
        Ok(())
    }

    pub fn set_state(&mut self, shown: &Shown) -> Result<(), Unreadable> {
        let states = shown.lines(|line| Ok((line.name("key")?, line.text("value") == Some("yes"))))?;
        let active = states.iter().find(|(key, _)| key == "active").map(|(_, yes)| *yes);
        self.paused = Some(!active.ok_or_else(|| Unreadable("SHOW STATE: no active".to_string()))?);
        Ok(())
    }

    pub fn set_lists(&mut self, shown: &Shown) -> Result<(), Unreadable> {
        let lists = shown.lines(|line| Ok((line.name("list")?, line.count("items")?)))?;
        self.clients = lists.into_iter().find(|(list, _)| list == "used_clients").map(|(_, items)| items);
        Ok(())
    }

    /// None: not in this version.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config.get(name).map(String::as_str)
    }

    /// None: not in this version.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.setting(name)?.trim().parse().ok()
    }

    /// None of its own timeouts ends them, whatever the server's do. False: what it has is not known.
    pub fn leaves_transactions_open(&self) -> bool {
        // Before 1.25 it has no transaction_timeout.
        self.number("idle_transaction_timeout") == Some(0.0)
            && self.number("transaction_timeout").is_none_or(|seconds| seconds == 0.0)
    }

    /// Major and minor.
    pub fn release(&self) -> (u32, u32) {
        release(&self.version)
    }

    pub fn database(&self, name: &str) -> Option<&PooledDatabase> {
        self.databases.iter().find(|database| database.name == name)
    }

    pub fn user(&self, name: &str) -> Option<&PooledUser> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Server connections that the user's pools may have together. None: no limit.
    pub fn most_of_user(&self, name: &str) -> Option<u64> {
        let of_all = || self.number("max_user_connections").map(|most| most as u64);
        self.user(name).and_then(|user| user.max_connections).or_else(of_all).filter(|most| *most > 0)
    }

    /// The database and the role that a pool's connections have on the server.
    pub fn on_server<'a>(&'a self, pool: &'a Pool) -> (&'a str, &'a str) {
        (self.database(&pool.database).map_or(&pool.database, |database| &database.on_server), &pool.user)
    }

    pub fn load(&self, database: &str) -> Option<&Load> {
        self.loads.iter().find(|load| load.database == database)
    }
}

pub fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_timeout_of_its_own_ends_open_transactions() {
        let leaves = |settings: &[(&str, &str)]| {
            let config = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Pgbouncer { config, ..Pgbouncer::default() }.leaves_transactions_open()
        };
        assert!(leaves(&[("idle_transaction_timeout", "0")]));
        assert!(leaves(&[("idle_transaction_timeout", "0"), ("transaction_timeout", "0")]));
        assert!(!leaves(&[("idle_transaction_timeout", "0"), ("transaction_timeout", "60")]));
        assert!(!leaves(&[("idle_transaction_timeout", "30"), ("transaction_timeout", "0")]));
        assert!(!leaves(&[]));
    }
}
