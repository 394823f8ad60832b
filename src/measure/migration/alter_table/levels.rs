//! Which lock a command needs: AlterTableGetLockLevel of the server's source, as its documentation has it.

use crate::facts::migration::statement::{AlterTable, AlterTableAction, ConstraintKind};
use crate::facts::migration::{LockMode, ObjectKind};

/// Storage parameters that matter to later writes and to maintenance only.
const MILD_OPTIONS: [&str; 10] = [
    "fillfactor",
    "toast_tuple_target",
    "parallel_workers",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "log_autovacuum_min_duration",
    "n_distinct",
    "n_distinct_inherited",
    "deduplicate_items",
    "autovacuum_enabled",
];

/// The strongest of all commands.
pub fn of_statement(statement: &AlterTable, kind: ObjectKind) -> LockMode {
    let levels = statement.commands.iter().map(|command| of_command(&command.what, kind));
    levels.max().unwrap_or(LockMode::AccessExclusive)
}

fn of_command(action: &AlterTableAction, kind: ObjectKind) -> LockMode {
    use AlterTableAction::*;
    match action {
        SetStatistics { .. }
        | SetColumnOptions { .. }
        | ClusterOn { .. }
        | SetWithoutCluster
        | ValidateConstraint { .. }
        | AttachPartition { .. }
        | AttachIndex { .. } => LockMode::ShareUpdateExclusive,
        DetachPartition { concurrently, finalize, .. } if *concurrently || *finalize => LockMode::ShareUpdateExclusive,
        SetOptions { options } if kind != ObjectKind::View => of_options(options),
        Trigger { .. } => LockMode::ShareRowExclusive,
        AddConstraint(constraint) if constraint.kind == ConstraintKind::ForeignKey => LockMode::ShareRowExclusive,
        _ => LockMode::AccessExclusive,
    }
}

/// The server has no such command for this kind of relation.
pub fn is_refused(action: &AlterTableAction, kind: ObjectKind) -> bool {
    use AlterTableAction::*;
    match kind {
        ObjectKind::View => {
            !matches!(action, SetDefault { .. } | DropDefault { .. } | SetOptions { .. } | Owner { .. } | Other { .. })
        }
        ObjectKind::MaterializedView => !matches!(
            action,
            SetStatistics { .. }
                | SetColumnOptions { .. }
                | SetStorage { .. }
                | SetCompression { .. }
                | SetOptions { .. }
                | ClusterOn { .. }
                | SetWithoutCluster
                | SetTablespace { .. }
                | SetAccessMethod { .. }
                | Owner { .. }
                | Other { .. }
        ),
        ObjectKind::Sequence => !matches!(action, Owner { .. } | SetLogged | SetUnlogged | Other { .. }),
        ObjectKind::ForeignTable => match action {
            AddConstraint(constraint) => constraint.kind != ConstraintKind::Check,
            SetLogged
            | SetUnlogged
            | SetTablespace { .. }
            | SetAccessMethod { .. }
            | ClusterOn { .. }
            | SetWithoutCluster
            | ReplicaIdentity
            | RowSecurity { .. }
            | AttachPartition { .. }
            | DetachPartition { .. } => true,
            _ => false,
        },
        _ => false,
    }
}

pub fn of_options(options: &[String]) -> LockMode {
    let is_mild = |option: &String| {
        let name = option.rsplit('.').next().unwrap_or(option);
        name.starts_with("autovacuum_") || MILD_OPTIONS.contains(&name)
    };
    if !options.is_empty() && options.iter().all(is_mild) {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessExclusive
    }
}
