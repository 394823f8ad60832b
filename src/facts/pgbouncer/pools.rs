//! The pools of a PgBouncer, with the limits they are under.

use super::layout::{Line, Shown};
use super::{Pgbouncer, Unreadable};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Session,
    Transaction,
    Statement,
}

/// Of a database and a user as PgBouncer names them.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    pub database: String,
    pub user: String,
    pub mode: Mode,
    pub clients_active: u64,
    pub clients_waiting: u64,
    /// Held by clients: in transaction mode, in a transaction.
    pub servers_active: u64,
    pub servers_idle: u64,
    /// Idle for longer than server_check_delay.
    pub servers_used: u64,
    /// Being tested, opened, or busy with cancels.
    pub servers_other: u64,
    /// Of the client that has waited longest.
    pub longest_wait_seconds: f64,
    /// 0: unlimited.
    pub size: u64,
    pub reserve: u64,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Session => "session",
            Mode::Transaction => "transaction",
            Mode::Statement => "statement",
        }
    }

    pub fn from_name(name: &str) -> Option<Mode> {
        [Mode::Session, Mode::Transaction, Mode::Statement].into_iter().find(|mode| mode.name() == name)
    }
}

impl Pool {
    pub fn servers(&self) -> u64 {
        self.servers_active + self.servers_idle + self.servers_used + self.servers_other
    }

    pub fn is_full(&self) -> bool {
        self.size > 0 && self.servers() >= self.size
    }

    /// Of what is at most there: `20`, `no limit`.
    pub fn limit(&self) -> String {
        match self.size {
            0 => "no limit".to_string(),
            size if self.servers() > size => {
                format!("{} ({} of them in reserve)", size + self.reserve, self.reserve)
            }
            size => size.to_string(),
        }
    }

    pub fn summary(&self) -> String {
        let waiting = match self.clients_waiting {
            0 => String::new(),
            waiting => format!(", {waiting} waiting for up to {:.1} s", self.longest_wait_seconds),
        };
        format!(
            "Pool {}, {} mode: {} of {} server connections held{waiting}",
            self.name(),
            self.mode.name(),
            self.servers_active,
            self.limit()
        )
    }

    /// `shop/app` as PgBouncer's log writes pools.
    pub fn name(&self) -> String {
        format!("{}/{}", self.database, self.user)
    }
}

/// What PgBouncer calls a database.
#[derive(Clone, Debug, Default)]
pub struct PooledDatabase {
    pub name: String,
    /// None: a Unix socket.
    pub host: Option<String>,
    pub port: u64,
    /// Its name on the server.
    pub on_server: String,
    /// None: as the client.
    pub force_user: Option<String>,
    /// None: that of all.
    pub mode: Option<Mode>,
    pub pool_size: u64,
    pub reserve: u64,
    /// 0: unlimited.
    pub max_connections: u64,
    pub connections: u64,
    /// None: no limit, or older than 1.24.
    pub max_clients: Option<u64>,
    pub clients: u64,
    pub paused: bool,
    /// New clients are refused; those that are in stay.
    pub disabled: bool,
}

#[derive(Clone, Debug, Default)]
pub struct PooledUser {
    pub name: String,
    /// None: that of the database.
    pub mode: Option<Mode>,
    /// None: that of the database.
    pub pool_size: Option<u64>,
    pub reserve: Option<u64>,
    /// None: older than 1.23. 0: unlimited.
    pub max_connections: Option<u64>,
    /// None: no limit, or older than 1.24.
    pub max_clients: Option<u64>,
    pub clients: u64,
}

/// Means of the last whole stats_period.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub database: String,
    pub transactions_per_second: f64,
    pub queries_per_second: f64,
    pub transaction_ms: f64,
    pub query_ms: f64,
    pub wait_ms: f64,
}

pub fn databases(shown: &Shown) -> Result<Vec<PooledDatabase>, Unreadable> {
    shown.lines(|line| {
        Ok(PooledDatabase {
            name: line.name("name")?,
            host: line.text("host").filter(|host| !host.is_empty() && !host.starts_with('/')).map(str::to_string),
            port: line.count("port")?,
            on_server: line.text("database").map_or_else(|| line.name("name"), |name| Ok(name.to_string()))?,
            force_user: line.text("force_user").filter(|user| !user.is_empty()).map(str::to_string),
            mode: mode(line)?,
            pool_size: line.count("pool_size")?,
            reserve: line.count("reserve_pool")?,
            max_connections: line.count("max_connections")?,
            connections: line.count("current_connections")?,
            max_clients: line.number("max_client_connections")?.filter(|most| *most > 0),
            clients: line.number("current_client_connections")?.unwrap_or(0),
            paused: flag(line, "paused")?,
            disabled: flag(line, "disabled")?,
        })
    })
}

pub fn users(shown: &Shown) -> Result<Vec<PooledUser>, Unreadable> {
    shown.lines(|line| {
        Ok(PooledUser {
            name: line.name("name")?,
            mode: mode(line)?,
            pool_size: line.number("pool_size")?,
            reserve: line.number("reserve_pool_size")?,
            max_connections: line.number("max_connections")?,
            max_clients: line.number("max_client_connections")?.filter(|most| *most > 0),
            clients: line.number("current_client_connections")?.unwrap_or(0),
        })
    })
}

/// Without that of the console; `databases`, `users` and the configuration say how large they may be.
pub fn pools(shown: &Shown, pgbouncer: &Pgbouncer) -> Result<Vec<Pool>, Unreadable> {
    // A database of the line `*` is shown no longer when it has been idle for a while.
    let of_all = |setting: &str| pgbouncer.number(setting).map(|number| number as u64);
    let pools = shown.lines(|line| {
        let count = |column| Ok(line.number(column)?.unwrap_or(0));
        let (database, user) = (line.name("database")?, line.name("user")?);
        let of_database = pgbouncer.database(&database);
        let of_user = pgbouncer.user(&user);
        let size = of_user.and_then(|user| user.pool_size).or(of_database.map(|database| database.pool_size));
        let reserve = of_user.and_then(|user| user.reserve).or(of_database.map(|database| database.reserve));
        let (size, reserve) =
            (size.or_else(|| of_all("default_pool_size")), reserve.or_else(|| of_all("reserve_pool_size")));
        let not_known = || Unreadable(format!("SHOW POOLS: how large a pool of {database} may be is not known"));
        Ok(Pool {
            mode: mode(line)?.ok_or_else(|| line.odd("pool_mode"))?,
            clients_active: line.count("cl_active")?,
            clients_waiting: line.count("cl_waiting")?,
            servers_active: line.count("sv_active")?,
            servers_idle: line.count("sv_idle")?,
            servers_used: line.count("sv_used")?,
            servers_other: line.count("sv_tested")?
                + line.count("sv_login")?
                + count("sv_active_cancel")?
                + count("sv_being_canceled")?,
            longest_wait_seconds: line.count("maxwait")? as f64 + line.count("maxwait_us")? as f64 / 1e6,
            size: size.ok_or_else(not_known)?,
            reserve: reserve.ok_or_else(not_known)?,
            database,
            user,
        })
    })?;
    Ok(pools.into_iter().filter(|pool| pool.database != CONSOLE).collect())
}

/// The database that is the console.
pub const CONSOLE: &str = "pgbouncer";

pub fn loads(shown: &Shown) -> Result<Vec<Load>, Unreadable> {
    let loads = shown.lines(|line| {
        let ms = |column| Ok(line.count(column)? as f64 / 1000.0);
        Ok(Load {
            database: line.name("database")?,
            transactions_per_second: line.count("avg_xact_count")? as f64,
            queries_per_second: line.count("avg_query_count")? as f64,
            transaction_ms: ms("avg_xact_time")?,
            query_ms: ms("avg_query_time")?,
            wait_ms: ms("avg_wait_time")?,
        })
    })?;
    Ok(loads.into_iter().filter(|load| load.database != CONSOLE).collect())
}

fn flag(line: Line, column: &str) -> Result<bool, Unreadable> {
    match line.count(column)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(line.odd(column)),
    }
}

/// None: inherited.
fn mode(line: Line) -> Result<Option<Mode>, Unreadable> {
    match line.text("pool_mode") {
        None | Some("") => Ok(None),
        Some(name) => Mode::from_name(name).map(Some).ok_or_else(|| line.odd("pool_mode")),
    }
}
