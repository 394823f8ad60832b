//! Which blocked sessions are whose matter: each is reported once, by the rule that knows what to do about it.

use super::blocking::{self, Blocking};
use crate::facts::activity::State;
use crate::facts::activity::locks::{Kind, LockWait, Mode, Party, Who};
use std::collections::{BTreeMap, HashSet};

/// What kind of root holds up others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They block each other.
    Cycle,
    Prepared,
    /// A VACUUM that does not yield.
    Vacuum,
    /// Only locks that the application has made up.
    Advisory,
    Session,
}

/// A root, and those that it holds up; without those whom a waiting request for a strong lock holds up.
pub struct Tree {
    /// Its place in the tree.
    pub root: usize,
    pub reason: Reason,
    /// Their places, in order.
    pub waiting: Vec<usize>,
}

/// Requests for a strong lock on one relation that wait, and those who would not wait but for them.
pub struct Queue {
    pub relation: String,
    /// Places in the tree.
    pub requests: Vec<usize>,
    pub behind: Vec<usize>,
    /// Who holds what the requests wait for.
    pub holders: Vec<usize>,
}

pub fn trees(blocking: &Blocking) -> Vec<Tree> {
    let elsewhere: HashSet<usize> = queues(blocking)
        .into_iter()
        .filter(|queue| !has_vacuum(blocking, queue))
        .flat_map(|queue| queue.requests.into_iter().chain(queue.behind))
        .collect();
    let mut of_root: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, node) in blocking.nodes.iter().enumerate().filter(|(place, node)| *place != node.root) {
        if !elsewhere.contains(&place) {
            of_root.entry(node.root).or_default().push(place);
        }
    }
    let tree = |(root, waiting): (usize, Vec<usize>)| {
        let party = blocking.party(&blocking.nodes[root]);
        // What it waits for has been let go since.
        let passing = !party.waits.is_empty() && blocking.nodes[root].cycle.is_none();
        (!passing).then(|| Tree { root, reason: reason(blocking, root, &waiting), waiting })
    };
    of_root.into_iter().filter_map(tree).collect()
}

/// Of them those that no VACUUM holds up.
pub fn queues_behind_sessions(blocking: &Blocking) -> Vec<Queue> {
    queues(blocking).into_iter().filter(|queue| !has_vacuum(blocking, queue)).collect()
}

fn has_vacuum(blocking: &Blocking, queue: &Queue) -> bool {
    queue.holders.iter().any(|holder| is_vacuum(blocking, blocking.party(&blocking.nodes[*holder])))
}

fn reason(blocking: &Blocking, root: usize, waiting: &[usize]) -> Reason {
    let node = &blocking.nodes[root];
    let party = blocking.party(node);
    if node.cycle.is_some() {
        return Reason::Cycle;
    }
    if matches!(party.who, Who::Prepared(_)) {
        return Reason::Prepared;
    }
    if is_vacuum(blocking, party) {
        return Reason::Vacuum;
    }
    let mut direct = waiting.iter().map(|place| &blocking.nodes[*place]).filter(|below| below.parent == Some(root));
    let advisory = |below| blocking.party(below).waits.iter().all(|wait| wait.target.kind == Kind::Advisory);
    match direct.all(advisory) {
        true => Reason::Advisory,
        false => Reason::Session,
    }
}

/// An autovacuum that is not to prevent wraparound yields to whom it blocks.
pub fn is_vacuum(blocking: &Blocking, party: &Party) -> bool {
    let Some(session) = blocking.session(party) else { return false };
    let query = blocking::query(session).unwrap_or_default();
    match session.kind.as_str() {
        "autovacuum worker" => session.prevents_wraparound(),
        _ => {
            let first = query.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty());
            let vacuums = first.is_some_and(|word| word.eq_ignore_ascii_case("vacuum"));
            // VACUUM FULL is no maintenance that goes on beside the others.
            let strong = party
                .holds
                .iter()
                .any(|held| held.mode > Mode::ShareUpdateExclusive && held.target.kind == Kind::Relation);
            vacuums && !strong && session.state == Some(State::Active)
        }
    }
}

fn queues(blocking: &Blocking) -> Vec<Queue> {
    let strong = |wait: &&LockWait| wait.target.kind == Kind::Relation && wait.mode.is_some_and(|mode| !mode.is_weak());
    let mut by_relation: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, node) in blocking.nodes.iter().enumerate() {
        let party = blocking.party(node);
        if let Some(wait) = party.waits.iter().find(strong)
            && blocking.session(party).is_some_and(|session| session.is_client())
        {
            by_relation.entry(&wait.target.name).or_default().push(place);
        }
    }
    if by_relation.is_empty() {
        return Vec::new();
    }
    let places = places(blocking);
    let mut ahead = vec![false; places.len()];
    let blockers = blocking.nodes.iter().flat_map(|node| &blocking.party(node).waits).flat_map(|wait| &wait.blockers);
    blockers.filter(|blocker| !blocker.holds).for_each(|blocker| ahead[places[blocker.party]] = true);
    by_relation.values_mut().for_each(|requests| requests.retain(|place| ahead[*place]));
    let queue = |(relation, requests)| queue(blocking, &places, relation, requests);
    by_relation.into_iter().filter(|(_, requests)| !requests.is_empty()).filter_map(queue).collect()
}

/// Of each party, its place in the tree.
fn places(blocking: &Blocking) -> Vec<usize> {
    let mut places = vec![0; blocking.nodes.len()];
    blocking.nodes.iter().enumerate().for_each(|(place, node)| places[node.party] = place);
    places
}

fn queue(blocking: &Blocking, places: &[usize], relation: &str, requests: Vec<usize>) -> Option<Queue> {
    let blockers = |place: usize| {
        blocking
            .party(&blocking.nodes[place])
            .waits
            .iter()
            .flat_map(|wait| &wait.blockers)
            .map(|blocker| (places[blocker.party], blocker.holds))
    };
    // In the order of the tree those come first who block others, but one may have a second blocker further down.
    let mut freed = vec![false; blocking.nodes.len()];
    requests.iter().for_each(|request| freed[*request] = true);
    let mut behind = Vec::new();
    loop {
        let before = behind.len();
        for place in 0..freed.len() {
            let mut all = blockers(place).peekable();
            if !freed[place] && all.peek().is_some() && all.all(|(blocker, _)| freed[blocker]) {
                freed[place] = true;
                behind.push(place);
            }
        }
        if behind.len() == before {
            break;
        }
    }
    behind.sort_unstable();
    let mut holders: Vec<usize> = requests
        .iter()
        .flat_map(|request| blockers(*request))
        .filter(|(blocker, holds)| *holds && !requests.contains(blocker))
        .map(|(blocker, _)| blocker)
        .collect();
    holders.sort_unstable();
    holders.dedup();
    // Those who hold it and are freed with the requests wait for them themselves: a deadlock.
    let cycle = requests.iter().any(|request| blocking.nodes[*request].cycle.is_some());
    (!behind.is_empty() && !holders.is_empty() && !cycle).then(|| Queue {
        relation: relation.trim_start_matches("relation ").to_string(),
        requests,
        behind,
        holders,
    })
}
