//! BEGIN, COMMIT, ROLLBACK and savepoints of a migration, as nested subtransactions of the one that is taken back.

use super::course::Course;
use super::failures::with_detail;
use super::tried::{Status, Tried};
use crate::db::{self, Caught};
use crate::facts::migration::Statement;
use crate::facts::migration::statement::Transaction;
use crate::facts::migration::text::{Parsed, Script};

/// How a stretch of statements came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Of the text.
    Text,
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    RollbackTo(String),
    Release(String),
    /// A step has failed.
    Failed,
}

type Steps<'a> = std::slice::Iter<'a, Parsed>;

impl Course<'_> {
    /// Tries all statements of a text. `one_transaction`: its runner wraps it in one (None: as the text says).
    pub fn run_script(&mut self, script: &Script, one_transaction: Option<bool>) -> Vec<Tried> {
        self.tried.clear();
        let mut steps = script.statements.iter();
        // Its settings end with it, as those of a session.
        db::with_settings(&[], || {
            if one_transaction.or(script.wrapped) == Some(true) {
                self.transaction(&mut steps);
            }
            while let Some(step) = steps.next() {
                self.outside(step, &mut steps);
            }
        });
        std::mem::take(&mut self.tried)
    }

    /// A statement that no transaction is open for.
    fn outside(&mut self, step: &Parsed, steps: &mut Steps) {
        if !self.is_next_to_be_tried(step) {
            return;
        }
        match &step.statement {
            Statement::Transaction(Transaction::Begin) => {
                self.record(step, Status::Ran, None);
                self.transaction(steps);
            }
            Statement::Transaction(Transaction::Commit { .. } | Transaction::Rollback { .. }) => {
                self.record(step, Status::Ran, Some("no transaction is open".to_string()));
            }
            Statement::Transaction(Transaction::Prepared) => self.not_prepared(step),
            Statement::Transaction(_) => {
                let message = "savepoints can only be used in transaction blocks";
                self.record(step, Status::Failed, Some(message.to_string()));
            }
            _ => {
                let recorded = self.tried.len();
                let (tried, done) = (&mut *self, step);
                // Its own transaction: what fails at its end is undone.
                let outcome = nested(|| tried.step(done) && tried.checked(done, recorded), |done| *done);
                self.settle(outcome.unwrap_or(false));
            }
        }
    }

    fn not_prepared(&mut self, step: &Parsed) {
        let message = "a prepared transaction would outlive the dry run";
        self.record(step, Status::NotTried, Some(message.to_string()));
    }

    /// From BEGIN to the end of the transaction.
    fn transaction(&mut self, steps: &mut Steps) {
        let steps_of = steps.as_slice();
        loop {
            self.in_transaction = true;
            let outcome = nested(
                || match self.stretch(steps) {
                    // The runner's own COMMIT, or none: then it does no harm to know.
                    End::Text if !self.ends_well(steps_of) => End::Failed,
                    end => end,
                },
                End::keeps,
            );
            self.in_transaction = false;
            self.savepoints.clear();
            let end = outcome.unwrap_or(End::Failed);
            self.settle(end.keeps());
            if !matches!(end, End::Commit { chain: true } | End::Rollback { chain: true }) {
                return;
            }
        }
    }

    /// At the end of a text whose transaction is open: the COMMIT that its runner adds.
    fn ends_well(&mut self, steps: &[Parsed]) -> bool {
        match (steps.last(), self.tried.len().checked_sub(1)) {
            (Some(last), Some(recorded)) => self.checked(last, recorded),
            _ => true,
        }
    }

    /// What the end of a transaction does to the session.
    fn settle(&mut self, kept: bool) {
        if kept {
            self.committed();
            for (name, value) in std::mem::take(&mut self.locals).into_iter().rev() {
                db::set(&name, &value);
            }
        }
        if !kept {
            self.rolled_back();
        }
        self.locals.clear();
    }

    /// Statements of a transaction up to its end, or that of the savepoint that they began with.
    fn stretch(&mut self, steps: &mut Steps) -> End {
        while let Some(step) = steps.next() {
            if !self.is_next_to_be_tried(step) {
                return End::Failed;
            }
            let Statement::Transaction(transaction) = &step.statement else {
                if !self.step(step) {
                    return End::Failed;
                }
                continue;
            };
            let end = match transaction {
                Transaction::Begin => {
                    self.record(step, Status::Ran, Some("a transaction is open already".to_string()));
                    continue;
                }
                Transaction::Prepared => {
                    self.not_prepared(step);
                    continue;
                }
                Transaction::Savepoint(name) => {
                    self.record(step, Status::Ran, None);
                    match self.savepoint(name, steps) {
                        Some(end) => return end,
                        None => continue,
                    }
                }
                Transaction::Commit { chain } => {
                    let recorded = self.tried.len();
                    self.record(step, Status::Ran, None);
                    return match self.checked(step, recorded) {
                        true => End::Commit { chain: *chain },
                        false => End::Failed,
                    };
                }
                Transaction::Rollback { chain } => End::Rollback { chain: *chain },
                Transaction::RollbackTo(name) | Transaction::Release(name) if !self.savepoints.contains(name) => {
                    self.record(step, Status::Failed, Some(format!("savepoint {name:?} does not exist")));
                    return End::Failed;
                }
                Transaction::RollbackTo(name) => End::RollbackTo(name.clone()),
                Transaction::Release(name) => End::Release(name.clone()),
            };
            self.record(step, Status::Ran, None);
            return end;
        }
        End::Text
    }

    /// From SAVEPOINT on; what ends more than it, if anything does.
    fn savepoint(&mut self, name: &str, steps: &mut Steps) -> Option<End> {
        // SAFETY: looks how deep the stack is.
        unsafe { pgrx::pg_sys::check_stack_depth() };
        let depth = self.savepoints.len();
        loop {
            self.savepoints.truncate(depth);
            self.savepoints.push(name.to_string());
            let outcome = nested(|| self.stretch(steps), |end| end.keeps() || matches!(end, End::Release(_)));
            // It stays after a ROLLBACK TO.
            match outcome.unwrap_or(End::Failed) {
                End::RollbackTo(of) if of == name => self.rolled_back(),
                End::Release(of) if of == name => {
                    self.savepoints.truncate(depth);
                    return None;
                }
                end => return Some(end),
            }
        }
    }

    /// At the end of a transaction: constraints that wait for it. What that locks and reads, or what it refuses, is said at
    /// `recorded`, the step that ends it.
    fn checked(&mut self, step: &Parsed, recorded: usize) -> bool {
        if self.tried.get(recorded).is_some_and(|tried| tried.status == Status::NotTried) {
            return true;
        }
        match self.check_deferred() {
            Ok(None) => true,
            Ok(Some(observed)) => {
                self.tried[recorded].add(observed);
                true
            }
            Err(caught) => {
                self.tried.truncate(recorded);
                self.record(
                    step,
                    Status::Failed,
                    Some(format!("at the end of the transaction: {}", with_detail(&caught))),
                );
                false
            }
        }
    }
}

impl End {
    fn keeps(&self) -> bool {
        matches!(self, End::Text | End::Commit { .. })
    }
}

/// What goes wrong in a statement is caught there: what is caught here is our own error.
fn nested<T>(body: impl FnOnce() -> T, keep: impl FnOnce(&T) -> bool) -> Result<T, Caught> {
    let outcome = db::tried(body, keep, || false);
    outcome.map_err(|caught| db::raise_sqlstate(&caught.sqlstate, caught.message, "The dry run itself failed."))
}
