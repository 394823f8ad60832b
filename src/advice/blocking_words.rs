//! Parties of the lock tree in the words of findings.

use super::blocking::{Blocking, describe, name, of_session, wanted};
use super::measured_query::excerpt;
use crate::facts::activity::State;
use crate::facts::activity::locks::{LockWait, Party, Who, tree};
use crate::finding::object;
use crate::units::{duration, rounded};
use serde_json::{Map, Value, json};

/// So many of those that wait are in evidence.
const WAITING_SHOWN: usize = 20;

pub struct Waiting {
    /// By one of the roots itself.
    pub directly: usize,
    pub deepest: usize,
    pub longest_seconds: f64,
    pub rows: Vec<Value>,
}

impl Blocking<'_> {
    /// What is known of it, for evidence.
    pub fn of_root(&self, party: &Party) -> Map<String, Value> {
        let mut evidence = match self.session(party.who) {
            Some(session) => of_session(session),
            None => Map::new(),
        };
        if let Some(prepared) = self.prepared(party.who) {
            evidence.extend(object! {
                "gid": prepared.gid,
                "transaction_id": prepared.transaction_id,
                "prepared_at": prepared.prepared_at,
                "prepared_seconds": rounded(prepared.seconds),
                "owner": prepared.owner,
                "database": prepared.database,
            });
        }
        let held = party
            .holds
            .iter()
            .map(|held| json!({"mode": held.mode.sql(), "on": held.target.name, "waited_for": held.waited_for}));
        evidence.insert("holds".to_string(), held.collect());
        evidence
    }

    /// Those at these places in the tree, who wait because of these roots, for evidence.
    pub fn waiting(&self, roots: &[usize], places: &[usize]) -> Waiting {
        let waited = |place: &usize| tree::waited(&self.activity.locks.parties, self.nodes[*place].party);
        let direct = self.waits().blocked_by(roots);
        let row = |place: &usize| {
            let party = self.party(&self.nodes[*place]);
            let wait = party.waits.first();
            let session = self.session(party.who);
            json!({
                "pid": wait.map(|wait| wait.pid),
                "depth": self.nodes[*place].depth,
                "waits_for": wait.map(wanted),
                "waiting_seconds": wait.and_then(|wait| wait.seconds).map(rounded),
                "blocked_by": wait.map(|wait| self.names(wait)),
                "user_name": session.and_then(|session| session.role.as_deref()),
                "application_name": session.map(|session| session.application.as_str()),
                "query": session.and_then(|session| session.query.as_deref()).map(excerpt),
            })
        };
        Waiting {
            directly: places.iter().filter(|place| direct[**place]).count(),
            deepest: places.iter().map(|place| self.nodes[*place].depth).max().unwrap_or(0),
            longest_seconds: rounded(places.iter().map(waited).fold(0.0, f64::max)),
            rows: places.iter().take(WAITING_SHOWN).map(row).collect(),
        }
    }

    fn names(&self, wait: &LockWait) -> Vec<Value> {
        let who = |party: usize| match self.activity.locks.parties[party].who {
            Who::Process(pid) => json!(pid),
            prepared => json!(prepared.to_string()),
        };
        wait.blockers.iter().take(WAITING_SHOWN).map(|blocker| who(blocker.party)).collect()
    }

    /// One of them is what the caller wants to know about.
    pub fn concerns_any(&self, roots: &[usize], places: &[usize]) -> bool {
        places.iter().chain(roots).any(|place| self.concerns(self.party(&self.nodes[*place])))
    }

    /// Stays the same while the same session, or prepared transaction, does it.
    pub fn identity(&self, party: &Party) -> String {
        match (self.session(party.who), self.prepared(party.who)) {
            (Some(session), _) => {
                format!("session {} since {}", session.pid, session.backend_start.as_deref().unwrap_or("?"))
            }
            (None, Some(prepared)) => format!("prepared transaction {:?}", prepared.gid),
            (None, None) => name(party.who),
        }
    }

    /// `is idle in a transaction of 12 min`, after its name.
    pub fn doing(&self, party: &Party) -> String {
        if let Some(prepared) = self.prepared(party.who) {
            return format!("was prepared {} ago", duration(prepared.seconds));
        }
        let Some(session) = self.session(party.who) else {
            return match self.is_caller(party) {
                true => "is the session that asks".to_string(),
                false => "has begun, or ended, since the sessions were read".to_string(),
            };
        };
        let (since, transaction) =
            (duration(session.state_seconds.unwrap_or(0.0)), session.transaction_seconds.map(duration));
        let of = transaction.filter(|transaction| *transaction != since);
        let of = of.map_or(String::new(), |transaction| format!(", in a transaction of {transaction}"));
        match session.state {
            Some(State::Active | State::Fastpath) => {
                let wait = session.wait.as_ref().filter(|_| party.waits.is_empty());
                let wait = wait.map_or(String::new(), |wait| format!(" (waits for {}:{})", wait.kind, wait.event));
                format!("has run one statement for {}{wait}{of}", duration(session.query_seconds.unwrap_or(0.0)))
            }
            Some(State::IdleInTransaction) => format!("has been idle in transaction for {since}{of}"),
            Some(State::Aborted) => format!("has been idle for {since} after an error{of}"),
            Some(State::Idle) => format!("has been idle for {since}, outside a transaction"),
            Some(State::Disabled) | None if session.hidden => "does what the caller may not see".to_string(),
            Some(State::Disabled) | None => format!("has run for {}", duration(session.backend_seconds.unwrap_or(0.0))),
        }
    }

    /// A sentence, where there is one.
    pub fn last_statement(&self, party: &Party) -> String {
        let Some(session) = self.session(party.who) else { return String::new() };
        match session
            .query
            .as_deref()
            .map(|query| query.trim_end_matches([';', ' ', '\n']))
            .filter(|query| !query.is_empty())
        {
            Some(text) => match session.state {
                Some(State::Active) => format!(" It runs: {}.", excerpt(text)),
                _ => format!(" Its last statement was: {}.", excerpt(text)),
            },
            None if session.hidden => " Its statement is hidden from the caller.".to_string(),
            None => String::new(),
        }
    }

    /// `process 4711 (app@shop, web)`
    pub fn described(&self, who: Who) -> String {
        if let Some(prepared) = self.prepared(who) {
            return format!("the prepared transaction {:?} of {}", prepared.gid, prepared.owner);
        }
        match self.session(who) {
            Some(session) => describe(session),
            None => name(who),
        }
    }
}
