//! The cheapest setting of a vector index that reaches a recall, found with few searches.

mod bound;
mod front;
mod growth;
mod optimism;
mod panel;
mod search;
#[cfg(test)]
mod unit_tests;

pub use front::on_front;
pub use growth::{Cost, build_factor, growth};
pub use optimism::recall_of_rows;
pub use panel::{Panel, Runs, Seen, Summary, mean};
pub use search::{Found, Task, best_so_far, search};
