//! Sees statements end.

use super::entry::{Key, Report, Text};
use super::parents::Parents;
use super::ring::{Counts, Execution, Limits, Ring, Slot, Step};
use super::shared::{GIVES_UP, Shared};
use super::window::{self, Lookup};
use super::{THRESHOLD, WINDOW, parameters, text};
use crate::measure::statement_end::{has_parameters, milliseconds, now, source, statement_start, unharmed};
use pgrx::pg_sys::{self, NodeTag};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};

/// Called at every execution; they raise nothing.
mod direct {
    use pgrx::pg_sys::Oid;

    unsafe extern "C-unwind" {
        pub fn IsTransactionBlock() -> bool;
        pub fn GetUserId() -> Oid;
    }
}

thread_local! {
    static RING: RefCell<Option<Box<Ring>>> = const { RefCell::new(None) };
    static FAILURES: Cell<u8> = const { Cell::new(0) };
}

/// SAFETY: called by the server's hook with a query that has been executed.
pub unsafe fn at_end(query: *mut pg_sys::QueryDesc) {
    if THRESHOLD.get() > 0 {
        // SAFETY: as said above.
        unharmed(&FAILURES, GIVES_UP, forget, || unsafe { see(query) });
    }
}

/// SAFETY: as `at_end`.
unsafe fn see(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the query's state lives until the executor has ended it.
    unsafe {
        let query = &*query;
        let statement = &*query.plannedstmt;
        let worth = query.operation == pg_sys::CmdType::CMD_SELECT
            && statement.queryId != 0
            && !query.estate.is_null()
            && pg_sys::MyBackendType == pg_sys::BackendType::B_BACKEND
            && is_of_client()
            && reads_tables(statement)
            && has_parameters(query);
        if !worth {
            return;
        }
        let sql = text::part(source(query), statement.stmt_location, statement.stmt_len).trim_ascii();
        let at = statement_start();
        let in_block = direct::IsTransactionBlock();
        let execution = Execution {
            query_id: statement.queryId as i64,
            role: direct::GetUserId().to_u32(),
            transaction: (*pg_sys::MyProc).vxid.lxid,
            in_block,
            at,
            rows: (*query.estate).es_total_processed,
            ms: milliseconds(query),
            parameters: parameters::hash(query.params).unwrap_or_else(|| text::hash(sql)),
            trace: if in_block { 0 } else { text::trace_hash(sql) },
        };
        RING.with(|ring| {
            let Ok(mut ring) = ring.try_borrow_mut() else { return };
            let ring = ring.get_or_insert_with(remembering);
            if statement.rowMarks.is_null() {
                ring.count(&execution, limits(), |slot, parents, step| match step {
                    Step::Share => share(slot, &execution, sql),
                    Step::Publish => publish(Shared::attach(), slot, parents, Some(sql)),
                    Step::Nothing => publish(Shared::attached(), slot, parents, None),
                });
            }
            if execution.rows > 1 {
                let ended = Execution { at: now(), ..execution };
                ring.parents.add(&ended, sql);
                if !execution.in_block
                    && let Some(shared) = Shared::attach()
                {
                    window::remember_parent(shared, &key(&ended), &ended, sql);
                }
            }
        });
    }
}

fn limits() -> Limits {
    Limits { threshold: THRESHOLD.get().max(2) as u64, window_us: i64::from(WINDOW.get()) * 1000 }
}

fn key(execution: &Execution) -> Key {
    // SAFETY: variables of this backend; application_name is a C string.
    let (database, application) = unsafe {
        let name = pg_sys::application_name;
        (pg_sys::MyDatabaseId, if name.is_null() { &[][..] } else { CStr::from_ptr(name).to_bytes() })
    };
    Key {
        database: database.to_u32(),
        role: execution.role,
        query_id: execution.query_id,
        parent_query_id: 0,
        application: Text::new(application),
    }
}

/// A number that no other session has meanwhile.
fn connection() -> u32 {
    // SAFETY: a variable of this backend.
    let number = unsafe { pg_sys::MyProcNumber };
    number as u32
}

fn share(slot: &mut Slot, execution: &Execution, sql: &[u8]) {
    let Some(shared) = Shared::attach() else { return };
    let lookup = Lookup { key: key(execution), execution, limits: limits(), connection: connection(), sql };
    let begun = window::share(shared, &lookup);
    if slot.shared_begun != begun {
        slot.shared = Counts::default();
    }
    slot.shared_begun = begun;
    slot.shared.executions += 1;
    slot.shared.rows += execution.rows;
    slot.shared.ms += execution.ms;
}

fn publish(shared: Option<Shared>, slot: &mut Slot, parents: &Parents, sql: Option<&[u8]>) {
    let Some(shared) = shared else { return };
    let execution = Execution { query_id: slot.query_id, role: slot.role, ..Execution::default() };
    let key = Key { parent_query_id: slot.parent_query_id, ..key(&execution) };
    if slot.shared.executions > 0 {
        window::take_back(shared, &key, slot, connection());
        slot.shared = Counts::default();
    }
    let (news, begins) = slot.take_news();
    shared.publish(&Report {
        key,
        news,
        begins,
        executions: slot.counts.executions,
        parameters: slot.parameters,
        in_transaction: slot.in_block,
        connections: 1,
        at: slot.last,
        sql,
        parent_sql: parents.text(slot.parent_query_id),
    });
}

/// Not run by a function or another statement: the executor ends a client's SELECT after its portal, save where the portal is
/// one that EXECUTE runs or CLOSE closes.
///
/// SAFETY: called by the hook.
unsafe fn is_of_client() -> bool {
    // SAFETY: a portal that is active has its statements, which are a list of PlannedStmt.
    unsafe {
        let Some(portal) = pg_sys::ActivePortal.as_ref() else { return true };
        let Some(statements) = portal.stmts.as_ref().filter(|list| list.length > 0) else { return false };
        let utility = (*(*statements.elements).ptr_value.cast::<pg_sys::PlannedStmt>()).utilityStmt;
        !utility.is_null() && matches!((*utility).type_, NodeTag::T_ExecuteStmt | NodeTag::T_ClosePortalStmt)
    }
}

/// Other than the system's: `select 1`, `nextval()` and what drivers and tools ask of the catalogs are no lookups.
///
/// SAFETY: a planned statement of the server's.
unsafe fn reads_tables(statement: &pg_sys::PlannedStmt) -> bool {
    // SAFETY: `relationOids` is null or a list of OIDs.
    unsafe {
        let Some(oids) = statement.relationOids.as_ref() else { return false };
        let elements = std::slice::from_raw_parts(oids.elements, oids.length as usize);
        elements.iter().any(|element| element.oid_value.to_u32() >= pg_sys::FirstNormalObjectId)
    }
}

fn remembering() -> Box<Ring> {
    // SAFETY: once in a session; both call us while it can publish.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
        pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::null());
    }
    Ring::new()
}

/// SAFETY: called by the server at each transaction's end.
unsafe extern "C-unwind" fn at_transaction_end(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_PRE_COMMIT, XACT_EVENT_PRE_PREPARE};
    if matches!(event, XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE | XACT_EVENT_ABORT) {
        unharmed(&FAILURES, GIVES_UP, forget, || flush(false));
    }
}

/// SAFETY: called by the server when the session ends.
unsafe extern "C-unwind" fn at_exit(_: c_int, _: pg_sys::Datum) {
    unharmed(&FAILURES, GIVES_UP, forget, || flush(true));
}

/// What was remembered, after a failure: it may be half of it.
fn forget() {
    RING.with(|ring| {
        if let Ok(mut ring) = ring.try_borrow_mut()
            && let Some(ring) = ring.as_mut()
        {
            *ring = Ring::new();
        }
    });
}

fn flush(all: bool) {
    RING.with(|ring| {
        let Ok(mut ring) = ring.try_borrow_mut() else { return };
        let Some(ring) = ring.as_mut() else { return };
        let shared = Shared::attached();
        ring.flush(all, |slot, parents| publish(shared, slot, parents, None));
    });
}
