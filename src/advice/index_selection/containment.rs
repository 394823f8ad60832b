//! When one index can stand in for another, and what two of them merge into.

use super::{Candidate, ExistingIndex, Key};
use crate::facts::query::Part;

impl Candidate {
    /// Attribute numbers that an index-only scan can read.
    pub fn columns(&self) -> impl Iterator<Item = i16> {
        stored(&self.keys, &self.included)
    }

    /// Whatever `other` serves, this one does.
    pub fn contains(&self, other: &Candidate) -> bool {
        self.table == other.table
            && self.method == other.method
            && self.predicate == other.predicate
            && begins_with(&self.method, &self.keys, &other.keys)
            && other.included.iter().all(|column| self.columns().any(|own| own == *column))
    }

    /// This one begins with the keys of the existing index and holds its columns.
    pub fn extends(&self, index: &ExistingIndex) -> bool {
        self.contains(&index.as_candidate()) && self.keys.len() + self.included.len() > index.keys.len()
    }
}

impl ExistingIndex {
    pub fn as_candidate(&self) -> Candidate {
        Candidate {
            table: self.table,
            method: self.method.clone(),
            keys: self.keys.clone(),
            included: self.included.clone(),
            predicate: self.predicate.clone(),
        }
    }

    /// It makes the candidate pointless.
    pub fn serves(&self, candidate: &Candidate) -> bool {
        self.table == candidate.table
            && self.method == candidate.method
            && self.predicate.as_ref().is_none_or(|predicate| candidate.predicate.as_ref() == Some(predicate))
            && begins_with(&self.method, &self.keys, &candidate.keys)
            && candidate.included.iter().all(|column| stored(&self.keys, &self.included).any(|own| own == *column))
    }
}

fn stored(keys: &[Key], included: &[i16]) -> impl Iterator<Item = i16> {
    keys.iter()
        .filter_map(|key| match key.part {
            Part::Column(column) => Some(column),
            Part::Expression(_) => None,
        })
        .chain(included.iter().copied())
}

/// In a GIN index the order of keys does not matter, elsewhere the shorter must be a prefix of the longer.
fn begins_with(method: &str, keys: &[Key], start: &[Key]) -> bool {
    if method == "gin" {
        start.iter().all(|key| keys.contains(key))
    } else {
        keys.starts_with(start) || keys.len() >= start.len() && keys.iter().zip(start).all(|(a, b)| a.is_reverse_of(b))
    }
}

impl Key {
    /// Scanned backward it delivers the other's order.
    fn is_reverse_of(&self, other: &Key) -> bool {
        self.part == other.part
            && self.class == other.class
            && self.collation == other.collation
            && self.descending != other.descending
            && self.nulls_first != other.nulls_first
    }
}

/// One index for what both serve: the keys of the first, then those of the second that are missing, and the included
/// columns of both. None where the second gains nothing by it, as it begins otherwise.
pub fn merged(first: &Candidate, second: &Candidate) -> Option<Candidate> {
    if first == second
        || (first.table, &first.method, &first.predicate) != (second.table, &second.method, &second.predicate)
        || first.method != "btree"
        || first.keys.first()? != second.keys.first()?
    {
        return None;
    }
    let mut keys = first.keys.clone();
    keys.extend(second.keys.iter().filter(|key| !first.keys.iter().any(|own| own.part == key.part)).cloned());
    let merged = with_included(first, keys, first.columns().chain(second.columns()));
    (merged != *first && merged != *second).then_some(merged)
}

/// The keys of the first alone, the columns of both included: an index-only scan for both, even where the second begins
/// otherwise and the whole index is scanned for it.
pub fn merged_by_inclusion(first: &Candidate, second: &Candidate) -> Option<Candidate> {
    let alike = first.keys.first() == second.keys.first();
    if first == second
        || (first.table, &first.method, &first.predicate) != (second.table, &second.method, &second.predicate)
        || first.method != "btree"
        || !alike && second.included.is_empty()
    {
        return None;
    }
    let merged = with_included(first, first.keys.clone(), first.columns().chain(second.columns()));
    (merged != *first && merged != *second).then_some(merged)
}

pub fn with_included(like: &Candidate, keys: Vec<Key>, columns: impl Iterator<Item = i16>) -> Candidate {
    let mut included: Vec<i16> = columns.filter(|column| !stored(&keys, &[]).any(|key| key == *column)).collect();
    included.sort_unstable();
    included.dedup();
    Candidate { keys, included, ..like.clone() }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::advice::index_selection::simulation::{btree, existing};

    #[test]
    fn a_longer_index_contains_a_prefix_with_the_same_columns() {
        assert!(btree(1, &[1, 2], &[3]).contains(&btree(1, &[1], &[2])));
        assert!(!btree(1, &[1, 2], &[]).contains(&btree(1, &[2], &[])));
        assert!(!btree(1, &[1, 2], &[]).contains(&btree(1, &[1], &[3])));
        assert!(!btree(2, &[1], &[]).contains(&btree(1, &[1], &[])));
    }

    #[test]
    fn an_index_scanned_backward_contains_the_reverse() {
        let mut reverse = btree(1, &[1], &[]);
        reverse.keys[0].descending = true;
        reverse.keys[0].nulls_first = true;
        assert!(btree(1, &[1, 2], &[]).contains(&reverse));
        reverse.keys[0].nulls_first = false;
        assert!(!btree(1, &[1, 2], &[]).contains(&reverse));
    }

    #[test]
    fn a_partial_existing_index_does_not_serve_all_rows() {
        let mut index = existing(9, 1, &[1, 2]);
        assert!(index.serves(&btree(1, &[1], &[2])));
        index.predicate = Some("a IS NULL".into());
        assert!(!index.serves(&btree(1, &[1], &[2])));
    }

    #[test]
    fn merging_keeps_the_first_keys_order() {
        assert_eq!(merged(&btree(1, &[1, 2], &[5]), &btree(1, &[1, 3], &[2, 6])), Some(btree(1, &[1, 2, 3], &[5, 6])));
        assert_eq!(
            merged_by_inclusion(&btree(1, &[1, 2], &[5]), &btree(1, &[1, 3], &[6])),
            Some(btree(1, &[1, 2], &[3, 5, 6]))
        );
        assert_eq!(merged(&btree(1, &[1], &[]), &btree(1, &[2], &[])), None);
        assert_eq!(merged(&btree(1, &[1, 2], &[]), &btree(1, &[1], &[])), None);
    }
}
