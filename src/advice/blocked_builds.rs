//! Commands that are done CONCURRENTLY, and wait for the ends of transactions rather than for locks.

use super::blocked_trees::Tree;
use super::blocking::Blocking;
use crate::facts::activity::locks::{Kind, LockWait};

/// Whatever waits is such a command that nobody waits for. One that waits alone harms nobody.
pub fn wait_alone(blocking: &Blocking, tree: &Tree) -> bool {
    let for_transaction = |wait: &LockWait| wait.target.kind == Kind::VirtualTransaction && wait.mode.is_some();
    tree.waiting.iter().all(|place| {
        let party = blocking.party(&blocking.nodes[*place]);
        party.waits.iter().all(for_transaction) && blocking.waits().waiters(*place).is_empty()
    })
}
