//! What the server's log tells, counted while it is streamed.

mod csv;
mod errors;
mod files;
mod groups;
mod json;
mod lines;
mod locks;
mod messages;
mod record;
mod settings;
mod summary;
mod time;
mod wal;

pub use errors::ErrorsOf;
pub use groups::{Events, Group, Names};
pub use locks::{Deadlock, WaitsOf};
pub use messages::Target;
pub use settings::LogSettings;
pub use summary::{Crashes, Refused};
pub use time::shown as shown_time;
pub use wal::Checkpoints;

use super::Database;
use crate::db::{self, check_for_interrupts};
use files::{Found, LogFile};
use lines::{Format, Line};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use summary::{Here, Summary};
use time::Zones;

#[derive(Debug, Default)]
pub struct ServerLog {
    pub settings: LogSettings,
    /// The caller has named the files.
    pub files_given: bool,
    pub files: Vec<String>,
    pub bytes: u64,
    pub records: u64,
    /// Of the records that count: ms since 1970.
    pub first: i64,
    pub last: i64,
    /// By total time, the largest first.
    pub slow: Vec<Group>,
    /// By total size, the largest first.
    pub temp_files: Vec<Group>,
    pub lock_waits: Vec<WaitsOf>,
    pub deadlocks: Vec<Deadlock>,
    pub errors: Vec<ErrorsOf>,
    pub checkpoints: Checkpoints,
    pub refused: Refused,
    /// Qualified table, how often.
    pub autovacuum_canceled: Vec<(String, u64)>,
    pub crashes: Crashes,
    /// Records of other databases, which are not counted.
    pub elsewhere: u64,
    pub unread: Unread,
}

/// What was not counted, and why.
#[derive(Debug, Default)]
pub struct Unread {
    /// Files, with the reason.
    pub files: Vec<String>,
    /// Files with lines of which none is csvlog or jsonlog.
    pub not_structured: Vec<String>,
    pub broken_lines: u64,
    /// Records that end where the file ends.
    pub truncated: u64,
    /// Records of which only the beginnings of fields were kept.
    pub long: u64,
    pub foreign: u64,
    pub not_utf8: u64,
    pub durations_without_statement: u64,
    pub unknown_zones: Vec<String>,
    /// Statements, and their events, that made room for others.
    pub dropped_statements: u64,
    pub dropped_events: u64,
    /// Lock waits, deadlocks and errors of more kinds than are kept apart.
    pub dropped_kinds: u64,
}

/// Why a file that the caller has named cannot be read.
pub struct Unreadable {
    pub path: String,
    pub error: io::Error,
}

/// `files`: those named, absolute or relative to the data directory; None: those of the log directory. `since`: ms since 1970.
pub fn read(database: &Database, since: i64, files: Option<Vec<String>>) -> Result<ServerLog, Unreadable> {
    let settings = LogSettings::read();
    let files_given = files.is_some();
    let found = match files {
        Some(paths) => Found {
            files: paths.into_iter().map(|path| LogFile { path: PathBuf::from(path), twin: None }).collect(),
            left: Vec::new(),
        },
        None => of_directory(&settings, since),
    };
    let mut reading = Reading::new(database, &settings, since);
    reading.unread.files = found.left;
    for file in found.files {
        let read = reading.file(&file.path, None);
        let (first, last) = match read {
            Ok(span) => span,
            Err(error) if files_given => {
                return Err(Unreadable { path: file.path.display().to_string(), error });
            }
            Err(error) => {
                // Removed by rotation: so are its records.
                if error.kind() != io::ErrorKind::NotFound {
                    reading.unread.files.push(format!("{}: {error}", file.path.display()));
                }
                continue;
            }
        };
        if let Some(twin) = file.twin
            && let Err(error) = reading.file(&twin, Some((first, last)))
        {
            reading.unread.files.push(format!("{}: {error}", twin.display()));
        }
    }
    Ok(reading.finish(settings, files_given))
}

fn of_directory(settings: &LogSettings, since: i64) -> Found {
    let directory = settings.shown("log_directory");
    if directory.is_empty() {
        let left = vec!["log_directory is shown to roles with the rights of pg_read_all_settings only".to_string()];
        return Found { files: Vec::new(), left };
    }
    match files::in_directory(Path::new(directory), since) {
        Ok(found) => found,
        // Nothing has ever been logged there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !settings.is_structured() => Found::default(),
        Err(error) => Found { files: Vec::new(), left: vec![format!("{directory}: {error}")] },
    }
}

struct Reading {
    here: Here,
    since: i64,
    zones: Zones,
    summary: Summary,
    unread: Unread,
    files: Vec<String>,
    bytes: u64,
}

impl Reading {
    fn new(database: &Database, settings: &LogSettings, since: i64) -> Reading {
        let sql = "select oid::int8 from pg_catalog.pg_database where datname = pg_catalog.current_database()";
        let oid = db::read(sql, &[], |row| row.take::<i64>() as u32).pop().unwrap_or(0);
        Reading {
            here: Here { database: database.name.clone(), oid },
            since,
            zones: Zones::new(settings.shown("log_timezone").to_string()),
            summary: Summary::default(),
            unread: Unread::default(),
            files: Vec::new(),
            bytes: 0,
        }
    }

    /// The span of its records; those within `but` are known.
    fn file(&mut self, path: &Path, but: Option<(i64, i64)>) -> io::Result<(i64, i64)> {
        let Some((source, format)) = files::open(path)? else { return Ok((i64::MAX, i64::MIN)) };
        let (mut span, mut records, mut broken) = ((i64::MAX, i64::MIN), 0_u64, 0);
        let each = |line: Line| {
            self.bytes += line.bytes.len() as u64 + 1;
            match self.line(&line, format, but) {
                Some(at) => {
                    span = (span.0.min(at), span.1.max(at));
                    records += 1;
                }
                None if line.bytes.trim_ascii().is_empty() => {}
                None if line.last => self.unread.truncated += 1,
                None => broken += 1,
            }
        };
        lines::read(source, format, each, check_for_interrupts)?;
        let path = path.display().to_string();
        if records == 0 && broken > 0 {
            self.unread.not_structured.push(path.clone());
        } else {
            self.unread.broken_lines += broken;
        }
        self.files.push(path);
        Ok(span)
    }

    /// When it was logged; None: it is no record.
    fn line(&mut self, line: &Line, format: Format, but: Option<(i64, i64)>) -> Option<i64> {
        let mut bytes = line.bytes;
        if format == Format::Json {
            if let Some(at) = json::later(bytes) {
                self.unread.truncated += 1;
                bytes = &bytes[at..];
            }
            bytes = bytes.strip_prefix(json::BEGIN)?;
        }
        let (local, end) = time::head(bytes)?;
        let at = self.zones.utc(local, time::zone(bytes, end));
        if at < self.since || but.is_some_and(|(first, last)| (first..=last).contains(&at)) {
            return Some(at);
        }
        let record = match format {
            Format::Csv => csv::record(bytes, end)?,
            Format::Json => json::record(bytes, end + 1)?,
        };
        self.unread.long += u64::from(line.long);
        self.summary.add(&record, at, &self.here);
        Some(at)
    }

    fn finish(self, settings: LogSettings, files_given: bool) -> ServerLog {
        let summary = self.summary;
        let dropped_kinds = summary.errors.dropped + summary.lock_waits.dropped + summary.deadlocks.dropped;
        let mut lock_waits = summary.lock_waits.finish();
        name_relations(&mut lock_waits);
        let mut autovacuum_canceled: Vec<_> = summary.autovacuum_canceled.into_iter().collect();
        autovacuum_canceled.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ServerLog {
            settings,
            files_given,
            files: self.files,
            bytes: self.bytes,
            records: summary.records,
            first: summary.first,
            last: summary.last,
            unread: Unread {
                foreign: summary.foreign,
                not_utf8: summary.not_utf8,
                durations_without_statement: summary.durations_without_statement,
                unknown_zones: self.zones.unknown,
                dropped_statements: summary.slow.dropped + summary.temp_files.dropped,
                dropped_events: summary.slow.dropped_events + summary.temp_files.dropped_events,
                dropped_kinds,
                ..self.unread
            },
            slow: summary.slow.finish(),
            temp_files: summary.temp_files.finish(),
            lock_waits,
            deadlocks: summary.deadlocks.finish(),
            errors: summary.errors.finish(),
            checkpoints: summary.checkpoints,
            refused: summary.refused,
            autovacuum_canceled,
            crashes: summary.crashes,
            elsewhere: summary.elsewhere,
        }
    }
}

fn name_relations(waits: &mut [WaitsOf]) {
    let oids: Vec<i64> = waits
        .iter()
        .filter_map(|waits| match waits.target {
            Target::Relation(oid) => Some(i64::from(oid)),
            _ => None,
        })
        .collect();
    if oids.is_empty() {
        return;
    }
    let sql = include_str!("../../../sql/facts/log_relations.sql");
    let names: HashMap<i64, String> =
        db::read(sql, &[oids.into()], |row| (row.take::<i64>(), row.take::<String>())).into_iter().collect();
    for waits in waits {
        if let Target::Relation(oid) = waits.target {
            waits.name = names.get(&i64::from(oid)).cloned();
        }
    }
}
