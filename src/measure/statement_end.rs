//! The hook that sees statements end. What looks at them tells the client nothing and never fails: on trouble it leaves the statement
//! alone, after some more the session, and says so in the server's log.

use crate::db;
use crate::measure::{bursts, vector};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::pg_sys::{self, QueryDesc, TimestampTz};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::LocalKey;

/// Declared here, not by pgrx: its errors must reach the client with all their fields, so they jump past our frame, in which
/// nothing is left to drop. The others are called at every execution and raise nothing.
mod direct {
    use pgrx::pg_sys::{MemoryContext, QueryDesc, TimestampTz};
    use std::ffi::c_void;

    unsafe extern "C-unwind" {
        pub fn standard_ExecutorEnd(query: *mut QueryDesc);
        pub fn GetCurrentTimestamp() -> TimestampTz;
        pub fn GetCurrentStatementStartTimestamp() -> TimestampTz;
        pub fn GetMemoryChunkContext(chunk: *const c_void) -> MemoryContext;
    }
}

static mut INSTALLED: bool = false;
static mut NEXT: pg_sys::ExecutorEnd_hook_type = None;

/// How often what looks at statements has failed in this session.
pub type Failures = LocalKey<Cell<u8>>;

const MOST_FAILURES: u8 = 3;

/// Called once, when the library is loaded; the hook is there only where that is before the first statement.
pub fn install() {
    // SAFETY: variables of the server's; a backend has one thread, and while it loads us nothing else runs. The hook that was
    // there is called by ours.
    unsafe {
        if pg_sys::process_shared_preload_libraries_in_progress || loaded_with_session() {
            INSTALLED = true;
            identify_statements(bursts::wants_ids() || vector::capture::wants_ids());
            NEXT = pg_sys::ExecutorEnd_hook;
            pg_sys::ExecutorEnd_hook = Some(executor_end);
        }
    }
}

/// Statements have ids only where somebody asks for them.
pub fn identify_statements(wanted: bool) {
    // SAFETY: sets a variable of the server's.
    unsafe {
        if INSTALLED && wanted {
            pg_sys::EnableQueryId();
        }
    }
}

/// SAFETY: called by the server with a query that has been executed.
unsafe extern "C-unwind" fn executor_end(query: *mut QueryDesc) {
    // SAFETY: as said above; what comes next gets what we got.
    unsafe {
        bursts::at_end(query);
        vector::capture::at_end(query);
        match NEXT {
            Some(next) => next(query),
            None => direct::standard_ExecutorEnd(query),
        }
    }
}

/// Runs `body` without interrupts, and lets nothing out of it. `gives_up` is what this session does no more after some failures;
/// after each it has to `forget` what it remembers.
pub fn unharmed(failures: &'static Failures, gives_up: &str, forget: impl FnOnce(), body: impl FnOnce()) {
    if failures.get() >= MOST_FAILURES {
        return;
    }
    // SAFETY: counters of this backend; an error that was caught has set them to 0.
    unsafe {
        let held = (pg_sys::InterruptHoldoffCount, pg_sys::QueryCancelHoldoffCount);
        pg_sys::InterruptHoldoffCount += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            failures.set(failures.get() + 1);
            let last = failures.get() == MOST_FAILURES;
            let of = if last { "any more in this session" } else { "of this statement" };
            // The log may fail as well.
            let logged = catch_unwind(AssertUnwindSafe(|| {
                forget();
                let message = format!("pg_dbre {gives_up} {of}: {}", reason(&*panic));
                pgrx::ereport!(PgLogLevel::LOG_SERVER_ONLY, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
            }));
            std::mem::forget((panic, logged));
        }
        (pg_sys::InterruptHoldoffCount, pg_sys::QueryCancelHoldoffCount) = held;
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    if let Some(error) = panic.downcast_ref::<CaughtError>() {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = error;
        return report.message();
    }
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("an error of an unknown kind")
}

/// SAFETY: reads settings of the server's.
unsafe fn loaded_with_session() -> bool {
    // SAFETY: each is null or a C string.
    unsafe { names_us(pg_sys::session_preload_libraries_string) || names_us(pg_sys::local_preload_libraries_string) }
}

/// SAFETY: null or a C string.
unsafe fn names_us(libraries: *const c_char) -> bool {
    // SAFETY: as said above.
    let libraries = unsafe { db::string(libraries) };
    let file = |name: &str| {
        name.trim().trim_matches('"').rsplit('/').next().map(|file| file.trim_end_matches(".so") == "pg_dbre")
    };
    libraries.split(',').filter_map(file).any(|ours| ours)
}

/// Sessions that begin now have the hook, with this session's settings or those of a role or of this database.
pub fn loaded() -> bool {
    // SAFETY: reads settings of the server's.
    let here = unsafe { names_us(pg_sys::shared_preload_libraries_string) || loaded_with_session() };
    here || db::read(include_str!("../../sql/facts/session_preload.sql"), &[], |row| row.take::<bool>()) == [true]
}

pub fn now() -> TimestampTz {
    // SAFETY: reads the clock.
    unsafe { direct::GetCurrentTimestamp() }
}

/// Whether what its parameters point to is still there. Portals have copies. A SQL function's are its caller's, who may have ended
/// already where the function has not: then it does not end in the memory context in which it began.
///
/// SAFETY: called by the hook, in the memory context in which it was called.
pub unsafe fn has_parameters(query: &QueryDesc) -> bool {
    // SAFETY: null or the query's own; with a hook to fetch them, which PL/pgSQL has, the array may be empty.
    unsafe {
        let Some(list) = query.params.as_ref().filter(|list| list.paramFetch.is_none()) else { return true };
        let mut values = list.params.as_slice(list.numParams.max(0) as usize).iter();
        values.all(|value| u32::from(value.pflags) & pg_sys::PARAM_FLAG_CONST != 0)
            || direct::GetMemoryChunkContext((&raw const *query).cast()) == pg_sys::CurrentMemoryContext
    }
}

/// When the client's message came.
pub fn statement_start() -> TimestampTz {
    // SAFETY: reads a variable.
    unsafe { direct::GetCurrentStatementStartTimestamp() }
}

/// Of the execution, where the executor was timed (pg_stat_statements has it do so); else since the client's message, if it is
/// still that one: a portal of the extended protocol ends in a transaction block with the next message.
///
/// SAFETY: called by the hook.
pub unsafe fn milliseconds(query: &QueryDesc) -> f64 {
    // SAFETY: null or the query's own.
    unsafe {
        if let Some(timed) = query.totaltime.as_ref() {
            return timed.total * 1000.0 + timed.counter.ticks as f64 / 1e6;
        }
        let text = pg_sys::debug_query_string;
        let running = text.is_null() || text == query.sourceText;
        if running { (now() - statement_start()).max(0) as f64 / 1000.0 } else { 0.0 }
    }
}

/// Source text of a query.
///
/// SAFETY: a query of the server's.
pub unsafe fn source(query: &QueryDesc) -> &[u8] {
    // SAFETY: a C string that lives as long as the query.
    unsafe { CStr::from_ptr(query.sourceText).to_bytes() }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    thread_local! {
        static FAILED: Cell<u8> = const { Cell::new(0) };
    }

    #[pg_test]
    fn a_failure_does_not_silence_the_session() {
        let (mut ran, mut forgotten) = (0, 0);
        // SAFETY: a counter of this backend.
        let held = unsafe { pg_sys::InterruptHoldoffCount };
        for time in 0..10 {
            unharmed(
                &FAILED,
                "counts no tests",
                || forgotten += 1,
                || {
                    ran += 1;
                    match time {
                        1 => panic!("an error of ours"),
                        2 => db::read("select 1 / 0", &[], |_| ()).clear(),
                        5 => std::panic::panic_any("an error of a kind"),
                        _ => {}
                    }
                },
            );
        }
        assert_eq!((ran, forgotten), (6, 3));
        // SAFETY: as above.
        assert_eq!(unsafe { pg_sys::InterruptHoldoffCount }, held);
    }
}
