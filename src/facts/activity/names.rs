//! Names of databases and roles.

use super::Slots;
use std::collections::HashMap;

pub struct Names {
    databases: HashMap<u32, String>,
    roles: HashMap<u32, String>,
}

impl Names {
    pub fn of(slots: &Slots) -> Names {
        let databases = slots.databases.iter().flatten().map(|database| (database.oid, database.name.clone()));
        let roles = slots.roles.iter().flatten().map(|role| (role.oid, role.name.clone()));
        Names { databases: databases.collect(), roles: roles.collect() }
    }

    /// None: there is none, or no longer, or the catalog is locked.
    pub fn database(&self, oid: u32) -> Option<String> {
        self.databases.get(&oid).cloned()
    }

    /// As `database`.
    pub fn role(&self, oid: u32) -> Option<String> {
        self.roles.get(&oid).cloned()
    }
}
