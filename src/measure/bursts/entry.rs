//! A row of the table of bursts, as it lies in shared memory.

use super::ring::{Counts, Parameters};
use super::text;

pub const TEXT_BYTES: usize = 1536;
pub const PARENT_BYTES: usize = 1024;
pub const TAG_BYTES: usize = 512;
const APPLICATION_BYTES: usize = 64;

/// What bursts are told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Key {
    pub database: u32,
    pub role: u32,
    pub query_id: i64,
    /// 0: none.
    pub parent_query_id: i64,
    pub application: Text<APPLICATION_BYTES>,
}

impl Key {
    /// The same for all parents.
    pub fn hash(&self) -> u64 {
        let role = text::mix(u64::from(self.database), u64::from(self.role));
        text::hash_bytes(self.application.bytes(), text::mix(role, self.query_id as u64))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Text<const BYTES: usize> {
    length: u16,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> Default for Text<BYTES> {
    fn default() -> Text<BYTES> {
        Text { length: 0, bytes: [0; BYTES] }
    }
}

impl<const BYTES: usize> Text<BYTES> {
    pub fn new(bytes: &[u8]) -> Text<BYTES> {
        let mut text = Text::default();
        text.set(bytes);
        text
    }

    pub fn set(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(BYTES);
        self.bytes[..length].copy_from_slice(&bytes[..length]);
        self.bytes[length..].fill(0);
        self.length = length as u16;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length).min(BYTES)]
    }

    pub fn string(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Entry {
    pub key: Key,
    pub bursts: u64,
    pub executions: u64,
    pub most_executions: u64,
    pub last_executions: u64,
    pub rows: u64,
    pub parent_rows: u64,
    pub ms: f64,
    pub parameters: Parameters,
    pub last_seen: i64,
    pub connections: u32,
    pub in_transaction: bool,
    pub used: bool,
    pub tags: Text<TAG_BYTES>,
    pub text: Text<TEXT_BYTES>,
    pub parent_text: Text<PARENT_BYTES>,
}

/// What there is to tell of a burst.
pub struct Report<'a> {
    pub key: Key,
    pub news: Counts,
    /// Nothing was told of it before.
    pub begins: bool,
    /// Of the burst so far; 0: it is only prepared.
    pub executions: u64,
    pub parameters: Parameters,
    pub in_transaction: bool,
    pub connections: u32,
    pub at: i64,
    /// As the client wrote it; None: not at hand.
    pub sql: Option<&'a [u8]>,
    pub parent_sql: Option<&'a [u8]>,
}

impl Entry {
    /// One that the report has.
    pub fn lacks_text(&self, report: &Report) -> bool {
        (self.text.bytes().is_empty() && report.sql.is_some())
            || (self.parent_text.bytes().is_empty() && report.parent_sql.is_some())
    }

    pub fn add(&mut self, report: &Report, tags: Option<&str>) {
        if let Some(tags) = tags {
            self.tags.set(tags.as_bytes());
        }
        self.last_seen = self.last_seen.max(report.at);
        if report.executions == 0 {
            return;
        }
        self.bursts += u64::from(report.begins);
        self.executions += report.news.executions;
        self.rows += report.news.rows;
        self.ms += report.news.ms;
        self.parent_rows += report.news.parent_rows;
        self.most_executions = self.most_executions.max(report.executions);
        self.last_executions = report.executions;
        self.parameters = report.parameters;
        self.in_transaction = report.in_transaction;
        self.connections = self.connections.max(report.connections);
    }
}
