//! The background worker that writes what was captured in one database. It comes when something waits, and goes soon after: a
//! database with a worker in it cannot be dropped or copied.

use super::queue::Queue;
use super::store::{self, Stored};
use super::this_database;
use crate::measure::statement_end::now;
use crate::measure::{wait, worker};
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard};
use std::cell::Cell;
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// DROP DATABASE waits 5 s for others to leave.
const LINGER: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(200);
/// That somebody else locks the table.
const PATIENCE: Duration = Duration::from_secs(60);
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
const AFTER_FAILURE_SECONDS: i64 = 300;
const WITHOUT_SLOT_SECONDS: i64 = 10;

thread_local! {
    /// This process is the database's worker, and has not said that it goes.
    static CLAIMED: Cell<bool> = const { Cell::new(false) };
}

/// Called by a client's session, of whose database something waits.
pub fn start() {
    let Some(queue) = Queue::attached() else { return };
    let mut description = worker::description(c"pg_dbre: captured searches", c"pg_dbre_write_vector_queries");
    description.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished;
    description.bgw_main_arg = Datum::from(this_database());
    // SAFETY: the server copies it.
    let registered = unsafe { pg_sys::RegisterDynamicBackgroundWorker(&raw mut description, std::ptr::null_mut()) };
    if !registered {
        let why = "no background worker is free: see max_worker_processes";
        queue.failed(this_database(), now(), WITHOUT_SLOT_SECONDS, why);
    }
}

/// Starts one where the last was ended before it had written all.
pub fn start_if_needed(queue: Queue) {
    // SAFETY: reads a flag in shared memory.
    if !unsafe { pg_sys::RecoveryInProgress() } && queue.needs_worker(this_database(), now()) {
        start();
    }
}

/// SAFETY: called by the server in a new process, with the database.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn pg_dbre_write_vector_queries(database: Datum) {
    let database = database.value() as u32;
    // SAFETY: what the server's own workers do when they begin.
    unsafe {
        worker::handle_signals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database.into(), pg_sys::InvalidOid, 0);
        for (name, value) in [
            (c"default_transaction_read_only", c"off"),
            (c"default_transaction_isolation", c"read committed"),
            (c"synchronous_commit", c"off"),
            (c"statement_timeout", c"0"),
            (c"transaction_timeout", c"0"),
            (c"jit", c"off"),
        ] {
            let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
            pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source);
        }
    }
    let Some(queue) = store::in_transaction(Queue::attach) else { return };
    if !queue.claim(database, now()) {
        return;
    }
    CLAIMED.set(true);
    // SAFETY: the memory stays mapped until then.
    unsafe { pg_sys::before_shmem_exit(Some(at_exit), Datum::from(database)) };
    work(queue, database);
    CLAIMED.set(false);
}

fn work(queue: Queue, database: u32) {
    let mut idle = Instant::now();
    let mut locked: Option<Instant> = None;
    let mut expired: Option<Instant> = None;
    loop {
        wait::once(TICK);
        worker::reloaded();
        if queue.is_waited_for(database) {
            let expire = expired.is_none_or(|at| at.elapsed() > EXPIRE_EVERY);
            match store::write_waiting(queue, database, expire) {
                Stored::Written => {
                    expired = if expire { Some(Instant::now()) } else { expired };
                    queue.succeeded(database);
                    locked = None;
                }
                Stored::Locked if locked.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {}
                Stored::Locked => return fail(queue, database, "dbre.vector_queries is locked"),
                Stored::Failed(why) => return fail(queue, database, &why),
            }
            idle = Instant::now();
            report(false);
        } else if idle.elapsed() > LINGER && queue.retire(database) {
            return;
        } else {
            report(true);
        }
    }
}

/// For autovacuum to see what is written: at most once in a second, or now.
fn report(now: bool) {
    // SAFETY: outside of a transaction.
    unsafe { pg_sys::pgstat_report_stat(now) };
}

fn fail(queue: Queue, database: u32, why: &str) {
    let lost = queue.take(database).len();
    queue.count_dropped(database, lost as u64);
    queue.failed(database, now(), AFTER_FAILURE_SECONDS, why);
    let message =
        format!("pg_dbre could not write captured searches, and tries again in {AFTER_FAILURE_SECONDS} s: {why}");
    pgrx::ereport!(PgLogLevel::LOG, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
}

/// SAFETY: called by the server when the process ends, with the database.
unsafe extern "C-unwind" fn at_exit(_: c_int, database: Datum) {
    if let Some(queue) = Queue::attached().filter(|_| CLAIMED.get()) {
        queue.gone(database.value() as u32);
    }
}
