//! Rows of the searched table, taken at random: each with the same probability, and the same rows for the same seed as long as
//! the table's pages stay as they are.

use super::query_vector::{QueryVector, select_vectors};
use super::{target::Target, text};
use crate::db::{self, MARK, with_settings};
use pgrx::pg_sys::{self, Oid};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

/// A table of at most that many pages for each row that is wanted is read as a whole: finding rows by guessed addresses would
/// touch about as many.
const PAGES_PER_ROW: usize = 100;
/// Line pointers that a page may have (MaxHeapTuplesPerPage at 8 kB).
const MOST_ROWS_OF_PAGE: u64 = 291;
const GUESSES: usize = 1000;
/// So many guesses for each row that is wanted: then there are too few rows with a vector, and all are looked at.
const MOST_GUESSES_PER_ROW: usize = 1000;

/// Vectors of at most `number` rows that the index holds, in random order.
pub fn vectors(target: &Target, number: usize, seed: i64, search_path: &CStr) -> Vec<QueryVector> {
    let pages = pages(target.table);
    let guessed = match pages as usize > PAGES_PER_ROW * number {
        true => guess(target, number, seed, search_path, pages),
        false => None,
    };
    guessed.unwrap_or_else(|| of_all_rows(target, number, seed, search_path))
}

fn pages(table: u32) -> u64 {
    let sql = "select pg_catalog.pg_relation_size($1)";
    let bytes = db::read(sql, &[Oid::from(table).into()], |row| row.take_option::<i64>()).pop().flatten();
    bytes.unwrap_or(0) as u64 / u64::from(pg_sys::BLCKSZ)
}

fn select(target: &Target, condition: Option<&str>) -> String {
    let vector = match target.reranked {
        true => target.column.to_string(),
        false => format!("({})", target.key_sql),
    };
    let has_vector = text::has_vector(target);
    let conditions = [condition, Some(&has_vector)].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let conditions = text::conditions(target, None, Some(&conditions));
    format!("{MARK}select ctid, {vector} from only {}{conditions}", target.table_name)
}

/// Those whose addresses have the least hash values.
fn of_all_rows(target: &Target, number: usize, seed: i64, search_path: &CStr) -> Vec<QueryVector> {
    let select = select(target, None);
    let text = format!("{select} order by pg_catalog.hashtidextended(ctid, {seed}::int8), ctid limit {number}");
    select_vectors(&text, search_path).into_iter().flatten().collect()
}

/// Guesses addresses of rows: each is as probable as any other, whatever is beside it on its page. None: too few were found.
fn guess(target: &Target, number: usize, seed: i64, search_path: &CStr, pages: u64) -> Option<Vec<QueryVector>> {
    let mut random = Random(seed as u64);
    let (mut found, mut known) = (Vec::with_capacity(number), BTreeSet::new());
    for _ in 0..(number * MOST_GUESSES_PER_ROW).div_ceil(GUESSES) {
        let mut order = BTreeMap::new();
        for position in 0..GUESSES {
            let (page, line) = (random.below(pages), 1 + random.below(MOST_ROWS_OF_PAGE));
            order.entry((page, line)).or_insert(position);
        }
        let addresses: Vec<String> = order.keys().map(|(page, line)| format!("\"({page},{line})\"")).collect();
        let condition = format!("ctid = any ('{{{}}}'::tid[])", addresses.join(","));
        let text = select(target, Some(&condition));
        let read = || select_vectors(&text, search_path).into_iter().flatten();
        let by_address: [(&CStr, &CStr); 1] = [(c"enable_tidscan", c"on")];
        let mut rows: Vec<QueryVector> = with_settings(&by_address, read).collect();
        rows.sort_by_key(|row| {
            let tid = row.own_row.expect("it was selected");
            order.get(&(tid >> 32, tid & 0xFFFF)).copied()
        });
        found.extend(rows.into_iter().filter(|row| known.insert(row.own_row)));
        if found.len() >= number {
            found.truncate(number);
            return Some(found);
        }
    }
    None
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and without `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}
