//! ALTER TABLE and its relatives: locks, rewrites and scans as the server comes to them: one lock for all commands, the commands
//! in the order of its passes, at most one rewrite or scan of each table at the end.

pub mod bounds;
mod column_marks;
mod column_type;
mod columns;
mod constraints;
mod dropped_columns;
mod dropped_constraints;
mod foreign_keys;
mod levels;
mod others;
mod partitions;
mod work;

use super::{Model, Prediction};
use crate::facts::migration::statement::{AlterTable, AlterTableAction, AlterTableCommand, ConstraintKind};
use crate::facts::migration::{Failure, LockMode, ObjectKind};
use work::Work;

pub fn predict(model: &mut Model, statement: &AlterTable, text: &str) -> Prediction {
    let mut out = Prediction::default();
    if let Some((table, index)) = model.find_index(&statement.relation) {
        let (table, index, method) = (table.id, index.id, index.method.clone());
        others::alter_index(model, statement, (table, index), &method, &mut out);
        return out;
    }
    let Some(relation) = model.find(&statement.relation) else {
        if !statement.missing_ok {
            let kind = if statement.kind == ObjectKind::Index { ObjectKind::Index } else { ObjectKind::Table };
            model.missing(&mut out, kind, &statement.relation);
        }
        return out;
    };
    let (id, kind) = (relation.id, relation.kind);
    if relation.unreadable {
        out.not_judged(format!("{} is locked by another session: its expressions cannot be read", relation.name));
    }
    if kind == ObjectKind::Type
        && !text.trim_end().to_lowercase().ends_with("cascade")
        && !model.tables_of(id).is_empty()
    {
        let message = "cannot alter the type because it is the type of a typed table".to_string();
        out.fails(Failure::Other { message }, "2BP01");
        return out;
    }
    let lock = levels::of_statement(statement, kind);
    if kind != ObjectKind::Type {
        out.lock(model, id, lock);
    }
    let mut work = Work::new(model, out, id, lock, statement.only);
    let mut commands: Vec<&AlterTableCommand> = statement.commands.iter().collect();
    commands.sort_by_key(|command| pass(&command.what));
    for command in commands {
        if levels::is_refused(&command.what, kind) {
            let message =
                format!("{} is of a kind that has no such ALTER TABLE: {}", work.relation(id).name, command.text);
            work.out.fails(Failure::Other { message }, "42809");
            break;
        }
        work.command(command);
        if work.out.certainly_fails() {
            break;
        }
    }
    work.finish()
}

/// In which pass over all commands the server runs it.
fn pass(action: &AlterTableAction) -> u8 {
    match action {
        AlterTableAction::DropColumn { .. } | AlterTableAction::DropConstraint { .. } => 0,
        AlterTableAction::SetType { .. } => 1,
        AlterTableAction::AddColumn { .. } => 2,
        AlterTableAction::SetExpression { .. } => 3,
        AlterTableAction::SetDefault { .. }
        | AlterTableAction::DropDefault { .. }
        | AlterTableAction::SetNotNull { .. }
        | AlterTableAction::AddIdentity { .. } => 4,
        AlterTableAction::DropNotNull { .. } | AlterTableAction::DropExpression { .. } => 0,
        AlterTableAction::AddConstraint(constraint) => match constraint.kind {
            ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude => 6,
            _ => 5,
        },
        _ => 7,
    }
}

impl Work<'_> {
    fn command(&mut self, command: &AlterTableCommand) {
        use AlterTableAction::*;
        match &command.what {
            AddColumn { column, if_not_exists } => self.add_column(column, *if_not_exists),
            DropColumn { column, cascade, missing_ok } => self.drop_column(column, *cascade, *missing_ok),
            SetType { column, to, collation, using } => {
                self.set_type(column, to, collation.as_deref(), using.as_ref().map(|using| using.text.as_str()));
            }
            SetDefault { column, default } => self.each_column(column, |changed| {
                (changed.default, changed.default_changed) = (Some(default.text.clone()), true);
            }),
            DropDefault { column } => self.each_column(column, |changed| {
                (changed.default, changed.default_changed) = (None, true);
            }),
            SetNotNull { column } => self.set_not_null(column),
            DropNotNull { column } => self.drop_not_null(column),
            SetExpression { column, expression } => self.set_expression(column, &expression.text),
            DropExpression { column } => self.each_column(column, |changed| changed.generated = None),
            AddIdentity { column } => self.add_identity(column),
            SetIdentity { column } => self.set_identity(column),
            DropIdentity { column, missing_ok } => self.drop_identity(column, *missing_ok),
            SetStatistics { column } | SetStorage { column } => self.each_column(column, |_| {}),
            SetColumnOptions { column } | SetCompression { column } => self.own_column(column),
            AddConstraint(constraint) => self.add_constraint(constraint),
            AlterConstraint { name } => self.alter_constraint(name),
            ValidateConstraint { name } => self.validate_constraint(name),
            DropConstraint { name, cascade, missing_ok } => self.drop_constraint(name, *cascade, *missing_ok),
            SetOptions { .. } | OfType => {}
            SetLogged => self.set_persistence(false),
            SetUnlogged => self.set_persistence(true),
            SetTablespace { tablespace } => self.set_tablespace(tablespace),
            SetAccessMethod { method } => self.set_access_method(method.as_deref()),
            ClusterOn { index } => self.index_named(index),
            ReplicaIdentity => self.replica_identity(&command.text),
            SetWithoutCluster | Rule { .. } | RowSecurity { .. } | ForceRowSecurity { .. } => {}
            Trigger { name, .. } => self.enable_trigger(name.as_deref(), &command.text),
            Inherit { parent } => self.inherit(parent),
            NoInherit { parent } => self.no_inherit(parent),
            AttachPartition { partition, bound } => self.attach(partition, bound),
            DetachPartition { partition, concurrently, finalize } => self.detach(partition, *concurrently, *finalize),
            AttachIndex { .. } => {}
            Owner { owner } => self.change_owner(owner),
            Other { name } => {
                let what = format!("ALTER TABLE {name} is not followed");
                self.out.not_judged(what);
            }
        }
    }
}

/// Locks that foreign keys take on the other table.
pub(super) const FOREIGN_KEY_LOCK: LockMode = LockMode::ShareRowExclusive;
