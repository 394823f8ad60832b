//! How full the shared lock table is, and how many locks each process has beside its fast path.

use super::read::Entry;
use super::{Kind, Modes};
use crate::db;
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashSet};

#[derive(Debug, Default)]
pub struct Usage {
    /// Things that are locked, each once, in the shared table.
    pub locks: u64,
    /// Of so many the table is made; what shared memory has left over may hold some more.
    pub capacity: u64,
    pub max_locks_per_transaction: u64,
    /// Most locks first.
    pub processes: Vec<ProcessLocks>,
    /// Processes that hold advisory locks.
    pub advisory: HashSet<i32>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessLocks {
    /// 0: prepared transactions, all together.
    pub pid: i32,
    /// In the shared table.
    pub shared: u64,
    /// Of those, on relations and in modes that the fast path would take.
    pub weak_relations_shared: u64,
    /// Relations locked through the fast path, of which each process has room for so many.
    pub fast_path: u64,
}

pub const FAST_PATH_SLOTS: u64 = pg_sys::FP_LOCK_SLOTS_PER_BACKEND as u64;

impl Usage {
    pub(super) fn of(entries: &[Entry]) -> Usage {
        let mut processes: BTreeMap<i32, ProcessLocks> = BTreeMap::new();
        let (mut tags, mut advisory) = (HashSet::new(), HashSet::new());
        for entry in entries {
            let process =
                processes.entry(entry.pid).or_insert(ProcessLocks { pid: entry.pid, ..ProcessLocks::default() });
            let relation = entry.tag.kind() == Kind::Relation;
            if entry.fast_path {
                process.fast_path += u64::from(relation);
                continue;
            }
            tags.insert(entry.tag);
            if entry.tag.kind() == Kind::Advisory && entry.holds != Modes::default() {
                advisory.insert(entry.pid);
            }
            process.shared += 1;
            process.weak_relations_shared +=
                u64::from(relation && entry.holds.strongest().is_some_and(|mode| mode.is_weak()));
        }
        let mut processes: Vec<ProcessLocks> = processes.into_values().collect();
        processes.sort_by_key(|process| (std::cmp::Reverse(process.shared), process.pid));
        // SAFETY: variables that are set when the server starts.
        let (per_transaction, backends) = unsafe { (pg_sys::max_locks_per_xact as u64, pg_sys::MaxBackends as u64) };
        let prepared = db::setting("max_prepared_transactions").and_then(|value| value.parse::<u64>().ok());
        Usage {
            locks: tags.len() as u64,
            capacity: per_transaction * (backends + prepared.unwrap_or(0)),
            max_locks_per_transaction: per_transaction,
            processes,
            advisory,
        }
    }
}
