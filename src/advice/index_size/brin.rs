//! BRIN: one summary for each range of pages, a map of the ranges, a metapage.

use super::{ITEM_ID, KeyColumn, PAGE, PAGE_HEADER, Physical, Size, align};

const PAGES_PER_RANGE: f64 = 128.0;
const ROOM: f64 = PAGE - PAGE_HEADER - 8.0;
/// Item pointers of six bytes.
const RANGES_PER_MAP_PAGE: f64 = 1360.0;
/// Of BrinTuple, aligned.
const HEADER: f64 = 8.0;
/// values_per_range of minmax_multi, whose summary is a serialized array.
const MULTI_VALUES: f64 = 32.0;
const MULTI_HEADER: f64 = 20.0;
/// n_distinct_per_range and false_positive_rate of bloom.
const BLOOM_DISTINCT_SHARE: f64 = 0.1;
const BLOOM_MIN_DISTINCT: f64 = 16.0;
const BLOOM_FALSE_POSITIVE: f64 = 0.01;
const MAX_TUPLES_PER_PAGE: f64 = 291.0;
const MAX_BLOOM_BYTES: f64 = 6500.0;

pub(super) fn size(index: &Physical) -> Size {
    let pages_per_range = index.parameters.pages_per_range.unwrap_or(PAGES_PER_RANGE);
    let ranges = (index.table_pages / pages_per_range).ceil().max(1.0);
    let rows_per_range = index.rows / ranges;
    let summaries: f64 = index.keys.iter().map(|key| summary(key, pages_per_range, rows_per_range)).sum();
    let nulls = if index.keys.iter().any(|key| key.null_fraction > 0.0) { 8.0 } else { 0.0 };
    let tuple = align(HEADER + nulls + summaries, 8.0) + ITEM_ID;
    let per_page = (ROOM / tuple).floor().max(1.0);
    let map = (ranges / RANGES_PER_MAP_PAGE).ceil();
    Size { pages: (1.0 + map + (ranges / per_page).ceil()) as u64, height: 0, tuples: ranges }
}

fn summary(key: &KeyColumn, pages_per_range: f64, rows: f64) -> f64 {
    let width = if key.type_length > 0 { f64::from(key.type_length) } else { key.average_width };
    if key.class.contains("bloom") {
        let distinct = (BLOOM_DISTINCT_SHARE * MAX_TUPLES_PER_PAGE * pages_per_range).max(BLOOM_MIN_DISTINCT);
        let bits = -distinct * BLOOM_FALSE_POSITIVE.ln() / std::f64::consts::LN_2.powi(2);
        (bits / 8.0).min(MAX_BLOOM_BYTES)
    } else if key.class.contains("minmax_multi") {
        MULTI_HEADER + width * MULTI_VALUES.min(key.distinct).min(rows).max(1.0)
    } else if key.class.contains("inclusion") {
        // The union, and whether any value is empty or cannot be merged.
        width + 3.0
    } else {
        align(2.0 * width, 1.0)
    }
}
