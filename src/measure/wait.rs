//! Waiting: a cancel, a time limit and the end of the server end it at once.

use pgrx::pg_sys;
use std::ffi::{c_int, c_long};
use std::time::{Duration, Instant};

pub fn until(time: Instant) {
    loop {
        pgrx::check_for_interrupts!();
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        once(left);
    }
}

/// For so long, or until somebody wakes this process.
pub fn once(time: Duration) {
    let milliseconds = time.as_micros().div_ceil(1000).min(60_000) as c_long;
    // SAFETY: the latch is this process' own; a postmaster that is gone ends us.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
