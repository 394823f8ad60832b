//! Lock waits and deadlocks.

use super::groups::{Events, Names, shown};
use super::messages::{LockWait, Target};
use super::record::{MOST_TEXT, Record};
use crate::facts::normalized::normalized;
use std::collections::HashMap;

const MOST_TARGETS: usize = 1000;
const MOST_PENDING: usize = 10_000;
const MOST_DEADLOCKS: usize = 200;
const MOST_STATEMENTS: usize = 5;

#[derive(Debug, Default)]
pub struct LockWaits {
    waits: HashMap<(Target, String), WaitsOf>,
    /// By process: it still waits, since when it does is in its figure.
    pending: HashMap<i64, ((Target, String), f64, i64)>,
    pub dropped: u64,
}

/// Waits for one thing in one mode; the figures are ms.
#[derive(Debug)]
pub struct WaitsOf {
    pub target: Target,
    /// The relation's name, where it is known.
    pub name: Option<String>,
    pub mode: String,
    pub events: Events,
    /// Those that did not get the lock while the log was written: canceled, or still waiting.
    pub without_lock: u64,
    /// Of the longest wait.
    pub statement: String,
    pub users: Names,
    pub applications: Names,
}

impl LockWaits {
    pub fn add(&mut self, record: &Record, wait: LockWait, at: i64) {
        let key = (wait.target, wait.mode);
        if self.waits.len() >= MOST_TARGETS && !self.waits.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        let waits = self.waits.entry(key.clone()).or_insert_with(|| WaitsOf {
            target: key.0.clone(),
            name: None,
            mode: key.1.clone(),
            events: Events::default(),
            without_lock: 0,
            statement: String::new(),
            users: Names::default(),
            applications: Names::default(),
        });
        if wait.ms > waits.events.largest || waits.statement.is_empty() {
            waits.statement = shown(&record.statement.text(MOST_TEXT).0);
        }
        waits.users.add(record.user);
        waits.applications.add(record.application);
        let pid = record.pid.number();
        if wait.acquired {
            waits.events.add(wait.ms, at);
            self.pending.remove(&pid);
        } else if let Some((key, ms, at)) =
            (self.pending.len() < MOST_PENDING).then(|| self.pending.insert(pid, (key, wait.ms, at))).flatten()
        {
            self.without_lock(key, ms, at);
        }
    }

    fn without_lock(&mut self, key: (Target, String), ms: f64, at: i64) {
        if let Some(waits) = self.waits.get_mut(&key) {
            waits.events.add(ms, at);
            waits.without_lock += 1;
        }
    }

    /// The longest first.
    pub fn finish(mut self) -> Vec<WaitsOf> {
        for (_, (key, ms, at)) in std::mem::take(&mut self.pending) {
            self.without_lock(key, ms, at);
        }
        let mut waits: Vec<WaitsOf> = self.waits.into_values().filter(|waits| waits.events.count > 0).collect();
        waits.sort_by(|a, b| b.events.total.total_cmp(&a.events.total).then_with(|| a.mode.cmp(&b.mode)));
        waits
    }
}

#[derive(Debug, Default)]
pub struct Deadlocks {
    deadlocks: HashMap<Vec<String>, Deadlock>,
    pub dropped: u64,
}

/// Deadlocks between the same statements.
#[derive(Debug)]
pub struct Deadlock {
    /// Without constants; in order.
    pub statements: Vec<String>,
    /// As they were once.
    pub examples: Vec<String>,
    pub context: String,
    pub count: u64,
    pub first: i64,
    pub last: i64,
    pub users: Names,
    pub applications: Names,
}

impl Deadlocks {
    pub fn add(&mut self, record: &Record, mut examples: Vec<String>, at: i64) {
        if examples.is_empty() {
            examples.push(record.statement.text(MOST_TEXT).0);
        }
        examples.truncate(MOST_STATEMENTS);
        let mut statements: Vec<String> = examples.iter().map(|text| shown(&normalized(text))).collect();
        statements.sort();
        if self.deadlocks.len() >= MOST_DEADLOCKS && !self.deadlocks.contains_key(&statements) {
            self.dropped += 1;
            return;
        }
        let deadlock = self.deadlocks.entry(statements.clone()).or_insert_with(|| Deadlock {
            statements,
            examples: examples.iter().map(|text| shown(text)).collect(),
            context: shown(&record.context.text(MOST_TEXT).0),
            count: 0,
            first: at,
            last: at,
            users: Names::default(),
            applications: Names::default(),
        });
        deadlock.count += 1;
        (deadlock.first, deadlock.last) = (deadlock.first.min(at), deadlock.last.max(at));
        deadlock.users.add(record.user);
        deadlock.applications.add(record.application);
    }

    /// The most frequent first.
    pub fn finish(self) -> Vec<Deadlock> {
        let mut all: Vec<Deadlock> = self.deadlocks.into_values().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.statements.cmp(&b.statements)));
        all
    }
}
