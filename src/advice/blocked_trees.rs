//! Which blocked sessions are whose matter: each is reported by the rule that knows what to do about it, once for each that has to
//! end before it goes on.

use super::blocking::Blocking;
use crate::facts::activity::State;
use crate::facts::activity::locks::{Kind, LockWait, LockWaits, Mode, Party, Who};
use crate::facts::migration::text::lexer::{self, Tokens};
use std::collections::{BTreeMap, HashMap};

/// What kind of root holds up others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Prepared,
    /// A VACUUM that does not yield.
    Vacuum,
    /// Only locks that the application has made up.
    Advisory,
    Session,
}

/// Roots, and those that they hold up; without those whom a waiting request for a strong lock holds up.
pub struct Tree {
    /// Places in the tree. More than one only where the end of one alone frees nobody.
    pub roots: Vec<usize>,
    /// Their places, in order.
    pub waiting: Vec<usize>,
    /// So many of them go on when the roots have ended.
    pub freed: usize,
    /// Who, beside the roots, holds up the rest.
    pub others: Vec<usize>,
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

/// Of roots that nobody blocks; who block each other have a rule of their own.
pub fn trees(blocking: &Blocking, of: Reason) -> Vec<Tree> {
    let waits = blocking.waits();
    let mut queued = vec![false; blocking.nodes.len()];
    for queue in queues_behind_sessions(blocking) {
        queue.requests.iter().chain(&queue.behind).for_each(|place| queued[*place] = true);
    }
    let mut trees: Vec<Tree> = Vec::new();
    for roots in roots(blocking, of, &queued) {
        let waiting = waits.held_up(&roots, &queued);
        let mut tree = Tree { roots, waiting, freed: 0, others: Vec::new() };
        tree.freed = if tree.roots.len() > 1 { 0 } else { goes_on(&tree, &waits.freed(&tree.roots)) };
        if tree.freed == 0 && of.may_share() {
            let together = |other: &mut Tree| other.freed == 0 && meet(&other.waiting, &tree.waiting);
            let met: Vec<Tree> = trees.extract_if(.., together).collect();
            for other in met {
                tree.roots.extend(other.roots);
                tree.waiting.extend(other.waiting);
            }
            tree.roots.sort_unstable();
            tree.waiting.sort_unstable();
            tree.waiting.dedup();
        }
        trees.push(tree);
    }
    trees.iter_mut().for_each(|tree| measure(tree, waits));
    trees
}

/// Those who block the same ones directly together, for the end of one of them alone frees nobody.
fn roots(blocking: &Blocking, of: Reason, queued: &[bool]) -> Vec<Vec<usize>> {
    let mut roots: Vec<Vec<usize>> = Vec::new();
    let mut of_waiters: HashMap<Vec<usize>, usize> = HashMap::new();
    for (root, node) in blocking.nodes.iter().enumerate() {
        let party = blocking.party(node);
        let direct = blocking.waits().waiters(root).iter().copied().filter(|waiter| !queued[*waiter]);
        let direct: Vec<usize> = direct.collect();
        // One that has begun to wait is passing: what it waits for has been let go since.
        let is_root = node.parent.is_none() && node.cycle.is_none() && party.waits.is_empty();
        if !is_root || direct.is_empty() || reason(blocking, party, &direct) != of {
            continue;
        }
        match of_waiters.get(&direct).filter(|_| of.may_share()) {
            Some(first) => roots[*first].push(root),
            None => {
                of_waiters.insert(direct, roots.len());
                roots.push(vec![root]);
            }
        }
    }
    roots
}

impl Reason {
    /// Several roots of this kind may be one matter.
    fn may_share(self) -> bool {
        matches!(self, Reason::Advisory | Reason::Session)
    }
}

fn goes_on(tree: &Tree, freed: &[usize]) -> usize {
    freed.iter().filter(|place| tree.waiting.binary_search(place).is_ok()).count()
}

fn measure(tree: &mut Tree, waits: &LockWaits) {
    let freed = waits.freed(&tree.roots);
    tree.freed = goes_on(tree, &freed);
    let mut known = vec![false; waits.count()];
    freed.iter().for_each(|place| known[*place] = true);
    let stays: Vec<usize> = tree.waiting.iter().copied().filter(|place| !known[*place]).collect();
    tree.roots.iter().chain(&tree.waiting).for_each(|place| known[*place] = true);
    let blockers = stays.iter().flat_map(|place| waits.blockers(*place));
    blockers.for_each(|(blocker, _)| {
        if !known[*blocker] {
            known[*blocker] = true;
            tree.others.push(*blocker);
        }
    });
    tree.others.sort_unstable();
}

/// Both are in order.
fn meet(one: &[usize], other: &[usize]) -> bool {
    one.iter().any(|place| other.binary_search(place).is_ok())
}

/// Of them those whom others than a VACUUM hold up, too.
pub fn queues_behind_sessions(blocking: &Blocking) -> Vec<Queue> {
    let vacuum = |holder: &usize| is_vacuum(blocking, blocking.party(&blocking.nodes[*holder]));
    queues(blocking).into_iter().filter(|queue| !queue.holders.iter().all(vacuum)).collect()
}

fn reason(blocking: &Blocking, root: &Party, direct: &[usize]) -> Reason {
    if matches!(root.who, Who::Prepared(_)) {
        return Reason::Prepared;
    }
    if is_vacuum(blocking, root) {
        return Reason::Vacuum;
    }
    let waits = |place: &usize| &blocking.party(&blocking.nodes[*place]).waits;
    match direct.iter().flat_map(waits).all(|wait| wait.target.kind == Kind::Advisory) {
        true => Reason::Advisory,
        false => Reason::Session,
    }
}

/// An autovacuum that is not to prevent wraparound yields to whom it blocks.
pub fn is_vacuum(blocking: &Blocking, party: &Party) -> bool {
    let Some(session) = blocking.session(party.who) else { return false };
    let query = session.query.as_deref().unwrap_or_default();
    match session.kind.as_str() {
        "autovacuum worker" => session.prevents_wraparound(),
        _ => {
            let first = Tokens::of(query).find(|token| token.kind != lexer::Kind::Comment);
            // A comment may be longer than what is kept of the statement.
            let reports = blocking.activity.progress_of(session).is_some_and(|progress| progress.command == "VACUUM");
            let vacuums = reports || first.is_some_and(|token| token.word("vacuum"));
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
    // Databases that were cloned share OIDs.
    let mut by_relation: BTreeMap<_, (&str, Vec<usize>)> = BTreeMap::new();
    for (place, node) in blocking.nodes.iter().enumerate() {
        let party = blocking.party(node);
        if let Some(wait) = party.waits.iter().find(strong)
            && blocking.session(party.who).is_some_and(|session| session.is_client())
        {
            let key = (wait.target.database, wait.target.relation);
            by_relation.entry(key).or_insert((&wait.target.name, Vec::new())).1.push(place);
        }
    }
    by_relation.into_values().filter_map(|(relation, requests)| queue(blocking, relation, requests)).collect()
}

fn queue(blocking: &Blocking, relation: &str, mut requests: Vec<usize>) -> Option<Queue> {
    let waits = blocking.waits();
    // Who waits for it, because it comes first or for what its transaction holds.
    requests.retain(|place| !waits.waiters(*place).is_empty());
    let behind = without_victims(waits, &mut requests);
    let mut holders: Vec<usize> = requests
        .iter()
        .flat_map(|request| waits.blockers(*request))
        .filter(|(blocker, holds)| *holds && !requests.contains(blocker))
        .map(|(blocker, _)| *blocker)
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

/// Leaves the requests that wait for one who holds it whatever becomes of the others: the rest goes on with those, and is not to be
/// cancelled with them. Gives who goes on.
fn without_victims(waits: &LockWaits, requests: &mut Vec<usize>) -> Vec<usize> {
    loop {
        let behind = waits.freed(requests);
        let stays = |blocker: &usize| !requests.contains(blocker) && behind.binary_search(blocker).is_err();
        let waits_for_holder =
            |place: &usize| waits.blockers(*place).iter().any(|(blocker, holds)| *holds && stays(blocker));
        let left: Vec<usize> = requests.iter().copied().filter(waits_for_holder).collect();
        if left.len() == requests.len() {
            return behind;
        }
        *requests = left;
    }
}
