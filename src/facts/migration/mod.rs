//! A migration, statement by statement, over the catalog that it finds and changes.

pub mod catalog_state;
mod kind;
pub mod relation;
pub mod statement;
pub mod text;

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

#[derive(Clone, Debug)]
pub enum Effect {
    /// The table and its indexes are written anew.
    Rewrites {
        table: Target,
        why: Rewrite,
    },
    /// Every row is read while the statement's lock is held.
    Scans {
        table: Target,
        why: Scan,
    },
    BuildsIndex {
        table: Target,
        index: String,
        concurrently: bool,
        why: Build,
    },
    /// By itself, or because of what `cascade_of` names.
    Drops {
        object: Dropped,
        cascade_of: Option<String>,
    },
    Renames {
        object: Dropped,
        new_name: String,
    },
    /// An object that goes or gets another name, and what uses it and stays.
    StillUsed {
        object: Dropped,
        by: Vec<User>,
    },
    /// A column that must be given from then on, and INSERTs that do not.
    InsertedWithout {
        table: Target,
        column: String,
        by: Vec<User>,
    },
    /// At the end of the migration no index begins with its columns.
    ForeignKeyWithoutIndex {
        table: Target,
        constraint: Constraint,
    },
    /// Rows that the statement writes, as the planner expects.
    Writes {
        table: Target,
        kind: statement::QueryKind,
        rows: f64,
        has_condition: bool,
        basis: String,
    },
    /// TRUNCATE: all its rows go.
    Empties {
        table: Target,
        cascade_of: Option<String>,
    },
    /// Rows of another table that a DELETE changes or refuses, through a foreign key.
    Reaches {
        table: Target,
        constraint: String,
        /// CASCADE, SET NULL, SET DEFAULT, RESTRICT, NO ACTION
        action: String,
        rows: f64,
        /// Without an index the table is read once for each deleted row.
        indexed: bool,
        basis: String,
    },
    AddsColumn {
        table: Target,
        column: Column,
        has_default: bool,
    },
    CreatesTable {
        table: Relation,
    },
    AddsForeignKey {
        table: Target,
        constraint: Constraint,
        validates: bool,
    },
    /// It will fail here, or for these data; `certain`: not only by statistics.
    Fails {
        why: Failure,
        sqlstate: &'static str,
        certain: bool,
    },
    /// What the transaction holds of the one table it holds while it waits for the other; who writes takes them the other way.
    LocksInDeadlockOrder {
        referred_to: Lock,
        referring: Lock,
        constraint: String,
    },
    /// What it does cannot be told: dynamic SQL, an object that the migration's own code makes.
    NotJudged {
        why: String,
    },
}

/// Who uses something, though no dependency says so.
#[derive(Clone, Debug)]
pub struct User {
    /// `function public.f(integer)`, `query 123`
    pub name: String,
    pub text: String,
    /// Of a query, as pg_stat_statements has counted; None: it is a function.
    pub calls: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Dropped {
    pub kind: ObjectKind,
    /// As pg_identify_object prints it.
    pub name: String,
    pub table: Option<Target>,
    /// Of a column, constraint, trigger, policy: its own name.
    pub part: Option<String>,
    /// Data that goes with it.
    pub rows: f64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub enum Rewrite {
    VolatileDefault { column: String, default: String },
    Serial { column: String },
    Identity { column: String },
    StoredGenerated { column: String },
    ConstrainedDomain { column: String, domain: String },
    TypeChange { column: String, from: String, to: String },
    SetLogged,
    SetUnlogged,
    AccessMethod,
    Tablespace,
    Cluster,
    VacuumFull,
    Refresh,
    SetExpression { column: String },
}

#[derive(Clone, Debug)]
pub enum Scan {
    SetNotNull {
        column: String,
    },
    PrimaryKeyNotNull {
        columns: Vec<String>,
    },
    Check {
        constraint: String,
    },
    ForeignKey {
        constraint: String,
    },
    Validate {
        constraint: String,
    },
    AttachPartition {
        parent: String,
    },
    /// Of the default partition.
    DefaultPartition {
        parent: String,
        partition: String,
    },
    Domain {
        domain: String,
    },
    Index,
    /// Rows are checked, not written: same type again under a CHECK.
    TypeChange,
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    CreateIndex,
    Unique,
    PrimaryKey,
    Exclude,
    Reindex,
    /// A type or collation change rebuilds it without the table.
    TypeChange,
    Attach,
}

#[derive(Clone, Debug)]
pub enum Failure {
    /// Relation, column, constraint, type … that is not there at that point.
    Missing {
        kind: ObjectKind,
        name: String,
    },
    Exists {
        kind: ObjectKind,
        name: String,
    },
    InTransaction {
        what: String,
    },
    NullsExist {
        table: Target,
        column: String,
        rows: f64,
        basis: String,
    },
    DuplicatesExist {
        table: Target,
        columns: Vec<String>,
        rows: f64,
        basis: String,
    },
    OrphansExist {
        table: Target,
        constraint: String,
        rows: f64,
        basis: String,
    },
    RowsExist {
        table: Target,
        what: String,
    },
    DependentsExist {
        object: Dropped,
        dependents: Vec<Dependent>,
    },
    EnumValueNotCommitted {
        value: String,
    },
    NewerServer {
        feature: String,
        version: u32,
    },
    Other {
        message: String,
    },
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
