//! Who waits for whom: an edge from each waiter to those that hold what it waits for, and to those that queue for it before.

mod without_locks;

use super::held;
use super::in_turn;
use super::read::{self, Entry, Snapshot};
use super::relation_names::RelationNames;
use super::target::Tag;
use super::{Kind, Mode, Modes, Target};
use crate::facts::activity::{Prepared, ReplicationSlot, Session};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// With its parallel workers, which lock for each other.
    Process(i32),
    /// A prepared transaction, by its transaction id.
    Prepared(u32),
}

impl Who {
    /// Of the process, or of the leader of parallel workers.
    pub fn pid(self) -> Option<i32> {
        match self {
            Who::Process(pid) => Some(pid),
            Who::Prepared(_) => None,
        }
    }
}

/// As `dbre.lock_tree` names it, in its path.
impl Display for Who {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Who::Process(pid) => write!(f, "{pid}"),
            Who::Prepared(id) => write!(f, "prepared {id}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Party {
    pub who: Who,
    /// More than one only where several parallel workers wait.
    pub waits: Vec<LockWait>,
    /// What others wait for first, then relations, the strongest modes first.
    pub holds: Vec<Held>,
}

#[derive(Clone, Debug)]
pub struct LockWait {
    /// The process itself, or its parallel worker.
    pub pid: i32,
    pub target: Target,
    /// The row that it wants to change or lock, where it waits for the transaction that has.
    pub row: Option<Target>,
    /// None: what it waits for is no lock.
    pub mode: Option<Mode>,
    /// None: it has only just begun.
    pub seconds: Option<f64>,
    pub blockers: Vec<Blocker>,
    /// Who may hold it up when these have ended, where it waits for several transactions in turn.
    pub next: Vec<Who>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its place in `Locks::parties`.
    pub party: usize,
    /// It holds the lock; else it waits for it too, in a mode that conflicts, and comes first.
    pub holds: bool,
}

#[derive(Clone, Debug)]
pub struct Held {
    pub target: Target,
    pub mode: Mode,
    pub waited_for: bool,
}

/// A lock that somebody waits for, with all that have to do with it.
struct Contended<'a> {
    tag: Tag,
    /// In the order of their parties.
    entries: Vec<(usize, &'a Entry)>,
}

pub fn of(
    snapshot: &Snapshot,
    sessions: &[Session],
    prepared: &[Prepared],
    slots: &[ReplicationSlot],
    names: &mut RelationNames,
) -> Vec<Party> {
    let identities = Identities::of(&snapshot.entries, prepared);
    let unlocked = without_locks::waits(sessions, &snapshot.entries, names);
    let contended = contended(&snapshot.entries, &identities);
    let who = contended.values().flatten().map(|(who, _)| *who);
    let who: BTreeSet<Who> =
        who.chain(unlocked.iter().flat_map(|(who, _, blockers)| blockers.iter().chain([who]).copied())).collect();
    let places: HashMap<Who, usize> = who.iter().enumerate().map(|(place, who)| (*who, place)).collect();
    let mut parties: Vec<Party> =
        who.into_iter().map(|who| Party { who, waits: Vec::new(), holds: Vec::new() }).collect();
    let rows: HashMap<i32, Tag> = snapshot
        .entries
        .iter()
        .filter(|entry| entry.tag.kind() == Kind::Tuple && entry.holds != Modes::default())
        .map(|entry| (entry.pid, entry.tag))
        .collect();
    for (tag, of_lock) in &contended {
        let mut entries: Vec<(usize, &Entry)> = of_lock.iter().map(|(who, entry)| (places[who], *entry)).collect();
        entries.sort_by_key(|(place, entry)| (*place, entry.pid));
        let lock = Contended { tag: *tag, entries };
        let queue = lock.queue();
        for (number, (place, waiter)) in lock.entries.iter().enumerate().filter(|(_, (_, entry))| entry.waits.is_some())
        {
            let row = (tag.kind() == Kind::Transaction).then(|| rows.get(&waiter.pid)).flatten();
            parties[*place].waits.push(LockWait {
                pid: waiter.pid,
                target: names.target(tag),
                row: row.map(|tag| names.target(tag)),
                mode: waiter.waits,
                seconds: waiter.waits_since.map(|since| (snapshot.taken - since).max(0) as f64 / 1e6),
                blockers: lock.blockers(number, &queue),
                next: Vec::new(),
            });
        }
    }
    for (who, mut wait, blockers) in unlocked {
        wait.blockers = blockers.iter().map(|who| Blocker { party: places[who], holds: true }).collect();
        wait.blockers.sort_by_key(|blocker| blocker.party);
        parties[places[&who]].waits.push(wait);
    }
    let parties = without_bystanders(parties);
    let parties = in_turn::add(parties, &snapshot.entries, &identities, sessions, slots);
    held::add(parties, &snapshot.entries, &identities, &contended, names)
}

/// Which prepared transaction a lock without a process is of.
pub(super) struct Identities {
    prepared: HashMap<(i32, u32), u32>,
    /// Not committed or rolled back since the locks were read.
    remain: HashSet<u32>,
}

impl Identities {
    fn of(entries: &[Entry], prepared: &[Prepared]) -> Identities {
        let of_prepared = entries.iter().filter(|entry| entry.pid == 0 && entry.holds.has(Mode::Exclusive));
        Identities {
            prepared: of_prepared
                .filter_map(|entry| Some((entry.virtual_transaction, entry.tag.transaction()?)))
                .collect(),
            remain: prepared.iter().filter_map(|one| one.transaction_id.parse().ok()).collect(),
        }
    }

    pub(super) fn who(&self, entry: &Entry) -> Option<Who> {
        if entry.pid != 0 {
            return Some(Who::Process(entry.leader));
        }
        let id = self.prepared.get(&entry.virtual_transaction).copied()?;
        self.remain.contains(&id).then_some(Who::Prepared(id))
    }
}

fn contended<'a>(entries: &'a [Entry], identities: &Identities) -> HashMap<Tag, Vec<(Who, &'a Entry)>> {
    let waited_for = entries.iter().filter(|entry| entry.waits.is_some());
    let mut contended: HashMap<Tag, Vec<(Who, &Entry)>> = waited_for.map(|entry| (entry.tag, Vec::new())).collect();
    if contended.is_empty() {
        return contended;
    }
    for entry in entries {
        if let Some(of_lock) = contended.get_mut(&entry.tag)
            && let Some(who) = identities.who(entry)
        {
            of_lock.push((who, entry));
        }
    }
    contended
}

impl Contended<'_> {
    /// The place in the queue of each entry that waits; empty where that makes no difference.
    fn queue(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> =
            (0..self.entries.len()).filter(|number| self.entry(*number).waits.is_some()).collect();
        let modes = Modes(
            waiting
                .iter()
                .filter_map(|number| self.entry(*number).waits)
                .fold(0, |set, mode| set | Modes::of(&[mode]).0),
        );
        let conflict =
            waiting.iter().filter_map(|number| self.entry(*number).waits).any(|mode| mode.conflicts().meets(modes));
        if waiting.len() < 2 || !conflict {
            return Vec::new();
        }
        waiting.sort_by_key(|number| (self.entry(*number).waits_since.unwrap_or(i64::MAX), self.entry(*number).pid));
        let last = self.entry(waiting[waiting.len() - 1]).pid;
        // Who comes before the last by time; whom the server has put behind it by now comes after.
        let before = read::queue_before(last, &self.tag);
        let place: HashMap<i32, usize> = before.into_iter().enumerate().map(|(place, pid)| (pid, place)).collect();
        waiting.sort_by_key(|number| place.get(&self.entry(*number).pid).copied().unwrap_or(usize::MAX));
        let mut places = vec![usize::MAX; self.entries.len()];
        waiting.into_iter().enumerate().for_each(|(place, number)| places[number] = place);
        places
    }

    fn entry(&self, number: usize) -> &Entry {
        self.entries[number].1
    }

    fn blockers(&self, number: usize, queue: &[usize]) -> Vec<Blocker> {
        let (own, waiter) = self.entries[number];
        let conflicts = waiter.waits.map_or(Modes::default(), Mode::conflicts);
        let mut blockers: Vec<Blocker> = Vec::new();
        for (other, (party, entry)) in self.entries.iter().enumerate().filter(|(_, (party, _))| *party != own) {
            let holds = entry.holds.meets(conflicts);
            let ahead = || {
                !queue.is_empty() && entry.waits.is_some_and(|mode| conflicts.has(mode)) && queue[other] < queue[number]
            };
            if !holds && !ahead() {
                continue;
            }
            match blockers.last_mut() {
                Some(last) if last.party == *party => last.holds |= holds,
                _ => blockers.push(Blocker { party: *party, holds }),
            }
        }
        blockers
    }
}

/// Without those that share a lock which others wait for, and block nobody themselves.
fn without_bystanders(parties: Vec<Party>) -> Vec<Party> {
    let mut stays: Vec<bool> = parties.iter().map(|party| !party.waits.is_empty()).collect();
    for blocker in parties.iter().flat_map(|party| &party.waits).flat_map(|wait| &wait.blockers) {
        stays[blocker.party] = true;
    }
    let mut next = 0;
    let places: Vec<usize> = stays
        .iter()
        .map(|stays| {
            next += usize::from(*stays);
            next.saturating_sub(1)
        })
        .collect();
    let mut parties: Vec<Party> =
        parties.into_iter().zip(stays).filter_map(|(party, stays)| stays.then_some(party)).collect();
    for party in &mut parties {
        party
            .waits
            .iter_mut()
            .flat_map(|wait| &mut wait.blockers)
            .for_each(|blocker| blocker.party = places[blocker.party]);
        party
            .waits
            .sort_by(|a, b| b.seconds.unwrap_or(0.0).total_cmp(&a.seconds.unwrap_or(0.0)).then(a.pid.cmp(&b.pid)));
    }
    parties
}
