//! Sums and peaks over all periods: what rules and sizes are made of.

use super::super::backends::{application, application_name, wait_names};
use super::super::tally::Counts;
use super::memory::{Entry, Period, What};
use super::peaks::Peaks;
use crate::facts::activity::{History, Names, Recorded, RecordedPool, RecordedWait, Session, Wait};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

#[derive(Default)]
pub struct Summed {
    pub samples: u64,
    microseconds: i64,
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// The pools that are asked for, by their hash.
    pools: HashMap<u64, Open, BuildHasherDefault<Hashed>>,
    /// What was recorded before is left out.
    since: i64,
    /// None: they are not asked for.
    peaks: Option<Peaks>,
}

/// A pool that has sessions now, in microseconds.
struct Open {
    /// When the oldest of them began.
    since: i64,
    recorded: i64,
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
    /// `since`: when the recording began that goes on.
    pub fn of(recorded: Recorded, sessions: &[Session], since: i64) -> Summed {
        match recorded {
            Recorded::Open => Summed { pools: open(sessions), since, ..Summed::default() },
            Recorded::Peaks => Summed { peaks: Some(Peaks::default()), since: i64::MIN, ..Summed::default() },
        }
    }

    pub fn add(&mut self, period: &Period, entries: &mut dyn Iterator<Item = &Entry>) {
        if period.first_sample < self.since {
            return;
        }
        self.samples += period.samples;
        self.microseconds += period.samples as i64 * period.interval;
        if let Some(peaks) = &mut self.peaks {
            return peaks.add(period, entries);
        }
        for entry in entries {
            match self.pools.get_mut(&entry.hash) {
                Some(open) if period.first_sample >= open.since => {
                    open.recorded += entry.counts.samples as i64 * period.interval;
                }
                None if entry.what == What::Wait => {}
                _ => continue,
            }
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
            seconds: self.pools.get(&entry.hash).map_or(0.0, |open| open.recorded as f64 / 1e6),
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

fn open(sessions: &[Session]) -> HashMap<u64, Open, BuildHasherDefault<Hashed>> {
    let mut pools: HashMap<u64, Open, BuildHasherDefault<Hashed>> = HashMap::default();
    for session in sessions {
        let (Some(database), Some(role), Some(began)) =
            (session.database_oid, session.role_oid, session.backend_start_epoch)
        else {
            continue;
        };
        let pool = Entry::pool(database, role, Some(application(&session.application)), Counts::default()).hash;
        let since = (began * 1e6) as i64 - SERVER_EPOCH;
        pools.entry(pool).and_modify(|open| open.since = open.since.min(since)).or_insert(Open { since, recorded: 0 });
    }
    pools
}

/// The server counts time from 2000 on: microseconds since 1970.
const SERVER_EPOCH: i64 = 946_684_800_000_000;
