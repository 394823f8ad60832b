//! Errors by SQLSTATE.

use super::groups::{Names, shown};
use super::messages::kind;
use super::record::Record;
use std::collections::HashMap;

const MOST_SQLSTATES: usize = 200;
const MOST_MESSAGES: usize = 20;

#[derive(Debug, Default)]
pub struct Errors {
    errors: HashMap<String, ErrorsOf>,
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub struct ErrorsOf {
    pub sqlstate: String,
    pub count: u64,
    /// Sessions that ended with it.
    pub fatal: u64,
    pub first: i64,
    pub last: i64,
    /// Without numbers and values.
    pub messages: Vec<Message>,
    /// Of kinds beyond the first.
    pub other_messages: u64,
    pub users: Names,
    pub applications: Names,
}

#[derive(Debug)]
pub struct Message {
    pub kind: String,
    pub count: u64,
    pub example: String,
    pub statement: String,
}

impl Errors {
    pub fn add(&mut self, record: &Record, message: &str, statement: &str, at: i64) {
        let sqlstate = String::from_utf8_lossy(record.sqlstate.raw).replace('\0', "\u{fffd}");
        if self.errors.len() >= MOST_SQLSTATES && !self.errors.contains_key(&sqlstate) {
            self.dropped += 1;
            return;
        }
        let errors = self.errors.entry(sqlstate.clone()).or_insert_with(|| ErrorsOf {
            sqlstate,
            first: at,
            last: at,
            ..ErrorsOf::default()
        });
        errors.count += 1;
        errors.fatal += u64::from(record.severity.is("FATAL"));
        (errors.first, errors.last) = (errors.first.min(at), errors.last.max(at));
        errors.users.add(record.user);
        errors.applications.add(record.application);
        let kind = kind(message);
        if let Some(known) = errors.messages.iter_mut().find(|known| known.kind == kind) {
            known.count += 1;
        } else if errors.messages.len() < MOST_MESSAGES {
            errors.messages.push(Message { kind, count: 1, example: shown(message), statement: shown(statement) });
        } else {
            errors.other_messages += 1;
        }
    }

    /// The most frequent first, and so are the messages of each.
    pub fn finish(self) -> Vec<ErrorsOf> {
        let mut all: Vec<ErrorsOf> = self.errors.into_values().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.sqlstate.cmp(&b.sqlstate)));
        for errors in &mut all {
            errors.messages.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
        }
        all
    }
}
