//! What pg_stat_statements has counted of this database, whole, and what it had counted at a snapshot.

use super::statement_change::{Change, Counters};
use super::statement_tracking::{Setup, Tracking, setup};
use super::{Database, MeasuredStatement, statements};
use crate::db;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::{HashMap, HashSet};

#[derive(Debug, Default)]
pub struct StatementStatistics {
    pub tracking: Tracking,
    pub setup: Setup,
    pub totals: Totals,
    /// Those that are judged, with most total time first.
    pub statements: Vec<MeasuredStatement>,
    pub targets: Targets,
    pub snapshot: Option<Snapshot>,
}

/// Sums over this database are of statements that no function ran.
#[derive(Debug, Default)]
pub struct Totals {
    /// Of all databases.
    pub entries: u64,
    pub entries_called_once: u64,
    pub deallocations: u64,
    pub reset_seconds: Option<f64>,
    pub statements: u64,
    /// For how long statements of this database have been counted.
    pub counted_seconds: f64,
    pub calls: f64,
    pub total_ms: f64,
    pub planning_ms: f64,
    pub read_blocks: f64,
    pub temp_blocks: f64,
    pub wal_bytes: f64,
    pub nested_statements: u64,
    pub hidden_statements: u64,
    pub hidden_ms: f64,
}

/// What each kind of query may take.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    pub hot_ms: f64,
    pub regular_ms: f64,
    pub complex_ms: f64,
    /// Aggregates that read as many blocks are complex.
    pub complex_blocks: f64,
}

impl Default for Targets {
    fn default() -> Targets {
        Targets { hot_ms: 100.0, regular_ms: 500.0, complex_ms: 1000.0, complex_blocks: 2000.0 }
    }
}

/// Counters that were kept.
#[derive(Debug)]
pub struct Snapshot {
    pub taken_at: String,
    pub seconds_ago: f64,
    changes: HashMap<Key, Change>,
}

type Key = (i64, String, bool);

/// More are not looked at.
const STATEMENTS: u32 = 20_000;

impl StatementStatistics {
    /// `leaders`: of each figure those that lead by it, so many; None: all. `compare_with`: the newest snapshot taken at that
    /// time or before; None: the newest.
    pub fn read(
        database: &Database,
        targets: Targets,
        leaders: Option<usize>,
        compare_with: Option<TimestampWithTimeZone>,
    ) -> StatementStatistics {
        let mut statistics = StatementStatistics { targets, ..StatementStatistics::default() };
        (statistics.tracking, statistics.setup) = setup(database);
        if statistics.tracking != Tracking::On {
            return statistics;
        }
        let Some(all) = statements(database, STATEMENTS) else {
            statistics.tracking = Tracking::NotPreloaded;
            return statistics;
        };
        statistics.totals = Totals::read(&statistics.setup.schema);
        statistics.statements = all;
        statistics.snapshot = Snapshot::read(compare_with, &statistics.statements);
        if let Some(number) = leaders {
            statistics.keep_leaders(number);
        }
        statistics
    }

    /// Whether statements are counted, and nothing of what was.
    pub fn tracking(database: &Database) -> StatementStatistics {
        let (tracking, setup) = setup(database);
        StatementStatistics { tracking, setup, ..StatementStatistics::default() }
    }

    pub fn counts(&self) -> bool {
        self.tracking == Tracking::On
    }

    /// In a few words. None: statements are counted.
    pub fn why_nothing(&self) -> Option<&'static str> {
        match self.tracking {
            Tracking::NotInstalled => Some("pg_stat_statements is not installed in this database"),
            Tracking::NotPreloaded => {
                Some("pg_stat_statements is not in shared_preload_libraries of the running server")
            }
            Tracking::Outdated => Some("the extension pg_stat_statements is older than this server"),
            Tracking::Off => Some("pg_stat_statements counts nothing, by its settings"),
            Tracking::On => None,
        }
    }

    pub fn change(&self, statement: &MeasuredStatement) -> Option<&Change> {
        self.snapshot.as_ref()?.changes.get(&key(statement))
    }

    /// Of the time of all statements of the database, 0 to 1.
    pub fn share(&self, statement: &MeasuredStatement) -> f64 {
        (statement.total_ms / self.totals.total_ms.max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// How many backends so many milliseconds keep busy on average, while statements of the database were counted.
    pub fn busy(&self, ms: f64) -> f64 {
        ms / 1000.0 / self.totals.counted_seconds.max(1.0)
    }

    fn keep_leaders(&mut self, number: usize) {
        let figures: [fn(&MeasuredStatement) -> f64; 8] = [
            |statement| statement.total_ms,
            MeasuredStatement::mean_ms,
            |statement| statement.deviation_ms,
            |statement| statement.shared_read_blocks as f64,
            |statement| statement.temp_written_blocks as f64,
            |statement| statement.wal_bytes,
            |statement| statement.planning_ms,
            |statement| statement.jit_ms,
        ];
        let extra: Vec<f64> =
            self.statements.iter().map(|statement| self.change(statement).map_or(0.0, Change::extra_ms)).collect();
        let mut kept = HashSet::new();
        let mut keep = |figure: &dyn Fn(usize) -> f64| {
            let mut places: Vec<usize> = (0..self.statements.len()).filter(|place| figure(*place) > 0.0).collect();
            places.sort_by(|a, b| figure(*b).total_cmp(&figure(*a)).then(a.cmp(b)));
            kept.extend(places.into_iter().take(number));
        };
        for figure in figures {
            keep(&|place| figure(&self.statements[place]));
        }
        keep(&|place| extra[place]);
        let mut place = 0..;
        self.statements.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
    }
}

impl Totals {
    fn read(schema: &str) -> Totals {
        let sql = include_str!("../../sql/facts/statement_totals.sql").replace("{schema}", schema);
        let mut totals = db::read(&sql, &[], |row| Totals {
            entries: row.take::<i64>() as u64,
            entries_called_once: row.take::<i64>() as u64,
            deallocations: row.take::<i64>() as u64,
            reset_seconds: row.take_option(),
            statements: row.take::<i64>() as u64,
            counted_seconds: row.take_option().unwrap_or(0.0),
            calls: row.take(),
            total_ms: row.take(),
            planning_ms: row.take(),
            read_blocks: row.take(),
            temp_blocks: row.take(),
            wal_bytes: row.take(),
            nested_statements: row.take::<i64>() as u64,
            hidden_statements: row.take::<i64>() as u64,
            hidden_ms: row.take(),
        });
        totals.pop().expect("an aggregate without groups is one row")
    }
}

impl Snapshot {
    fn read(at: Option<TimestampWithTimeZone>, statements: &[MeasuredStatement]) -> Option<Snapshot> {
        let newest = db::read(include_str!("../../sql/facts/workload_snapshot.sql"), &[at.into()], |row| {
            (row.take::<i64>(), row.take::<String>(), row.take::<f64>())
        });
        let (time, taken_at, seconds_ago) = newest.into_iter().next()?;
        let kept = include_str!("../../sql/facts/workload_snapshot_statements.sql");
        let kept = db::read(kept, &[time.into()], |row| {
            let key: Key = (row.take(), row.take(), row.take());
            let since: i64 = row.take();
            let counters = Counters {
                calls: row.take::<i64>() as f64,
                total_ms: row.take(),
                deviation_ms: row.take(),
                rows: row.take::<i64>() as f64,
                blocks: row.take::<i64>() as f64,
                read_blocks: row.take::<i64>() as f64,
                temp_blocks: row.take::<i64>() as f64,
                wal_bytes: row.take(),
            };
            (key, (since, counters))
        });
        let kept: HashMap<Key, (i64, Counters)> = kept.into_iter().collect();
        let changes = statements.iter().filter_map(|statement| {
            let (since, before) = *kept.get(&key(statement))?;
            let now = Counters::of(statement);
            // An entry that was made anew counts from then on.
            let since = if since == statement.since { now.since(before) } else { None };
            Some((key(statement), Change { before, since: since.unwrap_or(now) }))
        });
        Some(Snapshot { taken_at, seconds_ago, changes: changes.collect() })
    }
}

fn key(statement: &MeasuredStatement) -> Key {
    (statement.query_id, statement.role_name.clone(), statement.top_level)
}
