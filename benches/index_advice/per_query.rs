//! The best indexes for each query on its own, as Dexter proposes them, until the budget is used up.

use crate::cluster::Result;
use crate::hypopg::{Index, WhatIf};
use crate::workload::{Column, Query};
use std::collections::BTreeSet;

/// Dexter's: below this cost a query is fast enough, and indexes must save this share.
const MIN_COST: f64 = 100.0;
const MIN_SAVED: f64 = 0.5;
/// So many candidates at once that a plan still takes seconds, not minutes.
const MAX_COLUMNS_FOR_PAIRS: usize = 8;

pub fn choose(
    what_if: &mut WhatIf,
    queries: &[Query],
    columns: &[BTreeSet<Column>],
    budget: u64,
) -> Result<BTreeSet<Index>> {
    let mut best = Vec::new();
    for (query, columns) in columns.iter().enumerate() {
        let before = what_if.cost(query, &BTreeSet::new())?;
        if before < MIN_COST {
            continue;
        }
        let (_, used) = what_if.used(query, &candidates(columns))?;
        // Once more with only those: the planner may now use others of them.
        let (after, used) = what_if.used(query, &used)?;
        if after <= before * (1.0 - MIN_SAVED) {
            best.push(((before - after) * queries[query].calls, used));
        }
    }
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen = BTreeSet::new();
    let mut bytes = 0;
    for (_, indexes) in best {
        let new = indexes.into_iter().filter(|index| !chosen.contains(index)).collect::<Vec<_>>();
        let grown = new.iter().map(|index| what_if.bytes(index)).sum::<Result<u64>>()?;
        if bytes + grown <= budget {
            bytes += grown;
            chosen.extend(new);
        }
    }
    Ok(chosen)
}

/// One column, and pairs of columns of the same table in both orders.
fn candidates(columns: &BTreeSet<Column>) -> BTreeSet<Index> {
    let mut candidates = columns.iter().map(Index::on).collect::<BTreeSet<_>>();
    for first in columns {
        let others = columns.iter().filter(|other| other.table == first.table && *other != first).collect::<Vec<_>>();
        if others.len() < MAX_COLUMNS_FOR_PAIRS {
            candidates.extend(others.iter().map(|second| Index::on(first).extended(&second.name)));
        }
    }
    candidates
}
