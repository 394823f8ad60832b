//! Names of relations that are locked, read without waiting for anyone: where the catalog itself is locked, the OID is the name.

use super::target::{Kind, Tag, Target};
use crate::db;
use crate::facts::activity::Slots;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelationName {
    /// Qualified and quoted.
    Known(String),
    Unknown {
        oid: u32,
        why: String,
    },
}

impl Display for RelationName {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            RelationName::Known(name) => f.write_str(name),
            RelationName::Unknown { oid, why } if why.is_empty() => write!(f, "{oid}"),
            RelationName::Unknown { oid, why } => write!(f, "{oid} ({why})"),
        }
    }
}

/// pg_class, pg_namespace and their indexes by OID: what a name is looked up in when it is not cached.
const CATALOGS: [u32; 4] = [1259, 2662, 2615, 2685];

/// Catalogs whose lock stops the whole server: named also when they cannot be read.
const WELL_KNOWN: [(u32, &str); 10] = [
    (1247, "pg_type"),
    (1249, "pg_attribute"),
    (1255, "pg_proc"),
    (1259, "pg_class"),
    (1260, "pg_authid"),
    (1262, "pg_database"),
    (2608, "pg_depend"),
    (2610, "pg_index"),
    (2615, "pg_namespace"),
    (2619, "pg_statistic"),
];

pub struct RelationNames<'a> {
    database: u32,
    slots: &'a Slots,
    /// Locks held so that nothing is waited for; empty where one of them could not be had.
    held: Vec<u32>,
    known: HashMap<(u32, u32), RelationName>,
}

impl<'a> RelationNames<'a> {
    pub fn open(slots: &'a Slots) -> RelationNames<'a> {
        // SAFETY: locks that are not waited for; an error releases them with the transaction that it ends.
        let (database, free) = unsafe {
            let free = |oid: &u32| pg_sys::ConditionalLockRelationOid((*oid).into(), ACCESS_SHARE);
            (pg_sys::MyDatabaseId.to_u32(), CATALOGS.into_iter().take_while(free).collect::<Vec<_>>())
        };
        let mut names = RelationNames { database, slots, held: free, known: HashMap::new() };
        if names.held.len() < CATALOGS.len() {
            names.release();
        }
        names
    }

    pub fn can_read(&self) -> bool {
        !self.held.is_empty()
    }

    /// What the lock is on. Names, OIDs and keys of another database say of which: there may be the same here.
    pub fn target(&mut self, tag: &Tag) -> Target {
        let mut target = tag.target(|database, oid| self.of(database, oid));
        if matches!(target.kind, Kind::Advisory | Kind::UserLock | Kind::Object | Kind::FrozenIds)
            && let Some(elsewhere) = self.elsewhere(target.database)
        {
            target.name.push_str(&format!(" ({elsewhere})"));
        }
        target
    }

    /// `of database shop`, unless that is the one that is asked in.
    fn elsewhere(&self, database: u32) -> Option<String> {
        let other = database != 0 && database != self.database;
        other.then(|| match self.slots.database(database) {
            Some(known) => format!("of database {}", known.name),
            None => format!("of another database, {database}"),
        })
    }

    fn of(&mut self, database: u32, oid: u32) -> RelationName {
        if let Some(known) = self.known.get(&(database, oid)) {
            return known.clone();
        }
        let name = self.look_up(database, oid);
        self.known.insert((database, oid), name.clone());
        name
    }

    fn look_up(&self, database: u32, oid: u32) -> RelationName {
        if let Some(why) = self.elsewhere(database) {
            return RelationName::Unknown { oid, why };
        }
        if !self.can_read() {
            let well_known = WELL_KNOWN.iter().find(|(known, _)| *known == oid);
            return match well_known {
                Some((_, name)) => RelationName::Known(format!("pg_catalog.{name}")),
                None => RelationName::Unknown { oid, why: "pg_class is locked".to_string() },
            };
        }
        // The locks that the lookup takes are held already.
        match qualified_name(oid) {
            Some(name) => RelationName::Known(name),
            None => RelationName::Unknown { oid, why: "not visible yet, or dropped".to_string() },
        }
    }

    fn release(&mut self) {
        for oid in self.held.drain(..) {
            // SAFETY: taken in `open`.
            unsafe { pg_sys::UnlockRelationOid(oid.into(), ACCESS_SHARE) };
        }
    }

    /// To be called in the end; an error releases what is held all the same.
    pub fn close(mut self) {
        self.release();
    }
}

/// Qualified and quoted. None: it is not visible yet, or gone, with its schema or without.
pub fn qualified_name(oid: u32) -> Option<String> {
    // SAFETY: catalog lookups; the names, if there are any, are ours.
    unsafe {
        let name = pg_sys::get_rel_name(oid.into());
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid.into()));
        if name.is_null() || schema.is_null() {
            return None;
        }
        Some(format!("{}.{}", db::quote_identifier(&db::string(schema)), db::quote_identifier(&db::string(name))))
    }
}

const ACCESS_SHARE: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
