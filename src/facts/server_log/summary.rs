//! What is counted of the log, record by record.

use super::errors::Errors;
use super::groups::{Groups, Names, Statement, shown};
use super::locks::{Deadlocks, LockWaits};
use super::messages::{self, Step};
use super::record::{Field, MOST_TEXT, Record};
use super::wal::Checkpoints;
use std::collections::HashMap;

const MOST_SHOWN_EVENTS: usize = 20;
const MOST_TABLES: usize = 1000;

/// Whose events are counted.
#[derive(Debug, Default)]
pub struct Here {
    pub database: String,
    pub oid: u32,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub records: u64,
    pub first: i64,
    pub last: i64,
    pub slow: Groups,
    pub temp_files: Groups,
    pub lock_waits: LockWaits,
    pub deadlocks: Deadlocks,
    pub errors: Errors,
    pub checkpoints: Checkpoints,
    pub refused: Refused,
    /// Tables whose autovacuum was canceled, and how often.
    pub autovacuum_canceled: HashMap<String, u64>,
    pub crashes: Crashes,
    /// Records of other databases, which are not counted.
    pub elsewhere: u64,
    /// In another language than English.
    pub foreign: u64,
    pub durations_without_statement: u64,
    pub not_utf8: u64,
}

/// Connections refused for lack of slots, in the whole cluster.
#[derive(Debug, Default)]
pub struct Refused {
    pub count: u64,
    pub first: i64,
    pub last: i64,
    pub messages: Vec<(String, u64)>,
    pub users: Names,
    pub databases: Names,
    pub applications: Names,
}

#[derive(Debug, Default)]
pub struct Crashes {
    /// Ended by a signal.
    pub processes: u64,
    /// The process that panics ends itself by a signal.
    pub panics: u64,
    /// Sessions that were ended for it.
    pub sessions: u64,
    /// The server began with recovery, for it had not been shut down.
    pub recoveries: u64,
    /// The first of them: when, message, detail.
    pub shown: Vec<(i64, String, String)>,
}

impl Summary {
    pub fn add(&mut self, record: &Record, at: i64, here: &Here) {
        if self.records == 0 {
            (self.first, self.last) = (at, at);
        }
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        self.records += 1;
        let class = record.sqlstate.raw.get(..2).unwrap_or(b"00");
        let told = match class {
            b"00" => self.of_server(record, at),
            _ => self.of_cluster(record, at),
        };
        let database = record.database;
        let is_elsewhere = !database.is_empty() && !database.is(&here.database) && self.text(database) != here.database;
        if is_elsewhere && !told {
            self.elsewhere += 1;
            return;
        }
        self.foreign += u64::from(is_foreign(record.severity));
        match class {
            _ if told => {}
            b"00" => self.of_statement(record, at, here),
            b"01" | b"02" => {}
            _ => self.error(record, at, here),
        }
    }

    /// Checkpoints, crashes: what no session logs. True: it was that.
    fn of_server(&mut self, record: &Record, at: i64) -> bool {
        // Before version 13 the log does not say which process it is.
        let backend = record.backend_type;
        let is = |kind: &str| backend.is(kind) || (backend.is_empty() && record.database.is_empty());
        let has = |what: &str| memchr::memmem::find(record.message.raw, what.as_bytes()).is_some();
        if is("checkpointer") && (backend.is("checkpointer") || has("checkpoint")) {
            let (message, hint) = (self.text(record.message), self.text(record.hint));
            self.checkpoints.add(&message, &hint, at);
            return true;
        }
        if is("postmaster") && has("was terminated by signal") {
            self.crashes.processes += 1;
            self.crash(record, at);
            return true;
        }
        if is("startup") && has("was not properly shut down") {
            self.crashes.recoveries += 1;
            self.crash(record, at);
            return true;
        }
        false
    }

    /// Errors that tell of the whole cluster. True: it was that.
    fn of_cluster(&mut self, record: &Record, at: i64) -> bool {
        if record.severity.is("PANIC") {
            self.crashes.panics += 1;
            self.crash(record, at);
            return true;
        }
        match record.sqlstate.raw {
            b"53300" => {
                let message = messages::kind(&self.text(record.message));
                self.refused.add(record, message, at);
                true
            }
            // crash_shutdown
            b"57P02" => {
                self.crashes.sessions += 1;
                true
            }
            _ => false,
        }
    }

    fn crash(&mut self, record: &Record, at: i64) {
        if self.crashes.shown.len() < MOST_SHOWN_EVENTS {
            let (message, detail) = (self.text(record.message), self.text(record.detail));
            self.crashes.shown.push((at, shown(&message), shown(&detail)));
        }
    }

    fn of_statement(&mut self, record: &Record, at: i64, here: &Here) {
        if is_statement(record.message) {
            return;
        }
        if let Some(duration) = messages::duration(record.message) {
            self.foreign += u64::from(duration.foreign && !is_foreign(record.severity));
            let statement = match duration.step {
                Step::Plan => Statement::Planned(duration.text),
                _ => Statement::Text(duration.text),
            };
            match duration.step {
                Step::Untold => self.durations_without_statement += 1,
                Step::Prepare if self.slow.add_to_known(record, statement, duration.ms) => {}
                Step::Prepare | Step::Run | Step::Plan => {
                    let valid = self.slow.add(record, statement, duration.ms, at);
                    self.not_utf8 += u64::from(!valid);
                }
            }
            return;
        }
        // What a session logs of its statement begins so in English; in other languages the statement is beside it. A statement
        // that is logged itself is not.
        let begins = |what: &[u8]| record.message.raw.starts_with(what);
        let told = begins(b"process ") || begins(b"temporary file: ") || !record.statement.is_empty();
        if record.message.raw.len() > 1000 || !told {
            return;
        }
        let has = |what: &[u8]| memchr::memmem::find(record.message.raw, what).is_some();
        if has(b"pgsql_tmp") {
            let message = self.text(record.message);
            if let Some(bytes) = messages::numbers(&message).pop() {
                let valid = self.temp_files.add(record, Statement::Text(record.statement), bytes as f64, at);
                self.not_utf8 += u64::from(!valid);
            }
        } else if has(b"Lock") && has(b"ms") {
            let (message, context) = (self.text(record.message), self.text(record.context));
            if let Some(wait) = messages::lock_wait(&message, !record.detail.is_empty(), &context, here.oid) {
                self.lock_waits.add(record, wait, at);
            }
        }
    }

    fn error(&mut self, record: &Record, at: i64, here: &Here) {
        if NO_ERRORS.iter().any(|severity| record.severity.is(severity)) {
            return;
        }
        let message = self.text(record.message);
        if record.sqlstate.is("57014") && record.backend_type.is("autovacuum worker") {
            let table = messages::quoted(&self.text(record.context)).unwrap_or_default();
            if let Some(table) = table.strip_prefix(&format!("{}.", here.database)) {
                if self.autovacuum_canceled.len() < MOST_TABLES || self.autovacuum_canceled.contains_key(table) {
                    *self.autovacuum_canceled.entry(table.to_string()).or_default() += 1;
                }
            } else {
                self.elsewhere += 1;
            }
            return;
        }
        if record.sqlstate.is("40P01") {
            let detail = self.text(record.detail);
            self.deadlocks.add(record, messages::deadlocked(&detail), at);
            return;
        }
        let statement = self.text(record.statement);
        self.errors.add(record, &message, &statement, at);
    }

    fn text(&mut self, field: Field) -> String {
        let (text, valid) = field.text(MOST_TEXT);
        self.not_utf8 += u64::from(!valid);
        text
    }
}

/// Severities below ERROR, that of warnings in other languages too.
const NO_ERRORS: [&str; 12] = [
    "LOG",
    "WARNING",
    "NOTICE",
    "INFO",
    "DEBUG",
    "WARNUNG",
    "ATTENTION",
    "ADVERTENCIA",
    "AVISO",
    "ATTENZIONE",
    "ПРЕДУПРЕЖДЕНИЕ",
    "警告",
];

/// By log_statement, before it is run.
fn is_statement(message: Field) -> bool {
    message.raw.starts_with(b"statement: ") || message.raw.starts_with(b"execute ")
}

/// Severities are translated as messages are.
fn is_foreign(severity: Field) -> bool {
    const ENGLISH: [&str; 8] = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL", "PANIC"];
    !ENGLISH.iter().any(|english| severity.is(english))
}

impl Refused {
    fn add(&mut self, record: &Record, message: String, at: i64) {
        if self.count == 0 {
            (self.first, self.last) = (at, at);
        }
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        self.count += 1;
        if let Some((_, count)) = self.messages.iter_mut().find(|(known, _)| *known == message) {
            *count += 1;
        } else if self.messages.len() < MOST_SHOWN_EVENTS {
            self.messages.push((message, 1));
        }
        self.users.add(record.user);
        self.databases.add(record.database);
        self.applications.add(record.application);
    }
}
