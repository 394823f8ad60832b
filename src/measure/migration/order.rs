//! Locks that a transaction takes in another order than the application does.

use super::Model;
use super::session::Place;
use crate::facts::migration::{Effect, Lock, LockMode};

/// INSERT and UPDATE lock the table with the foreign key, then rows of the one that it refers to: whoever holds this one against
/// that and waits for the other can wait for them while they wait for him.
pub fn deadlock_order(place: &Place, locks: &[Lock], model: &Model) -> Vec<Effect> {
    let mut found = Vec::new();
    let is_held =
        |lock: &Lock| place.held.iter().any(|held| held.target.id == lock.target.id && held.mode >= LockMode::Share);
    for referring in locks.iter().filter(|lock| lock.mode.blocks_writes() && !lock.target.private && !is_held(lock)) {
        let Some(table) = model.relation(referring.target.id) else { continue };
        // ROW SHARE, which looking up a foreign key takes, waits for EXCLUSIVE and stronger.
        for referred_to in place.held.iter().filter(|held| held.mode >= LockMode::Exclusive) {
            let refers = |id| id == Some(referred_to.target.id) && id != Some(table.id);
            let Some(key) = table.constraints.iter().find(|constraint| refers(constraint.references)) else { continue };
            found.push(Effect::LocksInDeadlockOrder {
                referred_to: referred_to.clone(),
                referring: referring.clone(),
                constraint: key.name.clone(),
            });
        }
    }
    found
}
