//! The reverse of a migration, from the catalogs as they are before it.

mod alter_table;
mod catalog;
mod columns;
mod creations;
mod data;
mod definitions;
mod drops;
mod gone_rows;
mod names;
mod others;
mod properties;
mod state;
mod types;
mod units;

use crate::db;
use crate::facts::migration::statement::{Set, Transaction};
use crate::facts::migration::text::{self, Parsed};
use crate::facts::migration::{NameAsWritten, ObjectKind, Statement};
use state::{Address, Key, State};
use std::ffi::CStr;

/// One piece of the reverse, in the order in which it is to run.
#[derive(Clone)]
pub struct Undo {
    pub step: usize,
    pub line: usize,
    pub statement: String,
    /// None: nothing can, or needs to, be run; `note` says why.
    pub sql: Option<String>,
    pub loses_data: bool,
    pub rows: Option<f64>,
    pub note: Option<String>,
    /// Which step's reverse it belongs to: that of an earlier one, where it names things as they were before that.
    place: usize,
    /// The relation and column that it changes, as the catalogs know them.
    relation: Option<u32>,
    columns: Vec<String>,
    values: Values,
    /// What it brings back, with the entries that follow.
    restores: Vec<Address>,
    cancelled: bool,
}

/// The last statement first.
pub fn rollback(sql: &str, search_path: &CStr) -> Vec<Undo> {
    let script = text::read(sql);
    let mut walk = Walk { path: state::path(&search_path.to_string_lossy()), ..Walk::default() };
    walk.state.path = walk.path.clone();
    for (position, parsed) in script.statements.iter().enumerate() {
        db::check_for_interrupts();
        walk.step = position + 1;
        walk.line = parsed.line;
        walk.statement = parsed.text.clone();
        walk.follow_guarded(parsed);
    }
    walk.finish()
}

/// Where the values of columns count.
#[derive(Clone, Default)]
struct Values {
    /// It brings these back without a value for the rows, though they are NOT NULL.
    unfilled: Vec<Address>,
    /// It brings these back without their rows.
    lost: Vec<Address>,
    /// It is a constraint on these,
    own: Vec<Address>,
    /// and points to these.
    points_to: Vec<Address>,
}

type Saved = (Option<String>, State, Vec<Undo>, Vec<Renamed>);

/// A name that is another until the step is undone.
#[derive(Clone)]
struct Renamed {
    step: usize,
    old: String,
    /// Whose name, or whose part's, it is.
    relation: Option<u32>,
}

#[derive(Default)]
struct Walk {
    /// What search_path is reset to.
    path: Vec<String>,
    state: State,
    undos: Vec<Undo>,
    renames: Vec<Renamed>,
    /// What ROLLBACK and ROLLBACK TO go back to, with the savepoint's name.
    saved: Vec<Saved>,
    step: usize,
    line: usize,
    statement: String,
}

impl Walk {
    /// What cannot be reversed is an entry that says so.
    fn follow_guarded(&mut self, parsed: &Parsed) {
        let (state, entries, renames) = (self.state.clone(), self.undos.clone(), self.renames.clone());
        if let Err(caught) = db::read_only(|| self.follow(parsed)) {
            (self.state, self.undos, self.renames) = (state, entries, renames);
            self.note(format!("It could not be reversed: {}", caught.message));
        }
    }

    fn follow(&mut self, parsed: &Parsed) {
        match &parsed.statement {
            Statement::Transaction(transaction) => self.transaction(transaction),
            Statement::Set(set) => self.set(set),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::Drop(drop) => self.drop(drop),
            statement => self.create_or_change(statement),
        }
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let current = |walk: &Walk, name| (name, walk.state.clone(), walk.undos.clone(), walk.renames.clone());
        match transaction {
            Transaction::Begin if self.saved.is_empty() => self.saved.push(current(self, None)),
            Transaction::Commit { chain } => {
                self.saved.clear();
                if *chain {
                    self.saved.push(current(self, None));
                }
            }
            Transaction::Rollback { .. } if !self.saved.is_empty() => {
                self.saved.truncate(1);
                self.go_back();
            }
            Transaction::Savepoint(name) => self.saved.push(current(self, Some(name.clone()))),
            Transaction::Release(name) => {
                if let Some(at) = self.savepoint(name) {
                    self.saved.truncate(at);
                }
            }
            Transaction::RollbackTo(name) => {
                if let Some(at) = self.savepoint(name) {
                    self.saved.truncate(at + 1);
                    let savepoint = self.saved[at].clone();
                    self.go_back();
                    self.saved.push(savepoint);
                }
            }
            Transaction::Prepared => {
                self.note("A prepared transaction is not followed: what it does is not undone here.")
            }
            Transaction::Begin | Transaction::Rollback { .. } => {}
        }
    }

    fn savepoint(&self, name: &str) -> Option<usize> {
        self.saved.iter().rposition(|saved| saved.0.as_deref() == Some(name))
    }

    fn go_back(&mut self) {
        if let Some((_, state, undos, renames)) = self.saved.pop() {
            (self.state, self.undos, self.renames) = (state, undos, renames);
        }
    }

    fn set(&mut self, set: &Set) {
        if matches!(set.name.as_str(), "search_path" | "all") {
            self.state.path = set.value.as_deref().map_or(self.path.clone(), state::path);
        }
    }

    /// What needs no names of the catalogs: it runs in the step's own place.
    fn undo(&mut self, sql: impl Into<String>) -> usize {
        self.push(Some(sql.into()), None)
    }

    /// Nothing can be run.
    fn note(&mut self, note: impl Into<String>) {
        self.push(None, Some(note.into()));
    }

    fn loses(&mut self, rows: Option<f64>, note: impl Into<String>) {
        let at = self.push(None, Some(note.into()));
        (self.undos[at].loses_data, self.undos[at].rows) = (true, rows);
    }

    fn push(&mut self, sql: Option<String>, note: Option<String>) -> usize {
        self.undos.push(Undo {
            step: self.step,
            line: self.line,
            statement: self.statement.clone(),
            sql,
            loses_data: false,
            rows: None,
            note,
            place: self.step,
            relation: None,
            columns: Vec::new(),
            values: Values::default(),
            restores: Vec::new(),
            cancelled: false,
        });
        self.undos.len() - 1
    }

    /// SQL from the catalogs, which names things as they were before the migration: it waits until they are so again.
    fn restore(&mut self, sql: String, note: Option<String>) -> usize {
        let place = self.place_of(&sql);
        let at = self.push(Some(sql), note);
        self.undos[at].place = place;
        at
    }

    fn place_of(&self, sql: &str) -> usize {
        let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).collect();
        let named = |renamed: &&Renamed| {
            words.contains(&renamed.old.as_str()) || sql.contains(&db::quote_identifier(&renamed.old))
        };
        self.renames.iter().filter(named).map(|renamed| renamed.step).min().unwrap_or(self.step)
    }

    /// For what is dropped with its relation, or with its column.
    fn cancel(&mut self, relation: u32, column: Option<&str>) {
        for undo in &mut self.undos {
            let of_column = column.is_none_or(|column| undo.columns.iter().any(|own| own == column));
            if undo.relation == Some(relation) && of_column {
                undo.cancelled = true;
                for address in &undo.restores {
                    self.state.dropped.remove(address);
                }
            }
        }
    }

    fn finish(self) -> Vec<Undo> {
        let mut undos: Vec<Undo> = self.undos.into_iter().filter(|undo| !undo.cancelled).collect();
        gone_rows::across_steps(&mut undos);
        let mut undos: Vec<(usize, Undo)> = undos.into_iter().enumerate().collect();
        undos.sort_by_key(|(position, undo)| {
            let deferred = undo.place < undo.step;
            (std::cmp::Reverse(undo.place), deferred, std::cmp::Reverse(undo.step), *position)
        });
        undos.into_iter().map(|(_, undo)| undo).collect()
    }

    fn qualified(key: &Key) -> String {
        state::quoted(&key.0, &key.1)
    }
}

/// The parts of a name as a name.
fn name(parts: &[String]) -> NameAsWritten {
    let mut parts = parts.iter().rev();
    let name = parts.next().cloned().unwrap_or_default();
    NameAsWritten { schema: parts.next().cloned(), name }
}

/// As DROP, ALTER and COMMENT spell it.
fn word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table | ObjectKind::PartitionedTable => "TABLE",
        ObjectKind::ForeignTable => "FOREIGN TABLE",
        ObjectKind::View => "VIEW",
        ObjectKind::MaterializedView => "MATERIALIZED VIEW",
        ObjectKind::Index => "INDEX",
        ObjectKind::Sequence => "SEQUENCE",
        ObjectKind::Type => "TYPE",
        ObjectKind::Domain => "DOMAIN",
        ObjectKind::Function => "ROUTINE",
        ObjectKind::Schema => "SCHEMA",
        ObjectKind::Extension => "EXTENSION",
        ObjectKind::Publication => "PUBLICATION",
        ObjectKind::Statistics => "STATISTICS",
        ObjectKind::Trigger => "TRIGGER",
        ObjectKind::Policy => "POLICY",
        ObjectKind::Rule => "RULE",
        ObjectKind::Constraint => "CONSTRAINT",
        ObjectKind::Column => "COLUMN",
        _ => "",
    }
}
