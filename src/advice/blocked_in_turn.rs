//! Those that may hold up a waiter next, when the one that is known to has ended.

use super::blocked_trees::Tree;
use super::blocking::{Blocking, name};
use crate::facts::activity::Session;
use crate::facts::activity::locks::{Kind, LockWait, Party, Who};
use crate::finding::Finding;
use crate::units::{Count, listing};
use std::collections::BTreeSet;

const NAMED: usize = 5;
const SHOWN: usize = 20;

/// Waits of those that wait for one of the roots itself, and may wait for others after it.
pub struct InTurn<'a> {
    waits: Vec<(&'a Party, &'a LockWait)>,
    next: BTreeSet<Who>,
}

impl<'a> InTurn<'a> {
    /// None: there are no others.
    pub fn of(blocking: &Blocking<'a>, tree: &Tree) -> Option<InTurn<'a>> {
        let roots: BTreeSet<Who> = blocking.parties(&tree.roots).into_iter().map(|root| root.who).collect();
        let parties = &blocking.activity.locks.parties;
        let direct = |(_, wait): &(&Party, &LockWait)| {
            wait.blockers.iter().any(|blocker| roots.contains(&parties[blocker.party].who))
        };
        let of_party = |party: &'a Party| party.waits.iter().map(move |wait| (party, wait));
        let goes_on = |(party, wait): &(&Party, &LockWait)| !wait.next.is_empty() && !is_last(blocking, party);
        let waits = blocking.parties(&tree.waiting).into_iter().flat_map(of_party);
        let waits: Vec<(&Party, &LockWait)> = waits.filter(goes_on).filter(direct).collect();
        let next: BTreeSet<Who> = waits.iter().flat_map(|(_, wait)| &wait.next).copied().collect();
        let next: BTreeSet<Who> = next.difference(&roots).copied().collect();
        (!next.is_empty()).then_some(InTurn { waits, next })
    }

    pub fn tell(&self, blocking: &Blocking, finding: &mut Finding) {
        let mut named: Vec<String> = self.next.iter().take(NAMED).map(|who| blocking.described(*who)).collect();
        if self.next.len() > NAMED {
            named.push(format!("{} more", self.next.len() - NAMED));
        }
        let (count, named) = (Count(self.next.len() as u64).of("other"), listing(&named));
        let rows: BTreeSet<&str> =
            self.waits.iter().filter_map(|(_, wait)| Some(wait.row.as_ref()?.name.as_str())).collect();
        let what = match rows.first() {
            Some(row) => format!(
                "The lock on {row} may be shared, as foreign keys and FOR SHARE do it, and the server shows one holder at a time. {count} \
                 may have it, too, and then hold it up next: their open transactions have locked rows of that table"
            ),
            None if self.waits.iter().any(|(_, wait)| wait.target.kind == Kind::VirtualTransaction) => format!(
                "What is done CONCURRENTLY waits for each older transaction in turn, and the server shows one at a time. It may \
                 wait for {count} next"
            ),
            None => format!(
                "It waits for each transaction that writes in turn, and the server shows one at a time. It may wait for {count} next"
            ),
        };
        finding.cause.push_str(&format!(" {what}: {named}."));
        let shown: Vec<String> = self.next.iter().take(SHOWN).map(|who| name(*who)).collect();
        finding.evidence.insert("may_hold_it_up_next".to_string(), shown.into());
        finding.evidence.insert("may_hold_it_up_next_count".to_string(), self.next.len().into());
    }

    /// Of those that wait, which may go on waiting for another: the process, and when its statement began.
    pub fn statements(&self, blocking: &Blocking) -> Vec<String> {
        self.waits.iter().filter_map(|(party, _)| statement(blocking.session(party.who)?)).collect()
    }
}

/// It says itself that it waits for the last of them.
fn is_last(blocking: &Blocking, party: &Party) -> bool {
    let progress = blocking.session(party.who).and_then(|session| blocking.activity.progress_of(session));
    let counts = progress.filter(|progress| progress.unit.as_deref() == Some("transactions"));
    counts.and_then(|progress| Some(progress.total? - progress.done? <= 1)).unwrap_or(false)
}

fn statement(session: &Session) -> Option<String> {
    Some(format!("({}, timestamptz '{}')", session.pid, session.query_start.as_ref()?))
}
