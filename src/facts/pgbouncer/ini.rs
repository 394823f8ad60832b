//! Where pgbouncer.ini sets what a pool has: a user's own setting wins over its database's, and that over [pgbouncer]'s.

use super::{Own, Pgbouncer, Pool};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Mode,
    Size,
    Reserve,
    /// Of all pools of a database together.
    Connections,
}

/// What decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Global,
    Database(String),
    User(String),
}

impl Place {
    /// `[users] app = … pool_size=5`: what else the line has stays.
    pub fn line(&self, key: Key, value: impl std::fmt::Display) -> String {
        let (global, own) = key.names();
        match self {
            Place::Global => format!("{global} = {value}"),
            Place::Database(name) => format!("[databases] {name} = … {own}={value}"),
            Place::User(name) => format!("[users] {name} = … {own}={value}"),
        }
    }
}

impl Key {
    /// In [pgbouncer], and in a line of a database or a user.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Key::Mode => ("pool_mode", "pool_mode"),
            Key::Size => ("default_pool_size", "pool_size"),
            Key::Reserve => ("reserve_pool_size", "reserve_pool_size"),
            Key::Connections => ("max_db_connections", "max_db_connections"),
        }
    }
}

impl Pgbouncer {
    /// Where it must be changed for all the pools that have it from there. A database that sets the same as [pgbouncer] cannot be told
    /// from one that sets nothing.
    pub fn set_in(&self, pool: &Pool, key: Key) -> Place {
        let of_all = |own: u64| self.number(key.names().0) == Some(own as f64);
        let inherits = self.database(&pool.database).is_none_or(|database| match key {
            Key::Mode => database.mode.is_none(),
            Key::Size => of_all(database.pool_size),
            Key::Reserve => of_all(database.reserve),
            Key::Connections => of_all(database.max_connections),
        });
        match self.own_place(pool, key) {
            Place::Database(_) if inherits => Place::Global,
            own => own,
        }
    }

    /// Where it is set, or can be, for the user or the database of this pool alone.
    pub fn own_place(&self, pool: &Pool, key: Key) -> Place {
        let of_user = self.user(&pool.user).is_some_and(|user| match key {
            Key::Mode => user.mode.is_some(),
            Key::Size => matches!(user.pool_size, Own::Set(_)),
            Key::Reserve => matches!(user.reserve, Own::Set(_)),
            Key::Connections => false,
        });
        if of_user { Place::User(pool.user.clone()) } else { Place::Database(pool.database.clone()) }
    }
}
