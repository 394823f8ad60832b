//! Sessions of a standby that hold up its replay of WAL, by other things than locks.

use super::blocking::{self, Blocking};
use crate::facts::activity::locks::{Kind, LockWait, Party};
use crate::finding::Finding;
use crate::units::listing;
use std::collections::BTreeSet;

/// The wait of the startup process for one of these roots, which is no wait for a lock.
pub fn wait_for<'a>(blocking: &Blocking<'a>, roots: &[&Party]) -> Option<&'a LockWait> {
    let parties = &blocking.activity.locks.parties;
    let startup = |party: &&Party| blocking.session(party.who).is_some_and(|session| session.kind == "startup");
    let for_root = |wait: &&LockWait| {
        wait.blockers.iter().any(|blocker| roots.iter().any(|root| root.who == parties[blocker.party].who))
    };
    let waits = parties.iter().filter(startup).flat_map(|party| &party.waits);
    waits.filter(|wait| wait.mode.is_none()).find(for_root)
}

pub fn tell(blocking: &Blocking, wait: &LockWait, finding: &mut Finding) {
    let parties = &blocking.activity.locks.parties;
    let candidates: Vec<_> = wait.blockers.iter().map(|blocker| &parties[blocker.party]).collect();
    let databases: BTreeSet<Option<&str>> = candidates.iter().map(|party| blocking.database(party)).collect();
    let is_guess = match wait.target.kind {
        Kind::VirtualTransaction => databases.len() > 1,
        Kind::Page => candidates.len() > 1,
        _ => false,
    };
    finding.cause += &format!(" Replay of WAL stands still on this standby: it waits for {}.", wait.target.name);
    if is_guess {
        let names: Vec<String> = candidates.iter().map(|party| blocking::name(party.who)).collect();
        finding.take_fix_away();
        finding.cause += &format!(
            " No fix_sql: for which of these it waits the server does not say: {}. end_sql of dbre.lock_tree ends one.",
            listing(&names)
        );
    }
    finding.app_fix = Some(
        "Transactions on the standby that are short: each report in READ COMMITTED, no cursor or transaction left open. \
         max_standby_streaming_delay bounds how long replay waits, and then cancels the query; hot_standby_feedback = on avoids most \
         conflicts, and holds back VACUUM on the primary instead."
            .to_string(),
    );
}
