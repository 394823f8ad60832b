//! Cumulative counters of a statement, and what they grew by between two readings.

use super::MeasuredStatement;

/// What is counted over some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    pub calls: f64,
    pub total_ms: f64,
    /// Of the population.
    pub deviation_ms: f64,
    pub rows: f64,
    /// Shared blocks, hit and read.
    pub blocks: f64,
    pub read_blocks: f64,
    pub temp_blocks: f64,
    pub wal_bytes: f64,
}

/// A statement until a snapshot and since.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    pub before: Counters,
    pub since: Counters,
}

impl Counters {
    pub fn of(statement: &MeasuredStatement) -> Counters {
        Counters {
            calls: statement.calls as f64,
            total_ms: statement.total_ms,
            deviation_ms: statement.deviation_ms,
            rows: statement.rows as f64,
            blocks: (statement.shared_hit_blocks + statement.shared_read_blocks) as f64,
            read_blocks: statement.shared_read_blocks as f64,
            temp_blocks: statement.temp_written_blocks as f64,
            wal_bytes: statement.wal_bytes,
        }
    }

    /// The calls that `earlier`, a reading of the same entry, did not count. None: it counted others.
    pub fn since(self, earlier: Counters) -> Option<Counters> {
        let calls = self.calls - earlier.calls;
        let rest = Counters {
            calls,
            total_ms: self.total_ms - earlier.total_ms,
            deviation_ms: 0.0,
            rows: self.rows - earlier.rows,
            blocks: self.blocks - earlier.blocks,
            read_blocks: self.read_blocks - earlier.read_blocks,
            temp_blocks: self.temp_blocks - earlier.temp_blocks,
            wal_bytes: self.wal_bytes - earlier.wal_bytes,
        };
        if calls < 0.0 || rest.total_ms < -1e-6 * self.total_ms || rest.rows < 0.0 || rest.blocks < 0.0 {
            return None;
        }
        // Two groups' squares add up to those of all, and those between their means.
        let between = (rest.mean_ms() - earlier.mean_ms()).powi(2) * calls * earlier.calls / self.calls.max(1.0);
        let squares = self.squares() - earlier.squares() - between;
        let deviation_ms = (squares.max(0.0) / calls.max(1.0)).sqrt();
        Some(Counters { total_ms: rest.total_ms.max(0.0), deviation_ms, ..rest })
    }

    pub fn mean_ms(&self) -> f64 {
        self.per_call(self.total_ms)
    }

    pub fn per_call(&self, counted: f64) -> f64 {
        counted / self.calls.max(1.0)
    }

    /// Of the mean, were these calls a sample.
    pub fn squared_error(&self) -> f64 {
        self.squares() / (self.calls - 1.0).max(1.0) / self.calls.max(1.0)
    }

    /// Of the distances from the mean.
    fn squares(&self) -> f64 {
        self.calls * self.deviation_ms * self.deviation_ms
    }
}

impl Change {
    pub fn slower_ms(&self) -> f64 {
        self.since.mean_ms() - self.before.mean_ms()
    }

    pub fn ratio(&self) -> f64 {
        self.since.mean_ms() / self.before.mean_ms().max(1e-3)
    }

    /// How much time all calls since the snapshot take beyond what as many took before.
    pub fn extra_ms(&self) -> f64 {
        self.slower_ms() * self.since.calls
    }

    /// The difference of the means in standard errors (Welch): beyond 3 or so it is no accident.
    pub fn standard_errors(&self) -> f64 {
        let error = (self.before.squared_error() + self.since.squared_error()).sqrt();
        // Equal times all over have no error; nothing is measured finer than this.
        self.slower_ms() / error.max(1e-3)
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn counted(times: &[f64]) -> Counters {
        let calls = times.len() as f64;
        let total_ms: f64 = times.iter().sum();
        let mean = total_ms / calls;
        let squares: f64 = times.iter().map(|ms| (ms - mean) * (ms - mean)).sum();
        Counters { calls, total_ms, deviation_ms: (squares / calls).sqrt(), ..Counters::default() }
    }

    #[test]
    fn the_rest_has_its_own_mean_and_deviation() {
        let (first, rest) = ([1.0, 2.0, 3.0, 9.0], [100.0, 104.0, 90.0]);
        let all = counted(&[&first[..], &rest[..]].concat());
        let (since, expected) = (all.since(counted(&first)).unwrap(), counted(&rest));
        assert!((since.mean_ms() - expected.mean_ms()).abs() < 1e-9);
        assert!((since.deviation_ms - expected.deviation_ms).abs() < 1e-6, "{since:?}");
        assert_eq!(since.calls, 3.0);
    }

    #[test]
    fn nothing_since_is_nothing() {
        let all = counted(&[1.0, 2.0]);
        let since = all.since(all).unwrap();
        assert_eq!((since.calls, since.mean_ms(), since.deviation_ms), (0.0, 0.0, 0.0));
    }

    #[test]
    fn fewer_calls_are_of_another_entry() {
        assert_eq!(counted(&[1.0]).since(counted(&[1.0, 2.0])), None);
    }

    #[test]
    fn differences_are_weighed_by_their_error() {
        let change = |before: &[f64], since: &[f64]| Change { before: counted(before), since: counted(since) };
        assert!(change(&[10.0, 11.0, 9.0, 10.0], &[20.0, 21.0, 19.0, 20.0]).standard_errors() > 10.0);
        assert!(change(&[10.0, 1.0, 40.0, 5.0], &[20.0, 2.0, 70.0, 9.0]).standard_errors() < 2.0);
        assert!(change(&[5.0, 5.0], &[5.0, 5.0]).standard_errors() == 0.0);
        let slower = change(&[10.0, 10.0], &[15.0, 15.0]);
        assert_eq!((slower.ratio(), slower.extra_ms()), (1.5, 10.0));
    }
}
