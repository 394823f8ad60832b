//! The safe way to do what a statement of a migration does: the same catalog in the end, without making others wait.

mod add_column;
mod alter_table;
pub mod batches;
mod check;
mod drops;
mod foreign_key;
mod indexes;
mod maintenance;
mod not_null;
mod partitions;
mod planned;
pub mod python;
mod renames;
pub mod retries;
pub mod revision;
pub mod script;
mod steps;
mod type_change;
mod unique;
pub mod words;

use crate::facts::migration::text::Parsed;
use crate::facts::migration::{
    Build, Effect, Failure, Id, Index, NameAsWritten, PlannedStatement, Relation, Rewrite, Scan, Statement,
};
use crate::facts::{QualifiedName, free_name, joined_columns};

/// The catalog as it is before the statement.
pub trait Catalog {
    fn find(&self, name: &NameAsWritten) -> Option<&Relation>;
    fn relation(&self, id: Id) -> Option<&Relation>;
    /// The index of that name, and what it belongs to.
    fn index(&self, name: &NameAsWritten) -> Option<(&Relation, &Index)>;
    /// A foreign key that refers to the column, and its table.
    fn referring(&self, table: Id, column: &str) -> Option<String>;
    /// A relation, index or constraint of that name is in the schema.
    fn name_taken(&self, schema: &str, name: &str) -> bool;
}

/// What to do in the place of a statement.
pub enum Safer {
    /// It is safe, or nobody is hurt.
    AsItIs,
    Instead(Vec<PlannedStatement>),
    /// It is not safe, and why there is no other way.
    NoWay(String),
}

/// What could take a statement's place; which of it is needed is known when its effects are.
pub struct Candidates {
    /// `ALTER TABLE public.orders`, of what consists of several commands.
    head: String,
    /// What the merged rest of the commands locks.
    table: String,
    pieces: Vec<Piece>,
}

/// A statement, or a command of ALTER TABLE.
pub struct Piece {
    as_written: String,
    /// The first whose condition holds is taken.
    ways: Vec<(When, Way)>,
    /// The change of this column's type does it, where that is done in another way.
    part_of: Option<String>,
}

impl Piece {
    fn one(as_written: &str, when: When, way: Way) -> Piece {
        Piece { as_written: as_written.into(), ways: vec![(when, way)], part_of: None }
    }

    /// The column whose type is changed in another way.
    fn changes_type(&self, effects: &[Effect]) -> Option<&str> {
        self.ways.iter().find_map(|(when, way)| match when {
            When::ChangesType(column) if way.is_ok() && when.holds(effects, 0.0) => Some(column.as_str()),
            _ => None,
        })
    }
}

/// The statements, or why there are none.
pub type Way = Result<Vec<PlannedStatement>, String>;

/// What makes the statement as written unsafe.
pub enum When {
    Always,
    Never,
    /// It rewrites the table for this column.
    Rewrites(String),
    /// It rewrites the table for this column's type, or rebuilds indexes.
    ChangesType(String),
    /// It reads the table to look for NULL in this column.
    ScansNotNull(String),
    /// It reads the table or a default partition.
    Scans,
    /// It writes many rows.
    WritesMany,
}

impl Candidates {
    pub fn of(parsed: &Parsed, transaction: Option<usize>, catalog: &impl Catalog) -> Candidates {
        let one = |piece: Option<Piece>| Candidates {
            head: String::new(),
            table: String::new(),
            pieces: piece.into_iter().collect(),
        };
        match &parsed.statement {
            Statement::AlterTable(alter) => alter_table::candidates(alter, catalog),
            Statement::CreateIndex(create) => one(indexes::create(&parsed.text, create, catalog)),
            Statement::Drop(drop) => one(drops::candidate(&parsed.text, drop, catalog)),
            Statement::Reindex(reindex) => one(indexes::reindex(&parsed.text, reindex, catalog)),
            Statement::RefreshMaterializedView { name, concurrently, with_data } => {
                one(maintenance::refresh(&parsed.text, name, *concurrently, *with_data, catalog))
            }
            Statement::Cluster { .. } => one(Some(maintenance::cluster(&parsed.text))),
            Statement::Vacuum { full: true, .. } => one(Some(maintenance::vacuum_full(&parsed.text))),
            Statement::Rename(rename) => one(renames::candidate(&parsed.text, rename, catalog)),
            Statement::AlterEnum(alter) if transaction.is_some() => one(maintenance::enum_value(&parsed.text, alter)),
            Statement::Query(query) => one(batches::candidate(&parsed.text, query, catalog)),
            Statement::CreateTable(create) => one(partitions::create(&parsed.text, create, catalog)),
            _ => one(None),
        }
    }

    /// What of it is needed, by what the statement as written does; from `many_rows` on rows are written in batches.
    pub fn chosen(self, effects: &[Effect], many_rows: f64) -> Safer {
        // What cannot be done cannot be done in another way, except what only a transaction forbids.
        let hopeless = |effect: &Effect| match effect {
            Effect::Fails { why, certain, .. } => *certain && !matches!(why, Failure::InTransaction { .. }),
            _ => false,
        };
        if effects.iter().any(hopeless) {
            return Safer::AsItIs;
        }
        let mut reasons = Vec::new();
        let mut found = false;
        let mut statements = Vec::new();
        let mut rest = Vec::new();
        let changed: Vec<String> =
            self.pieces.iter().filter_map(|piece| piece.changes_type(effects)).map(str::to_string).collect();
        for piece in self.pieces {
            if piece.part_of.as_ref().is_some_and(|column| changed.contains(column)) {
                continue;
            }
            let way = piece.ways.into_iter().find(|(when, _)| when.holds(effects, many_rows));
            match way.map(|(when, way)| when.refused(effects).map_or(way, Err)) {
                Some(Ok(way)) => {
                    found = true;
                    if !rest.is_empty() {
                        statements.push(alter_table::as_written(&self.head, &self.table, std::mem::take(&mut rest)));
                    }
                    statements.extend(way);
                }
                Some(Err(reason)) => {
                    reasons.push(reason.clone());
                    rest.push((piece.as_written, Some(reason)));
                }
                None => rest.push((piece.as_written, None)),
            }
        }
        match (found, reasons.is_empty()) {
            (false, true) => Safer::AsItIs,
            (false, false) => Safer::NoWay(reasons.join(" ")),
            (true, _) => {
                if !rest.is_empty() {
                    statements.push(alter_table::as_written(&self.head, &self.table, rest));
                }
                Safer::Instead(statements)
            }
        }
    }
}

impl When {
    /// Why no way leads around it after all.
    fn refused(&self, effects: &[Effect]) -> Option<String> {
        let (When::Rewrites(name) | When::ChangesType(name)) = self else { return None };
        effects.iter().find_map(|effect| match effect {
            Effect::Rewrites { why: Rewrite::ConstrainedDomain { column, domain }, .. } if column == name => Some(format!(
                "Every row is checked against the constraints of {domain} under ACCESS EXCLUSIVE. Take the domain's base type, \
                 with a CHECK that is added NOT VALID and validated."
            )),
            _ => None,
        })
    }

    fn holds(&self, effects: &[Effect], many_rows: f64) -> bool {
        match self {
            When::Always => true,
            When::Never => false,
            When::Rewrites(name) => effects
                .iter()
                .any(|effect| matches!(effect, Effect::Rewrites { why, .. } if why.column() == Some(name.as_str()))),
            When::ChangesType(name) => effects.iter().any(|effect| match effect {
                Effect::Rewrites { why: Rewrite::TypeChange { column, .. }, .. } => column == name,
                Effect::BuildsIndex { why: Build::TypeChange, .. } => true,
                _ => false,
            }),
            When::ScansNotNull(name) => effects.iter().any(
                |effect| matches!(effect, Effect::Scans { why: Scan::SetNotNull { column }, .. } if column == name),
            ),
            When::WritesMany => {
                effects.iter().any(|effect| matches!(effect, Effect::Writes { rows, .. } if *rows >= many_rows))
            }
            When::Scans => effects.iter().any(|effect| {
                matches!(
                    effect,
                    Effect::Scans { why: Scan::AttachPartition { .. } | Scan::DefaultPartition { .. }, .. }
                )
            }),
        }
    }
}

/// The name that the server would choose, free in the table's schema and not among `also`.
fn chosen_name(catalog: &impl Catalog, table: &QualifiedName, columns: &[&str], label: &str) -> String {
    let columns = joined_columns(columns.iter().copied());
    free_name(table.name.raw(), &columns, label, |name| !catalog.name_taken(table.schema.raw(), name))
}

/// The partitions, with their own, in the order of the tree; none that are foreign tables or unknown: then None.
fn partitions_of<'a>(catalog: &'a impl Catalog, table: &Relation) -> Option<Vec<&'a Relation>> {
    table.children.iter().map(|id| catalog.relation(*id)).collect()
}

/// Nobody else has it.
fn is_new(relation: &Relation) -> bool {
    relation.created_here || relation.temporary
}
