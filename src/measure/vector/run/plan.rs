//! Plans of one search, each with a proof of what it uses.

use super::hook::{self, Indexes, Scope};
use crate::db::{raise, with_settings};
use pgrx::pg_sys::{self, NodeTag, Oid, Plan};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::{CStr, CString};
use std::ptr::null_mut;

/// A search whose `$1` is the query vector. It is in the memory context in which it was planned.
pub struct Planned {
    pub statement: *mut pg_sys::PlannedStmt,
    pub text: CString,
}

/// So that the planner takes the only index that it sees, whatever it thinks of its cost.
const ONLY_INDEX_SCANS: [(&CStr, &CStr); 5] = [
    (c"enable_indexscan", c"on"),
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_tidscan", c"off"),
    (c"enable_sort", c"off"),
];

/// The plan that the planner makes where no index is there that may miss rows; that it uses none is proved on the plan.
pub fn exact(text: String, vector: Oid, table: Oid) -> Planned {
    let planned = plan(text, vector, table, Indexes::Exact);
    // What a filter asks of other tables is its own affair.
    let proved =
        |scan: &IndexScan| !is_of(scan.index, table) || (hook::is_exact(access_method(scan.index)) && !scan.ordered);
    // SAFETY: just planned.
    let scans = unsafe { index_scans(planned.statement) };
    if !scans.iter().all(proved) {
        raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            "the plan of the exact search uses an index that may miss rows",
            "This should not happen: please report it.",
        )
    }
    planned
}

/// A plan by the index; that it is searched in the order of the distance, and no other way, is proved on the plan.
pub fn approximate(text: String, vector: Oid, table: Oid, index: Oid) -> Planned {
    let planned = with_settings(&ONLY_INDEX_SCANS, || plan(text, vector, table, Indexes::Only(index)));
    // SAFETY: just planned.
    let scans = unsafe { index_scans(planned.statement) };
    if scans.iter().filter(|scan| scan.index == index && scan.ordered).count() != 1 {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "the planner has no plan that searches by the index",
            "A filter that is never true, or that has subqueries, can make it so: leave it out, or make it simpler.",
        )
    }
    planned
}

/// Analyzes and plans a SELECT with one parameter, whose value the planner does not know.
fn plan(text: String, parameter: Oid, table: Oid, indexes: Indexes) -> Planned {
    let text = CString::new(text).expect("texts of the server's and ours hold no zero byte");
    // SAFETY: as the server does it for a prepared statement; trees are in the current memory context.
    unsafe {
        let query = analyzed(&text, &[parameter]);
        // A parameter without a type is left alone.
        let parameters = pg_sys::makeParamList(1);
        let scope = Scope { table, indexes, parameters };
        let parallel = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
        let statement = scope.run(|| pg_sys::pg_plan_query(query, text.as_ptr(), parallel, parameters));
        Planned { statement, text }
    }
}

/// The only statement of a text, which is a SELECT, analyzed and rewritten.
///
/// SAFETY: the tree is in the current memory context.
pub unsafe fn analyzed(text: &CStr, parameters: &[Oid]) -> *mut pg_sys::Query {
    // SAFETY: the server's own trees.
    unsafe {
        let raw = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statement = PgList::<pg_sys::RawStmt>::from_pg(raw).get_ptr(0).expect("it holds a statement");
        let rewritten = pg_sys::pg_analyze_and_rewrite_fixedparams(
            statement,
            text.as_ptr(),
            parameters.as_ptr(),
            parameters.len() as i32,
            null_mut(),
        );
        PgList::<pg_sys::Query>::from_pg(rewritten).get_ptr(0).expect("a SELECT is rewritten to one")
    }
}

fn is_of(index: Oid, table: Oid) -> bool {
    // SAFETY: a catalog lookup; the planner has locked the index.
    unsafe { pg_sys::IndexGetRelation(index, true) == table }
}

fn access_method(index: Oid) -> Oid {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::get_rel_relam(index) }
}

struct IndexScan {
    index: Oid,
    /// By the distance.
    ordered: bool,
}

/// All of a statement.
///
/// SAFETY: it is the planner's.
unsafe fn index_scans(statement: *mut pg_sys::PlannedStmt) -> Vec<IndexScan> {
    let mut scans = Vec::new();
    // SAFETY: as said above.
    unsafe {
        visit((*statement).planTree, &mut scans);
        for plan in PgList::<Plan>::from_pg((*statement).subplans).iter_ptr() {
            visit(plan, &mut scans);
        }
    }
    scans
}

/// SAFETY: a plan of the planner's, or null.
unsafe fn visit(plan: *mut Plan, scans: &mut Vec<IndexScan>) {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        if plan.is_null() {
            return;
        }
        let mut children = |list: *mut pg_sys::List| {
            PgList::<Plan>::from_pg(list).iter_ptr().for_each(|child| visit(child, scans));
        };
        match (*plan).type_ {
            NodeTag::T_Append => children((*plan.cast::<pg_sys::Append>()).appendplans),
            NodeTag::T_MergeAppend => children((*plan.cast::<pg_sys::MergeAppend>()).mergeplans),
            NodeTag::T_BitmapAnd => children((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans),
            NodeTag::T_BitmapOr => children((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans),
            NodeTag::T_CustomScan => children((*plan.cast::<pg_sys::CustomScan>()).custom_plans),
            NodeTag::T_SubqueryScan => visit((*plan.cast::<pg_sys::SubqueryScan>()).subplan, scans),
            NodeTag::T_IndexScan => {
                let scan = &*plan.cast::<pg_sys::IndexScan>();
                scans.push(IndexScan { index: scan.indexid, ordered: !scan.indexorderby.is_null() });
            }
            NodeTag::T_IndexOnlyScan => {
                let scan = &*plan.cast::<pg_sys::IndexOnlyScan>();
                scans.push(IndexScan { index: scan.indexid, ordered: !scan.indexorderby.is_null() });
            }
            NodeTag::T_BitmapIndexScan => {
                let scan = &*plan.cast::<pg_sys::BitmapIndexScan>();
                scans.push(IndexScan { index: scan.indexid, ordered: false });
            }
            _ => {}
        }
        visit((*plan).lefttree, scans);
        visit((*plan).righttree, scans);
    }
}
