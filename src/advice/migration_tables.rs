//! Several tables that one step concerns, judged as one.

use crate::facts::migration::{Lock, LockMode, ObjectKind, Step, Target};

/// The first of them, with the rows and bytes of all; a table that nobody else can use yet is none. None: nobody is concerned.
pub fn together<'a>(tables: impl Iterator<Item = &'a Target>) -> Option<Target> {
    let mut seen = Vec::new();
    tables.filter(|table| !table.private).fold(None, |whole: Option<Target>, table| {
        if seen.contains(&table.id) {
            return whole;
        }
        seen.push(table.id);
        let Some(mut whole) = whole else { return Some(table.clone()) };
        whole.rows += table.rows;
        whole.rows_guessed |= table.rows_guessed;
        whole.bytes += table.bytes;
        whole.index_bytes += table.index_bytes;
        Some(whole)
    })
}

/// Locks of `step`, from `mode` on, on tables and materialized views that others may use.
pub fn locked(step: &Step, mode: LockMode) -> impl Iterator<Item = &Lock> {
    let has_rows = |kind| {
        matches!(
            kind,
            ObjectKind::Table | ObjectKind::PartitionedTable | ObjectKind::ForeignTable | ObjectKind::MaterializedView
        )
    };
    step.locks.iter().filter(move |lock| lock.mode >= mode && !lock.target.private && has_rows(lock.target.kind))
}
