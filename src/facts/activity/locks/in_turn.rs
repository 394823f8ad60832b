//! Who may hold up a waiter next: where it waits for several transactions in turn, pg_locks shows the one whose turn it is.

use super::parties::{Identities, LockWait, Party, Who};
use super::read::Entry;
use super::{Kind, Mode, Modes};
use crate::facts::activity::{ReplicationSlot, Session};
use crate::facts::migration::text::lexer::Tokens;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What each of these holds of a relation.
type Holders = BTreeMap<Who, Modes>;

struct Candidates<'a> {
    sessions: HashMap<i32, &'a Session>,
    /// By database and OID; only of the relations that are asked for.
    relations: HashMap<(u32, u32), Holders>,
    /// Those that make a logical slot, or read one.
    of_slots: HashSet<i32>,
}

pub fn add(
    mut parties: Vec<Party>,
    entries: &[Entry],
    identities: &Identities,
    sessions: &[Session],
    slots: &[ReplicationSlot],
) -> Vec<Party> {
    if !parties.iter().flat_map(|party| &party.waits).any(is_for_one_of_several) {
        return parties;
    }
    let rows = parties.iter().flat_map(|party| &party.waits).filter_map(|wait| wait.row.as_ref());
    let of_rows = rows.filter_map(|row| Some((row.database, row.relation?)));
    let built: HashSet<i32> = parties
        .iter()
        .flat_map(|party| &party.waits)
        .filter(|wait| wait.target.kind == Kind::VirtualTransaction)
        .map(|wait| wait.pid)
        .collect();
    let is_built = |entry: &&Entry| built.contains(&entry.pid) && entry.holds.has(Mode::ShareUpdateExclusive);
    let of_builds = entries.iter().filter(is_built).filter(|entry| entry.tag.kind() == Kind::Relation);
    let asked = of_rows.chain(of_builds.filter_map(|entry| entry.tag.relation()));
    let mut relations: HashMap<(u32, u32), Holders> = asked.map(|relation| (relation, Holders::new())).collect();
    for entry in entries.iter().filter(|entry| entry.tag.kind() == Kind::Relation) {
        if let Some(holders) = entry.tag.relation().and_then(|relation| relations.get_mut(&relation))
            && entry.holds != Modes::default()
            && let Some(who) = identities.who(entry)
        {
            holders.entry(who).or_default().0 |= entry.holds.0;
        }
    }
    let sessions = sessions.iter().map(|session| (session.pid, session)).collect();
    let of_slots = slots.iter().filter_map(|slot| slot.active_pid).collect();
    let candidates = Candidates { sessions, relations, of_slots };
    let of_wait = |party: &Party, wait: &LockWait| {
        let blockers: BTreeSet<Who> = wait.blockers.iter().map(|blocker| parties[blocker.party].who).collect();
        let mut next = candidates.of(party, wait, &blockers);
        next.retain(|who| *who != party.who && !blockers.contains(who));
        if next.is_empty() {
            return Vec::new();
        }
        // Who wants the same row has not got it.
        let same = |other: &LockWait| {
            wait.row.is_some() && (Some(&other.target) == wait.row.as_ref() || other.row == wait.row)
        };
        let wants: BTreeSet<Who> =
            parties.iter().filter(|other| other.waits.iter().any(same)).map(|other| other.who).collect();
        next.retain(|who| !wants.contains(who));
        Vec::from_iter(next)
    };
    let found: Vec<Vec<Vec<Who>>> =
        parties.iter().map(|party| party.waits.iter().map(|wait| of_wait(party, wait)).collect()).collect();
    for (party, next) in parties.iter_mut().zip(found) {
        party.waits.iter_mut().zip(next).for_each(|(wait, next)| wait.next = next);
    }
    parties
}

fn is_for_one_of_several(wait: &LockWait) -> bool {
    wait.mode.is_some() && matches!(wait.target.kind, Kind::Transaction | Kind::VirtualTransaction)
}

impl Candidates<'_> {
    fn of(&self, party: &Party, wait: &LockWait, blockers: &BTreeSet<Who>) -> BTreeSet<Who> {
        match (wait.target.kind, &wait.row) {
            (Kind::Transaction, Some(row)) => self.lockers(wait, (row.database, row.relation.unwrap_or(0)), blockers),
            (Kind::Transaction, None) => self.writers(wait),
            (Kind::VirtualTransaction, _) if wait.mode.is_some() => self.older(party, wait),
            _ => BTreeSet::new(),
        }
    }

    fn session(&self, pid: i32) -> Option<&Session> {
        self.sessions.get(&pid).copied()
    }

    /// Several hold one row only where all of them but one have merely locked it, which takes ROW SHARE on its table.
    fn lockers(&self, wait: &LockWait, relation: (u32, u32), blockers: &BTreeSet<Who>) -> BTreeSet<Who> {
        let Some(holders) = self.relations.get(&relation) else { return BTreeSet::new() };
        let shares = |modes: &Modes| modes.has(Mode::RowShare);
        let shared = blockers.iter().filter_map(|who| holders.get(who)).any(shares);
        let others = holders.iter().filter(|(_, modes)| match shared {
            true => modes.strongest() >= Some(Mode::RowShare),
            false => shares(modes),
        });
        let others: BTreeSet<Who> = others.map(|(who, _)| *who).collect();
        if shared || others.is_empty() || self.wants_whole_row(wait) { others } else { BTreeSet::new() }
    }

    /// It waits for those, too, who have changed nothing of the row and only keep its key, as foreign keys do.
    fn wants_whole_row(&self, wait: &LockWait) -> bool {
        let text = self.session(wait.pid).and_then(|session| session.query.as_deref()).unwrap_or("delete");
        Tokens::of(text).any(|token| token.word("delete") || token.word("for"))
    }

    /// A logical slot is created once every transaction that writes has ended.
    fn writers(&self, wait: &LockWait) -> BTreeSet<Who> {
        let makes_slot = self.of_slots.contains(&wait.pid);
        if !makes_slot && self.session(wait.pid).is_none_or(|session| session.kind != "walsender") {
            return BTreeSet::new();
        }
        let writes = |session: &&&Session| session.transaction_id.is_some() && is_older(session, wait);
        self.sessions.values().filter(writes).map(|session| Who::Process(session.pid)).collect()
    }

    /// What is done CONCURRENTLY waits for those that have a lock on the table, or a snapshot in the database.
    fn older(&self, party: &Party, wait: &LockWait) -> BTreeSet<Who> {
        let database = self.session(wait.pid).and_then(|session| session.database_oid);
        let with_snapshot = self.sessions.values().filter(|session| {
            session.is_client()
                && session.database_oid == database
                && session.snapshot_age.is_some()
                && is_older(session, wait)
        });
        let with_lock = self
            .relations
            .values()
            .filter(|holders| holders.get(&party.who).is_some_and(|modes| modes.has(Mode::ShareUpdateExclusive)));
        let with_lock = with_lock.flat_map(|holders| holders.keys().copied()).filter(|who| match who {
            Who::Process(pid) => self.session(*pid).is_some_and(|session| is_older(session, wait)),
            Who::Prepared(_) => true,
        });
        with_snapshot.map(|session| Who::Process(session.pid)).chain(with_lock).collect()
    }
}

/// Its transaction began before the wait; where that is hidden, it may have.
fn is_older(session: &Session, wait: &LockWait) -> bool {
    session.transaction_seconds.is_none_or(|seconds| seconds >= wait.seconds.unwrap_or(0.0))
}
