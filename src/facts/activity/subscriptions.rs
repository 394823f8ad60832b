//! Which process works for which subscription.

use super::catalogs;
use crate::db;
use pgrx::pg_sys::Oid;
use std::collections::{BTreeMap, HashMap};

/// pg_sys does not name it.
const SUBSCRIPTION: Oid = Oid::from_u32(6100);
const OID: u32 = 1;
const NAME: u32 = 4;

/// Names of subscriptions, by the processes that apply or copy for them. None: another session has pg_subscription locked.
pub fn read() -> Option<BTreeMap<i32, String>> {
    let workers: Vec<(i32, Oid)> =
        db::read(include_str!("../../../sql/facts/activity/subscriptions.sql"), &[], |row| (row.take(), row.take()));
    if workers.is_empty() {
        return Some(BTreeMap::new());
    }
    let names: HashMap<Oid, String> =
        catalogs::scan(SUBSCRIPTION, |tuple| (tuple.value(OID).unwrap_or_default(), tuple.name(NAME)))?
            .into_iter()
            .collect();
    Some(workers.into_iter().filter_map(|(pid, oid)| Some((pid, names.get(&oid)?.clone()))).collect())
}
