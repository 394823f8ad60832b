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
    /// The size instead, if its user sets one: that does not show.
    pub perhaps_size: Option<u64>,
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
        self.sizes().all(|size| self.reaches(size))
    }

    pub fn is_perhaps_full(&self) -> bool {
        self.sizes().any(|size| self.reaches(size))
    }

    fn reaches(&self, size: u64) -> bool {
        size > 0 && self.servers() >= size
    }

    /// Of what is at most there: `20`, `no limit`, `2 or 10`.
    pub fn limit(&self) -> String {
        let limit = |size: u64| match size {
            0 => "no limit".to_string(),
            size if self.servers() > size => {
                format!("{} ({} of them in reserve)", size + self.reserve, self.reserve)
            }
            size => size.to_string(),
        };
        self.sizes().map(limit).collect::<Vec<_>>().join(" or ")
    }

    /// Of two sizes that it may have, the one that it has outgrown is not its own.
    fn without_sizes_exceeded(self) -> Pool {
        let exceeded = |size: u64| size > 0 && self.servers() > size + self.reserve;
        match self.perhaps_size {
            Some(perhaps) if exceeded(perhaps) => Pool { perhaps_size: None, ..self },
            Some(perhaps) if exceeded(self.size) => Pool { size: perhaps, perhaps_size: None, ..self },
            _ => self,
        }
    }

    fn sizes(&self) -> impl Iterator<Item = u64> {
        [self.size].into_iter().chain(self.perhaps_size)
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

/// What a user sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// Nothing: the database's holds.
    #[default]
    None,
    Set(u64),
    /// It is shown, and may be another user's.
    Perhaps(u64),
}

impl Own {
    fn certain(self) -> Option<u64> {
        match self {
            Own::Set(value) => Some(value),
            Own::None | Own::Perhaps(_) => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct PooledUser {
    pub name: String,
    /// None: that of the database.
    pub mode: Option<Mode>,
    pub pool_size: Own,
    pub reserve: Own,
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

pub fn users(shown: &Shown, release: (u32, u32)) -> Result<Vec<PooledUser>, Unreadable> {
    // Up to 1.25 a user who sets nothing is shown with what the user before is shown with.
    let repeats = release < (1, 26);
    let own = |value: Option<u64>, before: &mut Option<u64>| match (value, std::mem::replace(before, value)) {
        (None, _) => Own::None,
        (Some(value), before) if repeats && before == Some(value) => Own::Perhaps(value),
        (Some(value), _) => Own::Set(value),
    };
    let (mut size_before, mut reserve_before) = (None, None);
    shown.lines(|line| {
        Ok(PooledUser {
            name: line.name("name")?,
            mode: mode(line)?,
            pool_size: own(line.number("pool_size")?, &mut size_before),
            reserve: own(line.number("reserve_pool_size")?, &mut reserve_before),
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
        let size = of_user.and_then(|user| user.pool_size.certain()).or(of_database.map(|database| database.pool_size));
        let reserve = of_user.and_then(|user| user.reserve.certain()).or(of_database.map(|database| database.reserve));
        let (size, reserve) =
            (size.or_else(|| of_all("default_pool_size")), reserve.or_else(|| of_all("reserve_pool_size")));
        let perhaps_size = of_user.and_then(|user| match user.pool_size {
            Own::Perhaps(value) => Some(value).filter(|_| size != Some(value)),
            Own::None | Own::Set(_) => None,
        });
        let not_known = || Unreadable(format!("SHOW POOLS: how large a pool of {database} may be is not known"));
        let pool = Pool {
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
            perhaps_size,
            reserve: reserve.ok_or_else(not_known)?,
            database,
            user,
        };
        Ok(pool.without_sizes_exceeded())
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

#[cfg(test)]
mod unit_tests {
    use super::super::layout::Command;
    use super::*;

    #[test]
    fn what_another_user_sets_is_not_taken_for_certain() {
        let row = |name: &str, size: &str| [name, size, "", "0", "0"].map(|value| Some(value.to_string())).to_vec();
        let shown = Shown {
            command: Command::Users,
            columns: Command::Users.candidates((1, 23))[0],
            rows: vec![row("a", ""), row("b", "       10"), row("c", "       10"), row("d", "        3")],
        };
        let sizes =
            |release| users(&shown, release).unwrap().into_iter().map(|user| user.pool_size).collect::<Vec<_>>();
        assert_eq!(sizes((1, 25)), [Own::None, Own::Set(10), Own::Perhaps(10), Own::Set(3)]);
        assert_eq!(sizes((1, 26)), [Own::None, Own::Set(10), Own::Set(10), Own::Set(3)]);
    }

    #[test]
    fn a_size_that_the_pool_has_outgrown_is_another_users() {
        let pool =
            |servers| Pool { size: 5, perhaps_size: Some(10), reserve: 1, servers_active: servers, ..Pool::default() };
        let told = |servers| {
            let pool = pool(servers).without_sizes_exceeded();
            (pool.limit(), pool.is_full(), pool.is_perhaps_full())
        };
        assert_eq!(told(4), ("5 or 10".to_string(), false, false));
        assert_eq!(told(5), ("5 or 10".to_string(), false, true));
        assert_eq!(told(6), ("6 (1 of them in reserve) or 10".to_string(), false, true));
        assert_eq!(told(7), ("10".to_string(), false, false));
        assert_eq!(told(10), ("10".to_string(), true, true));
    }
}
