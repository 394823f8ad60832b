//! A rolling history of what sessions do: a background worker samples them, and keeps sums of each period in shared memory.

mod memory;
mod peaks;
mod recording;
mod summed;
mod worker;

use super::may_see;
use crate::facts::activity::{History, Names, Recorded, Session};
use crate::measure::statement_end::now;
use crate::measure::wait;
use memory::Memory;
pub use memory::{Entry, Period, Recorder, What};
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ptr::null_mut;
use std::time::{Duration, Instant};
pub use worker::Times;

/// In milliseconds.
static SAMPLE_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(0);
/// In seconds.
static PERIOD: GucSetting<i32> = GucSetting::<i32>::new(60);

const COMES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Called once, when the library is loaded.
pub fn install() {
    GucRegistry::define_int_guc(
        c"dbre.activity_sample_interval",
        c"How often sessions are looked at for dbre.activity_history, in a server that has pg_dbre in shared_preload_libraries.",
        c"0 is off, and takes no background worker where it is so when the server starts.",
        &SAMPLE_INTERVAL,
        0,
        60_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"dbre.activity_history_period",
        c"The time of which dbre.activity_history keeps sums.",
        c"It has room for 4096 periods, and for 45,000 rows.",
        &PERIOD,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    // SAFETY: a variable of the server's; the server copies the description.
    unsafe {
        if pg_sys::process_shared_preload_libraries_in_progress && SAMPLE_INTERVAL.get() > 0 {
            let mut description = worker::description(None);
            pg_sys::RegisterBackgroundWorker(&raw mut description);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    New,
    /// One was running, and has other times now.
    Changed,
    NoMemory,
    NoWorkerFree,
    /// The worker has not come: the server's log says why.
    Failed,
}

pub fn start(times: Times) -> Started {
    let Some(memory) = Memory::attach() else { return Started::NoMemory };
    let runs = memory.change(|recorder| {
        recorder.stopped = false;
        (recorder.interval, recorder.period, recorder.configured) = (times.interval, times.period, false);
        recorder.pid
    });
    if runs != 0 {
        wake(runs);
        return Started::Changed;
    }
    let mut description = worker::description(Some(times));
    // SAFETY: the server copies it.
    if !unsafe { pg_sys::RegisterDynamicBackgroundWorker(&raw mut description, null_mut()) } {
        memory.change(|recorder| {
            if recorder.pid == 0 {
                recorder.interval = 0;
            }
        });
        return Started::NoWorkerFree;
    }
    match waited_for(|| memory.recorder().pid != 0) {
        true => Started::New,
        false => Started::Failed,
    }
}

/// True: it ran.
pub fn stop() -> bool {
    let Some(memory) = Memory::attach() else { return false };
    let runs = memory.change(|recorder| {
        recorder.stopped = true;
        recorder.pid
    });
    wake(runs);
    let over = |recorder: Recorder| recorder.pid == 0 || !recorder.stopped;
    runs != 0 && waited_for(|| over(memory.recorder()))
}

fn waited_for(holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + COMES_WITHIN;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        wait::until(Instant::now() + LOOK_AGAIN);
    }
    true
}

fn wake(pid: i32) {
    // SAFETY: a process that has just gone is null, or another that is woken for nothing.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if pid != 0 && !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}

pub struct Status {
    pub recorder: Recorder,
    pub reason: Option<&'static str>,
    pub periods: i64,
    /// When the oldest of them began.
    pub oldest: Option<i64>,
    pub bytes: usize,
}

/// None: there is no memory for it.
pub fn status() -> Option<Status> {
    let memory = Memory::attach()?;
    let recorder = memory.recorder();
    let (mut periods, mut oldest) = (0, None);
    memory.read(|period, _| {
        periods += 1;
        oldest.get_or_insert(period.start);
    });
    let reason = match (recorder.pid, recorder.interval, recorder.stopped) {
        (0, _, true) => Some("dbre.stop_activity_history() was called"),
        (0, 0, _) => Some(
            "dbre.start_activity_history() was not called, or found no background worker free, and dbre.activity_sample_interval was 0 when the server started, \
             or pg_dbre is not in shared_preload_libraries",
        ),
        (0, ..) => Some("the background worker has ended, and starts again within 10 s: see the server's log"),
        (_, 0, _) => Some("dbre.activity_sample_interval is 0"),
        _ => None,
    };
    Some(Status { recorder, reason, periods, oldest, bytes: memory.bytes() })
}

/// Since then, in microseconds.
pub fn age(time: i64) -> i64 {
    (now() - time).max(0)
}

/// Each period, the oldest first, with what it has of pools and waits.
pub fn periods() -> Vec<(Period, Vec<Entry>)> {
    let mut periods = Vec::new();
    if let Some(memory) = Memory::attach() {
        memory.read(|period, entries| periods.push((*period, entries.copied().collect())));
    }
    periods
}

/// What is asked for of all of it together. None: there is none, or the caller may not see the state of all sessions.
pub fn history(names: &Names, recorded: Recorded, sessions: &[Session]) -> Option<History> {
    let memory = Memory::attach().filter(|_| may_see(0))?;
    let recorder = memory.recorder();
    if recorded == Recorded::Open && !recorder.records() {
        return None;
    }
    let mut all = summed::Summed::of(recorded, sessions, recorder.since);
    memory.read(|period, entries| all.add(period, entries));
    (all.samples > 0).then(|| all.history(names))
}
