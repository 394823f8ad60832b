//! Runs a migration for real and takes it back: all of it in one subtransaction that is rolled back.

mod course;
mod failures;
mod key_checks;
mod observe;
pub mod others;
mod statement;
mod transactions;
mod tried;
mod utilities;
mod watch;

pub use course::Course;
pub use observe::Scanned;
pub use tried::{Status, Tried};

use crate::db::{self, raise_sqlstate};
use observe::Observer;
use std::ffi::CStr;
use std::time::{Duration, Instant};
use watch::Watch;

pub struct Options<'a> {
    pub lock_timeout: Duration,
    /// Of the whole.
    pub time_limit: Duration,
    pub search_path: &'a CStr,
    /// Indexes are built without CONCURRENTLY, however large the table is.
    pub build_in_place: bool,
}

/// What runs in `body` is undone, whatever it was. A cancel, and what fails outside of a statement, is raised.
pub fn taken_back<T>(options: &Options, body: impl FnOnce(&mut Course) -> T) -> T {
    let outcome = db::undone(
        || {
            let deadline = Instant::now() + options.time_limit;
            let observer = looking(|| Observer::start(Watch::start()));
            // A function returns rows, and raises no notices.
            let settings = [(c"search_path", options.search_path), (c"client_min_messages", c"error")];
            db::with_settings(&settings, || body(&mut Course::new(options, observer, deadline)))
        },
        || false,
    );
    outcome.unwrap_or_else(|caught| {
        raise_sqlstate(
            &caught.sqlstate,
            format!("the dry run itself failed: {}", caught.message),
            "All that it had done is undone.",
        )
    })
}

/// Reads catalogs as they are now, whatever search_path the migration has set.
pub fn looking<T>(body: impl FnOnce() -> T) -> T {
    db::seeing_own_writes(|| db::with_search_path(c"pg_catalog, pg_temp", body))
}
