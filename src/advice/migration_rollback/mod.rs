//! The reverse of a migration: what can be told from its text alone.

pub mod arguments;
pub mod privileges;
