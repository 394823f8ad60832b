//! Sessions that belong together: of one database, role, application_name and client address.

use crate::facts::activity::{Activity, Session, State};
use crate::units::{Count, listing};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub struct Pool<'a> {
    pub sessions: Vec<&'a Session>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    database: Option<u32>,
    role: Option<u32>,
    application: &'a str,
    client_address: Option<&'a str>,
}

/// The pools of what the caller wants to know about, largest first.
pub fn pools(activity: &Activity) -> Vec<Pool<'_>> {
    of(activity.connections())
}

pub fn of<'a>(sessions: impl Iterator<Item = &'a Session>) -> Vec<Pool<'a>> {
    let mut pools: BTreeMap<Key, Vec<&Session>> = BTreeMap::new();
    for session in sessions {
        let key = Key {
            database: session.database_oid,
            role: session.role_oid,
            application: &session.application,
            client_address: session.client_address.as_deref(),
        };
        pools.entry(key).or_default().push(session);
    }
    let mut pools: Vec<Pool> = pools.into_values().map(|sessions| Pool { sessions }).collect();
    pools.sort_by_key(|pool| std::cmp::Reverse(pool.sessions.len()));
    pools
}

impl<'a> Pool<'a> {
    /// Every pool has one.
    pub fn first(&self) -> &'a Session {
        self.sessions[0]
    }

    pub fn connections(&self) -> u64 {
        self.sessions.len() as u64
    }

    pub fn in_state(&self, states: &[State]) -> impl Iterator<Item = &'a Session> {
        self.sessions.iter().copied().filter(move |session| session.state.is_some_and(|state| states.contains(&state)))
    }

    pub fn count(&self, states: &[State]) -> u64 {
        self.in_state(states).count() as u64
    }

    pub fn active(&self) -> u64 {
        self.count(&ACTIVE)
    }

    pub fn waiting(&self) -> impl Iterator<Item = &'a Session> {
        self.sessions.iter().copied().filter(|session| session.waits_for_lock())
    }

    /// Neither active nor idle, as far as the caller may see.
    pub fn unknown(&self) -> u64 {
        self.connections() - self.count(&KNOWN)
    }

    /// The same in every call, as long as the pool is: `"web" as app in shop from 10.0.0.5`.
    pub fn name(&self) -> String {
        let first = self.first();
        let from = match &first.client_address {
            Some(address) => format!(" from {address}"),
            None if first.hidden => String::new(),
            None => " (local)".to_string(),
        };
        format!("{}{from}", label(first))
    }

    /// `20 connections: 3 active, 17 idle`
    pub fn summary(&self) -> String {
        let of = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", Count(count)));
        let parts = [
            of(self.active(), "active"),
            of(self.count(&[State::Idle]), "idle"),
            of(self.count(&[State::IdleInTransaction]), "idle in transaction"),
            of(self.count(&[State::Aborted]), "idle in a failed transaction"),
            of(self.unknown(), "in a state that is not known"),
            of(self.waiting().count() as u64, "of them waiting for a lock"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{}: {}", Count(self.connections()).of("connection"), parts.join(", "))
    }

    /// `{"Client": {"ClientRead": 3}}`
    pub fn wait_events(&self) -> Map<String, Value> {
        let mut kinds: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for wait in self.sessions.iter().filter_map(|session| session.wait.as_ref()) {
            *kinds.entry(&wait.kind).or_default().entry(&wait.event).or_default() += 1;
        }
        kinds.into_iter().map(|(kind, events)| (kind.to_string(), json!(events))).collect()
    }

    /// For evidence.
    pub fn figures(&self) -> Value {
        json!({
            "pool": self.name(),
            "connections": self.connections(),
            "active": self.active(),
            "idle": self.count(&[State::Idle]),
            "idle_in_transaction": self.count(&[State::IdleInTransaction]),
            "aborted": self.count(&[State::Aborted]),
            "unknown": self.unknown(),
        })
    }
}

pub const ACTIVE: [State; 2] = [State::Active, State::Fastpath];
const KNOWN: [State; 5] = [State::Active, State::Fastpath, State::Idle, State::IdleInTransaction, State::Aborted];

/// Whose session it is, wherever its client runs: `"web" as app in shop`.
pub fn label(session: &Session) -> String {
    let application = match session.application.as_str() {
        "" => "sessions without application_name".to_string(),
        name => format!("{name:?}"),
    };
    let known = |name: &Option<String>, oid: Option<u32>| match (name, oid) {
        (Some(name), _) => name.clone(),
        (None, Some(oid)) => format!("OID {oid}"),
        (None, None) => "none".to_string(),
    };
    let (role, database) = (known(&session.role, session.role_oid), known(&session.database, session.database_oid));
    format!("{application} as {role} in {database}")
}

/// The longest of them; None: of none of them is it known.
pub fn longest<'a>(sessions: impl Iterator<Item = &'a Session>, age: impl Fn(&Session) -> Option<f64>) -> Option<f64> {
    sessions.filter_map(age).max_by(f64::total_cmp)
}

/// Longest in its state first.
pub fn longest_first(sessions: &mut [&Session]) {
    sessions.sort_by(|a, b| b.state_seconds.unwrap_or_default().total_cmp(&a.state_seconds.unwrap_or_default()));
}

/// The largest pools, in words: `"web" as app in shop (local) 40, …`
pub fn largest(pools: &[Pool], shown: usize) -> String {
    let named: Vec<String> =
        pools.iter().take(shown).map(|pool| format!("{} {}", Count(pool.connections()), pool.name())).collect();
    match pools.len().saturating_sub(shown) {
        0 => listing(&named),
        more => format!("{} and {}", named.join(", "), Count(more as u64).of("more pool")),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::activity::Wait;

    fn session(pid: i32, application: &str, address: Option<&str>, state: Option<State>) -> Session {
        Session {
            pid,
            kind: "client backend".to_string(),
            database_oid: Some(5),
            database: Some("shop".to_string()),
            role_oid: Some(10),
            application: application.to_string(),
            client_address: address.map(str::to_string),
            state,
            state_seconds: Some(f64::from(pid)),
            wait: Some(Wait { kind: "Lock".to_string(), event: "tuple".to_string() }),
            ..Session::default()
        }
    }

    #[test]
    fn sessions_are_pooled_by_who_and_from_where() {
        let sessions = [
            session(1, "web", Some("10.0.0.5"), Some(State::Idle)),
            session(2, "we\"b\n", None, Some(State::Active)),
            session(3, "web", Some("10.0.0.6"), Some(State::Idle)),
            session(4, "web", Some("10.0.0.5"), Some(State::Aborted)),
            Session { hidden: true, kind: String::new(), ..session(5, "", None, None) },
            Session { kind: "walsender".to_string(), ..session(6, "", None, Some(State::Active)) },
        ];
        let activity = Activity { sessions: sessions.to_vec(), ..Activity::default() };
        let pools = pools(&activity);
        let names: Vec<(u64, String)> = pools.iter().map(|pool| (pool.connections(), pool.name())).collect();
        let expected = [
            (2, "\"web\" as OID 10 in shop from 10.0.0.5"),
            (1, "sessions without application_name as OID 10 in shop"),
            (1, "\"we\\\"b\\n\" as OID 10 in shop (local)"),
            (1, "\"web\" as OID 10 in shop from 10.0.0.6"),
        ];
        assert_eq!(names, expected.map(|(count, name)| (count, name.to_string())));
        assert_eq!(
            pools[0].summary(),
            "2 connections: 1 idle, 1 idle in a failed transaction, 2 of them waiting for a lock"
        );
        assert_eq!(
            (pools[1].unknown(), pools[1].summary()),
            (1, "1 connection: 1 in a state that is not known, 1 of them waiting for a lock".to_string())
        );
        assert_eq!(longest(pools[0].sessions.iter().copied(), |session| session.state_seconds), Some(4.0));
        assert_eq!(Value::Object(pools[0].wait_events()), json!({"Lock": {"tuple": 2}}));
        assert_eq!(largest(&pools, 1), "2 \"web\" as OID 10 in shop from 10.0.0.5 and 3 more pools");
    }
}
