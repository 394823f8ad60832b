//! Whether and how pg_stat_statements counts.

use super::Database;
use crate::db::{self, guarded};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    #[default]
    NotInstalled,
    NotPreloaded,
    /// The extension was made by an older server, and lacks columns.
    Outdated,
    /// pg_stat_statements.track is none, or compute_query_id is off.
    Off,
    On,
}

/// How it is set up.
#[derive(Debug, Default)]
pub struct Setup {
    /// Where it is installed.
    pub schema: String,
    pub version: Option<String>,
    /// The server's packages have it.
    pub available: bool,
    pub track: String,
    pub track_source: String,
    pub compute_query_id: String,
    pub max_entries: u64,
    pub track_planning: bool,
    pub track_io_timing: bool,
    /// As set for the next start; None: the caller may not see it.
    pub preload: Option<String>,
    /// `command line`: no file changes it.
    pub preload_source: Option<String>,
    pub reads_all_statistics: bool,
    pub caller: String,
}

/// The columns of pg_stat_statements that are read came with this version.
const VERSION: (u32, u32) = (1, 11);

/// Whether it counts, and how it is set up.
pub(super) fn setup(database: &Database) -> (Tracking, Setup) {
    let read = db::read(include_str!("../../sql/facts/statement_tracking.sql"), &[], |row| {
        let version: Option<String> = row.take_option();
        let available = row.take();
        let track: Option<String> = row.take_option();
        let setup = Setup {
            schema: database.extension_schema("pg_stat_statements").map(ToString::to_string).unwrap_or_default(),
            version,
            available,
            track: track.clone().unwrap_or_default(),
            track_source: row.take_option().unwrap_or_default(),
            compute_query_id: row.take(),
            max_entries: row.take_option::<i64>().unwrap_or_default() as u64,
            track_planning: row.take(),
            track_io_timing: row.take(),
            preload: row.take_option(),
            preload_source: row.take_option(),
            reads_all_statistics: row.take(),
            caller: row.take(),
        };
        (track.is_some(), setup)
    });
    let (preloaded, mut setup) = read.into_iter().next().expect("one row");
    if !preloaded {
        setup.preload = preload_of_next_start().or(setup.preload);
    }
    let tracking = match &setup.version {
        None => Tracking::NotInstalled,
        Some(_) if !preloaded => Tracking::NotPreloaded,
        Some(version) if parsed(version) < VERSION => Tracking::Outdated,
        Some(_) if setup.tracks_nothing() => Tracking::Off,
        Some(_) => Tracking::On,
    };
    (tracking, setup)
}

impl Setup {
    /// The library runs in this server.
    pub fn preloaded(&self) -> bool {
        !self.track.is_empty()
    }

    fn tracks_nothing(&self) -> bool {
        // What is set for the caller alone says nothing of the others.
        let own = matches!(self.track_source.as_str(), "user" | "database user" | "session" | "client");
        (self.track == "none" && !own) || self.compute_query_id == "off"
    }
}

/// 1.11 is above 1.9.
fn parsed(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// As the configuration files have it, where the caller may read them.
fn preload_of_next_start() -> Option<String> {
    let sql = "select s.setting from pg_catalog.pg_file_settings s where s.name = 'shared_preload_libraries' order by s.seqno desc limit 1";
    guarded(|| db::read(sql, &[], |row| row.take_option::<String>())).ok()?.pop().flatten()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(parsed("1.9") < VERSION && parsed("1.11") == VERSION && parsed("1.12") > VERSION);
    }
}
