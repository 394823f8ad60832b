//! DROP INDEX without making anybody wait.

use super::indexes::droppable;
use super::planned::alone;
use super::{Catalog, Piece, When, python};
use crate::facts::migration::statement::Drop;
use crate::facts::migration::{Index, LockMode, NameAsWritten, ObjectKind, Phase, PlannedStatement};

pub fn candidate(text: &str, drop: &Drop, catalog: &impl Catalog) -> Option<Piece> {
    if drop.kind != ObjectKind::Index || drop.concurrently {
        return None;
    }
    let piece = |way| Some(Piece::one(text, When::Always, way));
    let names: Vec<NameAsWritten> = drop.objects.iter().filter_map(|parts| name(parts)).collect();
    let known: Vec<_> = names.iter().filter_map(|name| catalog.index(name)).collect();
    if known.iter().all(|(table, index)| super::is_new(table) || index.created_here) {
        return None;
    }
    if known.iter().any(|(table, _)| table.kind == ObjectKind::PartitionedTable) {
        return piece(Err("An index of a partitioned table cannot be dropped concurrently.".into()));
    }
    if drop.cascade {
        return piece(Err("DROP INDEX CONCURRENTLY takes no CASCADE.".into()));
    }
    let indexes: Vec<&Index> = names.iter().filter_map(|name| droppable(name, catalog)).collect();
    // One that is missing, or of this migration, is the original's to judge.
    (indexes.len() == names.len() || drop.missing_ok)
        .then(|| piece(Ok(indexes.into_iter().map(|index| dropped(index, drop.missing_ok)).collect())))
        .flatten()
}

fn dropped(index: &Index, missing_ok: bool) -> PlannedStatement {
    let exists = if missing_ok { "IF EXISTS " } else { "" };
    let (name, schema) = python::table(&index.name);
    let operation = format!("op.drop_index({name}, {schema}, postgresql_concurrently=True, if_exists=True)");
    alone(
        Phase::Contract,
        format!("DROP INDEX CONCURRENTLY {exists}{};", index.name),
        Some((LockMode::ShareUpdateExclusive, index.name.to_string())),
        "Reads and writes go on; it waits for transactions that use the table. If it fails the index is left invalid: run it again.",
    )
    .operation(operation)
}

/// Of the last two parts.
fn name(parts: &[String]) -> Option<NameAsWritten> {
    let (name, before) = parts.split_last()?;
    Some(NameAsWritten { schema: before.last().cloned(), name: name.clone() })
}
