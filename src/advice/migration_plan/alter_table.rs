//! ALTER TABLE taken apart: each command that hurts gets its own sequence, the rest stays together.

use super::planned::{BRIEF, brief, harmless};
use super::words::words;
use super::{
    Candidates, Catalog, Piece, Way, When, add_column, check, foreign_key, is_new, not_null, partitions, type_change,
    unique,
};
use crate::facts::migration::statement::{AlterTable, AlterTableAction, AlterTableCommand, ConstraintKind};
use crate::facts::migration::{LockMode, ObjectKind, Phase, PlannedStatement, Relation};

pub fn candidates(alter: &AlterTable, catalog: &impl Catalog) -> Candidates {
    let mut candidates = Candidates { head: String::new(), table: String::new(), pieces: Vec::new() };
    let Some(table) = catalog.find(&alter.relation) else { return candidates };
    // ONLY of what has children changes some and not others: what that means is the author's.
    let partial = alter.only && !table.children.is_empty();
    let of_tables = matches!(table.kind, ObjectKind::Table | ObjectKind::PartitionedTable);
    if is_new(table) || partial || !of_tables || alter.kind != ObjectKind::Table {
        return candidates;
    }
    candidates.table = table.name.to_string();
    candidates.head = format!("ALTER TABLE {}", table.name);
    // The server runs the commands of one statement in this order, whatever order they are written in.
    let mut commands: Vec<_> = alter.commands.iter().collect();
    commands.sort_by_key(|command| pass(&command.what));
    let whole = Whole { table, commands: &commands };
    candidates.pieces = commands.iter().map(|command| whole.piece(command, catalog)).collect();
    candidates
}

fn pass(action: &AlterTableAction) -> u8 {
    match action {
        AlterTableAction::DropColumn { .. }
        | AlterTableAction::DropConstraint { .. }
        | AlterTableAction::DropNotNull { .. }
        | AlterTableAction::DropDefault { .. }
        | AlterTableAction::DropExpression { .. }
        | AlterTableAction::DropIdentity { .. } => 0,
        AlterTableAction::SetType { .. } => 1,
        AlterTableAction::AddColumn { .. } => 2,
        AlterTableAction::SetExpression { .. } => 3,
        AlterTableAction::SetNotNull { .. } => 4,
        AlterTableAction::AddConstraint(constraint) => match constraint.kind {
            ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude => 5,
            _ => 6,
        },
        AlterTableAction::SetDefault { .. } | AlterTableAction::AddIdentity { .. } => 6,
        _ => 7,
    }
}

struct Whole<'a> {
    table: &'a Relation,
    commands: &'a [&'a AlterTableCommand],
}

impl Whole<'_> {
    /// Columns that the statement adds.
    fn added(&self) -> Vec<&str> {
        let names = self.commands.iter().filter_map(|command| match &command.what {
            AlterTableAction::AddColumn { column, .. } => Some(column.name.as_str()),
            _ => None,
        });
        names.collect()
    }

    /// The default that the statement leaves to the column whose type it changes. None: it says nothing of it.
    fn default_of(&self, name: &str) -> Option<Option<&str>> {
        self.commands.iter().rev().find_map(|command| match &command.what {
            AlterTableAction::SetDefault { column, default } if column == name => Some(Some(default.text.as_str())),
            AlterTableAction::DropDefault { column } if column == name => Some(None),
            _ => None,
        })
    }

    /// Of what the change of the column's type does by the way, the column.
    fn part_of(&self, action: &AlterTableAction) -> Option<String> {
        let (AlterTableAction::SetDefault { column: name, .. } | AlterTableAction::DropDefault { column: name }) =
            action
        else {
            return None;
        };
        let changes = |command: &&&AlterTableCommand| matches!(&command.what, AlterTableAction::SetType { column, .. } if column == name);
        self.commands.iter().find(changes).map(|_| name.clone())
    }

    fn piece(&self, command: &AlterTableCommand, catalog: &impl Catalog) -> Piece {
        let ways = ways(self, command, catalog);
        Piece { as_written: command.text.clone(), ways, part_of: self.part_of(&command.what) }
    }
}

fn ways(whole: &Whole, command: &AlterTableCommand, catalog: &impl Catalog) -> Vec<(When, Way)> {
    let table = whole.table;
    let as_it_is = || vec![(When::Never, Ok(Vec::new()))];
    match &command.what {
        AlterTableAction::AddColumn { column, .. } => add_column::ways(table, column, catalog),
        AlterTableAction::SetNotNull { column } => {
            vec![(When::ScansNotNull(column.clone()), Ok(not_null::by_check(table, column, catalog)))]
        }
        AlterTableAction::SetType { column, to, using, .. } => {
            let new = type_change::New {
                of_type: &to.text,
                collation: collation(&command.text),
                using: using.as_ref().map(|using| using.text.as_str()),
                default: whole.default_of(column),
            };
            vec![(When::ChangesType(column.clone()), type_change::way(table, column, &new, catalog))]
        }
        AlterTableAction::SetExpression { column, .. } => vec![(
            When::Rewrites(column.clone()),
            Err("A stored generated column can only be computed anew by rewriting the table; a new column that a trigger fills, or \
                 a view, can take its place without that."
                .into()),
        )],
        AlterTableAction::AddConstraint(constraint) if constraint.not_valid || constraint.using_index.is_some() => {
            as_it_is()
        }
        AlterTableAction::AddConstraint(constraint) => {
            let way = match constraint.kind {
                ConstraintKind::Check => Ok(check::added(table, &whole.added(), constraint, catalog)),
                ConstraintKind::ForeignKey => foreign_key::added(table, constraint, catalog),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey => unique::added(table, constraint, catalog),
                ConstraintKind::Exclude => Err("The index of an exclusion constraint can be neither built concurrently nor \
                                                taken over: writes wait while it is built."
                    .into()),
                ConstraintKind::NotNull => Ok(Vec::new()),
            };
            let when = if constraint.kind == ConstraintKind::NotNull { When::Never } else { When::Always };
            vec![(when, way)]
        }
        AlterTableAction::SetLogged | AlterTableAction::SetUnlogged => vec![(
            When::Always,
            Err("Only a rewrite changes what is logged. For new data make a new table; pg_repack, where it is installed, \
                 cannot do it either."
                .into()),
        )],
        AlterTableAction::SetTablespace { .. } | AlterTableAction::SetAccessMethod { .. } => vec![(
            When::Always,
            Err("The table is copied under ACCESS EXCLUSIVE. pg_repack, where it is installed, moves tables to a tablespace \
                 online."
                .into()),
        )],
        AlterTableAction::AttachPartition { partition, bound } => {
            vec![(When::Scans, partitions::attached(table, partition, bound, &command.text, catalog))]
        }
        AlterTableAction::DetachPartition { partition, concurrently: false, finalize: false } => {
            vec![(When::Always, partitions::detached(table, partition, catalog))]
        }
        _ => as_it_is(),
    }
}

/// What follows COLLATE, as written.
fn collation(command: &str) -> Option<&str> {
    let said = words(command);
    let first = said.iter().position(|word| word.depth == 0 && word.is("collate"))? + 1;
    let dots = said[first + 1..].chunks(2).take_while(|pair| pair[0].text == "." && pair.len() == 2).count();
    Some(&command[said[first].start..said[first + 2 * dots].end()])
}

/// Commands that need no other way, in one statement; with why one of them has none.
pub fn as_written(head: &str, table: &str, commands: Vec<(String, Option<String>)>) -> PlannedStatement {
    if head.is_empty() {
        let (text, why) = commands.into_iter().next().expect("what is flushed is not empty");
        return harmless(Phase::Expand, format!("{text};"), why.as_deref().unwrap_or("As written."));
    }
    let reasons: Vec<String> = commands.iter().filter_map(|(_, why)| why.clone()).collect();
    let texts: Vec<String> = commands.into_iter().map(|(text, _)| text).collect();
    let sql = format!("{head} {};", texts.join(", "));
    let why = if reasons.is_empty() { BRIEF.to_string() } else { reasons.join(" ") };
    brief(Phase::Expand, sql, LockMode::AccessExclusive, &table, &why)
}
