//! Which sessions have temporary tables, or other temporary objects, in this database.

use super::catalogs;
use crate::db;
use pgrx::pg_sys::{self, Oid};
use std::collections::{BTreeMap, BTreeSet};

/// Their processes. None: another session has a catalog locked that says so.
pub fn read() -> Option<BTreeSet<i32>> {
    // A schema is made for whoever first has this number, and stays for the next.
    let schemas = catalogs::scan(pg_sys::NamespaceRelationId, |tuple| {
        let number = tuple.name(pg_sys::Anum_pg_namespace_nspname).strip_prefix("pg_temp_")?.parse::<i32>().ok()?;
        Some((tuple.value::<Oid>(pg_sys::Anum_pg_namespace_oid)?, number))
    })?;
    let schemas: Vec<(Oid, i32)> = schemas.into_iter().flatten().collect();
    if schemas.is_empty() {
        return Some(BTreeSet::new());
    }
    let sql = "select id, pg_catalog.pg_stat_get_backend_pid(id) from pg_catalog.pg_stat_get_backend_idset() id";
    let processes: BTreeMap<i32, Option<i32>> =
        db::read(sql, &[], |row| (row.take(), row.take_option())).into_iter().collect();
    let process = |number: &i32| processes.get(number).copied().flatten();
    let of_sessions: Vec<Oid> =
        schemas.iter().filter(|(_, number)| process(number).is_some()).map(|(schema, _)| *schema).collect();
    let used = catalogs::schemas_in_use(&of_sessions)?;
    Some(schemas.iter().filter(|(schema, _)| used.contains(schema)).filter_map(|(_, number)| process(number)).collect())
}
