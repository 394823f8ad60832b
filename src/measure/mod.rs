//! What must be tried rather than read: queries analyzed and planned by the server itself, with indexes that do not exist.

pub mod bursts;
pub mod cascade;
pub mod explain;
pub mod index_advice;
pub mod lookups;
pub mod migration;
pub mod query;
pub mod rollback;
mod server;
mod time_limit;
pub mod what_if;

/// Called once, when the library is loaded. The planner's hooks do nothing unless a call of ours plans.
pub fn install_hooks() {
    bursts::install();
    query::install_hook();
    what_if::install_hooks();
}
