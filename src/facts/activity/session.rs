//! The processes of the server, as pg_stat_activity has them.

use super::Slots;
use crate::db;
use crate::measure;
use pgrx::pg_sys;
use std::collections::HashMap;

#[derive(Clone, Debug, Default)]
pub struct Session {
    pub pid: i32,
    /// `client backend`, `autovacuum worker`, `walsender` …
    pub kind: String,
    pub database_oid: Option<u32>,
    pub database: Option<String>,
    pub role_oid: Option<u32>,
    pub role: Option<String>,
    pub application: String,
    /// None: a Unix socket, or hidden.
    pub client_address: Option<String>,
    /// None: a Unix socket, or hidden.
    pub client_port: Option<u16>,
    /// None: no client, or hidden from the caller.
    pub state: Option<State>,
    pub wait: Option<Wait>,
    /// As the server prints it: with the pid it tells this session from a later one.
    pub backend_start: Option<String>,
    /// The same in seconds since 1970.
    pub backend_start_epoch: Option<f64>,
    pub backend_seconds: Option<f64>,
    pub transaction_seconds: Option<f64>,
    /// As the server prints it: with the pid it tells this transaction from a later one.
    pub transaction_start: Option<String>,
    /// As the server prints it: with the pid it tells this statement from a later one.
    pub query_start: Option<String>,
    pub query_seconds: Option<f64>,
    pub state_seconds: Option<f64>,
    /// As the server prints it: as long as it is the same, the session has done nothing since.
    pub state_change: Option<String>,
    /// It has written, or is about to.
    pub transaction_id: Option<String>,
    pub transaction_id_age: Option<i64>,
    /// How many transactions its snapshot is behind.
    pub snapshot_age: Option<i64>,
    /// Of a parallel worker.
    pub leader: Option<i32>,
    pub query_id: Option<i64>,
    /// The statement that runs, or ran last; None: hidden from the caller.
    pub query: Option<String>,
    /// The caller may not see more of it.
    pub hidden: bool,
    /// A hidden one that is no client's: a worker or a walsender.
    pub hidden_worker: bool,
}

/// Each of the server's kinds but background workers, which name their kind themselves.
const OTHER_KINDS: [&str; 15] = [
    "archiver",
    "autovacuum launcher",
    "autovacuum worker",
    "background writer",
    "checkpointer",
    "client backend",
    "logger",
    "not initialized",
    "slotsync worker",
    "standalone backend",
    "startup",
    "walreceiver",
    "walsender",
    "walsummarizer",
    "walwriter",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Active,
    Idle,
    IdleInTransaction,
    /// Idle in a transaction that has failed.
    Aborted,
    Fastpath,
    Disabled,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wait {
    /// `Lock`, `LWLock`, `IO`, `Client` …
    pub kind: String,
    pub event: String,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Idle => "idle",
            State::IdleInTransaction => "idle in transaction",
            State::Aborted => "idle in transaction (aborted)",
            State::Fastpath => "fastpath function call",
            State::Disabled => "disabled",
        }
    }

    fn from_name(name: &str) -> State {
        match name {
            "active" => State::Active,
            "idle" => State::Idle,
            "idle in transaction" => State::IdleInTransaction,
            "idle in transaction (aborted)" => State::Aborted,
            "fastpath function call" => State::Fastpath,
            _ => State::Disabled,
        }
    }
}

impl Session {
    pub fn is_client(&self) -> bool {
        self.kind == "client backend"
    }

    /// One of max_worker_processes, of the server's own or of an extension.
    pub fn is_background_worker(&self) -> bool {
        !self.hidden && !OTHER_KINDS.contains(&self.kind.as_str())
    }

    /// One of max_parallel_workers; logical replication's parallel workers have a leader too, and are none.
    pub fn is_parallel_worker(&self) -> bool {
        self.kind == "parallel worker"
    }

    /// One of max_connections.
    pub fn takes_slot(&self) -> bool {
        let has_both = self.database_oid.is_some() && self.role_oid.is_some();
        self.is_client() || self.hidden && has_both && !self.hidden_worker
    }

    pub fn waits_for_lock(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.kind == "Lock")
    }

    pub fn waits_for_client(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.kind == "Client")
    }

    pub fn waits_at(&self, event: &str) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.event.eq_ignore_ascii_case(event))
    }

    /// An autovacuum that does not yield to whom it blocks.
    pub fn prevents_wraparound(&self) -> bool {
        self.kind == "autovacuum worker"
            && self.query.as_deref().is_some_and(|query| query.ends_with("(to prevent wraparound)"))
    }

    /// It executes something now.
    pub fn runs(&self) -> bool {
        matches!(self.state, Some(State::Active | State::Fastpath))
    }

    /// What it runs (CALL, DO) has committed, and goes on in its next transaction.
    pub fn has_committed_within(&self) -> bool {
        let begun = self.transaction_seconds.zip(self.query_seconds);
        // A call by the fast path shows when the statement before it began.
        self.state == Some(State::Active) && begun.is_some_and(|(transaction, statement)| transaction < statement)
    }

    /// Its statement is all that its transaction is.
    pub fn is_whole_transaction(&self) -> bool {
        self.transaction_start.is_some() && self.transaction_start == self.query_start && self.runs_one_statement()
    }

    /// What it has been sent is one statement.
    pub fn runs_one_statement(&self) -> bool {
        self.query.as_deref().is_some_and(|query| !query.trim_end_matches([';', ' ', '\n']).contains(';'))
    }

    pub fn in_transaction_and_idle(&self) -> bool {
        matches!(self.state, Some(State::IdleInTransaction | State::Aborted))
    }
}

pub fn read(slots: &Slots) -> Vec<Session> {
    let databases = slots.databases.iter().flatten().map(|database| (database.oid, &database.name));
    let databases: HashMap<u32, &String> = databases.collect();
    let roles: HashMap<u32, &String> = slots.roles.iter().flatten().map(|role| (role.oid, &role.name)).collect();
    // SAFETY: drops what this transaction has kept of an earlier look, if it had one.
    unsafe { pg_sys::pgstat_clear_backend_activity_snapshot() };
    let sessions = db::read(include_str!("../../../sql/facts/activity/sessions.sql"), &[], |row| {
        let pid = row.take();
        let kind: Option<String> = row.take_option();
        let hidden = kind.is_none();
        let oid = |given: Option<pg_sys::Oid>| given.map(|oid| oid.to_u32()).filter(|oid| *oid != 0);
        let (database_oid, role_oid) = (oid(row.take_option()), oid(row.take_option()));
        Session {
            pid,
            hidden,
            hidden_worker: false,
            kind: kind.unwrap_or_default(),
            database_oid,
            database: database_oid.and_then(|oid| databases.get(&oid).map(|name| name.to_string())),
            role_oid,
            role: role_oid.and_then(|oid| roles.get(&oid).map(|name| name.to_string())),
            application: row.take_foreign_text().unwrap_or_default(),
            client_address: row.take_option(),
            state: row.take_option::<String>().map(|name| State::from_name(&name)),
            wait: wait(row.take_option(), row.take_option()),
            backend_start: row.take_option(),
            backend_seconds: row.take_option(),
            transaction_seconds: row.take_option(),
            transaction_start: row.take_option(),
            query_start: row.take_option(),
            query_seconds: row.take_option(),
            state_seconds: row.take_option(),
            state_change: row.take_option(),
            transaction_id: row.take_option(),
            transaction_id_age: row.take_option(),
            snapshot_age: row.take_option(),
            leader: row.take_option(),
            query_id: row.take_option(),
            // For a hidden one the server says that it is.
            query: row.take_foreign_text().filter(|_| !hidden),
            client_port: row.take_option().and_then(|port: i32| port.try_into().ok()),
            backend_start_epoch: row.take_option(),
        }
    });
    with_hidden_workers(sessions)
}

/// Which hidden ones are no clients', the server itself knows.
fn with_hidden_workers(mut sessions: Vec<Session>) -> Vec<Session> {
    if sessions.iter().any(|session| session.hidden) {
        let clients = measure::activity::clients();
        for session in sessions.iter_mut().filter(|session| session.hidden) {
            session.hidden_worker = !clients.contains(&session.pid);
        }
    }
    sessions
}

fn wait(kind: Option<String>, event: Option<String>) -> Option<Wait> {
    Some(Wait { kind: kind?, event: event? })
}
