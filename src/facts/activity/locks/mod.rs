//! Heavyweight locks: who waits for what and whom, what those hold who block, and how full the lock table is.

mod held;
mod in_turn;
mod mode;
mod parties;
mod read;
mod relation_names;
mod target;
pub mod tree;
mod usage;
mod waits;

pub use mode::{Mode, Modes};
pub use parties::{Blocker, LockWait, Party, Who};
pub use read::Snapshot;
pub use relation_names::qualified_name;
pub use target::{Kind, Target};
pub use tree::Node;
pub use usage::{FAST_PATH_SLOTS, ProcessLocks, Usage};
pub use waits::LockWaits;

use super::{Prepared, ReplicationSlot, Session, Slots};
use relation_names::RelationNames;
use std::cell::OnceCell;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Locks {
    /// Each that waits or blocks, once.
    pub parties: Vec<Party>,
    /// Of the parties, made when it is first asked for.
    pub tree: OnceCell<Vec<Node>>,
    /// In the tree, made likewise.
    pub waits: OnceCell<LockWaits>,
    pub usage: Usage,
    /// As the caller has it; a session may have another.
    pub deadlock_timeout_seconds: f64,
}

impl Locks {
    /// For how many seconds each process has waited; not that of one that has only just begun.
    pub fn waited(&self) -> HashMap<i32, f64> {
        let waits = self.parties.iter().flat_map(|party| &party.waits);
        waits.filter_map(|wait| Some((wait.pid, wait.seconds?))).collect()
    }
}

/// Second: what could not be read.
pub fn of(
    snapshot: &Snapshot,
    sessions: &[Session],
    prepared: &[Prepared],
    replication_slots: &[ReplicationSlot],
    slots: &Slots,
) -> (Locks, Option<String>) {
    let mut names = RelationNames::open(slots);
    let left_out = (!names.can_read()).then(|| {
        "names of relations that are locked: pg_class or pg_namespace is locked itself, and not waited for".to_string()
    });
    let parties = parties::of(snapshot, sessions, prepared, replication_slots, &mut names);
    names.close();
    // SAFETY: reads a variable.
    let deadlock_timeout_seconds = f64::from(unsafe { pgrx::pg_sys::DeadlockTimeout }) / 1000.0;
    let usage = Usage::of(&snapshot.entries);
    (Locks { parties, usage, deadlock_timeout_seconds, ..Locks::default() }, left_out)
}
