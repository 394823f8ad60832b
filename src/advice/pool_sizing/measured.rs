//! How many connections have been used at the same time: Little's law, time spent ÷ time passed.

use super::Input;
use super::rows::{Basis, Part, Rows, number, span};
use crate::facts::activity::{Concurrency, RecordedPeak, Session};
use crate::units::thousandths;

/// Over less time a mean says little.
const LEAST_SECONDS: f64 = 60.0;
/// A recording of less may be of a quiet minute.
const LEAST_RECORDED: f64 = 3600.0;
/// Where no peak has been recorded: of the mean.
const PEAK_FACTOR: f64 = 3.0;
/// Transactions that were left open for hours make the measured ratio meaningless.
const MOST_HELD_PER_RUNNING: f64 = 3.0;

#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Statements that ran at the same time.
    running: Option<Figure>,
    /// Connections in a transaction or a statement: nobody else could use them.
    held: Option<Figure>,
    open: Option<Figure>,
    /// Connections held for each that ran a statement.
    held_per_running: Option<Figure>,
    /// The most that were held at the same time.
    pub peak: Option<Figure>,
    pub peak_was_recorded: bool,
    open_now: u64,
    held_now: u64,
}

#[derive(Clone, Debug)]
pub struct Figure {
    pub value: f64,
    pub basis: Basis,
    pub rests_on: String,
}

impl Measured {
    pub fn of(input: &Input) -> Measured {
        let concurrency = input.concurrency;
        let mut measured = Measured { running: running(concurrency), ..Measured::default() };
        let time = concurrency.sessions;
        let held_seconds = time.active_seconds + time.idle_in_transaction_seconds;
        if let Some(seconds) = time.seconds.filter(|seconds| *seconds >= LEAST_SECONDS) {
            let unless = match time.since_reset {
                true => " since its reset; too much if only the counters of a table or function were reset then",
                false => "",
            };
            let mean = |spent: f64, what: &str| Figure {
                value: spent / seconds,
                basis: Basis::Measured,
                rests_on: format!("{} of {what} ÷ {} counted by pg_stat_database{unless}", span(spent), span(seconds)),
            };
            measured.held = Some(mean(held_seconds, "active_time + idle_in_transaction_time"));
            measured.open = Some(mean(time.open_seconds, "session_time"));
        }
        measured.held_per_running = (time.active_seconds >= LEAST_SECONDS).then(|| Figure {
            value: (held_seconds / time.active_seconds).min(MOST_HELD_PER_RUNNING),
            basis: Basis::Measured,
            rests_on: format!(
                "(active_time {} + idle_in_transaction_time {}) ÷ active_time, at most {}: a transaction holds its connection \
                 between its statements, too",
                span(time.active_seconds),
                span(time.idle_in_transaction_seconds),
                number(MOST_HELD_PER_RUNNING)
            ),
        });
        let ours: Vec<_> = input.activity.sessions.iter().filter(|s| input.is_ours(s) && s.takes_slot()).collect();
        let is_held = |session: &&&Session| session.runs() || session.in_transaction_and_idle();
        measured.open_now = ours.len() as u64;
        measured.held_now = ours.iter().filter(is_held).count() as u64;
        let recorded = measured.recorded_peak(input);
        let is_short = input.activity.history.as_ref().is_some_and(|history| history.seconds < LEAST_RECORDED);
        let estimated = measured.estimated_peak();
        let is_less = |a: &Figure| estimated.as_ref().is_some_and(|b| a.value < b.value);
        measured.peak_was_recorded = recorded.as_ref().is_some_and(|recorded| !is_short || !is_less(recorded));
        measured.peak = match (recorded, estimated) {
            (Some(recorded), Some(estimated)) if !measured.peak_was_recorded => Some(Figure {
                rests_on: format!(
                    "{}; more than the {} recorded ({}): less than {} of a recording may be a quiet time",
                    estimated.rests_on,
                    number(recorded.value),
                    recorded.rests_on,
                    span(LEAST_RECORDED)
                ),
                ..estimated
            }),
            (recorded, estimated) => recorded.or(estimated),
        };
        measured
    }

    /// Connections held for each statement that runs.
    pub fn held_per_running(&self) -> f64 {
        self.held_per_running.as_ref().map_or(1.0, |figure| figure.value)
    }

    /// Connections held at the same time, on average.
    pub fn held(&self) -> Option<f64> {
        let from_statements = || self.running.as_ref().map(|running| running.value * self.held_per_running());
        self.held.as_ref().map(|held| held.value).or_else(from_statements)
    }

    fn recorded_peak(&self, input: &Input) -> Option<Figure> {
        let history = input.activity.history.as_ref().filter(|history| history.seconds >= LEAST_SECONDS)?;
        let of_role = |p: &&RecordedPeak| p.role_oid == input.role.oid && p.database_oid == input.role.database_oid;
        let peak = history.peaks.iter().find(of_role)?;
        let (basis, bound) = match peak.is_bound {
            true => (
                Basis::Estimated,
                "; at most: in the period in which it was most, several applications had their peaks, and whether at the same time was \
                 not recorded",
            ),
            false => (Basis::Measured, ""),
        };
        Some(Figure {
            value: f64::from(peak.in_use),
            basis,
            rests_on: format!(
                "dbre.activity_history: {} samples over {}{bound}; peaks between samples are missed",
                history.samples,
                span(history.seconds)
            ),
        })
    }

    fn estimated_peak(&self) -> Option<Figure> {
        let mean = self.held()?;
        Some(Figure {
            value: (mean * PEAK_FACTOR).max(self.held_now as f64),
            basis: Basis::Estimated,
            rests_on: format!(
                "{} × the mean {} of the database, at least the {} of the role held now; dbre.start_activity_history() measures it",
                number(PEAK_FACTOR),
                number(mean),
                self.held_now
            ),
        })
    }

    pub fn tell(&self, input: &Input, rows: &mut Rows) {
        let figures = [
            ("statements_running_mean", "statements", &self.running),
            ("connections_held_mean", "connections", &self.held),
            ("connections_open_mean", "connections", &self.open),
            ("held_per_running", "connections", &self.held_per_running),
            ("connections_held_peak", "connections", &self.peak),
        ];
        for (name, unit, figure) in figures {
            if let Some(Figure { value, basis, rests_on }) = figure {
                rows.add(Part::Measured, name, thousandths(*value), unit, *basis, rests_on);
            }
        }
        let role = format!("sessions of role {} in database {}", input.role.name, input.role.database);
        rows.add(Part::Measured, "connections_open_now", self.open_now as f64, "connections", Basis::Measured, &role);
        let held = format!("{role} that run a statement or are in a transaction");
        rows.add(Part::Measured, "connections_held_now", self.held_now as f64, "connections", Basis::Measured, &held);
        let missing: Vec<&str> = [
            self.running
                .is_none()
                .then_some("pg_stat_statements has counted for less than a minute or is not installed"),
            match input.concurrency.sessions.seconds {
                _ if self.held.is_some() => None,
                Some(_) => Some("pg_stat_database has counted for less than a minute"),
                None => Some(
                    "it cannot be shown since when pg_stat_database counts (other statistics were reset, or files were copied): \
                     dbre.start_activity_history() measures instead",
                ),
            },
        ]
        .into_iter()
        .flatten()
        .collect();
        if !missing.is_empty() {
            rows.say(Part::Measured, "not_measured", Basis::Default, missing.join("; "));
        }
    }
}

fn running(concurrency: &Concurrency) -> Option<Figure> {
    let times = concurrency.statements.as_ref()?;
    let figure = |ms: f64, seconds: f64, since: &str| Figure {
        value: ms / 1000.0 / seconds,
        basis: Basis::Measured,
        rests_on: format!(
            "Little's law: {} of execution ÷ {} {since} (pg_stat_statements, all roles of this database)",
            span(ms / 1000.0),
            span(seconds)
        ),
    };
    if let Some(since) = times.since_snapshot.as_ref().filter(|since| since.seconds >= LEAST_SECONDS) {
        let since_when = format!("since the snapshot of {}", since.taken_at);
        return Some(figure(since.total_ms, since.seconds, &since_when));
    }
    let dropped = match times.deallocations {
        0 => "".to_string(),
        dropped => format!(", at least: entries were dropped {dropped} times"),
    };
    (times.seconds >= LEAST_SECONDS).then(|| figure(times.total_ms, times.seconds, &format!("counted{dropped}")))
}
