//! GIN: a tree of distinct elements, each with a compressed list of TIDs, or a tree of them where that grows too long.

use super::elements::{self, Group};
use super::key::classes;
use super::{ITEM_ID, KeyColumn, PAGE, PAGE_HEADER, Physical, Size, align};

const ROOM: f64 = PAGE - PAGE_HEADER - 8.0;
/// GinMaxItemSize: a longer entry has its TIDs in a tree.
const MAX_ITEM: f64 = 2712.0;
/// First TID and length.
const SEGMENT_HEADER: f64 = 8.0;
/// A segment of a tree's page, and what a page holds of them: it is closed when the next does not fit.
const SEGMENT: f64 = 256.0;
const TREE_ROOM: f64 = 8000.0;
/// Entries of the upper levels on a page.
const DOWNLINKS: f64 = 100.0;
/// Pages that deltas of 14, 21 and 28 bits reach, with 11 bits for the line pointer.
const REACH: [f64; 3] = [8.0, 1024.0, 131_072.0];

pub(super) fn size(index: &Physical) -> Size {
    let (mut entry_bytes, mut squares, mut tree_pages) = (0.0, 0.0, 0.0);
    // Elements of a key of several columns have the column's number with them.
    let with_column = if index.keys.len() > 1 { 2.0 } else { 0.0 };
    for key in &index.keys {
        let rows = index.rows * (1.0 - key.null_fraction);
        for group in groups(key, index.table_rows.max(index.rows)) {
            // What the predicate leaves of the elements, a row each at least.
            let mean = rows * group.share;
            let number = group.number * (1.0 - (-mean).exp().min(1.0)).max(f64::from(mean >= 1.0));
            if number <= 0.0 {
                continue;
            }
            let tids = (mean * group.number / number).max(1.0);
            let in_order = if elements::is_scalar(key) { key.correlation.powi(2) } else { 0.0 };
            let apart = bytes_per_tid(tids, index.table_pages, rows);
            let together = bytes_per_tid(rows, index.table_pages, rows);
            let per_tid = in_order * together + (1.0 - in_order) * apart;
            let posting = SEGMENT_HEADER + (tids - 1.0) * per_tid;
            let name = align(8.0 + with_column + group.width, 8.0);
            let entry = if name + posting > MAX_ITEM {
                let segments = SEGMENT / (SEGMENT - SEGMENT_HEADER);
                let leaves = ((tids * per_tid * segments) / TREE_ROOM).ceil();
                tree_pages += number * if leaves > 1.0 { leaves + 1.0 } else { 1.0 };
                name
            } else {
                align(name + posting, 8.0)
            };
            entry_bytes += number * (entry + ITEM_ID);
            squares += number * (entry + ITEM_ID).powi(2);
        }
    }
    let leaves = entry_bytes / ROOM;
    let entry_pages =
        if leaves <= 1.0 { 1.0 } else { (leaves / fill(squares / entry_bytes)).ceil() + (leaves / DOWNLINKS).ceil() };
    // Beside them the metapage.
    Size { pages: (1.0 + entry_pages + tree_pages) as u64, height: 0, tuples: index.rows }
}

/// Elements arrive in their order: each page splits in halves when an entry does not fit, and nothing is added to the left one.
fn fill(entry: f64) -> f64 {
    let fit = (ROOM / entry).floor().max(1.0);
    (((fit + 1.0) / 2.0).ceil().min(fit) * entry / ROOM).clamp(0.5, 1.0)
}

fn groups(key: &KeyColumn, table_rows: f64) -> Vec<Group> {
    if !elements::is_scalar(key) {
        return elements::groups(key, table_rows);
    }
    let width = if key.type_length > 0 { f64::from(key.type_length) } else { key.average_width + 0.5 };
    let filled = (1.0 - key.null_fraction).max(1e-6);
    let of_class = |class: super::key::Class| {
        let number = class.present(table_rows).max(1.0);
        Group { number, share: class.share / filled / number, width }
    };
    classes(&[key], table_rows, None).into_iter().filter(|class| class.filled != 0).map(of_class).collect()
}

/// Of the difference to the TID before, for an element whose rows lie anywhere in the table.
fn bytes_per_tid(tids: f64, pages: f64, rows: f64) -> f64 {
    let per_page = (tids / pages.max(1.0)).max(1e-9);
    // No two rows of a page are further apart than the next page.
    let same_page =
        if tids >= rows { 1.0 - 1.0 / per_page.max(1.0) } else { 1.0 - (1.0 - (-per_page).exp()) / per_page };
    let within = REACH.map(|reach| (1.0 - (-per_page * reach).exp()).max(same_page));
    1.0 + (1.0 - same_page) + within.map(|share| 1.0 - share).iter().sum::<f64>()
}

#[cfg(test)]
mod unit_tests {
    use super::super::elements::groups;
    use super::*;
    use crate::advice::index_size::{Elements, Method};

    /// 100,000 rows of six numbers up to 50 on 13,440 pages: 204 pages, nearly all of posting trees.
    #[test]
    fn few_elements_have_trees() {
        let elements = Elements { average: Some(5.71), frequencies: vec![0.112; 51], type_length: 4 };
        let key = KeyColumn { class: "array_ops".to_string(), elements: Some(elements), ..KeyColumn::default() };
        assert_eq!(groups(&key, 1e5).len(), 51);
        let (rows, table_pages) = (1e5, 13440.0);
        let index = Physical {
            method: Method::Gin,
            rows,
            table_rows: rows,
            table_pages,
            keys: vec![key],
            ..Physical::default()
        };
        assert_eq!(size(&index).pages, 206);
    }
}
