//! Rows and bytes of a relation, without opening it.

use crate::db::Row;
use crate::facts::file_bytes;

pub struct Size {
    pub rows: f64,
    pub guessed: bool,
    pub bytes: u64,
}

/// Rows of a table of which nothing is known, per block: as the planner guesses for a row of some hundred bytes.
const GUESSED_ROWS: f64 = 80.0;
const BLOCK: f64 = crate::units::BLOCK;

/// From tuples, pages, file, TOAST file and TOAST pages of the row that is read.
pub fn of(row: &mut Row) -> Size {
    let (tuples, pages): (f64, i32) = (row.take(), row.take());
    let path = row.take_option::<String>();
    let has_file = path.is_some();
    let own = file_bytes(path, pages);
    let toast_path = row.take_option::<String>();
    let has_toast = toast_path.is_some();
    let toast_pages: i32 = row.take();
    let toast = if has_toast { file_bytes(toast_path, toast_pages) } else { 0 };
    let blocks = own as f64 / BLOCK;
    // As the planner does: the density of the last count, at the size of today.
    let rows = match tuples {
        tuples if tuples < 0.0 => blocks * GUESSED_ROWS,
        tuples if pages > 0 && has_file => (tuples / f64::from(pages) * blocks).round(),
        _ if has_file => 0.0,
        tuples => tuples,
    };
    Size { rows: rows.round(), guessed: tuples < 0.0 && own > 0, bytes: own + toast }
}
