//! A time limit of our own, which cancels what runs as statement_timeout does, and is told apart from a cancel by the user.
//! Limits nest: a statement that is run may call what sets a limit for another.

use crate::db::Caught;
use crate::measure::server;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::OnceLock;

/// SQLSTATE of a cancel.
pub const CANCELED: &str = "57014";
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// utils/timeout.h: the server then hands out an id of its own.
const USER_TIMEOUT: c_int = 13;
/// utils/timeout.h
const STATEMENT_TIMEOUT: c_int = 3;
/// A function may catch a cancel and go on: it is cancelled again.
const AGAIN_MS: c_int = 100;

/// We have cancelled what runs.
static REACHED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Those in force, the innermost last.
    static DEADLINES: RefCell<Vec<Instant>> = const { RefCell::new(Vec::new()) };
    static ENDED_BY_LIMIT: Cell<bool> = const { Cell::new(false) };
}

/// Counts from when it is made; dropping it, be it while an error unwinds, ends it.
pub struct TimeLimit {
    statement_timeout: bool,
}

impl TimeLimit {
    pub fn start(limit: Duration) -> TimeLimit {
        REACHED.store(false, Ordering::Relaxed);
        DEADLINES.with_borrow_mut(|deadlines| deadlines.push(Instant::now() + limit));
        arm();
        TimeLimit { statement_timeout: statement_timeout_is_active() }
    }

    /// The limit that was dropped last, and nothing else, has cancelled what ran.
    pub fn was_reached() -> bool {
        ENDED_BY_LIMIT.get()
    }

    /// What was caught is that cancel.
    pub fn caused(caught: &Caught) -> bool {
        caught.sqlstate == CANCELED && TimeLimit::was_reached()
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        DEADLINES.with_borrow_mut(Vec::pop);
        let enclosing_is_over = earliest().is_some_and(|deadline| deadline <= Instant::now());
        let timed_out = self.statement_timeout && !statement_timeout_is_active();
        let ours = REACHED.load(Ordering::Relaxed) && !timed_out && !enclosing_is_over;
        ENDED_BY_LIMIT.set(ours);
        if ours {
            // A cancel that nobody has acted upon yet.
            // SAFETY: a flag of this backend, which has one thread.
            unsafe { pg_sys::QueryCancelPending = 0 };
        }
        arm();
    }
}

fn earliest() -> Option<Instant> {
    DEADLINES.with_borrow(|deadlines| deadlines.iter().min().copied())
}

fn statement_timeout_is_active() -> bool {
    // SAFETY: reads a flag. It goes when the timeout is reached.
    unsafe { server::get_timeout_active(STATEMENT_TIMEOUT) }
}

/// For the first of the deadlines.
fn arm() {
    static TIMEOUT: OnceLock<c_int> = OnceLock::new();
    // SAFETY: the handler does what the server's own for statement_timeout comes down to. It is registered once in a
    // backend's life, as there is room for ten.
    unsafe {
        let timeout = *TIMEOUT.get_or_init(|| server::RegisterTimeout(USER_TIMEOUT, Some(reach)));
        server::disable_timeout(timeout, false);
        if let Some(deadline) = earliest() {
            let left = deadline.saturating_duration_since(Instant::now()).as_micros().max(1);
            let at = pg_sys::GetCurrentTimestamp() + left as pg_sys::TimestampTz;
            server::enable_timeout_every(timeout, at, AGAIN_MS);
        }
    }
}

/// Runs in a signal handler.
unsafe extern "C-unwind" fn reach() {
    unsafe extern "C-unwind" {
        fn SetLatch(latch: *mut pg_sys::Latch);
    }
    // SAFETY: flags and a latch that the server's own handlers set in the same way.
    unsafe {
        // A cancel that is pending is not ours.
        if pg_sys::QueryCancelPending == 0 {
            REACHED.store(true, Ordering::Relaxed);
            pg_sys::InterruptPending = 1;
            pg_sys::QueryCancelPending = 1;
        }
        SetLatch(pg_sys::MyLatch);
    }
}
