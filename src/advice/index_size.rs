//! Size of a btree index before it exists, from the planner's statistics alone.
//!
//! It follows what the sorted build of PostgreSQL 17 writes (nbtsort.c, nbtdedup.c): leaf pages filled to the fill factor,
//! equal keys merged into posting lists, upper levels filled to 70%, a metapage. `bin/bench index_size` compares.

use crate::facts::{Catalog, ColumnStatistics, Statistics, Table};
use crate::units::Bytes;

pub const PAGE: f64 = 8192.0;
const ITEM_ID: f64 = 4.0;
const TID: f64 = 6.0;
/// Of a page, less its header, special space, and line pointers of the high key and of the item to come.
const ROOM: f64 = PAGE - 24.0 - 16.0 - 2.0 * ITEM_ID;
/// The largest multiple of 8 within a tenth of a page less a line pointer.
const POSTING_MAX: f64 = 808.0;
/// Rows that ANALYZE reads at the default statistics target.
const SAMPLE: f64 = 30_000.0;
/// A longer varlena has a four-byte header and is aligned.
const SHORT_VARLENA: f64 = 126.0;
/// From this many rows per value on, all values are taken to have the same number.
const MANY_ROWS_PER_VALUE: f64 = 30.0;
/// Classes of keys kept apart before those of one shape are merged.
const MAX_CLASSES: usize = 256;

/// One key column, as the planner knows it.
#[derive(Clone, Debug)]
pub struct KeyColumn {
    /// In bytes; negative for types of varying length.
    pub type_length: i16,
    pub alignment: f64,
    pub average_width: f64,
    pub null_fraction: f64,
    pub distinct: f64,
    pub most_common_frequencies: Vec<f32>,
    pub deduplicates: bool,
}

impl KeyColumn {
    pub fn of(
        catalog: &Catalog,
        table: &Table,
        attribute: i16,
        rows: f64,
        statistics: &Statistics,
    ) -> Option<KeyColumn> {
        let type_ = catalog.type_of(catalog.base_type(table.column(attribute)?.type_oid))?;
        Some(KeyColumn {
            type_length: type_.length,
            alignment: match type_.alignment {
                'c' => 1.0,
                's' => 2.0,
                'i' => 4.0,
                _ => 8.0,
            },
            average_width: statistics.average_width,
            null_fraction: statistics.null_fraction,
            distinct: statistics.distinct(rows),
            most_common_frequencies: statistics.most_common_frequencies.clone(),
            deduplicates: type_.deduplicates,
        })
    }

    fn varies(&self) -> bool {
        self.type_length < 0
    }
}

/// Estimated size of a btree on `columns` of `table`, with all its partitions. None where statistics are missing.
pub fn estimate(catalog: &Catalog, statistics: &ColumnStatistics, table: &Table, columns: &[i16]) -> Option<Bytes> {
    catalog.leaves(table).into_iter().map(|leaf| estimate_leaf(catalog, statistics, table, leaf, columns)).sum()
}

fn estimate_leaf(
    catalog: &Catalog,
    statistics: &ColumnStatistics,
    table: &Table,
    leaf: &Table,
    columns: &[i16],
) -> Option<Bytes> {
    let rows = leaf.rows?.0 as f64;
    if rows < 1.0 {
        return Some(Bytes(PAGE as u64));
    }
    let key = crate::facts::same_columns(table, columns, leaf)?
        .into_iter()
        .map(|column| KeyColumn::of(catalog, leaf, column, rows, statistics.of(leaf.oid, column)?));
    Some(btree_bytes(rows, &key.collect::<Option<Vec<_>>>()?, false, 90.0))
}

/// Size of a btree on `columns` after a sorted build.
pub fn btree_bytes(rows: f64, columns: &[KeyColumn], unique: bool, fillfactor: f64) -> Bytes {
    if rows < 1.0 {
        return Bytes(PAGE as u64);
    }
    let deduplicated = !unique && columns.iter().all(|column| column.deduplicates);
    let free = (PAGE * (100.0 - fillfactor) / 100.0).floor();
    let (mut leaves, mut pivot) = (0.0, 0.0);
    for class in key_classes(columns, rows) {
        let base = tuple_bytes(columns, &class);
        let mut items = rows * class.share;
        let mean = items / class.values;
        let mut posting = 0.0;
        if deduplicated && mean > 0.01 {
            let (per_value, average) = posting_lists(mean, base);
            items = class.values * per_value;
            posting = average;
        }
        leaves += items / items_per_page(base, posting, free, posting == 0.0 || mean >= MANY_ROWS_PER_VALUE);
        pivot += class.share * base;
    }
    let mut level = f64::ceil(leaves);
    let mut pages = level;
    while level > 1.0 {
        level = f64::ceil(level / items_per_page(pivot, 0.0, (PAGE * 0.3).floor(), false));
        pages += level;
    }
    Bytes(((pages + 1.0) * PAGE) as u64)
}

/// Keys that are alike in size and frequency.
#[derive(Clone, Debug)]
struct Class {
    /// Of all rows.
    share: f64,
    values: f64,
    /// Bit n: column n is not null.
    filled: u32,
    has_null: bool,
}

/// Classes of whole keys, columns taken as independent.
fn key_classes(columns: &[KeyColumn], rows: f64) -> Vec<Class> {
    let mut classes = vec![Class { share: 1.0, values: 1.0, filled: 0, has_null: false }];
    for (position, column) in columns.iter().enumerate() {
        let of_column = value_classes(column, rows);
        classes = classes
            .iter()
            .flat_map(|class| {
                of_column.iter().map(move |(share, values, null)| Class {
                    share: class.share * share,
                    values: class.values * values,
                    filled: class.filled | (u32::from(!null) << position),
                    has_null: class.has_null || *null,
                })
            })
            .collect();
        if classes.len() > MAX_CLASSES {
            classes = merged(classes);
        }
    }
    classes
}

/// Classes of one shape become one.
fn merged(mut classes: Vec<Class>) -> Vec<Class> {
    classes.sort_by_key(|class| class.filled);
    classes.dedup_by(|class, kept| {
        let same = class.filled == kept.filled;
        if same {
            kept.share += class.share;
            kept.values += class.values;
        }
        same
    });
    classes
}

/// Share of rows, number of values, null: the nulls, the most common values by powers of two of their frequency, the rest.
fn value_classes(column: &KeyColumn, rows: f64) -> Vec<(f64, f64, bool)> {
    let mut classes = Vec::new();
    if column.null_fraction > 0.0 {
        classes.push((column.null_fraction, 1.0, true));
    }
    let mut by_magnitude: std::collections::BTreeMap<i32, (f64, f64)> = Default::default();
    let mut common = 0.0;
    for frequency in column.most_common_frequencies.iter().map(|frequency| f64::from(*frequency)).filter(|f| *f > 0.0) {
        let group = by_magnitude.entry(frequency.log2().floor() as i32).or_default();
        *group = (group.0 + frequency, group.1 + 1.0);
        common += frequency;
    }
    classes.extend(by_magnitude.into_values().map(|(share, values)| (share, values, false)));
    let filled = 1.0 - column.null_fraction;
    let rest = filled - common;
    if rest > 1e-6 {
        let mean = rows_per_value(
            rows * filled,
            1.0 - rest / filled,
            column.most_common_frequencies.len() as f64,
            column.distinct,
        );
        classes.push((rest, rows * rest / mean, false));
    }
    classes
}

/// Mean number of rows per value, beside the most common, at which ANALYZE's estimator would answer `distinct`: it sees a
/// sample, in which a value may be missing or single.
fn rows_per_value(rows: f64, common_share: f64, common_values: f64, distinct: f64) -> f64 {
    let sampled = (SAMPLE / rows).min(1.0);
    let rest = rows * (1.0 - common_share);
    let (mut low, mut high) = (1e-3_f64, rest.max(1.0));
    for _ in 0..60 {
        let mean = (low * high).sqrt();
        let missed = (-sampled * mean).exp();
        let seen =
            (common_values + rest * (1.0 - missed) / mean) / (1.0 - (1.0 - sampled) * (1.0 - common_share) * missed);
        if seen > distinct { low = mean } else { high = mean }
    }
    low
}

fn tuple_bytes(columns: &[KeyColumn], class: &Class) -> f64 {
    let filled =
        || columns.iter().enumerate().filter(|(position, _)| class.filled & (1 << position) != 0).map(|(_, c)| c);
    let mut size = 0.0;
    for column in filled() {
        if !column.varies() || column.average_width > SHORT_VARLENA {
            size = align(size, column.alignment);
        }
        // The statistics truncate an average.
        size += column.average_width + if column.varies() { 0.5 } else { 0.0 };
    }
    size += if class.has_null { 16.0 } else { 8.0 };
    // Tuples of varying length have half of the padding on average.
    if filled().any(KeyColumn::varies) { size + 3.5 } else { align(size, 8.0) }
}

fn align(size: f64, to: f64) -> f64 {
    (size / to).ceil() * to
}

/// Index tuples per value and the average size of their posting lists, when rows per value follow a Poisson distribution.
fn posting_lists(mean: f64, base: f64) -> (f64, f64) {
    let most = ((POSTING_MAX - base) / TID).floor().max(1.0);
    let full = |rows: f64| (rows / most).ceil() - 1.0;
    let last = |rows: f64| {
        let left = rows - full(rows) * most;
        if left > 1.0 && most > 1.0 { align(left * TID, 8.0) } else { 0.0 }
    };
    let (mut tuples, mut bytes) = (0.0, 0.0);
    let mut add = |rows: f64, probability: f64| {
        tuples += probability * (full(rows) + 1.0);
        bytes += probability * (full(rows) * align(most * TID, 8.0) + last(rows));
    };
    if mean < MANY_ROWS_PER_VALUE {
        let mut probability = (-mean).exp();
        for rows in 1..80 {
            probability *= mean / f64::from(rows);
            add(f64::from(rows), probability);
        }
    } else {
        add(mean, 1.0);
    }
    (tuples, bytes / tuples)
}

/// A page is closed when less than `free` is left, its last posting list not counted, or when the next item does not fit;
/// its last item becomes the high key and moves on.
fn items_per_page(base: f64, posting: f64, free: f64, whole: bool) -> f64 {
    let item = base + posting + ITEM_ID;
    let items = ((ROOM - free + posting) / item).min((ROOM - ITEM_ID) / item - 1.0);
    if whole { items.floor().max(1.0) } else { items.max(1.0) }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn bigint(distinct: f64) -> KeyColumn {
        KeyColumn {
            type_length: 8,
            alignment: 8.0,
            average_width: 8.0,
            null_fraction: 0.0,
            distinct,
            most_common_frequencies: Vec::new(),
            deduplicates: true,
        }
    }

    #[test]
    fn an_empty_index_is_its_metapage() {
        assert_eq!(btree_bytes(0.0, &[bigint(0.0)], false, 90.0), Bytes(8192));
    }

    /// `create table t as select g::bigint from generate_series(1, 1000000) g` and a unique index on it: 22,487,040 bytes.
    #[test]
    fn unique_bigint_is_within_a_hundredth() {
        let estimated = btree_bytes(1e6, &[bigint(1e6)], true, 90.0).0 as f64;
        assert!((estimated / 22_487_040.0 - 1.0).abs() < 0.01, "{estimated}");
    }

    #[test]
    fn duplicates_are_merged_into_posting_lists() {
        let many = btree_bytes(1e6, &[bigint(100.0)], false, 90.0).0;
        let unique = btree_bytes(1e6, &[bigint(1e6)], false, 90.0).0;
        assert!(many * 3 < unique, "{many} {unique}");
    }
}
