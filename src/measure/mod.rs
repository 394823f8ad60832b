//! What must be tried rather than read: queries analyzed and planned by the server itself, with indexes that do not exist.

pub mod activity;
pub mod bursts;
pub mod cascade;
pub mod explain;
pub mod index_advice;
pub mod lookups;
pub mod migration;
pub mod pgbouncer;
pub mod query;
pub mod rollback;
mod server;
mod shared_memory;
pub mod statement_end;
mod time_limit;
pub mod vector;
mod wait;
pub mod what_if;
mod worker;

/// Called once, when the library is loaded. The planner's hooks do nothing unless a call of ours plans.
pub fn install_hooks() {
    activity::history::install();
    bursts::install();
    vector::capture::install();
    // SAFETY: reserves the prefix once all settings with it are there.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"dbre".as_ptr()) };
    statement_end::install();
    query::install_hook();
    vector::run::install_hook();
    what_if::install_hooks();
}
