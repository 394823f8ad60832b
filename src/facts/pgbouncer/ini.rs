//! Where pgbouncer.ini sets what a pool has: a user's own setting wins over its database's, and that over [pgbouncer]'s.

use super::{Own, Pgbouncer, Pool};
use std::fmt::Display;

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
    pub fn line(&self, setting: &str, value: impl Display) -> String {
        match self {
            Place::Global => format!("{setting} = {value}"),
            Place::Database(name) => format!("[databases] {name} = … {setting}={value}"),
            Place::User(name) => format!("[users] {name} = … {setting}={value}"),
        }
    }
}

impl Key {
    fn name(self, place: &Place, release: (u32, u32)) -> &'static str {
        match (self, place) {
            (Key::Mode, _) => "pool_mode",
            (Key::Size, Place::Global) => "default_pool_size",
            (Key::Size, _) => "pool_size",
            (Key::Reserve, Place::Database(_)) if release < (1, 24) => "reserve_pool",
            (Key::Reserve, _) => "reserve_pool_size",
            (Key::Connections, _) => "max_db_connections",
        }
    }
}

impl Pgbouncer {
    pub fn line(&self, place: &Place, key: Key, value: impl Display) -> String {
        place.line(key.name(place, self.release()), value)
    }

    /// Where it must be changed for all the pools that have it from there. A database that sets the same as [pgbouncer] cannot be told
    /// from one that sets nothing.
    pub fn set_in(&self, pool: &Pool, key: Key) -> Place {
        let of_all = |own: u64| self.number(key.name(&Place::Global, self.release())) == Some(own as f64);
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

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn lines_are_as_the_version_reads_them() {
        let line = |version: &str, place: Place, key| {
            Pgbouncer { version: version.to_string(), ..Pgbouncer::default() }.line(&place, key, 5)
        };
        let database = || Place::Database("shop".to_string());
        assert_eq!(line("1.23.1", database(), Key::Reserve), "[databases] shop = … reserve_pool=5");
        assert_eq!(line("1.24.1", database(), Key::Reserve), "[databases] shop = … reserve_pool_size=5");
        assert_eq!(line("1.23.1", Place::Global, Key::Reserve), "reserve_pool_size = 5");
        assert_eq!(line("1.24.1", Place::Global, Key::Size), "default_pool_size = 5");
        assert_eq!(line("1.24.1", Place::User("app".to_string()), Key::Size), "[users] app = … pool_size=5");
    }
}
