//! What each process of the server does now, read where the server keeps it: no copy of pg_stat_activity is made, so that a
//! transaction's own picture of it stays what it is, and no lock is taken.

use crate::facts::activity::State;
use pgrx::pg_sys::{self, PgBackendStatus, WaitEventClient};
use std::collections::HashSet;
use std::ffi::{CStr, c_char};
use std::ptr::addr_of;
use std::sync::atomic::{Ordering, fence};

pub const NAME_BYTES: usize = pg_sys::NAMEDATALEN as usize;
const TRIES: u32 = 1000;
const TEXT_BYTES: usize = 1024;
/// Parallel workers are background workers to the server.
const PARALLEL_WORKER: u32 = u32::MAX;

/// As the server prints it, with zeros behind.
pub type Application = [u8; NAME_BYTES];

#[derive(Clone, Copy)]
pub struct Backend {
    number: usize,
    pub pid: i32,
    pub kind: Kind,
    /// 0: none.
    pub database: u32,
    pub role: u32,
    pub application: Application,
    /// None: it has none, as background processes.
    pub state: Option<State>,
    /// As the server codes it; 0: it doesn't wait.
    pub wait: u32,
    pub query_id: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u32);

impl Kind {
    pub const CLIENT: Kind = Kind(pg_sys::BackendType::B_BACKEND);

    pub fn name(self) -> String {
        if self.0 == PARALLEL_WORKER {
            return "parallel worker".to_string();
        }
        // SAFETY: a constant of the server's.
        unsafe { crate::db::string(pg_sys::GetBackendTypeDesc(self.0)) }
    }
}

impl Backend {
    pub fn is_client(&self) -> bool {
        self.kind == Kind::CLIENT
    }

    /// It does something. Background processes do unless they wait for something to do.
    pub fn is_active(&self) -> bool {
        match self.state {
            Some(State::Active | State::Fastpath) => self.is_client() || !self.awaits_work(),
            Some(_) => false,
            None => !self.is_client() && !self.awaits_work() && self.wait & CLASS != pg_sys::PG_WAIT_EXTENSION,
        }
    }

    /// Of the server's main loops; a logical walsender waits for WAL, or for what a slot's standby must confirm first, as for a client.
    fn awaits_work(&self) -> bool {
        self.wait & CLASS == pg_sys::PG_WAIT_ACTIVITY
            || self.kind.0 == pg_sys::BackendType::B_WAL_SENDER
                && (self.wait == WaitEventClient::WAIT_EVENT_WAL_SENDER_WAIT_FOR_WAL
                    || self.wait == WaitEventClient::WAIT_EVENT_WAIT_FOR_STANDBY_CONFIRMATION)
    }

    /// Nobody else can be given the connection.
    pub fn is_in_use(&self) -> bool {
        matches!(self.state, Some(State::Active | State::Fastpath | State::IdleInTransaction | State::Aborted))
    }

    /// What it runs, if that is still the same statement.
    pub fn text(&self) -> Option<String> {
        // SAFETY: as in `each`; the text has a zero within its size.
        unsafe {
            let size = pg_sys::pgstat_track_activity_query_size.max(1) as usize;
            let entry = first_entry()?.add(self.number);
            let (same, bytes) = consistent(entry, || {
                let same = field(addr_of!((*entry).st_procpid)) == self.pid
                    && field(addr_of!((*entry).st_query_id)) as i64 == self.query_id;
                let mut bytes = vec![0; size.min(TEXT_BYTES)];
                let length = copy(field(addr_of!((*entry).st_activity_raw)), &mut bytes);
                bytes.truncate(length);
                (same, bytes)
            })?;
            let text = String::from_utf8_lossy(&bytes).trim_end_matches('\u{FFFD}').to_string();
            (same && !text.is_empty()).then_some(text)
        }
    }
}

const CLASS: u32 = 0xFF00_0000;

/// Every process but this one.
pub fn each(mut see: impl FnMut(&Backend)) {
    // SAFETY: the server's arrays in shared memory have a place for each process number, at the same index.
    unsafe {
        let Some(first) = first_entry() else { return };
        let processes = pg_sys::ProcGlobal;
        for number in 0..(*processes).allProcCount as usize {
            let entry = first.add(number);
            if number == pg_sys::MyProcNumber as usize || field(addr_of!((*entry).st_procpid)) == 0 {
                continue;
            }
            if let Some(mut backend) = consistent(entry, || read(entry, number))
                && backend.pid > 0
            {
                let process = (*processes).allProcs.add(number);
                if field(addr_of!((*process).pid)) == backend.pid {
                    backend.wait = field(addr_of!((*process).wait_event_info));
                    let leader = field(addr_of!((*process).lockGroupLeader));
                    let worker = backend.kind.0 == pg_sys::BackendType::B_BG_WORKER;
                    if worker && !leader.is_null() && leader != process {
                        backend.kind = Kind(PARALLEL_WORKER);
                    }
                }
                see(&backend);
            }
        }
    }
}

/// Processes that serve clients, but this one.
pub fn clients() -> HashSet<i32> {
    let mut clients = HashSet::new();
    each(|backend| {
        if backend.is_client() {
            clients.insert(backend.pid);
        }
    });
    clients
}

/// Of the array that has this process' entry at its number.
///
/// SAFETY: called within a process that is attached to the server's shared memory.
unsafe fn first_entry() -> Option<*const PgBackendStatus> {
    // SAFETY: our own entry is ours.
    unsafe {
        let (ours, number) = (pg_sys::MyBEEntry, pg_sys::MyProcNumber);
        let known = !ours.is_null()
            && (0..(*pg_sys::ProcGlobal).allProcCount as i32).contains(&number)
            && (*ours).st_procpid == pg_sys::MyProcPid;
        known.then(|| ours.sub(number as usize).cast_const())
    }
}

/// What `read` reads while nobody writes, by the server's protocol: the count is even, and the same before and after. None: it
/// did not hold still.
///
/// SAFETY: an entry of the server's.
unsafe fn consistent<T>(entry: *const PgBackendStatus, read: impl Fn() -> T) -> Option<T> {
    // SAFETY: as said above.
    let count = || unsafe { field(addr_of!((*entry).st_changecount)) };
    for _ in 0..TRIES {
        let before = count();
        fence(Ordering::Acquire);
        if before & 1 == 0 {
            let found = read();
            fence(Ordering::Acquire);
            if count() == before {
                return Some(found);
            }
        }
        std::hint::spin_loop();
    }
    None
}

/// SAFETY: an entry of the server's.
unsafe fn read(entry: *const PgBackendStatus, number: usize) -> Backend {
    // SAFETY: others may write at the same time, and then it is read again; names have a zero within NAMEDATALEN.
    unsafe {
        let mut application = [0; NAME_BYTES];
        copy(field(addr_of!((*entry).st_appname)), &mut application);
        Backend {
            number,
            pid: field(addr_of!((*entry).st_procpid)),
            kind: Kind(field(addr_of!((*entry).st_backendType))),
            database: field(addr_of!((*entry).st_databaseid)).to_u32(),
            role: field(addr_of!((*entry).st_userid)).to_u32(),
            application,
            state: state(field(addr_of!((*entry).st_state))),
            wait: 0,
            query_id: field(addr_of!((*entry).st_query_id)) as i64,
        }
    }
}

/// SAFETY: a field in shared memory that another process may write.
unsafe fn field<T>(at: *const T) -> T {
    // SAFETY: as said above.
    unsafe { at.read_volatile() }
}

/// Up to the zero; how many bytes that are.
///
/// SAFETY: null, or as many bytes in shared memory.
unsafe fn copy(text: *mut c_char, to: &mut [u8]) -> usize {
    if text.is_null() {
        return 0;
    }
    for (place, byte) in to.iter_mut().enumerate() {
        // SAFETY: as said above.
        *byte = unsafe { field(text.add(place)) } as u8;
        if *byte == 0 {
            return place;
        }
    }
    to.len()
}

fn state(code: pg_sys::BackendState::Type) -> Option<State> {
    use pg_sys::BackendState as Code;
    Some(match code {
        Code::STATE_IDLE => State::Idle,
        Code::STATE_RUNNING => State::Active,
        Code::STATE_IDLEINTRANSACTION => State::IdleInTransaction,
        Code::STATE_FASTPATH => State::Fastpath,
        Code::STATE_IDLEINTRANSACTION_ABORTED => State::Aborted,
        Code::STATE_DISABLED => State::Disabled,
        _ => return None,
    })
}

/// Type and name of a wait event, as pg_stat_activity has them.
pub fn wait_names(wait: u32) -> Option<(String, String)> {
    let text = |name: *const c_char| {
        // SAFETY: null or a C string of the server's.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    };
    // SAFETY: 0 gives null; what is not known gives a name that says so.
    unsafe { Some((text(pg_sys::pgstat_get_wait_event_type(wait))?, text(pg_sys::pgstat_get_wait_event(wait))?)) }
}

/// As the server keeps the name.
pub fn application(name: &str) -> Application {
    let mut application = [0; NAME_BYTES];
    let length = name.len().min(NAME_BYTES - 1);
    application[..length].copy_from_slice(&name.as_bytes()[..length]);
    application
}

pub fn application_name(application: &Application) -> String {
    let length = application.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    String::from_utf8_lossy(&application[..length]).into_owned()
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use pg_sys::BackendType::{B_BACKEND, B_WAL_SENDER};

    #[test]
    fn a_logical_walsender_without_work_is_not_active() {
        let is_active = |kind, wait| {
            let application = application("receiver");
            let kind = Kind(kind);
            let state = Some(State::Active);
            Backend { number: 0, pid: 1, kind, database: 5, role: 10, application, state, wait, query_id: 0 }
                .is_active()
        };
        let waits_for_wal = WaitEventClient::WAIT_EVENT_WAL_SENDER_WAIT_FOR_WAL;
        assert!(!is_active(B_WAL_SENDER, waits_for_wal));
        assert!(!is_active(B_WAL_SENDER, WaitEventClient::WAIT_EVENT_WAIT_FOR_STANDBY_CONFIRMATION));
        assert!(is_active(B_WAL_SENDER, WaitEventClient::WAIT_EVENT_WAL_SENDER_WRITE_DATA), "it sends");
        assert!(is_active(B_WAL_SENDER, 0), "it decodes");
        assert!(is_active(B_BACKEND, waits_for_wal), "no wait of a client's session");
    }
}
