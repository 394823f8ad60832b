//! Every heavyweight lock at one moment, as pg_locks has them, and the order in which the waiters for one lock queue.

use super::mode::{Mode, Modes};
use super::target::Tag;
use crate::db::{self, Arena};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::slice;

/// What one process holds of one lock, and waits for.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub tag: Tag,
    pub holds: Modes,
    pub waits: Option<Mode>,
    /// Microseconds. None: it has only just begun to wait.
    pub waits_since: Option<i64>,
    /// 0: a prepared transaction.
    pub pid: i32,
    /// Of parallel workers, their leader; else the process itself.
    pub leader: i32,
    pub virtual_transaction: (i32, u32),
    pub fast_path: bool,
}

pub struct Snapshot {
    pub(super) entries: Vec<Entry>,
    /// Microseconds.
    pub(super) taken: i64,
}

impl Snapshot {
    pub fn take() -> Snapshot {
        let arena = Arena::new();
        // SAFETY: the server copies what is in shared memory into the arena, an array of so many elements.
        let entries = arena.enter(|| unsafe {
            let data = pg_sys::GetLockStatusData();
            let instances = match (*data).nelements {
                0 => &[][..],
                count => slice::from_raw_parts((*data).locks, count as usize),
            };
            instances.iter().map(entry).collect()
        });
        // SAFETY: reads the clock.
        Snapshot { entries, taken: unsafe { pg_sys::GetCurrentTimestamp() } }
    }
}

fn entry(instance: &pg_sys::LockInstanceData) -> Entry {
    Entry {
        tag: tag(&instance.locktag),
        holds: Modes(instance.holdMask as u32),
        waits: Mode::from_number(instance.waitLockMode),
        waits_since: Some(instance.waitStart).filter(|start| *start != 0),
        pid: instance.pid,
        leader: if instance.leaderPid == 0 { instance.pid } else { instance.leaderPid },
        virtual_transaction: (instance.vxid.procNumber, instance.vxid.localTransactionId),
        fast_path: instance.fastpath,
    }
}

fn tag(tag: &pg_sys::LOCKTAG) -> Tag {
    Tag {
        kind: tag.locktag_type,
        fields: [tag.locktag_field1, tag.locktag_field2, tag.locktag_field3],
        field4: tag.locktag_field4,
        method: tag.locktag_lockmethodid,
    }
}

/// The processes that queue for this lock before `pid`, first to last. Empty where it does not wait for that any more.
pub fn queue_before(pid: i32, awaited: &Tag) -> Vec<i32> {
    let arena = Arena::new();
    // SAFETY: as in `take`; where a process waits, `first_lock` and `first_waiter` begin its part of the arrays.
    arena.enter(|| unsafe {
        let data = pg_sys::GetBlockerStatusData(pid);
        let part = |start: *mut i32, first: i32, count: i32| match count {
            0 => Vec::new(),
            _ => slice::from_raw_parts(start.add(first as usize), count as usize).to_vec(),
        };
        let processes = match (*data).nprocs {
            0 => &[][..],
            count => slice::from_raw_parts((*data).procs, count as usize),
        };
        let waits = processes.iter().find(|process| {
            process.pid == pid
                && process.num_locks > 0
                && tag(&(*(*data).locks.add(process.first_lock as usize)).locktag) == *awaited
        });
        waits.map_or_else(Vec::new, |process| part((*data).waiter_pids, process.first_waiter, process.num_waiters))
    })
}

/// For whom each of these waits, to get a snapshot that no serialization failure can make invalid.
pub fn safe_snapshot_blockers(pids: &[i32]) -> HashMap<i32, Vec<i32>> {
    if pids.is_empty() {
        return HashMap::new();
    }
    let sql = "select pid, pg_catalog.pg_safe_snapshot_blocking_pids(pid) from pg_catalog.unnest($1) pid";
    db::read(sql, &[DatumWithOid::from(pids.to_vec())], |row| (row.take(), row.take::<Vec<i32>>()))
        .into_iter()
        .collect()
}
