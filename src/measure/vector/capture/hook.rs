//! Sees searches end.

use super::plan::{self, Searches};
use super::queue::{Added, GIVES_UP, Queue};
use super::record::{MOST_BYTES, Record};
use super::{RATE, expression, worker};
use crate::db;
use crate::measure::statement_end::{has_parameters, milliseconds, now, source, statement_start, unharmed};
use pgrx::pg_sys::{self, NodeTag, QueryDesc};
use std::cell::Cell;

/// Of a statement; the rest of a union of many is not looked at.
const MOST_SEARCHES: usize = 8;
/// A session looks whether a worker is missing.
const LOOK_EVERY_US: i64 = 1_000_000;

thread_local! {
    static FAILURES: Cell<u8> = const { Cell::new(0) };
    static UNSEEN: Cell<u32> = const { Cell::new(0) };
    static LOOKED: Cell<i64> = const { Cell::new(0) };
}

/// Runs what makes searches of our own, which are nobody's traffic.
pub fn unseen<T>(body: impl FnOnce() -> T) -> T {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            UNSEEN.set(UNSEEN.get() - 1);
        }
    }
    UNSEEN.set(UNSEEN.get() + 1);
    let _back = Back;
    body()
}

/// SAFETY: called by the server's hook with a query that has been executed.
pub unsafe fn at_end(query: *mut QueryDesc) {
    if RATE.get() > 0.0 && UNSEEN.get() == 0 {
        // SAFETY: as said above.
        unharmed(
            &FAILURES,
            GIVES_UP,
            || (),
            || unsafe {
                look_for_worker();
                see(&*query);
            },
        );
    }
}

/// The last may have been ended before it had written all.
fn look_for_worker() {
    let Some(queue) = Queue::attached() else { return };
    if statement_start() - LOOKED.get() >= LOOK_EVERY_US {
        LOOKED.set(statement_start());
        worker::start_if_needed(queue);
    }
}

/// SAFETY: as `at_end`.
unsafe fn see(query: &QueryDesc) {
    // SAFETY: the query's state lives until the executor has ended it.
    unsafe {
        let worth = query.operation == pg_sys::CmdType::CMD_SELECT
            && query.already_executed
            && !query.planstate.is_null()
            && !query.estate.is_null()
            && !(*query.plannedstmt).relationOids.is_null()
            && (*query.estate).es_top_eflags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 == 0
            && pg_sys::MyBackendType == pg_sys::BackendType::B_BACKEND
            && pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) < RATE.get();
        if !worth {
            return;
        }
        let searches = plan::searches(query);
        if searches.found.is_empty()
            || !has_parameters(query)
            || pg_sys::RecoveryInProgress()
            || pg_sys::IsInParallelMode()
            || !pg_sys::IsTransactionState()
            || is_explained()
            || source(query).starts_with(db::MARK.as_bytes())
        {
            return;
        }
        let ms = milliseconds(query);
        // What it allocates goes with the query.
        let context = pg_sys::MemoryContextSwitchTo((*query.estate).es_query_cxt);
        let added = db::guarded(|| capture(query, &searches, ms));
        pg_sys::MemoryContextSwitchTo(context);
        if added.is_ok_and(|worker_needed| worker_needed) {
            worker::start();
        }
    }
}

/// Whether nobody is there to write what waits now.
///
/// SAFETY: as `at_end`, in a subtransaction.
unsafe fn capture(query: &QueryDesc, searches: &Searches, ms: f64) -> bool {
    if !is_wanted() {
        return false;
    }
    let Some(queue) = Queue::attach() else { return false };
    // SAFETY: as said above.
    let records = db::with_search_path(c"pg_catalog, pg_temp", || unsafe { read(query, searches) });
    let mut worker_needed = false;
    for record in records {
        let encoded = Record { ms, ..record }.encode();
        let too_long = encoded.len() > MOST_BYTES;
        match if too_long { Added::Dropped } else { queue.add(super::this_database(), now(), &encoded) } {
            Added::Dropped => queue.count_dropped(super::this_database(), 1),
            Added::NeedsWorker => worker_needed = true,
            Added::Waits => {}
        }
    }
    worker_needed
}

/// SAFETY: as `capture`.
unsafe fn read(query: &QueryDesc, searches: &Searches) -> Vec<Record> {
    let mut records: Vec<(*const pg_sys::LimitState, Record)> = Vec::new();
    for search in searches.found.iter().take(MOST_SEARCHES * 16) {
        // SAFETY: as said above.
        let Some(record) = (unsafe { expression::record(query, &searches.once, search) }) else { continue };
        // A partitioned table has a scan of each partition under one LIMIT.
        let same = |(limit, seen): &(*const pg_sys::LimitState, Record)| {
            *limit == search.limit
                && seen.key == record.key
                && seen.operator == record.operator
                && seen.vector == record.vector
        };
        if !records.iter().any(same) {
            // SAFETY: variables of this backend.
            let role = unsafe { pg_sys::GetUserId() }.to_u32();
            // SAFETY: the query's plan.
            let query_id = unsafe { (*query.plannedstmt).queryId } as i64;
            records.push((search.limit, Record { at: statement_start(), role, query_id, ..record }));
        }
        if records.len() >= MOST_SEARCHES {
            break;
        }
    }
    records.into_iter().map(|(_, record)| record).collect()
}

/// The database has the table for them: anybody may give one its name.
fn is_wanted() -> bool {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::get_extension_oid(c"pg_dbre".as_ptr(), true) != pg_sys::InvalidOid }
}

/// EXPLAIN ANALYZE is no traffic.
///
/// SAFETY: called by the hook.
unsafe fn is_explained() -> bool {
    // SAFETY: a portal that is active has its statements, which are a list of PlannedStmt.
    unsafe {
        let Some(portal) = pg_sys::ActivePortal.as_ref() else { return false };
        let Some(statements) = portal.stmts.as_ref().filter(|list| list.length > 0) else { return false };
        let utility = (*(*statements.elements).ptr_value.cast::<pg_sys::PlannedStmt>()).utilityStmt;
        !utility.is_null() && (*utility).type_ == NodeTag::T_ExplainStmt
    }
}
