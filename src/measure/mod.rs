//! What must be tried rather than read: queries analyzed and planned by the server itself, with indexes that do not exist.

pub mod index_advice;
pub mod query;
mod server;
pub mod what_if;
