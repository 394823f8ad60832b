//! Replication that stands still because one of its processes waits.

use super::blocking::{Blocking, name};
use crate::facts::activity::locks::Party;
use crate::finding::{Finding, Severity};

/// Says so of those at these places, which is never less than high: the publisher keeps WAL, and removes no rows of its catalogs, until
/// they go on.
pub fn tell(blocking: &Blocking, waiting: &[usize], finding: &mut Finding) {
    let stops = |party: &&Party| stops(blocking, party).map(|what| (name(party.who), what));
    let stopped: Vec<(String, String)> = blocking.parties(waiting).iter().filter_map(stops).collect();
    let Some((_, first)) = stopped.first() else { return };
    finding.severity = finding.severity.min(Severity::high);
    let more = if stopped.len() > 1 { format!(", and {} more", stopped.len() - 1) } else { String::new() };
    finding.summary.push_str(&format!("; it stops {first}{more}"));
    let each: Vec<String> = stopped.iter().map(|(process, what)| format!("{process} ({what})")).collect();
    finding.cause.push_str(&format!(
        " Replication stands still with {}: until it goes on, the publisher keeps all WAL for its slot.",
        each.join(", ")
    ));
    finding.evidence.insert("stops".to_string(), stopped.into_iter().map(|(_, what)| what).collect());
}

/// `the apply worker of subscription s`
fn stops(blocking: &Blocking, party: &Party) -> Option<String> {
    let session = blocking.session(party.who)?;
    if let Some(worker) = session.kind.strip_prefix("logical replication ") {
        let of = blocking.activity.subscriptions.get(&session.pid);
        return Some(format!(
            "the {worker} of {}",
            of.map_or("a subscription".to_string(), |of| format!("subscription {of}"))
        ));
    }
    let slot = blocking.activity.replication_slots.iter().find(|slot| slot.active_pid == Some(session.pid));
    match slot {
        Some(slot) => Some(format!("replication slot {} (being created, or read)", slot.name)),
        None => (session.kind == "walsender").then(|| format!("the walsender of {:?}", session.application)),
    }
}
