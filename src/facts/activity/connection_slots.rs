//! How many connections there may be: of the server, of each database, of each role.

use super::{catalogs, timeouts};
use crate::db;
use pgrx::pg_sys;

#[derive(Debug, Default)]
pub struct Slots {
    pub max_connections: u64,
    /// Of max_connections, at the moment of the look; a client that logs in has one before pg_stat_activity shows it.
    pub taken: u64,
    pub superuser_reserved: u64,
    /// For members of pg_use_reserved_connections.
    pub reserved: u64,
    pub max_worker_processes: u64,
    /// Of the server; None: a setting of the caller's own hides it.
    pub max_parallel_workers: Option<u64>,
    pub max_prepared_transactions: u64,
    /// None: pg_database is locked by another session.
    pub databases: Option<Vec<Limited>>,
    /// None: pg_authid is locked by another session.
    pub roles: Option<Vec<Role>>,
    /// The database and role of the session that reads, which takes a slot too. None: it is a background worker.
    pub own: Option<(u32, u32)>,
}

#[derive(Clone, Debug)]
pub struct Limited {
    pub oid: u32,
    pub name: String,
    /// None: no limit.
    pub limit: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub oid: u32,
    pub name: String,
    /// None: no limit. Superusers have none.
    pub limit: Option<u64>,
    pub superuser: bool,
    pub replication: bool,
}

impl Slots {
    pub fn read() -> Slots {
        let number = |name| db::setting(name).and_then(|value| value.parse().ok()).unwrap_or_default();
        let max_connections = number("max_connections");
        Slots {
            max_connections,
            taken: taken(max_connections),
            superuser_reserved: number("superuser_reserved_connections"),
            reserved: number("reserved_connections"),
            max_worker_processes: number("max_worker_processes"),
            max_parallel_workers: timeouts::of_server("max_parallel_workers"),
            max_prepared_transactions: number("max_prepared_transactions"),
            databases: databases(),
            roles: roles(),
            own: own(),
        }
    }

    /// What sessions can take that are neither superusers nor members of pg_use_reserved_connections.
    pub fn ordinary(&self) -> u64 {
        self.max_connections.saturating_sub(self.superuser_reserved + self.reserved)
    }

    pub fn database(&self, oid: u32) -> Option<&Limited> {
        self.databases.as_ref()?.iter().find(|database| database.oid == oid)
    }

    pub fn role(&self, oid: u32) -> Option<&Role> {
        self.roles.as_ref()?.iter().find(|role| role.oid == oid)
    }
}

/// -1: no limit; -2: a DROP DATABASE was interrupted, and nobody can connect.
fn limit(limit: Option<i32>) -> Option<u64> {
    u64::try_from(limit?).ok()
}

fn databases() -> Option<Vec<Limited>> {
    catalogs::scan(pg_sys::DatabaseRelationId, |tuple| Limited {
        oid: tuple.value::<pg_sys::Oid>(pg_sys::Anum_pg_database_oid).map_or(0, pg_sys::Oid::to_u32),
        name: tuple.name(pg_sys::Anum_pg_database_datname),
        limit: limit(tuple.value(pg_sys::Anum_pg_database_datconnlimit)),
    })
}

fn roles() -> Option<Vec<Role>> {
    catalogs::scan(pg_sys::AuthIdRelationId, |tuple| {
        let superuser: bool = tuple.value(pg_sys::Anum_pg_authid_rolsuper).unwrap_or_default();
        Role {
            oid: tuple.value::<pg_sys::Oid>(pg_sys::Anum_pg_authid_oid).map_or(0, pg_sys::Oid::to_u32),
            name: tuple.name(pg_sys::Anum_pg_authid_rolname),
            limit: limit(tuple.value(pg_sys::Anum_pg_authid_rolconnlimit)).filter(|_| !superuser),
            superuser,
            replication: tuple.value(pg_sys::Anum_pg_authid_rolreplication).unwrap_or_default(),
        }
    })
}

fn taken(max_connections: u64) -> u64 {
    let mut free = 0;
    // SAFETY: every process that runs SQL is attached to the list of free ones, which is walked under its spinlock.
    unsafe { pg_sys::HaveNFreeProcs(max_connections as i32, &mut free) };
    max_connections.saturating_sub(free as u64)
}

fn own() -> Option<(u32, u32)> {
    // SAFETY: set before a session's first statement, and not changed.
    unsafe {
        let client = pg_sys::MyBackendType == pg_sys::BackendType::B_BACKEND;
        client.then(|| (pg_sys::MyDatabaseId.to_u32(), pg_sys::GetAuthenticatedUserId().to_u32()))
    }
}
