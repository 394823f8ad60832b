//! A migration, statement by statement, over the catalog that it finds and changes.

pub mod catalog_state;
mod effect;
mod kind;
pub mod relation;
pub mod statement;
pub mod text;

pub use effect::{Build, Dropped, Effect, Failure, Rewrite, Scan, User};
pub use relation::{Column, Constraint, Dependent, DomainCheck, Id, Index, Relation, Target, Type, TypeKind};
pub use statement::{LockMode, NameAsWritten, ObjectKind, Statement};

use crate::finding::Severity;
use std::time::Duration;

/// What `dbre.migration_findings()` judges.
pub struct Migration {
    pub steps: Vec<Step>,
    /// What stands in the text and is no SQL.
    pub unread: Vec<Unread>,
    /// Where the text seems to come from.
    pub origin: Origin,
    /// From which size on a scan, a rewrite, a written row is many.
    pub many_rows: f64,
    pub many_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Plain,
    AlembicOffline,
    Flyway,
    Goose,
    Dbmate,
    Diesel,
    Sqlx,
    PgDump,
    SqlMigrate,
    NodePgMigrate,
    Liquibase,
    /// The migration's source in Python: nothing of it is read.
    Python,
}

/// A line that the review passes over, and says so.
#[derive(Clone, Debug)]
pub struct Unread {
    pub what: UnreadKind,
    pub line: usize,
    pub text: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadKind {
    /// A line of psql's own.
    Psql,
    /// Rows of COPY … FROM STDIN.
    CopyData,
    /// The way down, in a file with both ways.
    Down,
    Python,
    /// `-- dbre: …` that allows nothing.
    Suppression,
    /// What follows too many errors.
    Rest,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// From 1, of its first word.
    pub line: usize,
    pub text: String,
    pub statement: Statement,
    /// `alter table add column`, `create index concurrently`: command and what it does, in lower case.
    pub kind: String,
    /// From 1; None: in none, or in one of its own.
    pub transaction: Option<usize>,
    /// In force for it; None: it waits for ever.
    pub lock_timeout: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    pub allowed: Vec<Allowed>,
    /// The strongest on each relation that existed before, ACCESS SHARE left out; on indexes those from SHARE UPDATE EXCLUSIVE on.
    pub locks: Vec<Lock>,
    /// Locks of earlier steps of its transaction, held while it runs.
    pub held: Vec<Lock>,
    pub effects: Vec<Effect>,
    /// What to run instead, where that is safer.
    pub safer: Option<Vec<PlannedStatement>>,
    /// It is not safe, and why nothing can be run instead.
    pub no_safer_way: Option<String>,
    pub estimated_ms: f64,
    /// What the estimate rests on.
    pub basis: String,
}

/// `-- dbre: allow rule reason` on the line before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    pub line: usize,
    pub rule: String,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct Lock {
    pub target: Target,
    pub mode: LockMode,
    /// Which step took it.
    pub step: usize,
}

/// One statement of the safe way.
#[derive(Clone, Debug)]
pub struct PlannedStatement {
    pub phase: Phase,
    pub sql: String,
    /// The same as an Alembic operation, in Python.
    pub alembic: String,
    /// It may stand in a transaction with others; otherwise it is sent alone.
    pub in_transaction: bool,
    /// The strongest lock and on what; None: none that matters.
    pub lock: Option<(LockMode, String)>,
    pub why: String,
}

/// When a planned statement runs, beside the deployment of the code that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the new code: old and new code both work after it.
    Expand,
    /// Data, in batches, while both run.
    Backfill,
    /// When the new code is everywhere.
    Switch,
    /// What only the old code used goes.
    Contract,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Expand => "expand",
            Phase::Backfill => "backfill",
            Phase::Switch => "switch",
            Phase::Contract => "contract",
        }
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Phase::Expand => "Expand: before the new code; old and new code work after it.",
            Phase::Backfill => "Backfill: data, while both run.",
            Phase::Switch => "Switch: when the new code is everywhere.",
            Phase::Contract => "Contract: what only the old code used goes.",
        }
    }
}

impl Migration {
    /// Of a statement that makes others wait while it reads or writes the whole table.
    pub fn severity(&self, table: &Target) -> Severity {
        if table.private {
            return Severity::low;
        }
        let times = (table.rows / self.many_rows).max(table.bytes as f64 / self.many_bytes as f64);
        match times {
            _ if times >= 100.0 => Severity::critical,
            _ if times >= 1.0 => Severity::high,
            _ if times >= 0.01 => Severity::medium,
            _ => Severity::low,
        }
    }

    /// The steps that `rule` judges: those that do not allow what it finds.
    pub fn judged(&self, rule: &str) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| !step.allows(rule))
    }

    /// What the steps that `rule` judges do, each with its step.
    pub fn effects(&self, rule: &str) -> impl Iterator<Item = (&Step, &Effect)> {
        self.judged(rule).flat_map(|step| step.effects.iter().map(move |effect| (step, effect)))
    }
}

/// As `Step::strongest`, of any locks.
pub fn strongest<'a>(locks: impl IntoIterator<Item = &'a Lock>) -> Option<&'a Lock> {
    let rank = |lock: &Lock| {
        let of_kind = match lock.target.kind {
            ObjectKind::PartitionedTable => 2,
            ObjectKind::Index | ObjectKind::Sequence => 0,
            _ => 1,
        };
        (lock.mode, of_kind)
    };
    let shared = locks.into_iter().filter(|lock| !lock.target.private);
    shared.reduce(|best, lock| if rank(lock) > rank(best) { lock } else { best })
}

impl Step {
    pub fn allows(&self, rule: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.rule == rule)
    }

    /// The strongest lock it takes on what others may use; of several on a table rather than on an index, on a partitioned table
    /// rather than on a partition, and on the one that comes first.
    pub fn strongest(&self) -> Option<&Lock> {
        strongest(&self.locks)
    }

    /// `nothing`, `writes` or `reads and writes`, of others.
    pub fn blocks(&self) -> &'static str {
        match self.strongest() {
            Some(lock) if lock.mode.blocks_reads() => "reads and writes",
            Some(lock) if lock.mode.blocks_writes() => "writes",
            _ => "nothing",
        }
    }

    /// Qualified names of the tables that it rewrites.
    pub fn rewrites(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for effect in &self.effects {
            if let Effect::Rewrites { table, .. } = effect {
                let name = table.name.to_string();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Tables whose rows it reads, with the reason.
    pub fn scans(&self) -> impl Iterator<Item = (&Target, &Scan)> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Scans { table, why } => Some((table, why)),
            _ => None,
        })
    }

    /// Each table of which it reads every row once: scanned, rewritten or indexed.
    pub fn read_tables(&self) -> Vec<&Target> {
        let mut tables: Vec<&Target> = Vec::new();
        for effect in &self.effects {
            let (Effect::Scans { table, .. } | Effect::Rewrites { table, .. } | Effect::BuildsIndex { table, .. }) =
                effect
            else {
                continue;
            };
            if !tables.iter().any(|known| known.id == table.id) {
                tables.push(table);
            }
        }
        tables
    }
}
