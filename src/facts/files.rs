//! The files of relations: their size and age, without opening the relation or taking a lock.
//!
//! `pg_relation_size()` opens the relation: it fills the relation cache of the session and waits for ACCESS EXCLUSIVE locks.

use crate::units::Bytes;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file holds no more; the next segment follows a full one.
const SEGMENT: u64 = pgrx::pg_sys::RELSEG_SIZE as u64 * PAGE;
const PAGE: u64 = pgrx::pg_sys::BLCKSZ as u64;
const SECONDS_PER_DAY: f64 = 86_400.0;

#[derive(Clone, Copy, Debug, Default)]
pub struct File {
    pub bytes: Bytes,
    /// Since the file was made: by CREATE, or by the last command that rewrote the relation. None where the file system
    /// doesn't say.
    pub age_days: Option<f64>,
}

/// The main fork at `path` (relative to the data directory, which is every backend's working directory), all segments.
///
/// The row that named the file may be older than the file system: REINDEX, TRUNCATE or VACUUM FULL have given the relation
/// another file since. Then the size is that of its `pages`, the planner's figure.
pub fn main_fork(path: Option<String>, pages: i32) -> File {
    // -1: a partitioned table
    let planned = File { bytes: Bytes(pages.max(0) as u64 * PAGE), age_days: None };
    let Some(path) = path else { return planned };
    let Ok(first) = std::fs::metadata(&path) else { return planned };
    let mut bytes = first.len();
    let mut segment = 1;
    while bytes == segment * SEGMENT {
        bytes += std::fs::metadata(format!("{path}.{segment}")).map_or(0, |metadata| metadata.len());
        segment += 1;
    }
    File { bytes: Bytes(bytes), age_days: first.created().ok().and_then(|at| at.elapsed().ok()).map(days) }
}

/// Of the main fork at `path`; None: it has none, and its size is that of its `pages`.
pub fn bytes(path: Option<String>, pages: i32) -> u64 {
    main_fork(path, pages).bytes.0
}

/// Since the folder of the relation file `path`, which is the database's, was made.
pub fn database_age_days(path: &str) -> Option<f64> {
    let marker = Path::new(path).with_file_name("PG_VERSION");
    modified(&marker)?.elapsed().ok().map(days)
}

/// When a file that is never changed was, in seconds since 1970.
pub fn made(path: &str) -> Option<f64> {
    modified(path.as_ref())?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn days(duration: Duration) -> f64 {
    duration.as_secs_f64() / SECONDS_PER_DAY
}
