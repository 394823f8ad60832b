//! Where the history lies: shared memory of fixed size, in which the newest takes the place of the oldest. Of the two parts the large one
//! is there only once something was recorded.

use super::super::backends::{Application, NAME_BYTES};
use super::super::tally::Counts;
use crate::measure::shared_memory::{self, Attached, Layout};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ptr::addr_of_mut;
use std::thread::LocalKey;

const PERIODS: usize = 4096;
const ENTRIES: usize = 45_000;
pub const BYTES: usize = size_of::<Ring>() + size_of::<Control>();

const _: () = assert!(BYTES <= 8 << 20, "shared memory is documented as 8 MB at most");

/// Times are in microseconds, since 2000 where they are points in time.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Recorder {
    /// 0: there is none.
    pub pid: i32,
    /// dbre.stop_activity_history() was called.
    pub stopped: bool,
    /// It is on by dbre.activity_sample_interval.
    pub configured: bool,
    pub since: i64,
    /// 0: it pauses.
    pub interval: i64,
    pub period: i64,
    pub samples: u64,
    pub missed: u64,
    /// How long taking and publishing them took.
    pub cost: i64,
}

impl Recorder {
    pub fn records(&self) -> bool {
        self.pid != 0 && !self.stopped && self.interval > 0
    }
}

#[repr(C)]
struct Control {
    tranche: i32,
    lock: pg_sys::LWLock,
    recorder: Recorder,
    recorded: bool,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Period {
    pub start: i64,
    pub length: i64,
    /// Between samples.
    pub interval: i64,
    pub first_sample: i64,
    pub samples: u64,
    pub missed: u64,
    /// Clients' connections.
    pub all: Counts,
    /// Of its entries, counted from the first that ever was: set where it is published.
    pub first: u64,
    pub entries: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    /// Of all that follows but the counts: those of the same pool or wait in several periods are added up by it.
    pub hash: u64,
    pub what: What,
    /// The entry is for all that were too many.
    pub rest: bool,
    pub database: u32,
    /// Of a pool.
    pub role: u32,
    pub application: Application,
    /// Of a wait.
    pub wait: u32,
    pub counts: Counts,
}

impl Entry {
    /// `application`: None is that of the pools that were too many.
    pub fn pool(database: u32, role: u32, application: Option<Application>, counts: Counts) -> Entry {
        let (rest, application) = (application.is_none(), application.unwrap_or([0; NAME_BYTES]));
        Entry { hash: 0, what: What::Pool, rest, database, role, application, wait: 0, counts }.with_hash()
    }

    /// `rest`: of the waits that were too many.
    pub fn wait(database: u32, wait: u32, rest: bool, counts: Counts) -> Entry {
        let application = [0; NAME_BYTES];
        Entry { hash: 0, what: What::Wait, rest, database, role: 0, application, wait, counts }.with_hash()
    }

    fn with_hash(mut self) -> Entry {
        let mut hasher = DefaultHasher::new();
        let Entry { what, rest, database, role, application, wait, .. } = self;
        (what as u8, rest, database, role, application, wait).hash(&mut hasher);
        self.hash = hasher.finish();
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    Pool = 0,
    Wait = 1,
}

#[repr(C)]
struct Ring {
    tranche: i32,
    /// How many there ever were; the last goes on.
    periods: u64,
    headers: [Period; PERIODS],
    entries: [Entry; ENTRIES],
}

thread_local! {
    static CONTROL: Cell<Attached<Control>> = const { Cell::new(Attached::NotYet) };
    static RING: Cell<Attached<Ring>> = const { Cell::new(Attached::NotYet) };
}

const PURPOSE: &str = "records no activity";

// SAFETY: a lock, numbers and flags.
unsafe impl Layout for Control {
    const NAME: &str = "pg_dbre_activity_1";
    const TRANCHE: &CStr = c"pg_dbre_activity";
    const PURPOSE: &str = PURPOSE;

    fn attached() -> &'static LocalKey<Cell<Attached<Control>>> {
        &CONTROL
    }

    fn tranche(&mut self) -> &mut i32 {
        &mut self.tranche
    }

    fn locks(&mut self) -> Vec<*mut pg_sys::LWLock> {
        vec![&raw mut self.lock]
    }
}

// SAFETY: numbers, flags and bytes, under the lock of `Control`; an entry that is all zero is a pool's.
unsafe impl Layout for Ring {
    const NAME: &str = "pg_dbre_activity_history_1";
    const TRANCHE: &CStr = c"pg_dbre_activity_history";
    const PURPOSE: &str = PURPOSE;

    fn attached() -> &'static LocalKey<Cell<Attached<Ring>>> {
        &RING
    }

    fn tranche(&mut self) -> &mut i32 {
        &mut self.tranche
    }

    fn locks(&mut self) -> Vec<*mut pg_sys::LWLock> {
        Vec::new()
    }
}

#[derive(Clone, Copy)]
pub struct Memory(*mut Control);

struct Locked(*mut Control);

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `Memory::lock` has taken it.
        unsafe { pg_sys::LWLockRelease(addr_of_mut!((*self.0).lock)) };
    }
}

impl Memory {
    pub fn attach() -> Option<Memory> {
        shared_memory::attach().map(Memory)
    }

    /// Where nothing may fail.
    pub fn attached() -> Option<Memory> {
        shared_memory::attached().map(Memory)
    }

    fn lock(self, mode: pg_sys::LWLockMode::Type) -> Locked {
        // SAFETY: the segment stays mapped.
        unsafe { pg_sys::LWLockAcquire(addr_of_mut!((*self.0).lock), mode) };
        Locked(self.0)
    }

    pub fn recorder(self) -> Recorder {
        let locked = self.lock(pg_sys::LWLockMode::LW_SHARED);
        // SAFETY: the lock is held.
        unsafe { (*locked.0).recorder }
    }

    pub fn change<T>(self, body: impl FnOnce(&mut Recorder) -> T) -> T {
        let locked = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
        // SAFETY: the lock is held, by us alone.
        body(unsafe { &mut (*locked.0).recorder })
    }

    /// The history can be written. False: there is no memory for it.
    pub fn make_room(self) -> bool {
        let made = shared_memory::attach::<Ring>().is_some();
        if made {
            let locked = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
            // SAFETY: the lock is held, by us alone.
            unsafe { (*locked.0).recorded = true };
        }
        made
    }

    pub fn bytes(self) -> usize {
        let locked = self.lock(pg_sys::LWLockMode::LW_SHARED);
        // SAFETY: the lock is held.
        if unsafe { (*locked.0).recorded } { BYTES } else { size_of::<Control>() }
    }

    /// Writes the last period: once more, or for the first time if `begins`.
    pub fn publish(self, period: Period, entries: impl ExactSizeIterator<Item = Entry>, begins: bool) {
        let Some(ring) = shared_memory::attached::<Ring>() else { return };
        let _locked = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
        // SAFETY: the lock is held, by us alone; the segment stays mapped.
        unsafe { &mut *ring }.publish(period, entries, begins);
    }

    /// Each period with its entries, the oldest first.
    pub fn read(self, see: impl FnMut(&Period, &mut dyn Iterator<Item = &Entry>)) {
        let recorded = {
            let locked = self.lock(pg_sys::LWLockMode::LW_SHARED);
            // SAFETY: the lock is held.
            unsafe { (*locked.0).recorded }
        };
        let Some(ring) = recorded.then(shared_memory::attach::<Ring>).flatten() else { return };
        let _locked = self.lock(pg_sys::LWLockMode::LW_SHARED);
        // SAFETY: the lock is held, and the segment stays mapped.
        unsafe { &*ring }.read(see);
    }
}

impl Ring {
    fn publish(&mut self, mut period: Period, entries: impl ExactSizeIterator<Item = Entry>, begins: bool) {
        let next = match self.last() {
            Some(last) if begins => last.first + last.entries,
            Some(last) => last.first,
            None => 0,
        };
        self.periods += u64::from(begins || self.periods == 0);
        (period.first, period.entries) = (next, entries.len().min(ENTRIES) as u64);
        for (number, entry) in entries.take(ENTRIES).enumerate() {
            self.entries[(next as usize + number) % ENTRIES] = entry;
        }
        self.headers[(self.periods - 1) as usize % PERIODS] = period;
    }

    fn last(&self) -> Option<&Period> {
        let last = self.periods.checked_sub(1)?;
        Some(&self.headers[last as usize % PERIODS])
    }

    fn read(&self, mut see: impl FnMut(&Period, &mut dyn Iterator<Item = &Entry>)) {
        let Some(last) = self.last() else { return };
        let written = last.first + last.entries;
        for number in self.periods.saturating_sub(PERIODS as u64)..self.periods {
            let period = &self.headers[number as usize % PERIODS];
            if period.first + ENTRIES as u64 >= written {
                let entries = period.first..period.first + period.entries;
                see(period, &mut entries.map(|number| &self.entries[number as usize % ENTRIES]));
            }
        }
    }
}
