//! Runs a planned statement by our own hand: its rows, its time and the pages that it touched.

use crate::db::Arena;
use pgrx::pg_sys::{self, Datum};
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;
use std::time::Instant;

/// What a run cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// From the executor's start to its end; planning is not in it.
    pub ms: f64,
    /// Found in buffers or read, of tables and indexes, parallel workers' with them.
    pub pages: u64,
}

/// Hands each row's values and which of them are NULL to a closure.
#[repr(C)]
struct Receiver<'a> {
    base: pg_sys::DestReceiver,
    take: &'a mut dyn FnMut(&[Datum], &[bool]),
}

/// Runs it with the snapshot of the statement that called us.
///
/// SAFETY: the plan is the server's, of `text`, and its locks are held; values of parameters are of the types that it was
/// analyzed with.
pub unsafe fn execute(
    planned: *mut pg_sys::PlannedStmt,
    text: &CStr,
    parameters: pg_sys::ParamListInfo,
    take: &mut dyn FnMut(&[Datum], &[bool]),
) -> Cost {
    let arena = Arena::new();
    let base = pg_sys::DestReceiver {
        receiveSlot: Some(receive),
        rStartup: Some(startup),
        rShutdown: Some(nothing),
        rDestroy: Some(nothing),
        mydest: pg_sys::CommandDest::DestNone,
    };
    let mut receiver = Receiver { base, take };
    // SAFETY: as said above. What an error leaves is released with the (sub)transaction that it aborts.
    arena.enter(|| unsafe {
        let descriptor = pg_sys::CreateQueryDesc(
            planned,
            text.as_ptr(),
            pg_sys::GetActiveSnapshot(),
            null_mut(),
            (&raw mut receiver).cast(),
            parameters,
            null_mut(),
            0,
        );
        let before = pages();
        let begun = Instant::now();
        pg_sys::ExecutorStart(descriptor, 0);
        pg_sys::ExecutorRun(descriptor, pg_sys::ScanDirection::ForwardScanDirection, 0, true);
        pg_sys::ExecutorFinish(descriptor);
        pg_sys::ExecutorEnd(descriptor);
        let cost = Cost { ms: begun.elapsed().as_secs_f64() * 1000.0, pages: pages() - before };
        pg_sys::FreeQueryDesc(descriptor);
        cost
    })
}

fn pages() -> u64 {
    // SAFETY: counters of this backend, which has one thread.
    let usage = unsafe { pg_sys::pgBufferUsage };
    (usage.shared_blks_hit + usage.shared_blks_read + usage.local_blks_hit + usage.local_blks_read) as u64
}

/// SAFETY: the executor calls it with a `Receiver` of ours.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn receive(slot: *mut pg_sys::TupleTableSlot, this: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: as said above; the arrays have an element for each attribute once the slot is deformed.
    unsafe {
        pg_sys::slot_getallattrs(slot);
        let columns = (*slot).tts_nvalid as usize;
        let values = std::slice::from_raw_parts((*slot).tts_values, columns);
        let nulls = std::slice::from_raw_parts((*slot).tts_isnull, columns);
        ((*this.cast::<Receiver>()).take)(values, nulls);
    }
    true
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup(_this: *mut pg_sys::DestReceiver, _operation: c_int, _rows: pg_sys::TupleDesc) {}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn nothing(_this: *mut pg_sys::DestReceiver) {}
