//! Checkpoints, and how much WAL lies between them.

use super::messages::numbers;

const MOST_INTERVALS: usize = 10_000;
/// A restartpoint, a shutdown or a gap in the log lies between.
const LONGEST_INTERVAL_MS: i64 = 86_400_000;

#[derive(Debug, Default)]
pub struct Checkpoints {
    pub started: u64,
    /// Because WAL had reached its size.
    pub by_wal: u64,
    pub by_time: u64,
    /// "Checkpoints are occurring too frequently", and how many seconds apart, summed up.
    pub warnings: u64,
    pub warned_seconds: u64,
    pub first_warning: i64,
    pub last_warning: i64,
    /// Between checkpoints of which the later one was started by WAL: ms and kB of WAL.
    pub intervals: Vec<(i64, u64)>,
    last_start: Option<i64>,
    /// The interval that ends with the checkpoint that runs, where WAL started it.
    running: Option<i64>,
}

impl Checkpoints {
    pub fn add(&mut self, message: &str, hint: &str, at: i64) {
        // Where WAL stops is the same in all languages; so is the name of a setting.
        if hint.contains("max_wal_size") {
            if self.warnings == 0 {
                self.first_warning = at;
            }
            self.last_warning = at;
            self.warnings += 1;
            self.warned_seconds += numbers(message).first().copied().unwrap_or(0);
        } else if let Some((_, distance)) = message.split_once("distance=") {
            let kilobytes = numbers(distance).first().copied();
            if let (Some(ms), Some(kilobytes)) = (self.running.take(), kilobytes)
                && self.intervals.len() < MOST_INTERVALS
            {
                self.intervals.push((ms, kilobytes));
            }
        } else if let Some((before, flags)) = message.split_once(':')
            && !before.contains(char::is_numeric)
            && !before.contains("restartpoint")
            && !flags.contains(char::is_numeric)
        {
            let by = |flag: &str| flags.split_whitespace().any(|word| word == flag);
            self.started += 1;
            self.by_wal += u64::from(by("wal"));
            self.by_time += u64::from(by("time"));
            let interval = self.last_start.map(|last| at - last).filter(|ms| (1..LONGEST_INTERVAL_MS).contains(ms));
            self.running = interval.filter(|_| by("wal"));
            self.last_start = Some(at);
        }
    }

    /// Bytes of WAL a second while it was WAL that started checkpoints.
    pub fn wal_bytes_per_second(&self) -> Option<f64> {
        let (ms, kilobytes) = self.intervals.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (ms > 0).then(|| kilobytes as f64 * 1024.0 * 1000.0 / ms as f64)
    }
}

#[cfg(test)]
mod unit_tests {
    use super::Checkpoints;

    #[test]
    fn wal_between_checkpoints() {
        let mut checkpoints = Checkpoints::default();
        let complete =
            "checkpoint complete: wrote 3 buffers (0.0%); write=0.1 s; distance=102400 kB, estimate=102400 kB";
        for at in [0, 10_000, 20_000] {
            checkpoints.add("checkpoint starting: wal", "", at);
            checkpoints.add(complete, "", at + 5_000);
        }
        checkpoints.add(
            "checkpoints are occurring too frequently (10 seconds apart)",
            "Consider increasing the configuration parameter \"max_wal_size\".",
            20_000,
        );
        checkpoints.add("checkpoint starting: time", "", 50_000);
        checkpoints.add(complete, "", 55_000);
        assert_eq!((checkpoints.started, checkpoints.by_wal, checkpoints.by_time), (4, 3, 1));
        assert_eq!((checkpoints.warnings, checkpoints.warned_seconds), (1, 10));
        assert_eq!(checkpoints.wal_bytes_per_second(), Some(10_485_760.0));
    }
}
