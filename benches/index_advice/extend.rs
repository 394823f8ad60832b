//! Extend: Schlosser, Kossmann, Boissier, "Efficient Scalable Multi-Attribute Index Selection Using Recursive Strategies",
//! ICDE 2019.

use crate::cluster::Result;
use crate::hypopg::{Index, WhatIf};
use crate::workload::Column;
use std::collections::BTreeSet;
use std::time::Duration;

const MAX_WIDTH: usize = 3;
/// A step must make the workload this much cheaper, as in the authors' index_selection_evaluation.
const MIN_IMPROVEMENT: f64 = 1.003;

/// Indexes in the order chosen; `stopped`: the time limit came first.
pub struct Choice {
    pub indexes: BTreeSet<Index>,
    pub stopped: bool,
}

struct Step {
    indexes: BTreeSet<Index>,
    bytes: u64,
    cost: f64,
    ratio: f64,
}

/// From no index on, the step with the most benefit per byte that fits the budget, until none pays: a new index on one
/// column, or a column more at the end of a chosen one.
pub fn choose(what_if: &mut WhatIf, columns: &[BTreeSet<Column>], budget: u64, limit: Duration) -> Result<Choice> {
    let singles = columns.iter().flatten().map(Index::on).collect::<BTreeSet<_>>();
    let mut chosen = Step { indexes: BTreeSet::new(), bytes: 0, cost: 0.0, ratio: 0.0 };
    chosen.cost = what_if.workload_cost(&chosen.indexes)?;
    loop {
        let mut best: Option<Step> = None;
        for (removed, added) in steps(&chosen.indexes, &singles) {
            if what_if.spent().0 > limit {
                return Ok(Choice { indexes: chosen.indexes, stopped: true });
            }
            let mut indexes = chosen.indexes.clone();
            let mut bytes = chosen.bytes + what_if.bytes(&added)?;
            if let Some(removed) = &removed {
                indexes.remove(removed);
                bytes -= what_if.bytes(removed)?;
            }
            indexes.insert(added);
            if bytes > budget {
                continue;
            }
            let cost = what_if.workload_cost(&indexes)?;
            let grown = bytes.saturating_sub(chosen.bytes).max(1);
            let ratio = (chosen.cost - cost) / grown as f64;
            if cost * MIN_IMPROVEMENT < chosen.cost && best.as_ref().is_none_or(|best| ratio > best.ratio) {
                best = Some(Step { indexes, bytes, cost, ratio });
            }
        }
        let Some(step) = best else { return Ok(Choice { indexes: chosen.indexes, stopped: false }) };
        chosen = step;
    }
}

/// What one step could replace, if anything, and what it would add.
fn steps(chosen: &BTreeSet<Index>, singles: &BTreeSet<Index>) -> Vec<(Option<Index>, Index)> {
    let mut steps =
        singles.iter().filter(|index| !chosen.contains(index)).map(|index| (None, index.clone())).collect::<Vec<_>>();
    for index in chosen.iter().filter(|index| index.columns.len() < MAX_WIDTH) {
        for single in
            singles.iter().filter(|single| single.table == index.table && !index.columns.contains(&single.columns[0]))
        {
            let longer = index.extended(&single.columns[0]);
            if !chosen.contains(&longer) {
                steps.push((Some(index.clone()), longer));
            }
        }
    }
    steps
}
