//! Whose functions an index calls.

use super::definition::Definition;
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Oid};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Functions and operators of its expressions and its predicate belong to superusers: whoever plans with it runs nothing that
/// a lesser role has written.
pub fn calls_only_superusers_functions(definition: &Definition) -> bool {
    // SAFETY: lists of analyzed expressions, or null.
    unsafe {
        !calls_other(definition.expressions.cast(), null_mut()) && !calls_other(definition.predicate.cast(), null_mut())
    }
}

/// SAFETY: called with analyzed expressions, by us and by the server's walker.
unsafe fn calls_other(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe {
        !node.is_null()
            && ((*node).type_ == pg_sys::NodeTag::T_CoerceToDomain
                || pg_sys::check_functions_in_node(node, Some(is_other), context)
                || pg_sys::expression_tree_walker_impl(node, Some(walk), context))
    }
}

/// The server's walker calls this; our own code calls `calls_other`, for an error must unwind through it.
///
/// SAFETY: as of `calls_other`.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { calls_other(node, context) }
}

/// SAFETY: called by the server with the OID of a function.
#[pg_guard]
unsafe extern "C-unwind" fn is_other(function: Oid, _context: *mut c_void) -> bool {
    // SAFETY: the tuple is released after its owner is copied.
    unsafe {
        if function.to_u32() < pg_sys::FirstNormalObjectId {
            return false;
        }
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as i32, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return true;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>()).proowner;
        pg_sys::ReleaseSysCache(tuple);
        !pg_sys::superuser_arg(owner)
    }
}
