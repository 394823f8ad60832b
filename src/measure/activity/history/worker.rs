//! The background worker that records. It is connected to no database, so that none is kept from being dropped, runs no SQL, and
//! works on a standby as well.

use super::memory::Memory;
use super::recording::Recording;
use super::{PERIOD, SAMPLE_INTERVAL};
use crate::measure::activity::backends;
use crate::measure::statement_end::now;
use crate::measure::{wait, worker};
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum};
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// After an error.
const RESTART_SECONDS: c_int = 10;
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(60);

/// In microseconds, for the worker that is to come; None: as the settings say.
#[derive(Clone, Copy)]
pub struct Times {
    pub interval: i64,
    pub period: i64,
}

pub fn description(times: Option<Times>) -> pg_sys::BackgroundWorker {
    let mut description = worker::description(c"pg_dbre: activity history", c"pg_dbre_record_activity");
    description.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_ConsistentState;
    description.bgw_restart_time = RESTART_SECONDS;
    if let Some(times) = times {
        let numbers = [times.interval.to_ne_bytes(), times.period.to_ne_bytes()].concat();
        for (place, byte) in description.bgw_extra.iter_mut().zip(numbers) {
            *place = byte as _;
        }
    }
    description
}

/// SAFETY: called by the server in a new process.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn pg_dbre_record_activity(_argument: Datum) {
    // SAFETY: as the server's own workers that need no database.
    unsafe {
        worker::handle_signals();
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
        pg_sys::StartTransactionCommand();
        let memory = Memory::attach().filter(|memory| memory.make_room());
        pg_sys::CommitTransactionCommand();
        let Some(memory) = memory else { pg_sys::proc_exit(1) };
        if claim(memory) {
            pg_sys::before_shmem_exit(Some(at_exit), Datum::null());
            record(memory);
        }
        // Not 1, with which the server would start it again.
        pg_sys::proc_exit(0);
    }
}

/// False: there is another, or nobody wants it any more.
fn claim(memory: Memory) -> bool {
    let given = given();
    let times = given.unwrap_or_else(configured);
    // SAFETY: a variable of this process.
    let pid = unsafe { pg_sys::MyProcPid };
    memory.change(|recorder| {
        let wanted = !recorder.stopped && recorder.pid == 0;
        if wanted {
            (recorder.pid, recorder.since, recorder.configured) = (pid, now(), given.is_none());
            (recorder.samples, recorder.missed, recorder.cost) = (0, 0, 0);
            // One that failed had been given others since.
            if recorder.interval == 0 || given.is_none() {
                (recorder.interval, recorder.period) = (times.interval, times.period);
            }
        }
        wanted
    })
}

/// This process records no more, from here on. False: it is wanted again.
fn leave(memory: Memory) -> bool {
    memory.change(|recorder| {
        if recorder.stopped {
            recorder.pid = 0;
        }
        recorder.stopped
    })
}

/// With the description.
fn given() -> Option<Times> {
    // SAFETY: the server has set it for this process.
    let extra = unsafe { (*pg_sys::MyBgworkerEntry).bgw_extra };
    let number = |from: usize| i64::from_ne_bytes(std::array::from_fn(|place| extra[from + place] as u8));
    let times = Times { interval: number(0), period: number(8) };
    (times.interval > 0).then_some(times)
}

fn configured() -> Times {
    Times { interval: i64::from(SAMPLE_INTERVAL.get()) * 1000, period: i64::from(PERIOD.get()) * 1_000_000 }
}

fn record(memory: Memory) {
    let mut recording: Option<Recording> = None;
    let mut published = Instant::now();
    let (mut began, mut next, mut of) = (Instant::now(), 0_u64, memory.recorder());
    loop {
        let due = began + Duration::from_micros(next * of.interval as u64);
        let due = if of.interval == 0 { Instant::now() + PAUSE } else { due };
        let reloaded = idle(due, memory, &of);
        let recorder = memory.change(|recorder| {
            if reloaded && recorder.configured {
                let times = configured();
                (recorder.interval, recorder.period) = (times.interval, times.period);
            }
            *recorder
        });
        if recorder.stopped {
            recording.iter_mut().for_each(|recording| recording.publish(memory));
            if leave(memory) {
                return;
            }
        }
        if (recorder.interval, recorder.period) != (of.interval, of.period) {
            recording.take().iter_mut().for_each(|recording| recording.publish(memory));
            (began, next) = (Instant::now(), 0);
        }
        of = recorder;
        if of.interval == 0 || Instant::now() < began + Duration::from_micros(next * of.interval as u64) {
            continue;
        }
        let passed = began.elapsed().as_micros() as u64 / of.interval as u64;
        let missed = passed.saturating_sub(next);
        next = passed.max(next) + 1;
        let (at, time) = (Instant::now(), now());
        if let Some(mut full) = recording.take_if(|recording| !recording.holds(time)) {
            full.publish(memory);
        }
        let current = recording.get_or_insert_with(|| Recording::begin(time, of.period, of.interval));
        current.miss(missed, time);
        current.begin_sample();
        backends::each(|backend| current.see(backend));
        if published.elapsed() >= PUBLISH_EVERY || next == 1 {
            current.publish(memory);
            published = Instant::now();
        }
        memory.change(|recorder| {
            recorder.samples += 1;
            recorder.missed += missed;
            recorder.cost += at.elapsed().as_micros() as i64;
        });
    }
}

/// Until then, or until there is something to look at. True: settings were read again. Ends the process when it is told to.
fn idle(due: Instant, memory: Memory, of: &super::memory::Recorder) -> bool {
    loop {
        let recorder = memory.recorder();
        let changed = recorder.stopped || (recorder.interval, recorder.period) != (of.interval, of.period);
        if worker::reloaded() {
            return true;
        }
        if changed || due <= Instant::now() {
            return false;
        }
        wait::once(due.saturating_duration_since(Instant::now()));
    }
}

/// SAFETY: called by the server when the process ends.
unsafe extern "C-unwind" fn at_exit(_: c_int, _: Datum) {
    // SAFETY: a variable of this process.
    let pid = unsafe { pg_sys::MyProcPid };
    if let Some(memory) = Memory::attached() {
        memory.change(|recorder| {
            // There may be another recorder already.
            if recorder.pid == pid {
                recorder.pid = 0;
            }
        });
    }
}
