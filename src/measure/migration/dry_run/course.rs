//! Step by step: what is tried, what became of it, and why the rest is not.

use super::observe::{Kind, Observed, Observer};
use super::statement::Tree;
use super::tried::{Status, Tried};
use super::{Options, looking};
use crate::db::{self, Arena, Caught};
use crate::facts::migration::Statement;
use crate::facts::migration::text::Parsed;
use crate::measure::time_limit::TimeLimit;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

pub struct Course<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) observer: Observer,
    deadline: Instant,
    pub(super) tried: Vec<Tried>,
    /// An enum value was added in this transaction of the migration, or in an earlier one.
    enum_value_added: bool,
    pub(super) enum_value_committed: bool,
    /// What SET LOCAL has changed in this transaction, with the values before.
    pub(super) locals: Vec<(String, String)>,
    pub(super) savepoints: Vec<String>,
    pub(super) in_transaction: bool,
}

/// A table that is read in no time, so that others need not wait for a lock on it.
const SMALL_BYTES: i64 = 8 << 20;

impl<'a> Course<'a> {
    pub(super) fn new(options: &'a Options<'a>, observer: Observer, deadline: Instant) -> Course<'a> {
        Course {
            options,
            observer,
            deadline,
            tried: Vec::new(),
            enum_value_added: false,
            enum_value_committed: false,
            locals: Vec::new(),
            savepoints: Vec::new(),
            in_transaction: false,
        }
    }

    /// Tries one statement; false: what follows cannot be tried.
    pub(super) fn step(&mut self, parsed: &Parsed) -> bool {
        if let Statement::SyntaxError(error) = &parsed.statement {
            self.record(parsed, Status::Failed, Some(error.message.clone()));
            return false;
        }
        let arena = Arena::new();
        let text = CString::new(parsed.text.as_str()).expect("text of the server's holds no NUL");
        match db::guarded(|| arena.enter(|| Tree::parse(&text))) {
            Ok(mut tree) => self.try_statement(parsed, &arena, &mut tree),
            Err(caught) => {
                self.record(parsed, Status::Failed, Some(caught.message));
                false
            }
        }
    }

    fn try_statement(&mut self, parsed: &Parsed, arena: &Arena, tree: &mut Tree) -> bool {
        if let Some(why) = arena.enter(|| tree.cannot_be_undone()) {
            self.record(parsed, Status::NotTried, Some(why.to_string()));
            return true;
        }
        if !self.in_transaction {
            if tree.needs_transaction_block() {
                let message = format!("{} can only be used in transaction blocks", tree.name());
                self.record(parsed, Status::Failed, Some(message));
                return false;
            }
            if let Some(plain) = arena.enter(|| tree.without_concurrently()) {
                return self.try_without_concurrently(parsed, arena, tree, plain.reads);
            }
        }
        let earlier = self.setting_before(parsed);
        match self.run(arena, tree) {
            Ok((took, observed)) => {
                self.enum_value_added |= tree.adds_enum_value();
                if tree.renames_many() {
                    looking(|| self.observer.look_again());
                }
                self.locals.extend(earlier);
                self.record_run(parsed, took, observed);
                if let Some(called) = self.observer.refused() {
                    // An exception handler of its own has gone on.
                    let tried = self.tried.last_mut().expect("just recorded");
                    tried.message = Some(format!("it called {called}, which was refused: a rollback does not undo it"));
                }
                true
            }
            Err(caught) => self.failed(parsed, caught),
        }
    }

    /// What only a transaction's absence allows is not tried; what it leaves is put in place, if that holds nobody up.
    fn try_without_concurrently(&mut self, parsed: &Parsed, arena: &Arena, tree: &Tree, reads: Option<String>) -> bool {
        const CANNOT: &str = "CONCURRENTLY cannot run inside a transaction, and a dry run is one";
        let small = self.options.build_in_place || reads.is_none_or(|table| size_of(&table) <= SMALL_BYTES);
        if !small {
            let message = format!("{CANNOT}; the table is too large to build the index under a lock instead");
            self.record(parsed, Status::NotTried, Some(message));
            return true;
        }
        match self.run(arena, tree) {
            Ok(_) => {
                let message = format!("{CANNOT}; done without it, so that later steps find the result");
                self.record(parsed, Status::NotTried, Some(message));
                self.tried.last_mut().expect("just recorded").leaves_gap = false;
                true
            }
            Err(caught) => self.failed(parsed, caught),
        }
    }

    /// The time it took, and what it did; an error is undone.
    fn run(&mut self, arena: &Arena, tree: &Tree) -> Result<(Duration, Observed), Caught> {
        self.limit_lock_waits();
        let before = looking(|| self.observer.before());
        self.observer.refused();
        let limit = self.limit();
        let kind = tree.kind();
        let observer = &mut self.observer;
        db::tried(
            || {
                let took = {
                    let _limit = TimeLimit::start(limit);
                    arena.enter(|| tree.execute())
                };
                (took, looking(|| observer.after(&before, kind)))
            },
            |_| true,
            TimeLimit::was_reached,
        )
    }

    /// Of a statement: what is left for all of them, or the statement_timeout that the migration has set.
    fn limit(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        // SAFETY: reads a setting.
        match unsafe { pg_sys::StatementTimeout } {
            0 => left,
            milliseconds => left.min(Duration::from_millis(milliseconds as u64)),
        }
    }

    /// The migration may set a longer lock_timeout, or none; here nobody waits longer than the caller of the dry run allows.
    fn limit_lock_waits(&self) {
        // SAFETY: reads a setting.
        let in_force = unsafe { pg_sys::LockTimeout } as u128;
        let most = self.options.lock_timeout.as_millis().max(1);
        if in_force == 0 || in_force > most {
            db::set("lock_timeout", &format!("{most}ms"));
        }
    }

    /// Of what SET LOCAL is about to change.
    fn setting_before(&self, parsed: &Parsed) -> Option<(String, String)> {
        match &parsed.statement {
            Statement::Set(set) if set.local => Some((set.name.clone(), db::setting(&set.name)?)),
            _ => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    pub(super) fn is_next_to_be_tried(&mut self, parsed: &Parsed) -> bool {
        db::check_for_interrupts();
        let why = match self.tried.iter().find(|tried| tried.status == Status::Failed) {
            Some(failed) => format!("step {} failed", failed.step),
            None if self.is_over() => format!("time_limit ({:?}) was up", self.options.time_limit),
            None => return true,
        };
        self.record(parsed, Status::NotTried, Some(why));
        false
    }

    /// What a rollback has brought back.
    pub(super) fn rolled_back(&mut self) {
        looking(|| self.observer.look_again());
    }

    pub(super) fn committed(&mut self) {
        self.enum_value_committed |= self.enum_value_added;
    }

    pub(super) fn record(&mut self, parsed: &Parsed, status: Status, message: Option<String>) {
        self.tried.push(Tried {
            step: self.tried.len() + 1,
            line: parsed.line,
            text: parsed.text.clone(),
            status,
            ms: None,
            locks: Vec::new(),
            rewrites: Vec::new(),
            scans: Some(Vec::new()),
            message,
            leaves_gap: status == Status::NotTried,
        });
    }

    fn record_run(&mut self, parsed: &Parsed, took: Duration, observed: Observed) {
        let message = match observed.advanced.as_slice() {
            [] => None,
            sequences => {
                Some(format!("values of {} are used up: a rollback does not give them back", sequences.join(", ")))
            }
        };
        self.record(parsed, Status::Ran, message);
        let tried = self.tried.last_mut().expect("just recorded");
        tried.ms = Some(took.as_secs_f64() * 1000.0);
        tried.locks = observed.locks;
        tried.rewrites = observed.rewrites;
        tried.scans = observed.scans;
    }
}

/// In bytes, of a table named as in SQL; 0: there is none.
fn size_of(table: &str) -> i64 {
    const SIZE: &str = "select coalesce(pg_catalog.pg_relation_size(pg_catalog.to_regclass($1)), 0)";
    db::seeing_own_writes(|| db::read(SIZE, &[table.into()], |row| row.take())).pop().unwrap_or(0)
}

impl Course<'_> {
    /// Checks what waits for the end of a transaction, as COMMIT does. None: nothing can wait.
    pub(super) fn check_deferred(&mut self) -> Result<Option<Observed>, Caught> {
        const DEFERRABLE: &str = include_str!("../../../../sql/facts/dry_run/deferrable.sql");
        let constraints = looking(|| {
            db::read(DEFERRABLE, &[], |row| {
                let (schema, name): (String, String) = (row.take(), row.take());
                (format!("{}.{}", db::quote_identifier(&schema), db::quote_identifier(&name)), row.take::<bool>())
            })
        });
        if constraints.is_empty() {
            return Ok(None);
        }
        let deferred = constraints.into_iter().filter(|(_, deferred)| *deferred).map(|(name, _)| name);
        let deferred: Vec<String> = deferred.collect();
        let before = looking(|| self.observer.before());
        let limit = self.limit();
        let observer = &mut self.observer;
        let kind = Kind { reads_in_part: true, moves_to_tablespace: false, refreshes_concurrently: false };
        db::tried(
            || {
                let limit = TimeLimit::start(limit);
                execute(c"set constraints all immediate");
                drop(limit);
                if !deferred.is_empty() {
                    let back = format!("set constraints {} deferred", deferred.join(", "));
                    execute(&CString::new(back).expect("names hold no NUL"));
                }
                Some(looking(|| observer.after(&before, kind)))
            },
            |_| true,
            TimeLimit::was_reached,
        )
    }
}

fn execute(text: &CStr) {
    let arena = Arena::new();
    arena.enter(|| Tree::parse(text).execute());
}
