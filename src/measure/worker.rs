//! What our background workers have in common.

use pgrx::pg_sys;
use std::ffi::{CStr, c_char, c_int};

/// Of a worker whose code is a function of this library.
pub fn description(name: &CStr, function: &CStr) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker::default();
    put(&mut worker.bgw_name, name);
    put(&mut worker.bgw_type, c"pg_dbre");
    put(&mut worker.bgw_library_name, c"pg_dbre");
    put(&mut worker.bgw_function_name, function);
    worker.bgw_flags = (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as c_int;
    worker.bgw_restart_time = pg_sys::BGW_NEVER_RESTART;
    worker
}

fn put<const BYTES: usize>(field: &mut [c_char; BYTES], text: &CStr) {
    for (place, byte) in field.iter_mut().zip(text.to_bytes()) {
        *place = *byte as c_char;
    }
}

/// What a worker does first.
///
/// SAFETY: called in the worker, which has not yet connected.
pub unsafe fn handle_signals() {
    // SAFETY: what the server's own workers do when they begin.
    unsafe {
        pg_sys::pqsignal(pg_sys::SIGTERM as c_int, Some(on_terminate));
        pg_sys::pqsignal(pg_sys::SIGINT as c_int, Some(on_cancel));
        pg_sys::pqsignal(pg_sys::SIGHUP as c_int, Some(on_reload));
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// The settings, if they were to be read again.
pub fn reloaded() -> bool {
    // SAFETY: a flag of this process, which a signal sets.
    unsafe {
        let pending = pg_sys::ConfigReloadPending != 0;
        if pending {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
        pending
    }
}

mod direct {
    use std::ffi::c_int;

    unsafe extern "C-unwind" {
        pub fn die(signal: c_int);
        pub fn SignalHandlerForConfigReload(signal: c_int);
    }
}

/// SAFETY: a signal handler.
unsafe extern "C-unwind" fn on_terminate(signal: c_int) {
    // SAFETY: the server's own handler.
    unsafe { direct::die(signal) };
}

/// No client waits for a worker: a cancel would only end it.
///
/// SAFETY: a signal handler.
unsafe extern "C-unwind" fn on_cancel(_: c_int) {}

/// SAFETY: a signal handler.
unsafe extern "C-unwind" fn on_reload(signal: c_int) {
    // SAFETY: the server's own handler.
    unsafe { direct::SignalHandlerForConfigReload(signal) };
}
