//! In what searches are run: read-only, and no longer than until a time.

use crate::db;
use crate::measure::time_limit::TimeLimit;
use pgrx::pg_sys;
use std::time::Instant;

/// Time was over.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

/// Runs `body` read-only, and stops it in the middle of what it does when the time is over: what it has found by then it is to
/// keep elsewhere. Errors are raised as they are.
///
/// On a standby nothing is stopped in the middle, for a session that is in a subtransaction would be ended by a conflict with
/// recovery: `body` is to look at the clock between searches.
pub fn limited<T>(until: Instant, body: impl FnOnce() -> T) -> Result<T, Stopped> {
    // SAFETY: reads a flag in shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Ok(body());
    }
    let outcome = db::tried(
        || {
            // SAFETY: a variable of the transaction; a subtransaction that is rolled back restores it.
            unsafe {
                let read_only = pg_sys::XactReadOnly;
                pg_sys::XactReadOnly = true;
                let limit = TimeLimit::start(until.saturating_duration_since(Instant::now()));
                let result = body();
                drop(limit);
                pg_sys::XactReadOnly = read_only;
                result
            }
        },
        |_| true,
        TimeLimit::was_reached,
    );
    outcome.map_err(|caught| match TimeLimit::caused(&caught) {
        true => Stopped,
        false => db::raise_again(caught),
    })
}
