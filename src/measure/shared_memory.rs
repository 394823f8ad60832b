//! Memory that all sessions share, made when the first asks for it.

use crate::db;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};
use std::thread::LocalKey;

/// What lies there: all of it may be zero at first.
///
/// # Safety
///
/// `repr(C)`, and made of what can be all zero and be shared by processes.
pub unsafe trait Layout: Sized + 'static {
    /// With the size behind it: libraries of two versions may be loaded at a time.
    const NAME: &str;
    const TRANCHE: &CStr;
    /// What a session does not do when there is none.
    const PURPOSE: &str;

    fn attached() -> &'static LocalKey<Cell<Attached<Self>>>;
    fn tranche(&mut self) -> &mut i32;
    fn locks(&mut self) -> Vec<*mut pg_sys::LWLock>;
}

pub enum Attached<M> {
    NotYet,
    Failed,
    To(*mut M),
}

impl<M> Clone for Attached<M> {
    fn clone(&self) -> Attached<M> {
        *self
    }
}

impl<M> Copy for Attached<M> {}

/// SAFETY: called by the server for a new segment, which nobody else uses yet.
unsafe extern "C-unwind" fn initialize<M: Layout>(segment: *mut c_void) {
    // SAFETY: the segment is as large as the layout, all of which may be zero.
    unsafe {
        let memory: *mut M = segment.cast();
        memory.write_bytes(0, 1);
        let tranche = pg_sys::LWLockNewTrancheId();
        *(*memory).tranche() = tranche;
        for lock in (*memory).locks() {
            pg_sys::LWLockInitialize(lock, tranche);
        }
    }
}

/// It stays mapped until the session ends. None: there is no memory for it, or no way to ask for it now.
pub fn attach<M: Layout>() -> Option<*mut M> {
    match M::attached().get() {
        Attached::To(memory) => return Some(memory),
        Attached::Failed => return None,
        Attached::NotYet => {}
    }
    // SAFETY: reads variables of this backend.
    if unsafe { !pg_sys::IsUnderPostmaster || !pg_sys::IsTransactionState() || pg_sys::IsInParallelMode() } {
        return None;
    }
    let name = CString::new(format!("{}_{}", M::NAME, size_of::<M>())).expect("a name without a zero");
    // SAFETY: the segment has this size, for its name says it.
    let memory = db::guarded(|| unsafe {
        let mut found = false;
        let segment = pg_sys::GetNamedDSMSegment(name.as_ptr(), size_of::<M>(), Some(initialize::<M>), &raw mut found);
        let memory: *mut M = segment.cast();
        pg_sys::LWLockRegisterTranche(*(*memory).tranche(), M::TRANCHE.as_ptr());
        memory
    });
    M::attached().set(memory.as_ref().map_or(Attached::Failed, |memory| Attached::To(*memory)));
    if let Err(error) = &memory {
        let message = format!("pg_dbre {} in this session: {}", M::PURPOSE, error.message);
        pgrx::ereport!(PgLogLevel::LOG_SERVER_ONLY, PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, message);
    }
    memory.ok()
}

/// The memory, if this session has it already: where nothing may fail.
pub fn attached<M: Layout>() -> Option<*mut M> {
    match M::attached().get() {
        Attached::To(memory) => Some(memory),
        _ => None,
    }
}
