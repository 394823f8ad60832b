//! Lookups that come over several connections, each of which sees too few of them: a loop over a pool.

use super::entry::{Key, PARENT_BYTES, Report, Text};
use super::ring::{Counts, Execution, Limits, Parameters, Slot};
use super::shared::{Shared, window_place};
use super::text;

/// What the sessions of one application do in common within the time `dbre.n_plus_one_window`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Window {
    /// 0: closed.
    hash: u64,
    begun: i64,
    last: i64,
    length_us: i64,
    threshold: u64,
    /// An entry is prepared for it.
    known: bool,
    /// Its lookups are of one trace.
    traced: bool,
    counts: Counts,
    parameters: Parameters,
    /// Of the connections, a bit each.
    connections: u64,
    pub key: Key,
}

/// The last statement with several rows of an application, outside transaction blocks.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct SharedParent {
    hash: u64,
    query_id: i64,
    at: i64,
    rows: u64,
    trace: u64,
    sql: Text<PARENT_BYTES>,
}

/// A lookup outside a transaction block.
pub struct Lookup<'a> {
    /// Without the parent.
    pub key: Key,
    pub execution: &'a Execution,
    pub limits: Limits,
    pub connection: u32,
    pub sql: &'a [u8],
}

impl Window {
    /// There may be a burst in it of which nothing was told.
    pub fn is_open(&self) -> bool {
        self.hash != 0
    }

    pub fn close(&mut self) {
        self.hash = 0;
    }

    pub fn is_over(&self, now: i64) -> bool {
        self.hash != 0 && now - self.begun > self.length_us
    }

    pub fn open(&mut self, lookup: &Lookup, hash: u64) {
        *self = Window {
            hash,
            begun: lookup.execution.at,
            length_us: lookup.limits.window_us,
            threshold: lookup.limits.threshold,
            key: lookup.key,
            traced: lookup.execution.trace != 0,
            ..Window::default()
        };
    }

    fn add(&mut self, execution: &Execution, connection: u32) {
        self.last = execution.at;
        self.counts.executions += 1;
        self.counts.rows += execution.rows;
        self.counts.ms += execution.ms;
        self.parameters.add(execution.parameters);
        self.connections |= 1 << (connection % 64);
    }

    fn is_burst(&self) -> bool {
        self.hash != 0 && self.counts.executions >= self.threshold && self.connections.count_ones() > 1
    }

    /// Lookups of one trace, or hardly more than a parent has rows: else they are what many clients ask for all day.
    fn belongs_together(&self) -> bool {
        self.traced || self.counts.executions <= 2 * self.counts.parent_rows
    }

    /// The burst that it was, when it was one; it is closed.
    pub fn take_burst(&mut self) -> Option<Report<'static>> {
        let burst = (self.is_burst() && self.known && self.belongs_together()).then(|| Report {
            key: self.key,
            news: self.counts,
            begins: true,
            executions: self.counts.executions,
            parameters: self.parameters,
            in_transaction: false,
            connections: self.connections.count_ones(),
            at: self.last,
            sql: None,
            parent_sql: None,
        });
        self.close();
        burst
    }
}

/// One of so many: not by the last bit of a hash, which is always set, nor by those that choose the partition.
pub fn place(hash: u64, places: usize) -> usize {
    (hash >> 8) as usize % places
}

pub fn window_hash(key: &Key, trace: u64) -> u64 {
    text::mix(key.hash(), trace) | 1
}

pub fn parent_hash(key: &Key) -> u64 {
    Key { query_id: 0, parent_query_id: 0, ..*key }.hash() | 1
}

/// Counts a lookup in the window of its application; when that window began.
pub fn share(shared: Shared, lookup: &Lookup) -> i64 {
    let hash = window_hash(&lookup.key, lookup.execution.trace);
    let place = lookup.key.hash();
    let (begun, known) = {
        let mut partition = shared.lock(place);
        let window = partition.window(hash);
        if window.hash != hash || window.is_over(lookup.execution.at) {
            partition.settle(window_place(hash));
            partition.window(hash).open(lookup, hash);
        }
        let window = partition.window(hash);
        window.add(lookup.execution, lookup.connection);
        (window.begun, !window.is_burst() || window.known)
    };
    if !known {
        announce(shared, lookup, hash, begun);
    }
    begun
}

/// Prepares an entry, while the text is at hand.
fn announce(shared: Shared, lookup: &Lookup, hash: u64, begun: i64) {
    let parent = {
        let hash = parent_hash(&lookup.key);
        let mut partition = shared.lock(hash);
        let parent = *partition.parent(hash);
        let before = lookup.execution.at - parent.at <= lookup.limits.window_us;
        let other = parent.query_id != lookup.key.query_id && parent.trace == lookup.execution.trace;
        (parent.hash == hash && before && other).then_some(parent)
    };
    let key = Key { parent_query_id: parent.map_or(0, |parent| parent.query_id), ..lookup.key };
    shared.publish(&Report {
        key,
        news: Counts::default(),
        begins: false,
        executions: 0,
        parameters: Parameters::default(),
        in_transaction: false,
        connections: 0,
        at: lookup.execution.at,
        sql: Some(lookup.sql),
        parent_sql: parent.as_ref().map(|parent| parent.sql.bytes()),
    });
    let mut partition = shared.lock(lookup.key.hash());
    let window = partition.window(hash);
    if window.hash == hash && window.begun == begun {
        window.key = key;
        window.known = true;
        window.counts.parent_rows = parent.map_or(0, |parent| parent.rows);
    }
}

/// Takes back what a session has put into a window: it has a burst of its own.
pub fn take_back(shared: Shared, key: &Key, slot: &Slot, connection: u32) {
    let hash = window_hash(key, slot.trace);
    let mut partition = shared.lock(key.hash());
    let window = partition.window(hash);
    if window.hash == hash && window.begun == slot.shared_begun {
        let Counts { executions, rows, ms, .. } = slot.shared;
        window.counts.executions = window.counts.executions.saturating_sub(executions);
        window.counts.rows = window.counts.rows.saturating_sub(rows);
        window.counts.ms = (window.counts.ms - ms).max(0.0);
        window.connections &= !(1 << (connection % 64));
    }
}

/// Remembers a statement with several rows; not when somebody else is about to.
pub fn remember_parent(shared: Shared, key: &Key, execution: &Execution, sql: &[u8]) {
    let hash = parent_hash(key);
    let Some(mut partition) = shared.try_lock(hash) else { return };
    let parent = partition.parent(hash);
    if parent.hash != hash || parent.query_id != execution.query_id {
        (parent.hash, parent.query_id) = (hash, execution.query_id);
        parent.sql.set(sql);
    }
    (parent.at, parent.rows, parent.trace) = (execution.at, execution.rows, execution.trace);
}
