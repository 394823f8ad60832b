//! pgvector's HNSW and IVFFlat, as hnswbuild.c and ivfbuild.c of 0.8 lay them out.

use super::random::Random;
use super::{ITEM_ID, KeyColumn, PAGE, PAGE_HEADER, Physical, Size, TID, align};

const DEFAULT_M: f64 = 16.0;
const DEFAULT_LISTS: f64 = 100.0;
/// Of a page, less its header and pgvector's special space.
const ROOM: f64 = PAGE - PAGE_HEADER - 8.0;
/// HnswElementTupleData before the value: ten heap TIDs and the place of the neighbors.
const ELEMENT: f64 = 72.0;
/// Elements laid out to see how many a page takes.
const ELEMENTS: usize = 3000;

pub(super) fn hnsw(index: &Physical) -> Size {
    let Some(key) = index.keys.first() else { return empty() };
    let rows = index.rows * (1.0 - key.null_fraction);
    let pages = hnsw_pages(rows, value_bytes(key), index.parameters.m.unwrap_or(DEFAULT_M));
    Size { pages, height: 0, tuples: rows }
}

/// Of an index over `rows` vectors, none twice, each of `value_bytes` with its header.
pub fn hnsw_pages(rows: f64, value_bytes: f64, m: f64) -> u64 {
    let element = align(ELEMENT + value_bytes, 8.0) + ITEM_ID;
    let neighbors = |level: f64| align(4.0 + (level + 2.0) * m * TID, 8.0) + ITEM_ID;
    let pages =
        if element + neighbors(0.0) > ROOM { 2.0 * rows } else { rows * pages_per_element(element, m, neighbors) };
    pages.ceil() as u64 + 1
}

/// An element and its neighbors, of which few have any beyond level 0, stay together.
fn pages_per_element(element: f64, m: f64, neighbors: impl Fn(f64) -> f64) -> f64 {
    let mut random = Random::new();
    let (mut pages, mut used) = (1.0, 0.0);
    for _ in 0..ELEMENTS {
        let level = (-random.next().max(f64::MIN_POSITIVE).ln() / m.ln()).floor();
        let both = element + neighbors(level);
        if used + both > ROOM {
            pages += 1.0;
            used = 0.0;
        }
        used += both;
    }
    (pages - 1.0 + used / ROOM) / ELEMENTS as f64
}

pub(super) fn ivfflat(index: &Physical) -> Size {
    let Some(key) = index.keys.first() else { return empty() };
    let rows = index.rows * (1.0 - key.null_fraction);
    let pages = ivfflat_pages(rows, value_bytes(key), index.parameters.lists.unwrap_or(DEFAULT_LISTS));
    Size { pages, height: 0, tuples: rows }
}

/// Of an index over `rows` vectors, each of `value_bytes` with its header.
pub fn ivfflat_pages(rows: f64, value_bytes: f64, lists: f64) -> u64 {
    let per_page = |item: f64| (ROOM / (align(item, 8.0) + ITEM_ID)).floor().max(1.0);
    let pages_per_list = rows / lists / per_page(8.0 + value_bytes);
    // k-means leaves lists of unequal length, each with a last page.
    let of_list = |n: u32| (pages_per_list * (0.25 + 0.05 * f64::from(n))).ceil().max(1.0);
    let list_pages = lists * (0..=30).map(of_list).sum::<f64>() / 31.0;
    let centers = (lists / per_page(8.0 + value_bytes)).ceil();
    (list_pages + centers).ceil() as u64 + 1
}

fn empty() -> Size {
    Size { pages: 1, height: 0, tuples: 0.0 }
}

/// Of the value with its header, never short or compressed; the operator class names the element type.
fn value_bytes(key: &KeyColumn) -> f64 {
    let dimensions = key.dimensions;
    match key.class.split('_').next().unwrap_or_default() {
        "halfvec" => 8.0 + 2.0 * dimensions,
        "bit" => 8.0 + (dimensions / 8.0).ceil(),
        // As stored, with a header of one byte if short.
        "sparsevec" => key.average_width + if key.average_width < 127.0 { 3.0 } else { 0.0 },
        _ => 8.0 + 4.0 * dimensions,
    }
}

#[cfg(test)]
mod unit_tests {
    use super::super::Parameters;
    use super::*;

    fn index(class: &str, dimensions: f64, parameters: Parameters) -> Physical {
        let key = KeyColumn { class: class.to_string(), dimensions, ..KeyColumn::default() };
        Physical { rows: 5000.0, keys: vec![key], parameters, ..Physical::default() }
    }

    /// As built by pgvector 0.8.0.
    #[test]
    fn sizes_are_those_of_real_indexes() {
        let plain = Parameters::default;
        assert_eq!(hnsw(&index("vector_cosine_ops", 384.0, plain())).pages, 1251);
        assert_eq!(hnsw(&index("bit_hamming_ops", 384.0, plain())).pages, 214);
        let narrow = Parameters { m: Some(8.0), ..plain() };
        assert_eq!(hnsw(&index("vector_l2_ops", 100.0, narrow)).pages, 386);
        let lists = Parameters { lists: Some(50.0), ..plain() };
        assert_eq!(ivfflat(&index("vector_l2_ops", 100.0, lists)).pages, 293);
    }
}
