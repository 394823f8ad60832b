//! Where captured searches wait: shared memory of fixed size, in the order in which they came.

use crate::measure::shared_memory::{self, Attached, Layout};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::addr_of_mut;
use std::thread::LocalKey;

const BYTES: usize = 4 << 20;
/// Of one database: one whose worker cannot write leaves room for others.
const MOST_OF_ONE: usize = 1 << 20;
const DATABASES: usize = 64;
const TEXT_BYTES: usize = 200;
const SECOND: i64 = 1_000_000;
/// A worker that has not come by then won't.
const START_US: i64 = 30 * SECOND;
/// What waits longer than that waits for a worker that cannot be: of a database that is gone, or that lets nobody in.
const STALE_US: i64 = 60 * SECOND;
pub const GIVES_UP: &str = "captures no searches for vectors";
/// Before each record: its length, its database, the time.
const HEAD: usize = 16;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Worker {
    None = 0,
    Starting = 1,
    Running = 2,
}

/// What is known of a database.
#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    /// 0: free.
    database: u32,
    worker: Worker,
    /// Since when it is that.
    since: i64,
    /// No worker is started before.
    not_before: i64,
    captured: u64,
    dropped: u64,
    /// Of what waits.
    bytes: usize,
    failure_bytes: u32,
    failure: [u8; TEXT_BYTES],
}

impl Slot {
    /// Whether a worker is to be started now; it counts as starting then.
    fn starts(&mut self, now: i64) -> bool {
        let comes = match self.worker {
            Worker::None => self.not_before > now,
            Worker::Starting => now - self.since < START_US,
            Worker::Running => true,
        };
        if !comes {
            (self.worker, self.since) = (Worker::Starting, now);
        }
        !comes
    }
}

#[repr(C)]
struct Memory {
    tranche: i32,
    lock: pg_sys::LWLock,
    slots: [Slot; DATABASES],
    used: usize,
    bytes: [u8; BYTES],
}

thread_local! {
    static ATTACHED: Cell<Attached<Memory>> = const { Cell::new(Attached::NotYet) };
}

// SAFETY: a lock, numbers and bytes; a worker that is 0 is none.
unsafe impl Layout for Memory {
    const NAME: &str = "pg_dbre_vector_queries_1";
    const TRANCHE: &CStr = c"pg_dbre_vector_queries";
    const PURPOSE: &str = GIVES_UP;

    fn attached() -> &'static LocalKey<Cell<Attached<Memory>>> {
        &ATTACHED
    }

    fn tranche(&mut self) -> &mut i32 {
        &mut self.tranche
    }

    fn locks(&mut self) -> Vec<*mut pg_sys::LWLock> {
        vec![&raw mut self.lock]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Added {
    Waits,
    /// As `Waits`, and the caller is to start a worker.
    NeedsWorker,
    /// There is no room.
    Dropped,
}

pub struct State {
    pub worker: &'static str,
    /// Of the last worker.
    pub failure: Option<String>,
    pub waiting: usize,
    pub captured: u64,
    pub dropped: u64,
}

#[derive(Clone, Copy)]
pub struct Queue(*mut Memory);

struct Locked(*mut Memory);

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `lock` has taken it.
        unsafe { pg_sys::LWLockRelease(addr_of_mut!((*self.0).lock)) };
    }
}

impl Queue {
    pub fn attach() -> Option<Queue> {
        shared_memory::attach().map(Queue)
    }

    pub fn attached() -> Option<Queue> {
        shared_memory::attached().map(Queue)
    }

    fn locked<T>(self, body: impl FnOnce(&mut Memory) -> T) -> T {
        // SAFETY: the segment stays mapped; whoever holds the lock only copies.
        unsafe {
            pg_sys::LWLockAcquire(addr_of_mut!((*self.0).lock), pg_sys::LWLockMode::LW_EXCLUSIVE);
            let locked = Locked(self.0);
            body(&mut *locked.0)
        }
    }

    pub fn add(self, database: u32, now: i64, record: &[u8]) -> Added {
        self.locked(|memory| {
            let Some(slot) = memory.slot(database, now) else { return Added::Dropped };
            if memory.used + HEAD + record.len() > BYTES {
                memory.drop_stale(now);
            }
            let needed = HEAD + record.len();
            if memory.used + needed > BYTES || memory.slots[slot].bytes + needed > MOST_OF_ONE {
                return Added::Dropped;
            }
            let slot = &mut memory.slots[slot];
            slot.captured += 1;
            let starts = slot.starts(now);
            memory.push(database, now, record);
            if starts { Added::NeedsWorker } else { Added::Waits }
        })
    }

    /// Something waits, and no worker comes for it: the caller is to start one.
    pub fn needs_worker(self, database: u32, now: i64) -> bool {
        self.with_slot(database, |slot| slot.bytes > 0 && slot.starts(now)) == Some(true)
    }

    pub fn count_dropped(self, database: u32, number: u64) {
        self.with_slot(database, |slot| slot.dropped += number);
    }

    fn with_slot<T>(self, database: u32, body: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.locked(|memory| memory.slots.iter_mut().find(|slot| slot.database == database).map(body))
    }

    /// All that waits for the worker of this database.
    pub fn take(self, database: u32) -> Vec<Vec<u8>> {
        self.take_some(database, |_| true)
    }

    pub fn take_some(self, database: u32, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.locked(|memory| {
            memory.keep(|of, _, record| {
                let ours = of == database && wanted(record);
                if ours {
                    taken.push(record.to_vec());
                }
                !ours
            });
        });
        taken
    }

    pub fn is_waited_for(self, database: u32) -> bool {
        self.locked(|memory| memory.waiting(database)) > 0
    }

    /// The caller is the worker of the database. False: there is another already.
    pub fn claim(self, database: u32, now: i64) -> bool {
        let claimed = self.with_slot(database, |slot| {
            let free = slot.worker != Worker::Running;
            if free {
                (slot.worker, slot.since) = (Worker::Running, now);
            }
            free
        });
        claimed == Some(true)
    }

    /// The worker goes, if nothing waits for it.
    pub fn retire(self, database: u32) -> bool {
        self.locked(|memory| {
            let idle = memory.waiting(database) == 0;
            if idle && let Some(slot) = memory.slots.iter_mut().find(|slot| slot.database == database) {
                slot.worker = Worker::None;
            }
            idle
        })
    }

    /// The worker has gone, whatever for.
    pub fn gone(self, database: u32) {
        self.with_slot(database, |slot| slot.worker = Worker::None);
    }

    /// There is no worker, and is not to be one for so many seconds.
    pub fn failed(self, database: u32, now: i64, seconds: i64, why: &str) {
        self.with_slot(database, |slot| {
            let mut length = why.len().min(TEXT_BYTES);
            while !why.is_char_boundary(length) {
                length -= 1;
            }
            slot.failure[..length].copy_from_slice(&why.as_bytes()[..length]);
            slot.failure_bytes = length as u32;
            slot.not_before = now + seconds * SECOND;
            slot.worker = Worker::None;
        });
    }

    /// What failed before does no more.
    pub fn succeeded(self, database: u32) {
        self.with_slot(database, |slot| slot.failure_bytes = 0);
    }

    pub fn state(self, database: u32) -> Option<State> {
        self.locked(|memory| {
            let waiting = memory.waiting(database);
            let slot = memory.slots.iter().find(|slot| slot.database == database)?;
            let failure = &slot.failure[..slot.failure_bytes as usize];
            Some(State {
                worker: match slot.worker {
                    Worker::None => "none",
                    Worker::Starting => "starting",
                    Worker::Running => "running",
                },
                failure: (!failure.is_empty()).then(|| String::from_utf8_lossy(failure).into_owned()),
                waiting,
                captured: slot.captured,
                dropped: slot.dropped,
            })
        })
    }
}

impl Memory {
    /// Of the database; of one for which nothing waits where there is no other.
    fn slot(&mut self, database: u32, now: i64) -> Option<usize> {
        if let Some(known) = self.slots.iter().position(|slot| slot.database == database) {
            return Some(known);
        }
        let idle = |slot: &Slot| match slot.worker {
            Worker::None => slot.bytes == 0,
            Worker::Starting => slot.bytes == 0 && now - slot.since > START_US,
            Worker::Running => false,
        };
        let numbers = 0..DATABASES;
        let free = numbers.filter(|number| idle(&self.slots[*number])).min_by_key(|number| {
            let slot = &self.slots[*number];
            (slot.database != 0, slot.since)
        })?;
        self.slots[free] = Slot {
            database,
            worker: Worker::None,
            since: now,
            not_before: 0,
            captured: 0,
            dropped: 0,
            bytes: 0,
            failure_bytes: 0,
            failure: [0; TEXT_BYTES],
        };
        Some(free)
    }

    fn push(&mut self, database: u32, now: i64, record: &[u8]) {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&(record.len() as u32).to_le_bytes());
        head[4..8].copy_from_slice(&database.to_le_bytes());
        head[8..].copy_from_slice(&now.to_le_bytes());
        let at = self.used;
        self.bytes[at..at + HEAD].copy_from_slice(&head);
        self.bytes[at + HEAD..at + HEAD + record.len()].copy_from_slice(record);
        self.used += HEAD + record.len();
        self.count(database, HEAD + record.len());
    }

    fn count(&mut self, database: u32, bytes: usize) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.database == database) {
            slot.bytes += bytes;
        }
    }

    fn drop_stale(&mut self, now: i64) {
        let mut dropped = Vec::new();
        self.keep(|database, at, _| {
            let fresh = now - at < STALE_US;
            if !fresh {
                dropped.push(database);
            }
            fresh
        });
        for slot in &mut self.slots {
            slot.dropped += dropped.iter().filter(|database| **database == slot.database).count() as u64;
        }
    }

    fn waiting(&self, database: u32) -> usize {
        let mut waiting = 0;
        let mut at = 0;
        while at < self.used {
            let (length, of, _) = self.head(at);
            waiting += usize::from(of == database);
            at += HEAD + length;
        }
        waiting
    }

    fn head(&self, at: usize) -> (usize, u32, i64) {
        let part = |from: usize| self.bytes[at + from..at + from + 4].try_into().expect("four bytes");
        let time = self.bytes[at + 8..at + HEAD].try_into().expect("eight bytes");
        (u32::from_le_bytes(part(0)) as usize, u32::from_le_bytes(part(4)), i64::from_le_bytes(time))
    }

    /// Those of which `keep(database, time, record)` says so move together.
    fn keep(&mut self, mut keep: impl FnMut(u32, i64, &[u8]) -> bool) {
        let (mut at, mut to) = (0, 0);
        self.slots.iter_mut().for_each(|slot| slot.bytes = 0);
        while at < self.used {
            let (length, database, time) = self.head(at);
            let next = at + HEAD + length;
            if keep(database, time, &self.bytes[at + HEAD..next]) {
                self.bytes.copy_within(at..next, to);
                to += next - at;
                self.count(database, next - at);
            }
            at = next;
        }
        self.used = to;
    }
}
