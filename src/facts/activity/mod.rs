//! What the server is doing at this moment: its sessions, what they wait for, and how much of it there may be.

pub mod called_functions;
mod caller;
mod catalogs;
pub mod concurrency;
mod connection_slots;
mod counters;
mod history;
pub mod locks;
mod names;
mod prepared;
mod progress;
mod replication_slots;
mod session;
pub mod sized_role;
mod standbys;
mod subscriptions;
mod temporary_tables;
pub mod timeouts;
mod transaction_ids;
mod usual;

pub use caller::Caller;
pub use concurrency::Concurrency;
pub use connection_slots::{Role, Slots};
pub use counters::Counters;
pub use history::{Connections, History, Recorded, RecordedPeak, RecordedPool, RecordedWait, Use};
pub use locks::Locks;
pub use names::Names;
pub use prepared::Prepared;
pub use progress::Progress;
pub use replication_slots::ReplicationSlot;
pub use session::{Session, State, Wait};
pub use sized_role::SizedRole;
pub use standbys::Standby;
pub use timeouts::Timeouts;
pub use transaction_ids::TransactionIds;
pub use usual::{Usual, UsualTimes};

use crate::db;
use crate::measure;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::thread::available_parallelism;

/// What statements usually take that run for less is not asked for.
const USUAL_SECONDS: f64 = 1.0;

#[derive(Debug, Default)]
pub struct Activity {
    /// The database that the caller wants to know about. None: all.
    pub only: Option<String>,
    /// Without the one that reads.
    pub sessions: Vec<Session>,
    pub caller: Caller,
    pub slots: Slots,
    /// On which the server may run.
    pub cores: u64,
    /// Of the databases that have sessions.
    pub counters: Vec<Counters>,
    pub timeouts: Timeouts,
    pub prepared: Vec<Prepared>,
    pub locks: Locks,
    pub progress: Vec<Progress>,
    pub replication_slots: Vec<ReplicationSlot>,
    /// Names of subscriptions, by the processes that work for them.
    pub subscriptions: BTreeMap<i32, String>,
    pub transaction_ids: TransactionIds,
    pub usual: UsualTimes,
    pub synchronous_standby_names: String,
    pub standbys: Vec<Standby>,
    /// Processes that have temporary tables in this database.
    pub temporary_tables: BTreeSet<i32>,
    /// None: nothing is recorded (dbre.activity_recording()), or the caller may not see it.
    pub history: Option<History>,
    /// What could not be read, and why.
    pub left_out: Vec<String>,
}

impl Activity {
    /// Waits for nobody: what another session has locked is left out.
    pub fn read(only: Option<String>, recorded: Recorded) -> Activity {
        let mut activity = Activity { only, timeouts: Timeouts::read(), ..Activity::of_running() };
        let databases: BTreeSet<u32> = activity.sessions.iter().filter_map(|session| session.database_oid).collect();
        let databases = Vec::from_iter(databases);
        activity.counters = part("counters of databases", &mut activity.left_out, || counters::read(&databases));
        let Activity { sessions, slots, left_out, .. } = &mut activity;
        let names = Names::of(slots);
        activity.history =
            part("what was recorded", left_out, || measure::activity::history::history(&names, recorded, sessions));
        let of_tables = "pg_namespace or pg_depend: who has temporary tables";
        activity.temporary_tables =
            unlocked("temporary tables", of_tables, &mut activity.left_out, temporary_tables::read);
        if !activity.timeouts.are_known() {
            activity.left_out.push(locked("pg_db_role_setting: timeouts of roles"));
        }
        if !activity.timeouts.hidden_of_server().is_empty() {
            activity.left_out.push(timeouts::HIDDEN.to_string());
        }
        activity
    }

    /// Who there is, who blocks whom, how far they are, and how long it usually takes.
    pub fn of_running() -> Activity {
        let mut activity = Activity { transaction_ids: TransactionIds::read(), ..Activity::of_locks() };
        let Activity { sessions, left_out, .. } = &mut activity;
        let progress = part("progress of maintenance", left_out, progress::read);
        let standbys = part("standbys", left_out, standbys::read);
        let of_names = "pg_subscription: names of subscriptions";
        let subscriptions = unlocked("subscriptions", of_names, left_out, subscriptions::read);
        let usual = part("what statements usually take", left_out, || UsualTimes::read(sessions, USUAL_SECONDS));
        let synchronous_standby_names = db::setting("synchronous_standby_names").unwrap_or_default();
        Activity { progress, standbys, subscriptions, usual, synchronous_standby_names, ..activity }
    }

    /// Only who there is, and who blocks whom.
    pub fn of_locks() -> Activity {
        let slots = Slots::read();
        let sessions = session::read(&slots);
        // After the sessions: what has begun since is shown without its session, and no other's is taken for it.
        let snapshot = locks::Snapshot::take();
        let prepared = prepared::read(&slots);
        let mut left_out = Vec::new();
        let replication_slots = part("replication slots", &mut left_out, replication_slots::read);
        let (locks, unnamed) = locks::of(&snapshot, &sessions, &prepared, &replication_slots, &slots);
        left_out.extend(unnamed);
        let caller = part("whose sessions the caller may end", &mut left_out, || Caller::read(&sessions));
        if slots.databases.is_none() {
            left_out.push(locked("pg_database: names and connection limits of databases"));
        }
        if slots.roles.is_none() {
            left_out.push(locked("pg_authid: names and connection limits of roles"));
        }
        let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
        Activity { caller, prepared, locks, replication_slots, sessions, slots, cores, left_out, ..Activity::default() }
    }

    /// Sessions of clients in what the caller wants to know about.
    pub fn clients(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| session.is_client() && self.concerns(session))
    }

    /// Whose connections to a database there are, and how many: the most first.
    pub fn roles_by_sessions(&self, database: u32) -> Vec<(u32, usize)> {
        let here = self.sessions.iter().filter(|s| s.takes_slot() && s.database_oid == Some(database));
        let mut sessions = HashMap::new();
        here.filter_map(|session| session.role_oid).for_each(|role| *sessions.entry(role).or_insert(0) += 1);
        let mut sessions = Vec::from_iter(sessions);
        sessions.sort_by_key(|(role, sessions)| (std::cmp::Reverse(*sessions), *role));
        sessions
    }

    /// It holds an advisory lock in no transaction: the lock is the session's.
    pub fn keeps_advisory_lock(&self, session: &Session) -> bool {
        session.state == Some(State::Idle) && self.locks.usage.advisory.contains(&session.pid)
    }

    /// Sessions that take one of max_connections, in what the caller wants to know about.
    pub fn connections(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| session.takes_slot() && self.concerns(session))
    }

    /// What was counted, with the database's name, in what the caller wants to know about.
    pub fn counters_by_database(&self) -> impl Iterator<Item = (&str, &Counters)> {
        self.counters.iter().filter_map(|counters| {
            let name = &self.slots.database(counters.database_oid)?.name;
            self.only.as_ref().is_none_or(|only| only == name).then_some((name.as_str(), counters))
        })
    }

    /// Slots taken on the whole server, with that of the session that reads.
    pub fn slots_taken(&self) -> u64 {
        self.slots.taken.max(self.slots_seen())
    }

    /// Slots taken by clients that no session is shown of yet.
    pub fn logging_in(&self) -> u64 {
        self.slots_taken() - self.slots_seen()
    }

    fn slots_seen(&self) -> u64 {
        let others = self.sessions.iter().filter(|session| session.takes_slot()).count();
        others as u64 + u64::from(self.slots.own.is_some())
    }

    pub fn progress_of(&self, session: &Session) -> Option<&Progress> {
        self.progress.iter().find(|progress| progress.pid == session.pid)
    }

    /// Parallel workers that run for it now.
    pub fn workers_of(&self, session: &Session) -> usize {
        let runs_for = |worker: &&Session| worker.leader == Some(session.pid) && worker.pid != session.pid;
        self.sessions.iter().filter(runs_for).count()
    }

    pub fn concerns(&self, session: &Session) -> bool {
        self.only.is_none() || self.only == session.database
    }
}

/// What fails, fails alone.
fn part<T: Default>(what: &str, left_out: &mut Vec<String>, read: impl FnOnce() -> T) -> T {
    db::guarded(read).unwrap_or_else(|caught| {
        left_out.push(format!("{what}: {}", caught.message));
        T::default()
    })
}

/// Of catalogs that another session may have locked: then it is left out as `if_locked`.
fn unlocked<T: Default>(
    what: &str,
    if_locked: &str,
    left_out: &mut Vec<String>,
    read: impl FnOnce() -> Option<T>,
) -> T {
    let found = part(what, left_out, || Some(read()));
    if let Some(None) = found {
        left_out.push(locked(if_locked));
    }
    found.flatten().unwrap_or_default()
}

fn locked(what: &str) -> String {
    format!("{what}: another session has it locked")
}
