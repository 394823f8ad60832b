//! What sessions do over time: sampled by a call, or recorded by a background worker.

mod backends;
pub mod history;
mod sample;
mod tally;

pub use backends::{application_name, clients, wait_names};
pub use sample::{Group, Pool, Sampled, StatementId, may_see, sample};
pub use tally::Counts;
