//! The bursts of all sessions: a table of fixed size in shared memory.

use super::entry::{Entry, Key, PARENT_BYTES, Report, TAG_BYTES, TEXT_BYTES};
use super::text;
use super::window::{SharedParent, Window, place};
use crate::measure::shared_memory::{self, Attached, Layout};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;
use std::ops::{Deref, DerefMut};
use std::ptr::addr_of_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

const PARTITIONS: usize = 16;
const ENTRIES: usize = 32;
const WINDOWS: usize = 16;
const PARENTS: usize = 4;
pub const GIVES_UP: &str = "records no bursts";

#[repr(C)]
pub struct Partition {
    lock: pg_sys::LWLock,
    entries: [Entry; ENTRIES],
    windows: [Window; WINDOWS],
    parents: [SharedParent; PARENTS],
}

#[repr(C)]
struct Memory {
    tranche: i32,
    evicted: AtomicU64,
    partitions: [Partition; PARTITIONS],
}

const _: () = assert!(size_of::<Memory>() <= 2 << 20, "shared memory is documented as 2 MB at most");

thread_local! {
    static ATTACHED: Cell<Attached<Memory>> = const { Cell::new(Attached::NotYet) };
}

// SAFETY: locks, numbers, flags and bytes, in the order given.
unsafe impl Layout for Memory {
    const NAME: &str = "pg_dbre_bursts_1";
    const TRANCHE: &CStr = c"pg_dbre_bursts";
    const PURPOSE: &str = GIVES_UP;

    fn attached() -> &'static LocalKey<Cell<Attached<Memory>>> {
        &ATTACHED
    }

    fn tranche(&mut self) -> &mut i32 {
        &mut self.tranche
    }

    fn locks(&mut self) -> Vec<*mut pg_sys::LWLock> {
        self.partitions.iter_mut().map(|partition| &raw mut partition.lock).collect()
    }
}

#[derive(Clone, Copy)]
pub struct Shared(*mut Memory);

/// Holds the partition's lock.
pub struct Locked(*mut Partition);

impl Deref for Locked {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        // SAFETY: in the segment, which stays mapped; the lock is held.
        unsafe { &*self.0 }
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Partition {
        // SAFETY: as above; the lock is exclusive.
        unsafe { &mut *self.0 }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `lock` has taken it.
        unsafe { pg_sys::LWLockRelease(addr_of_mut!((*self.0).lock)) };
    }
}

impl Shared {
    /// The table, which is made when no session has yet. None: there is no memory for it, or no way to ask for it now.
    pub fn attach() -> Option<Shared> {
        shared_memory::attach().map(Shared)
    }

    /// The table, if this session has it already: where nothing may fail.
    pub fn attached() -> Option<Shared> {
        shared_memory::attached().map(Shared)
    }

    fn partition(self, hash: u64) -> *mut Partition {
        // SAFETY: the number is one of theirs.
        unsafe { addr_of_mut!((*self.0).partitions[(hash >> 40) as usize % PARTITIONS]) }
    }

    pub fn lock(self, hash: u64) -> Locked {
        let partition = self.partition(hash);
        // SAFETY: the lock is initialized; whoever holds it does not wait.
        unsafe { pg_sys::LWLockAcquire(addr_of_mut!((*partition).lock), pg_sys::LWLockMode::LW_EXCLUSIVE) };
        Locked(partition)
    }

    /// None: somebody holds it.
    pub fn try_lock(self, hash: u64) -> Option<Locked> {
        let partition = self.partition(hash);
        // SAFETY: the lock is initialized.
        let locked = unsafe {
            pg_sys::LWLockConditionalAcquire(addr_of_mut!((*partition).lock), pg_sys::LWLockMode::LW_EXCLUSIVE)
        };
        // Not `then_some`: it would make one, and so release the lock, whoever holds it.
        locked.then(|| Locked(partition))
    }

    pub fn publish(self, report: &Report) {
        let tagged = report.sql.filter(|sql| text::commented(sql)).map(text::tags).filter(|tags| !tags.is_empty());
        let tags = tagged.map(|tags| text::printed_tags(tags, TAG_BYTES));
        let hash = report.key.hash();
        {
            let mut partition = self.lock(hash);
            if let Some(entry) = partition.find(&report.key)
                && !entry.lacks_text(report)
            {
                return entry.add(report, tags.as_deref());
            }
        }
        // Only the first time, and not while others wait.
        let sql = report.sql.map(|sql| text::normalized(sql, TEXT_BYTES));
        let parent = report.parent_sql.map(|sql| text::normalized(sql, PARENT_BYTES));
        let mut partition = self.lock(hash);
        let (entry, evicted) = match (partition.find(&report.key).is_some(), &sql) {
            (true, _) => (partition.find(&report.key), false),
            (false, Some(_)) => partition.make(&report.key),
            // It was evicted, and nothing says any more what it was.
            (false, None) => (None, false),
        };
        if let Some(entry) = entry {
            if let Some(sql) = sql {
                entry.text.set(sql.as_bytes());
            }
            if let Some(parent) = parent {
                entry.parent_text.set(parent.as_bytes());
            }
            entry.add(report, tags.as_deref());
        }
        drop(partition);
        if evicted {
            // SAFETY: the segment stays mapped.
            unsafe { (*self.0).evicted.fetch_add(1, Ordering::Relaxed) };
        }
    }

    /// A copy of what is known of a database.
    pub fn read(self, database: u32, now: i64) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.each_partition(|partition| {
            partition.settle_all(now);
            let told = |entry: &&Entry| entry.used && entry.bursts > 0 && entry.key.database == database;
            entries.extend(partition.entries.iter().filter(told).copied());
        });
        entries
    }

    /// Forgets what is known of a database; how many entries that was.
    pub fn reset(self, database: u32) -> usize {
        let mut forgotten = 0;
        self.each_partition(|partition| {
            for entry in partition.entries.iter_mut().filter(|entry| entry.used && entry.key.database == database) {
                forgotten += usize::from(entry.bursts > 0);
                entry.used = false;
            }
            partition.windows.iter_mut().filter(|window| window.key.database == database).for_each(Window::close);
        });
        forgotten
    }

    /// How many entries made room for others.
    pub fn evicted(self) -> u64 {
        // SAFETY: the segment stays mapped.
        unsafe { (*self.0).evicted.load(Ordering::Relaxed) }
    }

    fn each_partition(self, mut body: impl FnMut(&mut Partition)) {
        for number in 0..PARTITIONS {
            body(&mut self.lock((number as u64) << 40));
        }
    }
}

pub fn window_place(hash: u64) -> usize {
    place(hash, WINDOWS)
}

pub fn parent_place(hash: u64) -> usize {
    place(hash, PARENTS)
}

impl Partition {
    pub fn find(&mut self, key: &Key) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.used && entry.key == *key)
    }

    /// A new entry, in place of the one that was not seen for longest; true: one that told something. One that was only prepared
    /// stays while its window is open, and goes before others after that.
    pub fn make(&mut self, key: &Key) -> (Option<&mut Entry>, bool) {
        let open: Vec<u64> = self.windows.iter().filter(|window| window.is_open()).map(|it| it.key.hash()).collect();
        let kept = |entry: &Entry| entry.used && (entry.bursts > 0 || open.contains(&entry.key.hash()));
        let oldest = self.entries.iter_mut().min_by_key(|entry| (entry.used, kept(entry), entry.last_seen));
        let evicts = oldest.as_ref().is_some_and(|entry| entry.used && entry.bursts > 0);
        let made = oldest.map(|entry| {
            *entry = Entry { key: *key, used: true, ..Entry::default() };
            entry
        });
        (made, evicts)
    }

    pub fn window(&mut self, hash: u64) -> &mut Window {
        &mut self.windows[window_place(hash)]
    }

    pub fn parent(&mut self, hash: u64) -> &mut SharedParent {
        &mut self.parents[parent_place(hash)]
    }

    /// A burst over several connections is known as such when its window is over.
    pub fn settle(&mut self, place: usize) {
        if let Some(report) = self.windows[place].take_burst()
            && let Some(entry) = self.find(&report.key)
        {
            entry.add(&report, None);
        }
    }

    fn settle_all(&mut self, now: i64) {
        for place in 0..WINDOWS {
            if self.windows[place].is_over(now) {
                self.settle(place);
            }
        }
    }
}
