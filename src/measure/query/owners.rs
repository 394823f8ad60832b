//! Whose code planning may run.
//!
//! Owners of what a query names can have put code there since: into views, policies, expressions of indexes and statistics,
//! CHECKs of domains, functions that are declared immutable. Analysis and rewriting run none of it; planning does.

use pgrx::pg_guard;
use pgrx::pg_sys::{self, Node, NodeTag, Oid, SysCacheIdentifier};
use std::collections::BTreeSet;
use std::ffi::c_void;

/// Of the relations, functions and domains in an analyzed tree, those that come with the server left out.
///
/// SAFETY: `node` is an analyzed tree, or null.
pub unsafe fn owners(node: *mut Node) -> BTreeSet<u32> {
    let mut owners = BTreeSet::new();
    // SAFETY: as said above; `visit` gets back the set that it is handed here.
    unsafe { visit(node, (&raw mut owners).cast()) };
    owners
}

unsafe fn visit(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as of `owners`; nodes are cast after a look at their tags.
    unsafe {
        if node.is_null() {
            return false;
        }
        let owners = &mut *context.cast::<BTreeSet<u32>>();
        match (*node).type_ {
            NodeTag::T_Query => {
                let flags = pg_sys::QTW_EXAMINE_RTES_BEFORE as i32;
                return pg_sys::query_tree_walker(node.cast(), Some(walk), context, flags);
            }
            // A view keeps its OID beside its query.
            NodeTag::T_RangeTblEntry => {
                owners.extend(owner(SysCacheIdentifier::RELOID, (*node.cast::<pg_sys::RangeTblEntry>()).relid));
                return false;
            }
            NodeTag::T_CoerceToDomain => {
                let domain = (*node.cast::<pg_sys::CoerceToDomain>()).resulttype;
                owners.extend(owner(SysCacheIdentifier::TYPEOID, domain));
            }
            _ => {}
        }
        pg_sys::check_functions_in_node(node, Some(add_function), context);
        pg_sys::expression_tree_walker(node, Some(walk), context)
    }
}

/// The server's walker calls this; our own code calls `visit`, for an error must unwind through it.
///
/// SAFETY: as of `visit`.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { visit(node, context) }
}

/// SAFETY: called by the server with the OID of a function and the set of `owners`.
#[pg_guard]
unsafe extern "C-unwind" fn add_function(function: Oid, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { (*context.cast::<BTreeSet<u32>>()).extend(owner(SysCacheIdentifier::PROCOID, function)) };
    false
}

/// None: it comes with the server, or is gone.
fn owner(cache: SysCacheIdentifier::Type, oid: Oid) -> Option<u32> {
    if oid.to_u32() < pg_sys::FirstNormalObjectId {
        return None;
    }
    // SAFETY: the tuple is released after its owner is copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return None;
        }
        let data = pg_sys::GETSTRUCT(tuple);
        let owner = match cache {
            SysCacheIdentifier::RELOID => (*data.cast::<pg_sys::FormData_pg_class>()).relowner,
            SysCacheIdentifier::TYPEOID => (*data.cast::<pg_sys::FormData_pg_type>()).typowner,
            _ => (*data.cast::<pg_sys::FormData_pg_proc>()).proowner,
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(owner.to_u32())
    }
}
