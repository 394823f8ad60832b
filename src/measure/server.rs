//! Functions of the server that pgrx does not bind.

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{IndexStmt, LOCKMODE, List, Oid, ParseState, Query, TimestampTz};
use std::ffi::{c_char, c_int};

/// Declares C functions; errors that they raise unwind as those of pgrx's own bindings do.
macro_rules! server {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        $(#[$doc])*
        #[allow(non_snake_case, reason = "the name is the server's")]
        ///
        /// SAFETY: as the C function's.
        pub unsafe fn $name($($argument: $type),*) $(-> $result)? {
            unsafe extern "C-unwind" {
                fn $name($($argument: $type),*) $(-> $result)?;
            }
            // SAFETY: the caller vouches for the arguments.
            unsafe { pg_guard_ffi_boundary(|| $name($($argument),*)) }
        }
    )*};
}

server! {
    /// parser/parse_param.h: `$1` of any number; their types are found while the statement is analyzed.
    fn setup_parse_variable_parameters(state: *mut ParseState, types: *mut *mut Oid, number: *mut c_int);
    /// parser/parse_param.h
    fn check_variable_parameters(state: *mut ParseState, query: *mut Query);
    /// parser/parse_utilcmd.h
    fn transformIndexStmt(relation: Oid, statement: *mut IndexStmt, text: *const c_char) -> *mut IndexStmt;
    /// catalog/pg_inherits.h
    fn has_subclass(relation: Oid) -> bool;
    /// utils/pg_locale.h
    fn lc_collate_is_c(collation: Oid) -> bool;
    /// catalog/partition.h
    fn get_partition_ancestors(relation: Oid) -> *mut List;
    /// catalog/pg_inherits.h
    fn find_all_inheritors(parent: Oid, lock: LOCKMODE, parents: *mut *mut List) -> *mut List;
    /// utils/timeout.h; the id of the new timeout.
    fn RegisterTimeout(id: c_int, handler: Option<unsafe extern "C-unwind" fn()>) -> c_int;
    /// utils/timeout.h
    fn enable_timeout_every(id: c_int, at: TimestampTz, milliseconds: c_int);
    /// utils/timeout.h
    fn disable_timeout(id: c_int, keep_indicator: bool);
    /// utils/timeout.h
    fn get_timeout_active(id: c_int) -> bool;
}
