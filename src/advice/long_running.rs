//! What runs long: statements, transactions, maintenance, and transactions that nobody runs any more.

use super::end_session::{Ending, Frees};
use super::holding_back::{Hold, Holder, holds, limiting};
use crate::facts::activity::{Activity, Prepared, Progress, Session, State, Usual};
use std::collections::HashSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Statement,
    /// A client does nothing in a transaction.
    Transaction,
    /// VACUUM, ANALYZE, CREATE INDEX, CLUSTER and the like, by a client.
    Maintenance,
    Autovacuum,
    Copy,
    /// COPY that has got nowhere, and waits for its client.
    StalledCopy,
    BaseBackup,
    Prepared,
    Replication,
    Other,
    /// The caller may not see what it does.
    Hidden,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Statement => "statement",
            Kind::Transaction => "idle in transaction",
            Kind::Maintenance => "maintenance",
            Kind::Autovacuum => "autovacuum",
            Kind::Copy | Kind::StalledCopy => "copy",
            Kind::BaseBackup => "base backup",
            Kind::Prepared => "prepared transaction",
            Kind::Replication => "replication",
            Kind::Other => "background process",
            Kind::Hidden => "hidden",
        }
    }

    /// Ended, it is to be done again from the start.
    pub fn is_dear(self) -> bool {
        matches!(self, Kind::Maintenance | Kind::Copy)
    }

    /// None: it is part of the server that does nothing for anybody.
    pub fn of(session: &Session, progress: Option<&Progress>) -> Option<Kind> {
        if session.hidden {
            let works = session.snapshot_age.is_some() || session.transaction_id.is_some();
            return works.then_some(Kind::Hidden);
        }
        match (session.kind.as_str(), progress.map(|progress| progress.command.as_str())) {
            ("parallel worker", _) => None,
            ("autovacuum worker", _) => Some(Kind::Autovacuum),
            ("walsender", Some("base backup")) => Some(Kind::BaseBackup),
            // One that only sends has none.
            ("walsender", _) => session.transaction_seconds.map(|_| Kind::Replication),
            ("client backend", Some(command)) if session.runs() => match command {
                "COPY FROM" | "COPY TO" | "COPY" if stalls(session, progress) => Some(Kind::StalledCopy),
                "COPY FROM" | "COPY TO" | "COPY" => Some(Kind::Copy),
                _ => Some(Kind::Maintenance),
            },
            ("client backend", _) => match session.state {
                Some(State::Active | State::Fastpath) => Some(Kind::Statement),
                Some(State::IdleInTransaction | State::Aborted) => Some(Kind::Transaction),
                _ => None,
            },
            (kind, _) if kind.starts_with("logical replication") => {
                session.transaction_seconds.map(|_| Kind::Replication)
            }
            _ => session.transaction_seconds.map(|_| Kind::Other),
        }
    }
}

/// What a COPY has got through in each of its seconds, at least, if its client works at all.
const COPY_BYTES_PER_SECOND: f64 = 1000.0;

fn stalls(session: &Session, progress: Option<&Progress>) -> bool {
    let got = session.query_seconds.zip(progress.and_then(|progress| progress.done));
    session.waits_for_client() && got.is_some_and(|(seconds, bytes)| (bytes as f64) < seconds * COPY_BYTES_PER_SECOND)
}

pub struct Running<'a> {
    pub kind: Kind,
    pub session: Option<&'a Session>,
    pub prepared: Option<&'a Prepared>,
    pub statement_seconds: Option<f64>,
    pub transaction_seconds: Option<f64>,
    pub progress: Option<&'a Progress>,
    pub workers: usize,
    /// Nothing keeps dead rows of its database for longer.
    pub holds_back: bool,
    /// It waits for a lock: the server shows the locks of those too whose sessions are hidden.
    pub blocked: bool,
    pub usual: Option<Usual>,
    pub ending: Option<Ending>,
}

impl Running<'_> {
    fn seconds(&self) -> f64 {
        let known = [self.statement_seconds, self.transaction_seconds];
        known.into_iter().flatten().fold(0.0, f64::max)
    }

    /// In transactions; None: it has neither a snapshot nor written.
    pub fn age(&self) -> Option<i64> {
        match (self.session, self.prepared) {
            (Some(session), _) => session.snapshot_age.max(session.transaction_id_age),
            (None, prepared) => prepared.map(|prepared| prepared.transaction_id_age),
        }
    }

    pub fn writes(&self) -> bool {
        self.session.is_none_or(|session| session.transaction_id.is_some())
    }
}

/// Longest first; those that are hidden last.
pub fn running(activity: &Activity, min_seconds: f64) -> Vec<Running<'_>> {
    let holds = holds(activity);
    let limiting = limiting(&holds);
    // Of several that are as old, none is it alone.
    let limits = |is: &dyn Fn(&Holder) -> bool| {
        let as_old =
            |hold: &Hold| limiting.iter().any(|oldest| oldest.hold.age == hold.age && oldest.hold.reaches(hold));
        holds.iter().any(|hold| is(&hold.holder) && as_old(hold))
    };
    let of_session = |pid: i32| {
        limits(&|holder| matches!(holder, Holder::Session(session) | Holder::Standby(session) if session.pid == pid))
    };
    let of_prepared =
        |id: &str| limits(&|holder| matches!(holder, Holder::Prepared(prepared) if prepared.transaction_id == id));
    let waits = activity.locks.parties.iter().flat_map(|party| &party.waits);
    let waiting: HashSet<i32> = waits.map(|wait| wait.pid).collect();
    let sessions = activity.sessions.iter().filter_map(|session| {
        let progress = activity.progress_of(session);
        let kind = Kind::of(session, progress)?;
        Some(Running {
            kind,
            session: Some(session),
            prepared: None,
            statement_seconds: session.query_seconds.filter(|_| session.runs()),
            transaction_seconds: session.transaction_seconds,
            progress: progress.filter(|_| kind != Kind::Hidden),
            workers: activity.workers_of(session),
            holds_back: of_session(session.pid),
            blocked: session.waits_for_lock() || waiting.contains(&session.pid),
            usual: activity.usual.of(session).filter(|_| session.runs()),
            ending: Ending::of(session, Frees::Statement, activity).ok(),
        })
    });
    let prepared = activity.prepared.iter().map(|prepared| Running {
        kind: Kind::Prepared,
        session: None,
        prepared: Some(prepared),
        statement_seconds: None,
        transaction_seconds: Some(prepared.seconds),
        progress: None,
        workers: 0,
        holds_back: of_prepared(&prepared.transaction_id),
        blocked: false,
        usual: None,
        ending: None,
    });
    let long = |running: &Running| running.kind == Kind::Hidden || running.seconds() >= min_seconds;
    let mut running: Vec<Running> = sessions.chain(prepared).filter(long).collect();
    running.sort_by(|a, b| b.seconds().total_cmp(&a.seconds()));
    running
}

/// Sessions of one role that run the same statement, longest first.
pub type Together<'a> = (Kind, Vec<&'a Session>);

/// What clients execute and `takes` accepts.
pub fn statements<'a>(activity: &'a Activity, takes: impl Fn(&Session, Kind) -> bool) -> Vec<Together<'a>> {
    let mut groups: Vec<Together> = Vec::new();
    for session in activity.clients().filter(|session| session.runs()) {
        let Some(kind) = Kind::of(session, activity.progress_of(session)) else { continue };
        if kind == Kind::Hidden || !takes(session, kind) {
            continue;
        }
        let same = |other: &Session| {
            session.query_id.is_some()
                && (session.query_id, session.role_oid, session.database_oid)
                    == (other.query_id, other.role_oid, other.database_oid)
        };
        match groups.iter_mut().find(|(other, group)| *other == kind && same(group[0])) {
            Some((_, group)) => group.push(session),
            None => groups.push((kind, vec![session])),
        }
    }
    let seconds = |session: &Session| session.query_seconds.unwrap_or_default();
    groups.iter_mut().for_each(|(_, group)| group.sort_by(|a, b| seconds(b).total_cmp(&seconds(a))));
    groups
}
