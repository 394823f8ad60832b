//! Candidates of the access methods other than btree.

use super::key_lists::{distinct, way};
use super::{Candidate, Key, Options, TableStatistics};
use crate::facts::query::{Condition, ConditionKind, Part, Reference};

/// Equality on wider columns may be served by a hash index, which does not hold the value.
const HASH_MIN_WIDTH: f64 = 64.0;
/// Of GIN for conditions on several columns.
const MAX_GIN_KEYS: usize = 4;

/// For a reference, without predicates.
pub fn specialized(reference: &Reference, table: &TableStatistics, options: &Options) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut add = |method: &str, keys: Vec<Key>| {
        candidates.push(Candidate {
            table: reference.table,
            method: method.into(),
            keys,
            included: Vec::new(),
            predicate: None,
        });
    };
    let others = || {
        reference
            .conditions
            .iter()
            .filter(|condition| matches!(condition.kind, ConditionKind::Other | ConditionKind::Prefix))
    };
    for condition in others() {
        let method = ["gin", "gist", "spgist"].into_iter().find(|method| way(&condition.ways, method).is_some());
        for way in condition.ways.iter().filter(|way| Some(way.method.as_str()) == method) {
            add(&way.method, vec![Key::of(&condition.part, way)]);
        }
    }
    let together = gin_keys(others());
    if together.len() > 1 {
        add("gin", together);
    }
    for condition in &reference.conditions {
        let keys_of = |method: &'static str| {
            let ways = condition.ways.iter().filter(move |way| way.method == method);
            ways.map(|way| vec![Key::of(&condition.part, way)])
        };
        match condition.kind {
            ConditionKind::Range if table.pages >= options.brin_min_pages => {
                keys_of("brin").for_each(|keys| add("brin", keys));
            }
            ConditionKind::Equality if is_wide(condition, table) => {
                keys_of("hash").take(1).for_each(|keys| add("hash", keys))
            }
            _ => {}
        }
    }
    for order in &reference.orders {
        let [key] = order.keys.as_slice() else { continue };
        // Both are approximate; IVFFlat looks cheaper to the planner because it looks at less.
        let has_hnsw = way(&key.ways, "hnsw").is_some();
        let methods = if has_hnsw { ["gist", "hnsw"] } else { ["gist", "ivfflat"] };
        for way in key.ways.iter().filter(|way| methods.contains(&way.method.as_str())) {
            add(&way.method, vec![Key::of(&key.part, way)]);
        }
    }
    candidates
}

/// One key for each part that GIN serves.
fn gin_keys<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for condition in conditions {
        if let Some(way) = way(&condition.ways, "gin")
            && keys.len() < MAX_GIN_KEYS
            && !keys.iter().any(|key| key.part == condition.part)
        {
            keys.push(Key::of(&condition.part, way));
        }
    }
    keys
}

fn is_wide(condition: &Condition, table: &TableStatistics) -> bool {
    let Part::Column(column) = condition.part else { return false };
    table.columns.get(&column).is_some_and(|column| column.average_width > HASH_MIN_WIDTH)
        && distinct(&condition.part, table).is_none_or(|distinct| distinct > 2.0)
}
