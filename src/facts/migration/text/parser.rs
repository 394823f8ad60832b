//! The server's own parser, which nothing but itself decides with.

use super::super::statement::SyntaxError;
use crate::db::{self, Arena};
use pgrx::{PgList, pg_sys};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};

/// One statement of the parsed text.
pub struct Raw<'a> {
    /// Where what belongs to it begins: comments before it are among that.
    pub start: usize,
    /// None: the end of the text.
    pub length: Option<usize>,
    /// The command tag, as CREATE TABLE.
    pub tag: String,
    /// As nodeToString() prints it, with locations.
    pub tree: &'a str,
}

/// Parses all of `sql`, or nothing; `use_` gets each statement.
pub fn parse<T>(sql: &str, mut use_: impl FnMut(Raw) -> T) -> Result<Vec<T>, SyntaxError> {
    let text = CString::new(sql).expect("SQL values hold no zero byte");
    let position = Cell::new(0);
    let parsed = db::read_only(|| {
        db::with_settings(&[(c"client_min_messages", c"error"), (c"standard_conforming_strings", c"on")], || {
            Arena::new().enter(|| noting_position(&position, || statements(&text, &mut use_)))
        })
    });
    parsed.map_err(|caught| SyntaxError {
        sqlstate: caught.sqlstate,
        message: caught.message,
        offset: usize::try_from(position.get()).ok().filter(|position| *position > 0).map(|position| {
            // The server counts characters, from 1.
            sql.char_indices().nth(position - 1).map_or(sql.len(), |(offset, _)| offset)
        }),
    })
}

fn statements<T>(text: &CStr, use_: &mut impl FnMut(Raw) -> T) -> Vec<T> {
    // SAFETY: the tree is the server's own, made in the arena that is current; what is printed of it lives there too, until
    // `use_` has had it.
    unsafe {
        let list = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let list = PgList::<pg_sys::RawStmt>::from_pg(list);
        let of = |statement: *mut pg_sys::RawStmt| {
            pg_sys::check_for_interrupts!();
            let node = (*statement).stmt;
            let tag = CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(node)));
            let printed = pg_sys::nodeToStringWithLocations(node.cast());
            let tree = CStr::from_ptr(printed).to_str().unwrap_or_else(|error| panic!("a parse tree: {error}"));
            let value = use_(Raw {
                start: usize::try_from((*statement).stmt_location).unwrap_or(0),
                length: usize::try_from((*statement).stmt_len).ok().filter(|length| *length > 0),
                tag: tag.to_string_lossy().into_owned(),
                tree,
            });
            pg_sys::pfree(printed.cast());
            value
        };
        let values = list.iter_ptr().map(of).collect();
        // The arena frees it.
        let _ = list.into_pg();
        values
    }
}

/// Runs `body`, and notes the position of the error that it raises: what is caught of one does not have it.
fn noting_position<T>(position: &Cell<i32>, body: impl FnOnce() -> T) -> T {
    struct Back(*mut pg_sys::ErrorContextCallback);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: what was there before.
            unsafe { pg_sys::error_context_stack = self.0 };
        }
    }
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn note(position: *mut c_void) {
        // SAFETY: called while an error is raised, with the cell of the call below, which is still running.
        unsafe { (*position.cast::<Cell<i32>>()).set(pg_sys::geterrposition()) };
    }
    let position: *const Cell<i32> = position;
    // SAFETY: the callback lives on this stack until it is taken off again, on both ways out.
    unsafe {
        let previous = pg_sys::error_context_stack;
        let mut callback =
            pg_sys::ErrorContextCallback { previous, callback: Some(note), arg: position.cast_mut().cast() };
        let _back = Back(previous);
        pg_sys::error_context_stack = &raw mut callback;
        body()
    }
}
