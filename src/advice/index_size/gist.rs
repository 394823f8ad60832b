//! GiST and SP-GiST: the size of a leaf tuple, by operator class, on pages as full as splitting was measured to leave them.

use super::elements;
use super::{ITEM_ID, KeyColumn, PAGE, PAGE_HEADER, Physical, Size, align};

const ROOM: f64 = PAGE - PAGE_HEADER - 8.0;
/// Rows that arrive in the order of the key split off full halves that nothing is added to.
const IN_ORDER: f64 = 0.9;
const SPGIST_HEADER: f64 = 16.0;
/// Bytes that the inner tuples of a radix tree take off the front of a text, about.
const RADIX_PREFIX: f64 = 3.0;
/// Sparser than leaves, and as large as them or larger.
const UPPER_LEVELS: f64 = 1.015;

pub(super) fn gist(index: &Physical) -> Size {
    let bytes: f64 = index.keys.iter().chain(&index.included).map(leaf_bytes).sum();
    // The first column decides where pages split.
    let fill = index.keys.first().map_or(1.0, fill);
    sized(index, align(8.0 + bytes, 8.0), fill, 0)
}

pub(super) fn spgist(index: &Physical) -> Size {
    let Some(key) = index.keys.first() else { return sized(index, SPGIST_HEADER, 1.0, 1) };
    let (bytes, fill) = match key.class.as_str() {
        "text_ops" => ((stored(key) - RADIX_PREFIX).max(1.0) + 3.5, 0.87),
        "kd_point_ops" => (16.0, 0.70),
        "quad_point_ops" => (16.0, 0.78),
        "box_ops" | "poly_ops" => (32.0, 0.82),
        "inet_ops" => (align(stored(key), 8.0), 0.84),
        "range_ops" => (align(stored(key), 8.0), 0.68),
        _ => (align(stored(key), 8.0), 0.75),
    };
    let included: f64 = index.included.iter().map(|column| align(stored(column), 8.0)).sum();
    sized(index, SPGIST_HEADER + bytes + included, fill, 2)
}

fn sized(index: &Physical, tuple: f64, fill: f64, own_pages: u64) -> Size {
    let leaves = index.rows * (tuple + ITEM_ID) / (ROOM * fill);
    let pages = if leaves <= 1.0 || leaves * fill <= 1.0 { 1.0 } else { (leaves * UPPER_LEVELS).ceil() + 1.0 };
    Size { pages: pages as u64 + own_pages, height: 0, tuples: index.rows }
}

/// As the heap stores it.
fn stored(column: &KeyColumn) -> f64 {
    let value = match (column.type_length, column.widths.len()) {
        (length, _) if length > 0 => f64::from(length),
        (_, 0) => column.average_width + 0.5,
        (_, number) => column.widths.iter().sum::<f64>() / number as f64,
    };
    value * (1.0 - column.null_fraction)
}

fn leaf_bytes(key: &KeyColumn) -> f64 {
    let width = stored(key);
    match key.class.as_str() {
        // A box, even for a point.
        "point_ops" | "box_ops" | "poly_ops" | "circle_ops" => 32.0,
        // Family, bits and address.
        "inet_ops" => width + 1.0,
        "tsvector_ops" => 5.0 + 4.0 * elements::per_row(key),
        "gist_trgm_ops" => 5.0 + 3.0 * elements::per_row(key) + 3.5,
        // One value within another varlena.
        class if class.starts_with("gist_") && key.type_length < 0 => width + 7.5,
        // btree_gist keeps a lower and an upper bound.
        class if class.starts_with("gist_") => 2.0 * width,
        _ => width,
    }
}

fn fill(key: &KeyColumn) -> f64 {
    match key.class.as_str() {
        "point_ops" => 0.67,
        "box_ops" | "poly_ops" | "circle_ops" => 0.49,
        "range_ops" | "multirange_ops" => 0.46,
        "inet_ops" => 0.64,
        "tsvector_ops" => 0.82,
        "gist_trgm_ops" => 0.66,
        _ if key.correlation.abs() >= IN_ORDER => 0.46,
        _ => 0.60,
    }
}
