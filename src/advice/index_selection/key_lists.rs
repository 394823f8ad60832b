//! Lists of btree keys that one reference to a table could be served by.

use super::{Key, TableStatistics};
use crate::facts::query::{Condition, ConditionKind, Order, Part, Reference, Way};
use std::collections::BTreeMap;

/// A longer list is seldom worth its size.
const MAX_KEYS: usize = 6;
/// Conditions of one kind of a reference that are combined; more are still tried alone.
const MAX_COMBINED: usize = 5;

/// How many references of the workload ask for a part of a table with equality, a join or a list of values.
pub type Demand = BTreeMap<(u32, Part), usize>;

pub struct KeyList {
    pub keys: Vec<Key>,
    /// More than equality on parts of few values.
    pub selective: bool,
    /// No other list of the reference begins with it.
    pub longest: bool,
}

impl Key {
    pub fn of(part: &Part, way: &Way) -> Key {
        Key {
            part: part.clone(),
            class: way.class.clone(),
            collation: way.collation.clone(),
            descending: false,
            nulls_first: false,
        }
    }
}

pub fn way<'a>(ways: &'a [Way], method: &str) -> Option<&'a Way> {
    ways.iter().find(|way| way.method == method)
}

/// The number of values of a part; None for expressions and columns without statistics.
pub fn distinct(part: &Part, table: &TableStatistics) -> Option<f64> {
    let Part::Column(column) = part else { return None };
    table.columns.get(column).map(|column| column.distinct).filter(|distinct| *distinct > 0.0)
}

/// What a reference asks of a btree, by kind, each part once.
struct Wanted {
    equal: Vec<Key>,
    members: Vec<Key>,
    /// By the other table, as a join on several columns needs them together.
    joins: BTreeMap<u32, Vec<Key>>,
    ranges: Vec<Key>,
    orders: Vec<Vec<Key>>,
}

impl Wanted {
    /// Conditions that are the predicate need no key.
    fn of(reference: &Reference, predicate: Option<&str>) -> Wanted {
        let mut wanted = Wanted {
            equal: Vec::new(),
            members: Vec::new(),
            joins: BTreeMap::new(),
            ranges: Vec::new(),
            orders: reference.orders.iter().filter_map(order_keys).collect(),
        };
        for condition in reference.conditions.iter().filter(|condition| Some(condition.text.as_str()) != predicate) {
            let Some(way) = way(&condition.ways, "btree") else { continue };
            let keys = match condition.kind {
                ConditionKind::Equality => &mut wanted.equal,
                ConditionKind::Membership => &mut wanted.members,
                ConditionKind::Join { table } => wanted.joins.entry(table).or_default(),
                ConditionKind::Range | ConditionKind::Prefix => &mut wanted.ranges,
                ConditionKind::Other => continue,
            };
            let key = Key::of(&condition.part, way);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        wanted
    }

    fn joined(&self) -> impl Iterator<Item = &Key> {
        self.joins.values().flatten()
    }
}

/// All lists, shorter ones too, so that a search may begin small and grow.
pub fn key_lists(
    reference: &Reference,
    predicate: Option<&str>,
    table: &TableStatistics,
    demand: &Demand,
) -> Vec<KeyList> {
    let mut wanted = Wanted::of(reference, predicate);
    let values = |key: &Key| distinct(&key.part, table).unwrap_or(0.0);
    let demanded = |key: &Key| demand.get(&(reference.table, key.part.clone())).copied().unwrap_or(0);
    let by_values = |a: &Key, b: &Key| values(b).total_cmp(&values(a)).then_with(|| a.cmp(b));
    wanted.members.sort_by(by_values);
    let mut lists = Lists::default();
    for key in wanted.equal.iter().chain(&wanted.members).chain(wanted.joined()).chain(&wanted.ranges) {
        lists.add(&[one(key)]);
    }
    // The columns that most queries ask for come first in the second order, so that one index serves them all.
    let by_demand = |a: &Key, b: &Key| demanded(b).cmp(&demanded(a)).then_with(|| by_values(a, b));
    wanted.equal.sort_by(by_demand);
    let demanded = wanted.equal.clone();
    wanted.equal.sort_by(by_values);
    lists.add_selections(&wanted, &demanded);
    lists.add_ordered(&wanted, &demanded);
    let few = |key: &Key| distinct(&key.part, table).is_some_and(|distinct| distinct <= 2.0);
    let equal = |key: &Key| wanted.equal.iter().chain(&wanted.members).any(|equal| equal == key);
    lists
        .lists
        .iter()
        .map(|keys| KeyList {
            selective: !keys.iter().all(|key| equal(key) && few(key)),
            longest: !lists.lists.iter().any(|other| other.len() > keys.len() && other.starts_with(keys)),
            keys: keys.clone(),
        })
        .collect()
}

fn one(key: &Key) -> &[Key] {
    std::slice::from_ref(key)
}

impl Lists {
    /// Equality, lists of values and joins, then at most two ranges.
    fn add_selections(&mut self, wanted: &Wanted, demanded: &[Key]) {
        let Wanted { equal, members, ranges, .. } = wanted;
        for first in equal.iter().take(MAX_COMBINED) {
            for second in equal.iter().take(MAX_COMBINED) {
                self.add(&[one(first), one(second)]);
            }
        }
        for equal in [equal.as_slice(), demanded] {
            for length in 1..=equal.len() {
                self.add(&[&equal[..length]]);
            }
            self.add(&[equal, members]);
            self.add(&[members, equal]);
            for first in ranges {
                self.add(&[equal, one(first)]);
                self.add(&[equal, members, one(first)]);
                self.add(&[equal, one(first), members]);
                for second in ranges.iter().take(MAX_COMBINED) {
                    self.add(&[equal, one(first), one(second)]);
                }
            }
        }
        for join in wanted.joins.values() {
            for length in 1..=join.len() {
                self.add(&[&join[..length]]);
            }
            self.add(&[join, demanded]);
            self.add(&[demanded, join]);
            self.add(&[join, demanded, members]);
            for range in ranges.iter().take(MAX_COMBINED) {
                self.add(&[join, demanded, one(range)]);
                self.add(&[one(range), join]);
            }
        }
    }

    fn add_ordered(&mut self, wanted: &Wanted, demanded: &[Key]) {
        let Wanted { equal, members, ranges, .. } = wanted;
        for order in &wanted.orders {
            // The planner takes matching rows for evenly spread: for a value without any, an index in the order alone is read to
            // its end. Where there are equalities, they come first.
            for length in (1..=order.len()).filter(|_| wanted.equal.is_empty()) {
                self.add(&[&order[..length]]);
            }
            for equal in [equal.as_slice(), demanded] {
                self.add(&[equal, order]);
                self.add(&[equal, order, members, ranges]);
            }
            for key in equal.iter().take(MAX_COMBINED) {
                self.add(&[one(key), order]);
            }
            for join in wanted.joins.values() {
                self.add(&[join, order]);
            }
        }
    }
}

/// Keys of an order, for a btree; the reverse counts as the same, as it can be scanned backward.
pub fn order_keys(order: &Order) -> Option<Vec<Key>> {
    let mut keys = order
        .keys
        .iter()
        .map(|key| {
            let free = order.any_order;
            Some(Key {
                descending: key.descending && !free,
                nulls_first: key.nulls_first && !free,
                ..Key::of(&key.part, way(&key.ways, "btree")?)
            })
        })
        .collect::<Option<Vec<Key>>>()?;
    if keys.first()?.descending {
        for key in &mut keys {
            key.descending = !key.descending;
            key.nulls_first = !key.nulls_first;
        }
    }
    Some(keys)
}

/// Each list once, each part once in a list.
#[derive(Default)]
struct Lists {
    lists: Vec<Vec<Key>>,
}

impl Lists {
    fn add(&mut self, parts: &[&[Key]]) {
        let mut keys: Vec<Key> = Vec::new();
        for key in parts.iter().copied().flatten() {
            if keys.len() < MAX_KEYS && !keys.iter().any(|own| own.part == key.part) {
                keys.push(key.clone());
            }
        }
        if !keys.is_empty() && !self.lists.contains(&keys) {
            self.lists.push(keys);
        }
    }
}

/// Of all references.
pub fn demand<'a>(references: impl Iterator<Item = &'a Reference>) -> Demand {
    let mut demand = Demand::new();
    for reference in references {
        for Condition { part, kind, .. } in &reference.conditions {
            if matches!(kind, ConditionKind::Equality | ConditionKind::Membership | ConditionKind::Join { .. }) {
                *demand.entry((reference.table, part.clone())).or_default() += 1;
            }
        }
    }
    demand
}
