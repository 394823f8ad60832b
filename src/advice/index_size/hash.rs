//! Hash: as many buckets as the rows of the table ask for, in steps of a quarter; overflow pages where values repeat.

use super::key::{Class, classes};
use super::random::Random;
use super::{ITEM_ID, KeyColumn, PAGE, PAGE_HEADER, Physical, Size};

const FILLFACTOR: f64 = 75.0;
/// Header and hash of a key.
const ITEM: f64 = 16.0 + ITEM_ID;
/// Buckets double up to here, then grow by a quarter of the last power of two.
const DOUBLES_UP_TO: f64 = 512.0;
const BITMAP_BITS: f64 = 32768.0;
/// Buckets filled to see how many pages overflow.
const MAX_SEEN: f64 = 1024.0;

pub(super) fn size(index: &Physical) -> Size {
    let Some(key) = index.keys.first() else { return Size { pages: 1, height: 0, tuples: 0.0 } };
    let rows = index.rows * (1.0 - key.null_fraction);
    let per_bucket = (PAGE * index.parameters.fillfactor.unwrap_or(FILLFACTOR) / 100.0 / ITEM).floor().max(10.0);
    // The first buckets are for all rows of the table, whatever the predicate leaves.
    let wanted = (index.table_rows.max(rows) / per_bucket).max(2.0);
    let buckets = total_buckets(wanted.floor()).max(total_buckets((rows / per_bucket).ceil()));
    let overflow = overflow_pages(key, index.table_rows.max(rows), rows, buckets);
    let bitmaps = (overflow / BITMAP_BITS).ceil().max(1.0);
    Size { pages: (1.0 + buckets + overflow.round() + bitmaps) as u64, height: 0, tuples: rows }
}

fn total_buckets(wanted: f64) -> f64 {
    let power = 2_f64.powf(wanted.max(2.0).log2().ceil());
    if power <= DOUBLES_UP_TO {
        return power;
    }
    let step = power / 8.0;
    (wanted / step).ceil() * step
}

fn overflow_pages(key: &KeyColumn, table_rows: f64, rows: f64, buckets: f64) -> f64 {
    let per_page = ((PAGE - PAGE_HEADER - 16.0) / ITEM).floor();
    let all = classes(&[key], table_rows, None);
    // Nulls are not in a hash index.
    let filled: Vec<&Class> = all.iter().filter(|class| class.filled != 0).collect();
    let mut random = Random::new();
    let seen = buckets.min(MAX_SEEN);
    let mut pages = 0.0;
    let (few, many): (Vec<&Class>, Vec<&Class>) = filled
        .into_iter()
        .partition(|class| class.values < 0.25 * buckets && class.share * rows / class.values > per_page / 8.0);
    let of_many: f64 = many.iter().map(|class| class.share * rows / buckets).sum();
    for _ in 0..seen as usize {
        let tuples: f64 = many.iter().map(|class| random.sum(class.values / buckets, class.rows_per_value(rows))).sum();
        pages += ((tuples / per_page).ceil() - 1.0).max(0.0) * buckets / seen;
    }
    // A value that fills pages of its own falls into a bucket that has its share of the others.
    for class in few {
        pages += class.values * (((of_many + class.rows_per_value(rows)) / per_page).ceil() - 1.0).max(0.0);
    }
    pages
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn buckets_double_and_then_grow_by_quarters() {
        let wanted = [1.0, 3.0, 300.0, 513.0, 700.0, 1000.0, 1025.0];
        assert_eq!(wanted.map(total_buckets), [2.0, 4.0, 512.0, 640.0, 768.0, 1024.0, 1280.0]);
    }
}
