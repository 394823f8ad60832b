//! What the findings and the view on blocked sessions have in common: parties with their sessions, in the words of an operator.

use super::end_session::{Ending, Frees};
use super::measured_query;
use crate::facts::activity::locks::{Kind, LockWait, LockWaits, Node, Party, Who, tree};
use crate::facts::activity::{Activity, Prepared, Session, State};
use crate::finding::object;
use crate::units::{on_one_line, rounded};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Locks of this moment, the tree of them, and whose they are.
pub struct Blocking<'a> {
    pub activity: &'a Activity,
    pub nodes: &'a [Node],
    sessions: HashMap<i32, &'a Session>,
}

/// So many of what a party holds are named.
const HOLDS_NAMED: usize = 6;

impl<'a> Blocking<'a> {
    pub fn of(activity: &'a Activity) -> Blocking<'a> {
        let sessions: HashMap<i32, &Session> = match activity.locks.parties.is_empty() {
            true => HashMap::new(),
            false => activity.sessions.iter().map(|session| (session.pid, session)).collect(),
        };
        let mut blocking = Blocking { activity, nodes: &[], sessions };
        let locks = &activity.locks;
        blocking.nodes = locks.tree.get_or_init(|| {
            let ages: Vec<f64> = locks.parties.iter().map(|party| blocking.age(party)).collect();
            tree::tree(&locks.parties, &ages)
        });
        blocking
    }

    pub fn party(&self, node: &Node) -> &'a Party {
        &self.activity.locks.parties[node.party]
    }

    pub fn waits(&self) -> &'a LockWaits {
        let locks = &self.activity.locks;
        locks.waits.get_or_init(|| LockWaits::of(self.nodes, &locks.parties, |party| self.keeps(party)))
    }

    /// It waits for an advisory lock, for its session as far as its statement tells.
    fn keeps(&self, party: &Party) -> bool {
        let text =
            self.session(party.who).and_then(|session| session.query.as_deref()).unwrap_or_default().to_lowercase();
        party.waits.iter().any(|wait| wait.target.kind == Kind::Advisory) && !text.contains("_xact_")
    }

    pub fn parties(&self, places: &[usize]) -> Vec<&'a Party> {
        places.iter().map(|place| self.party(&self.nodes[*place])).collect()
    }

    pub fn session(&self, who: Who) -> Option<&'a Session> {
        match who {
            Who::Process(pid) => self.sessions.get(&pid).copied(),
            Who::Prepared(_) => None,
        }
    }

    pub fn prepared(&self, who: Who) -> Option<&'a Prepared> {
        match who {
            Who::Process(_) => None,
            Who::Prepared(id) => self.activity.prepared.iter().find(|one| one.transaction_id.parse() == Ok(id)),
        }
    }

    /// Seconds that its transaction has taken so far.
    fn age(&self, party: &Party) -> f64 {
        let of_session = self.session(party.who).and_then(|session| session.transaction_seconds);
        of_session.or_else(|| self.prepared(party.who).map(|one| one.seconds)).unwrap_or(0.0)
    }

    /// The session that asks is itself in the tree.
    pub fn is_caller(&self, party: &Party) -> bool {
        party.who == Who::Process(self.activity.caller.pid)
    }

    pub fn database(&self, party: &Party) -> Option<&'a str> {
        let of_session = self.session(party.who).and_then(|session| session.database.as_deref());
        of_session.or_else(|| self.prepared(party.who).and_then(|one| one.database.as_deref()))
    }

    /// It is what the caller wants to know about.
    pub fn concerns(&self, party: &Party) -> bool {
        self.activity.only.is_none() || self.database(party) == self.activity.only.as_deref()
    }

    pub fn ending(&self, party: &Party) -> Result<Ending, String> {
        if self.is_caller(party) {
            return Err("it is the session that asks: COMMIT or ROLLBACK ends its transaction".to_string());
        }
        if let Some(prepared) = self.prepared(party.who) {
            return Err(format!(
                "it is prepared, and only its owner or a superuser may decide, in database {}: {}",
                prepared.database.as_deref().unwrap_or_default(),
                decisions(prepared)
            ));
        }
        match self.session(party.who) {
            Some(session) => Ending::of(session, frees(party), self.activity),
            None => Err(format!("{} has begun, or ended, since the sessions were read", name(party.who))),
        }
    }
}

fn frees(party: &Party) -> Frees {
    let advisory = party.holds.iter().any(|held| held.waited_for && held.target.kind == Kind::Advisory);
    if advisory { Frees::AdvisoryLocks } else { Frees::Transaction }
}

/// What is known of a session, for evidence.
pub fn of_session(session: &Session) -> Map<String, Value> {
    object! {
        "pid": session.pid,
        "backend_type": session.kind,
        "user_name": session.role,
        "database": session.database,
        "application_name": session.application,
        "client_address": session.client_address,
        "state": session.state.map(State::name),
        "backend_start": session.backend_start,
        "state_seconds": session.state_seconds.map(rounded),
        "transaction_seconds": session.transaction_seconds.map(rounded),
        "transaction_id": session.transaction_id,
        "query": session.query.as_deref().map(measured_query::excerpt),
    }
}

pub fn name(who: Who) -> String {
    match who {
        Who::Process(pid) => format!("process {pid}"),
        Who::Prepared(id) => format!("prepared transaction {id}"),
    }
}

/// `commit prepared 'x'; or rollback prepared 'x';`
pub fn decisions(prepared: &Prepared) -> String {
    let gid = crate::db::quote_literal(&prepared.gid);
    format!("commit prepared {gid}; or rollback prepared {gid};")
}

pub fn describe(session: &Session) -> String {
    let pid = session.pid;
    if !session.is_client() && !session.hidden {
        return format!("{} {pid}", session.kind);
    }
    let of = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_string());
    let application = match session.application.as_str() {
        "" => String::new(),
        application => format!(", {}", on_one_line(application)),
    };
    format!("process {pid} ({}@{}{application})", of(&session.role), of(&session.database))
}

/// `ACCESS EXCLUSIVE on relation public.orders`
pub fn wanted(wait: &LockWait) -> String {
    let on = wait.mode.map_or(String::new(), |mode| format!("{} on ", mode.sql()));
    let row = wait.row.as_ref().map_or(String::new(), |row| format!(", for {}", row.name));
    format!("{on}{}{row}", wait.target.name)
}

/// `ROW EXCLUSIVE on relation public.orders (waited for), …`
pub fn holds(party: &Party) -> Option<String> {
    let named = party.holds.iter().take(HOLDS_NAMED).map(|held| {
        let waited_for = if held.waited_for { " (waited for)" } else { "" };
        format!("{} on {}{waited_for}", held.mode.sql(), held.target.name)
    });
    let mut named: Vec<String> = named.collect();
    if party.holds.len() > HOLDS_NAMED {
        named.push("…".to_string());
    }
    (!named.is_empty()).then(|| named.join(", "))
}

/// For a cause.
pub fn why_no_fix<T>(ending: &Result<T, String>) -> String {
    ending.as_ref().err().map_or(String::new(), |why| format!(" No fix_sql: {why}."))
}

/// True once nobody waits because of one of these, and none of these statements (its process, and when it began) waits for a lock.
pub fn verify_sql(parties: &[&Party], statements: &[String]) -> String {
    let held_up = none_in_tree(parties, "blocks_in_all > 0");
    if statements.is_empty() {
        return cured(&held_up);
    }
    cured(&format!(
        "{held_up} and not exists (select from pg_catalog.pg_stat_get_activity(null) where wait_event_type = 'Lock' and (pid, \
         query_start) in ({}))",
        statements.join(", ")
    ))
}

/// True once this holds for none of these.
pub fn verify(parties: &[&Party], condition: &str) -> String {
    cured(&none_in_tree(parties, condition))
}

fn cured(condition: &str) -> String {
    format!("select {condition} as cured;")
}

/// A parallel worker that waits is its leader in the tree.
fn none_in_tree(parties: &[&Party], condition: &str) -> String {
    let (processes, prepared): (Vec<Who>, Vec<Who>) =
        parties.iter().map(|party| party.who).partition(|who| who.pid().is_some());
    let pids: Vec<String> = processes.iter().map(Who::to_string).collect();
    let prepared = prepared.iter().map(|who| format!("path = '{who}'"));
    let processes = match pids.as_slice() {
        [] => None,
        [pid] => Some(format!("pid = {pid}")),
        _ => Some(format!("pid = any ('{{{}}}')", pids.join(","))),
    };
    let each: Vec<String> = processes.into_iter().chain(prepared).collect();
    let which = if each.len() == 1 { each[0].clone() } else { format!("({})", each.join(" or ")) };
    format!("not exists (select from dbre.lock_tree where {which} and {condition})")
}
