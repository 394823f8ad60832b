//! What waits by design for the ends of transactions rather than for locks: commands that are done CONCURRENTLY, and who takes a snapshot
//! that is SERIALIZABLE READ ONLY DEFERRABLE.

use super::blocked_trees::Tree;
use super::blocking::Blocking;
use crate::facts::activity::locks::{Kind, LockWait, Party};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patient {
    Concurrently,
    SafeSnapshot,
}

impl Patient {
    fn of(wait: &LockWait) -> Option<Patient> {
        match wait.target.kind {
            Kind::VirtualTransaction if wait.mode.is_some() => Some(Patient::Concurrently),
            Kind::SafeSnapshot => Some(Patient::SafeSnapshot),
            _ => None,
        }
    }

    pub fn advice(self) -> &'static str {
        match self {
            Patient::Concurrently => {
                "What is done CONCURRENTLY waits for each older transaction that may have to do with it: run it when no long one is open."
            }
            Patient::SafeSnapshot => {
                "A transaction that is SERIALIZABLE READ ONLY DEFERRABLE (pg_dump --serializable-deferrable) waits by design for all \
                 serializable transactions that write: begin it when no long one is open."
            }
        }
    }
}

/// What waits, where all that do are such, and nobody waits for them: who waits alone harms nobody. Autovacuum comes again, and whoever
/// is not in the tree is the matter of another finding.
pub fn wait_alone(blocking: &Blocking, tree: &Tree) -> Vec<Patient> {
    let waits_alone = |place: &usize| -> Option<Vec<Patient>> {
        let harmed =
            |waiter: &usize| tree.waiting.contains(waiter) && !is_autovacuum(blocking, party(blocking, *waiter));
        let patients = party(blocking, *place).waits.iter().map(Patient::of).collect::<Option<Vec<_>>>()?;
        (!blocking.waits().waiters(*place).iter().any(harmed)).then_some(patients)
    };
    let others = tree.waiting.iter().filter(|place| !is_autovacuum(blocking, party(blocking, **place)));
    let mut patients = others.map(waits_alone).collect::<Option<Vec<_>>>().unwrap_or_default().concat();
    patients.sort_unstable();
    patients.dedup();
    patients
}

/// Whoever waits is autovacuum, for a lock.
pub fn is_of_autovacuum(blocking: &Blocking, tree: &Tree) -> bool {
    let waits = |party: &&Party| is_autovacuum(blocking, party) && party.waits.iter().all(|wait| wait.mode.is_some());
    blocking.parties(&tree.waiting).iter().all(waits)
}

fn party<'a>(blocking: &Blocking<'a>, place: usize) -> &'a Party {
    blocking.party(&blocking.nodes[place])
}

fn is_autovacuum(blocking: &Blocking, party: &Party) -> bool {
    blocking.session(party.who).is_some_and(|session| session.kind == "autovacuum worker")
}
