//! What must be tried rather than read: queries analyzed and planned by the server itself, with indexes that do not exist.

pub mod explain;
pub mod index_advice;
pub mod query;
mod server;
pub mod what_if;

/// Called once, when the library is loaded. The hooks do nothing unless a call of ours plans.
pub fn install_hooks() {
    query::install_hook();
    what_if::install_hooks();
}
