//! What the sorted build of PostgreSQL 17 writes (nbtsort.c, nbtdedup.c): leaf pages filled to the fill factor, equal keys
//! merged into posting lists, upper levels of truncated keys filled to 70%, a metapage.

use super::key::{Class, classes, mean, tuple_sizes};
use super::random::Random;
use super::{ITEM_ID, KeyColumn, Method, PAGE, PAGE_HEADER, Parameters, Physical, Size, TID, align};
use crate::units::Bytes;
use std::collections::HashMap;

pub const FILLFACTOR: f64 = 90.0;
const UPPER_FILLFACTOR: f64 = 70.0;
/// Of a page, less its header, special space, and line pointers of the high key and of the item to come.
const ROOM: f64 = PAGE - PAGE_HEADER - 16.0 - 2.0 * ITEM_ID;
/// The largest multiple of 8 within a tenth of a page less a line pointer.
const POSTING_MAX: f64 = 808.0;
/// The heap TID that a high key may need.
const PIVOT_TID: f64 = 8.0;
/// The first downlink of a page has no key.
const FIRST_DOWNLINK: f64 = 8.0 + ITEM_ID;
/// Below this mean of rows per possible value no two rows share one.
const HARDLY_ANY_DUPLICATES: f64 = 0.01;

/// Size of a btree on `columns` after a sorted build.
pub fn btree_bytes(rows: f64, columns: &[KeyColumn], unique: bool, fillfactor: f64) -> Bytes {
    let index = Physical {
        method: Method::Btree,
        rows,
        table_rows: rows,
        keys: columns.to_vec(),
        unique,
        parameters: Parameters { fillfactor: Some(fillfactor), ..Parameters::default() },
        ..Physical::default()
    };
    size(&index).bytes()
}

pub(super) fn size(index: &Physical) -> Size {
    if index.rows < 1.0 {
        return Size { pages: 1, height: 0, tuples: 0.0 };
    }
    let keys: Vec<&KeyColumn> = index.keys.iter().collect();
    let deduplicated = !index.unique
        && index.included.is_empty()
        && index.parameters.deduplicate_items.unwrap_or(true)
        && keys.iter().all(|column| column.deduplicates);
    let fillfactor = index.parameters.fillfactor.unwrap_or(FILLFACTOR);
    let free = (PAGE * (100.0 - fillfactor) / 100.0).floor();

    let table_rows = index.table_rows.max(index.rows);
    let mut level = Level::default();
    let mut sizes: HashMap<u64, Vec<f64>> = HashMap::new();
    for class in classes(&keys, table_rows, index.joint_distinct) {
        let sizes = sizes.entry(class.filled).or_insert_with(|| tuple_sizes(&keys, class.filled, &index.included));
        let duplicates = class.rows_per_value(index.rows);
        let packed = if deduplicated && duplicates > HARDLY_ANY_DUPLICATES {
            merged(sizes, duplicates, &class, free)
        } else {
            Packed { items_per_row: 1.0, rows_per_page: items_per_page(sizes, free) }
        };
        level.add(index.rows * class.share, &packed);
    }
    let pivots = pivot_sizes(&keys, index, level.items);
    let leaves = (level.pages - level.last_item).ceil().max(1.0);
    let (mut pages, mut on_level, mut height) = (leaves, leaves, 0);
    while on_level > 1.0 {
        let per_page = downlinks_per_page(&pivots);
        // The last page of a level may hold one more, that of a page still open.
        on_level = ((on_level - 1.0) / per_page).ceil();
        pages += on_level;
        height += 1;
    }
    Size { pages: pages as u64 + 1, height, tuples: index.rows }
}

/// Leaf items and pages so far, and what the item takes that the last page holds beyond the fill factor.
#[derive(Default)]
struct Level {
    items: f64,
    pages: f64,
    last_item: f64,
    largest: f64,
}

impl Level {
    fn add(&mut self, rows: f64, packed: &Packed) {
        self.items += rows * packed.items_per_row;
        self.pages += rows / packed.rows_per_page;
        if rows > self.largest {
            self.largest = rows;
            self.last_item = 1.0 / (packed.rows_per_page * packed.items_per_row);
        }
    }
}

struct Packed {
    items_per_row: f64,
    rows_per_page: f64,
}

/// A page is closed when less than `free` is left; its last item becomes the high key and moves on.
fn items_per_page(sizes: &[f64], free: f64) -> f64 {
    let item = mean(sizes) + ITEM_ID;
    let fit = (ROOM - free) / item;
    let full = (ROOM - ITEM_ID) / item - 1.0;
    if sizes.len() == 1 {
        return fit.min(full).floor().max(1.0);
    }
    // Where a page ends, half an item is left over, more where sizes differ; sizes are multiples of 4.
    let squares = sizes.iter().map(|size| (size + ITEM_ID).powi(2)).sum::<f64>() / sizes.len() as f64;
    (fit.min(full + 1.0) - squares / (2.0 * item * item) + ITEM_ID / (2.0 * item)).max(1.0)
}

/// Posting lists of values with a Poisson distributed number of rows, laid out on pages.
fn merged(sizes: &[f64], duplicates: f64, class: &Class, free: f64) -> Packed {
    let pages_to_see = (64.0 * class.share).clamp(4.0, 40.0);
    let mut random = Random::new();
    let (mut rows, mut items, mut pages) = (0.0, 0.0, 0.0);
    let (mut used, mut last, mut last_posting) = (0.0, 0.0, 0.0);
    let mut value = 0.0;
    while pages < pages_to_see && value < class.values.ceil() {
        value += 1.0;
        let base = sizes[random.below(sizes.len())];
        let most = ((POSTING_MAX - base) / TID).floor().max(1.0);
        let mut left = random.poisson(duplicates, 1.0);
        while left > 0.0 && pages < pages_to_see {
            let here = left.min(most);
            left -= here;
            rows += here;
            items += 1.0;
            let posting = if here > 1.0 { align(here * TID, 8.0) } else { 0.0 };
            let item = base + posting + ITEM_ID;
            if used > 0.0 && (used > ROOM - free + last_posting || used + item + 8.0 - ITEM_ID > ROOM) {
                pages += 1.0;
                used = last;
            }
            used += item;
            (last, last_posting) = (item, posting);
        }
    }
    pages += used / (ROOM - free);
    Packed { items_per_row: items / rows, rows_per_page: rows / pages }
}

/// Separators keep as many columns as tell two pages apart, and a TID where none does.
fn pivot_sizes(keys: &[&KeyColumn], index: &Physical, items: f64) -> Vec<(f64, f64)> {
    let mut sizes = Vec::new();
    let mut told_apart = 0.0;
    let mut distinct = 1.0;
    for count in 1..=keys.len() {
        distinct *= keys[count - 1].distinct.max(1.0);
        let differ = if index.unique && count == keys.len() { 1.0 } else { (distinct / items).min(1.0) };
        let filled = (1 << count) - 1;
        sizes.push((mean(&tuple_sizes(&keys[..count], filled, &[])), f64::max(0.0, differ - told_apart)));
        told_apart = differ.max(told_apart);
    }
    let whole = sizes[keys.len() - 1].0 + PIVOT_TID;
    sizes.push((whole, 1.0 - told_apart));
    sizes
}

fn downlinks_per_page(pivots: &[(f64, f64)]) -> f64 {
    let free = (PAGE * (100.0 - UPPER_FILLFACTOR) / 100.0).floor();
    let item = pivots.iter().map(|(size, share)| share * (size + ITEM_ID)).sum::<f64>();
    let fit = (ROOM - free - FIRST_DOWNLINK) / item;
    let uniform = pivots.iter().any(|(_, share)| *share > 0.999);
    (1.0 + if uniform { fit.floor() } else { fit - 0.5 }).max(2.0)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn bigint(distinct: f64) -> KeyColumn {
        KeyColumn {
            type_length: 8,
            alignment: 8.0,
            average_width: 8.0,
            distinct,
            deduplicates: true,
            ..KeyColumn::default()
        }
    }

    #[test]
    fn an_empty_index_is_its_metapage() {
        assert_eq!(btree_bytes(0.0, &[bigint(0.0)], false, 90.0), Bytes(8192));
    }

    /// `create table t as select g::bigint from generate_series(1, 1000000) g` and a unique index on it: 22,487,040 bytes.
    #[test]
    fn unique_bigint_is_exact() {
        assert_eq!(btree_bytes(1e6, &[bigint(1e6)], true, 90.0), Bytes(22_487_040));
    }

    #[test]
    fn many_nullable_columns_take_no_longer() {
        let nullable = KeyColumn { null_fraction: 0.3, ..bigint(100.0) };
        let keys = vec![nullable; 32];
        let started = std::time::Instant::now();
        assert!(btree_bytes(1e6, &keys, false, 90.0).0 > 1 << 27);
        assert!(started.elapsed().as_millis() < 500);
    }

    #[test]
    fn duplicates_are_merged_into_posting_lists() {
        let many = btree_bytes(1e6, &[bigint(100.0)], false, 90.0).0;
        let unique = btree_bytes(1e6, &[bigint(1e6)], false, 90.0).0;
        assert!(many * 3 < unique, "{many} {unique}");
    }
}
