//! What is counted of a period, before it is published.

use super::super::backends::{Application, Backend};
use super::super::tally::Tally;
use super::memory::{Entry, Memory, Period};

/// Of a period; those of more are counted together.
const MOST_POOLS: usize = 1000;
const MOST_WAITS: usize = 500;

pub struct Recording {
    period: Period,
    published: bool,
    pools: Tally<(u32, u32, Option<Application>)>,
    waits: Tally<(u32, u32, bool)>,
}

impl Recording {
    /// Of the period in which `now` is: they begin at whole multiples of their length.
    pub fn begin(now: i64, length: i64, interval: i64) -> Recording {
        let start = now - now.rem_euclid(length);
        Recording {
            period: Period { start, length, interval, first_sample: now, ..Period::default() },
            published: false,
            pools: Tally::new(MOST_POOLS),
            waits: Tally::new(MOST_WAITS),
        }
    }

    pub fn holds(&self, now: i64) -> bool {
        (self.period.start..self.period.start + self.period.length).contains(&now)
    }

    /// Before the next sample so many were due. Only those of this period: others show as periods that are not there.
    pub fn miss(&mut self, missed: u64, now: i64) {
        let since = self.period.first_sample.max(self.period.start);
        self.period.missed += missed.min(((now - since).max(0) / self.period.interval.max(1)) as u64);
    }

    pub fn begin_sample(&mut self) {
        self.period.samples += 1;
    }

    pub fn see(&mut self, backend: &Backend) {
        let sample = self.period.samples;
        if backend.is_client() {
            self.period.all.add(sample, backend, true);
            let pool = (backend.database, backend.role, Some(backend.application));
            self.pools.add(pool, || (0, 0, None), sample, backend, true);
        }
        if backend.is_active() {
            self.waits.add((backend.database, backend.wait, false), || (0, 0, true), sample, backend, true);
        }
    }

    pub fn publish(&mut self, memory: Memory) {
        let pools = self.pools.groups.iter();
        let pools =
            pools.map(|(&(database, role, application), &counts)| Entry::pool(database, role, application, counts));
        let waits = self.waits.groups.iter();
        let waits = waits.map(|(&(database, wait, rest), &counts)| Entry::wait(database, wait, rest, counts));
        let entries: Vec<_> = pools.chain(waits).collect();
        memory.publish(self.period, entries.into_iter(), !self.published);
        self.published = true;
    }
}
