//! What needs search or arithmetic rather than a check.

pub mod index_ddl;
pub mod index_selection;
pub mod index_size;
