//! Searches for vectors that clients really make: a share of them is read from the executed plan, waits in shared memory, and is
//! written into dbre.vector_queries by a background worker.

mod expression;
mod hook;
mod limit;
mod plan;
mod queue;
mod record;
mod reservoir;
mod store;
#[cfg(test)]
mod unit_tests;
mod value;
mod worker;

use crate::measure::statement_end;
pub use hook::{at_end, unseen};
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use queue::Queue;
pub use queue::State;
use record::Record;

static RATE: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static KEPT: GucSetting<i32> = GucSetting::<i32>::new(1000);
/// In minutes.
static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);

/// Called once, when the library is loaded.
pub fn install() {
    GucRegistry::define_float_guc_with_hooks(
        c"dbre.vector_sample_rate",
        c"The share of executed searches for vectors that dbre.vector_queries is to hear of.",
        c"0 is off. Needs pg_dbre in shared_preload_libraries or session_preload_libraries.",
        &RATE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
        None,
        Some(rate_is_set),
        None,
    );
    GucRegistry::define_int_guc(
        c"dbre.vector_queries_per_index",
        c"How many searches dbre.vector_queries keeps of a table, key and operator.",
        c"They are chosen at random. Counts as it is set for the server or the database.",
        &KEPT,
        1,
        100_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"dbre.vector_queries_retention",
        c"How long dbre.vector_queries keeps a search.",
        c"0 is for ever. Applied while searches are written; counts as it is set for the server or the database.",
        &RETENTION,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MIN,
    );
}

/// SAFETY: called by the server.
unsafe extern "C-unwind" fn rate_is_set(rate: f64, _: *mut std::ffi::c_void) {
    statement_end::identify_statements(rate > 0.0);
}

/// Statements are told apart by their ids.
pub fn wants_ids() -> bool {
    RATE.get() > 0.0
}

pub fn rate() -> f64 {
    RATE.get()
}

/// Why searches of sessions with this session's settings are not captured.
pub fn why_off() -> Option<&'static str> {
    if !statement_end::loaded() {
        return Some(
            "pg_dbre is not in shared_preload_libraries, nor in session_preload_libraries of a role or a database",
        );
    }
    // SAFETY: reads a flag in shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Some("the server is a standby, where nothing can be written");
    }
    if RATE.get() == 0.0 {
        return Some("dbre.vector_sample_rate is 0");
    }
    Queue::attach().is_none().then_some("there is no shared memory for them: see the server's log")
}

/// Of this database; None: nothing was captured since the server started.
pub fn state() -> Option<State> {
    let queue = if statement_end::loaded() { Queue::attach()? } else { Queue::attached()? };
    worker::start_if_needed(queue);
    queue.state(this_database())
}

/// Forgets what waits for being written: all, or searches of these tables.
pub fn forget_waiting(tables: Option<&[u32]>) {
    let queue = if statement_end::loaded() { Queue::attach() } else { Queue::attached() };
    if let Some(queue) = queue {
        queue.take_some(this_database(), |record| {
            tables.is_none_or(|tables| Record::decode(record).is_some_and(|it| tables.contains(&it.relation)))
        });
    }
}

fn this_database() -> u32 {
    // SAFETY: a variable of this backend.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}
