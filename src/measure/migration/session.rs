//! Transactions, savepoints, settings and locks, as a migration goes through them.

use super::Model;
use super::model::schemas;
use super::settings::Settings;
use super::uncommitted::Added;
use crate::facts::migration::statement::{Set, Transaction};
use crate::facts::migration::text::{Parsed, constants};
use crate::facts::migration::{Id, Lock, Statement};
use std::collections::HashMap;
use std::time::Duration;

/// What is in force for a statement.
pub struct Place {
    pub transaction: Option<usize>,
    pub lock_timeout: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    /// Locks of earlier statements of its transaction, the strongest of each relation.
    pub held: Vec<Lock>,
}

pub struct Session {
    current: Settings,
    reset: Settings,
    open: Option<Open>,
    /// Transactions so far.
    begun: usize,
}

/// A transaction block.
struct Open {
    number: usize,
    before: Saved,
    savepoints: Vec<(String, Saved)>,
    /// What COMMIT leaves: without SET LOCAL.
    kept: Settings,
    /// Of one relation each stronger than the one before.
    held: Vec<Lock>,
    added: Vec<Added>,
}

struct Saved {
    model: Model,
    current: Settings,
    kept: Settings,
    held: usize,
}

impl Open {
    fn hold(&mut self, locks: &[Lock]) {
        // What nobody else knows nobody waits for.
        for lock in locks.iter().filter(|lock| !lock.target.private) {
            let covers = |other: &Lock| other.target.id == lock.target.id && other.mode >= lock.mode;
            if !self.held.iter().any(covers) {
                self.held.push(lock.clone());
            }
        }
    }

    fn strongest(&self) -> Vec<Lock> {
        let last: HashMap<Id, usize> = self.held.iter().zip(0..).map(|(lock, at)| (lock.target.id, at)).collect();
        let is_last = |(at, lock): &(usize, &Lock)| last.get(&lock.target.id) == Some(at);
        self.held.iter().enumerate().filter(is_last).map(|(_, lock)| lock.clone()).collect()
    }
}

impl Session {
    /// `wrapped`: the runner begins a transaction before the first statement.
    pub fn start(model: &mut Model, search_path: &str, wrapped: bool) -> Session {
        let (current, reset) = Settings::read(search_path);
        let mut session = Session { current, reset, open: None, begun: 0 };
        if wrapped {
            session.begin(model);
        }
        session
    }

    /// Before the statement: what is in force for it, which the model is told, too.
    pub fn enter(&mut self, parsed: &Parsed, model: &mut Model) -> Place {
        if matches!(parsed.statement, Statement::Transaction(Transaction::Begin)) && self.open.is_none() {
            self.begin(model);
        }
        model.transaction = self.open.as_ref().map(|open| open.number);
        model.time_zone = self.current.time_zone.clone();
        model.search_path = schemas(&self.current.search_path, &self.current.role);
        Place {
            transaction: model.transaction,
            lock_timeout: self.current.lock_timeout,
            statement_timeout: self.current.statement_timeout,
            held: self.open.as_ref().map_or_else(Vec::new, Open::strongest),
        }
    }

    /// After the statement, which took these locks.
    pub fn leave(&mut self, parsed: &Parsed, locks: &[Lock], model: &mut Model) {
        if let Some(open) = &mut self.open {
            open.hold(locks);
        }
        self.follow(parsed, model);
    }

    fn follow(&mut self, parsed: &Parsed, model: &mut Model) {
        match &parsed.statement {
            Statement::Set(set) => self.set(set),
            Statement::Query(query) if query.functions.iter().any(|name| name.last().is_some_and(is_set_config)) => {
                for call in constants::set_config(&parsed.text) {
                    self.set(&Set { name: call.name, value: Some(call.value), local: call.local });
                }
            }
            Statement::Other { tag } if tag == "discard all" => self.current = self.reset.clone(),
            Statement::Do { statements, .. } => statements.iter().for_each(|nested| self.follow(nested, model)),
            Statement::Transaction(transaction) => self.transaction(transaction, model),
            _ => {}
        }
    }

    /// Values of enums that the open transaction has added.
    pub fn added(&mut self) -> Option<&mut Vec<Added>> {
        self.open.as_mut().map(|open| &mut open.added)
    }

    fn begin(&mut self, model: &Model) {
        self.begun += 1;
        let before = Saved { model: model.clone(), current: self.current.clone(), kept: self.current.clone(), held: 0 };
        let kept = self.current.clone();
        self.open = Some(Open {
            number: self.begun,
            before,
            savepoints: Vec::new(),
            kept,
            held: Vec::new(),
            added: Vec::new(),
        });
    }

    fn set(&mut self, set: &Set) {
        match &mut self.open {
            // It would last to the end of a transaction that there is not.
            None if set.local => {}
            None => self.current.set(set, &self.reset),
            Some(open) => {
                self.current.set(set, &self.reset);
                if !set.local {
                    open.kept.set(set, &self.reset);
                }
            }
        }
    }

    /// BEGIN has begun before the statement; outside of a transaction the others only warn.
    fn transaction(&mut self, transaction: &Transaction, model: &mut Model) {
        match transaction {
            Transaction::Begin => {}
            Transaction::Commit { chain } => self.end(*chain, true, model),
            Transaction::Rollback { chain } => self.end(*chain, false, model),
            Transaction::Prepared => self.end(false, true, model),
            Transaction::Savepoint(name) => {
                let Some(open) = &mut self.open else { return };
                let saved = Saved {
                    model: model.clone(),
                    current: self.current.clone(),
                    kept: open.kept.clone(),
                    held: open.held.len(),
                };
                open.savepoints.push((name.clone(), saved));
            }
            Transaction::Release(name) => {
                let Some(open) = &mut self.open else { return };
                if let Some(at) = open.savepoints.iter().rposition(|(other, _)| other == name) {
                    open.savepoints.truncate(at);
                }
            }
            Transaction::RollbackTo(name) => {
                let Some(open) = &mut self.open else { return };
                let Some(at) = open.savepoints.iter().rposition(|(other, _)| other == name) else { return };
                open.savepoints.truncate(at + 1);
                let (_, saved) = &open.savepoints[at];
                model.restore(saved.model.clone());
                self.current = saved.current.clone();
                open.kept = saved.kept.clone();
                open.held.truncate(saved.held);
            }
        }
    }

    fn end(&mut self, chain: bool, commit: bool, model: &mut Model) {
        let Some(open) = self.open.take() else { return };
        if commit {
            self.current = open.kept;
        } else {
            self.current = open.before.current;
            model.restore(open.before.model);
        }
        if chain {
            self.begin(model);
        }
    }
}

fn is_set_config(name: &String) -> bool {
    name == "set_config"
}
