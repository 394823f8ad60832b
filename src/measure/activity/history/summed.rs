//! Sums and peaks over all periods: what rules and sizes are made of.

use super::super::backends::{application, application_name, wait_names};
use super::super::tally::Counts;
use super::memory::{Entry, Period, What};
use super::peaks::Peaks;
use crate::facts::activity::{History, Names, Recorded, RecordedPool, RecordedWait, Session, Wait};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

#[derive(Default)]
pub struct Summed {
    pub samples: u64,
    microseconds: i64,
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// Hashes of the pools that are asked for.
    pools: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// None: they are not asked for.
    peaks: Option<Peaks>,
}

/// What is a hash already: tens of thousands of entries are added up while a look at the server waits.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are looked up");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Summed {
    pub fn of(recorded: Recorded, sessions: &[Session]) -> Summed {
        let pool = |session: &Session| {
            let application = application(&session.application);
            Some(Entry::pool(session.database_oid?, session.role_oid?, Some(application), Counts::default()).hash)
        };
        match recorded {
            Recorded::Open => Summed { pools: sessions.iter().filter_map(pool).collect(), ..Summed::default() },
            Recorded::Peaks => Summed { peaks: Some(Peaks::default()), ..Summed::default() },
        }
    }

    pub fn add(&mut self, period: &Period, entries: &mut dyn Iterator<Item = &Entry>) {
        self.samples += period.samples;
        self.microseconds += period.samples as i64 * period.interval;
        if let Some(peaks) = &mut self.peaks {
            return peaks.add(period, entries);
        }
        for entry in entries.filter(|entry| entry.what == What::Wait || self.pools.contains(&entry.hash)) {
            let known = self.entries.entry(entry.hash);
            known.and_modify(|sum| sum.counts.merge(&entry.counts)).or_insert(*entry);
        }
    }

    pub fn history(self, names: &Names) -> History {
        let samples = self.samples;
        let of = |what| self.entries.values().filter(move |entry| entry.what == what);
        let pools = of(What::Pool).map(|entry| RecordedPool {
            database_oid: entry.database,
            role_oid: entry.role,
            application: (!entry.rest).then(|| application_name(&entry.application)),
            connections: entry.counts.over(samples),
        });
        // Too many to be told apart is nothing to judge.
        let waits = of(What::Wait).filter(|entry| !entry.rest).map(|entry| RecordedWait {
            database: names.database(entry.database),
            wait: wait_names(entry.wait).map(|(kind, event)| Wait { kind, event }),
            sessions: entry.counts.over(samples).active,
        });
        History {
            seconds: self.microseconds as f64 / 1e6,
            samples,
            pools: pools.collect(),
            waits: waits.collect(),
            peaks: self.peaks.map(Peaks::recorded).unwrap_or_default(),
        }
    }
}
