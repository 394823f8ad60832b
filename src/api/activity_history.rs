//! `dbre.start_activity_history()`, `dbre.stop_activity_history()`, `dbre.activity_recording()`, and `dbre.activity_history()`, behind
//! the view of that name.

use super::arguments::duration;
use super::sample_activity::{Numbers, numbers};
use crate::db::{check_for_interrupts, raise};
use crate::facts::activity::{Names, Slots};
use crate::measure::activity::history::{self, Entry, Period, Recorder, Started, Times, What};
use crate::measure::activity::{Counts, application_name, may_see, wait_names};
use pgrx::PgSqlErrorCode;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Starts a background worker that looks at all sessions every `sample_interval` and keeps sums of each `period`, in all databases.
///
/// Returns true, or false if one was running, which goes on with these times. It ends with the server, or by
/// `dbre.stop_activity_history()`; a setting that starts it with the server is dbre.activity_sample_interval.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
pub fn start_activity_history(
    sample_interval: default!(Option<Interval>, "'1 s'"),
    period: default!(Option<Interval>, "'1 min'"),
) -> bool {
    let interval = between("sample_interval", sample_interval, Duration::from_millis(10), 60 * SECOND, "10 ms", "60 s");
    let period = between("period", period, SECOND, 3600 * SECOND, "1 s", "an hour");
    if period < interval {
        let message = "argument period is shorter than sample_interval";
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, "A period has at least one sample.")
    }
    let times = Times { interval: interval.as_micros() as i64, period: period.as_micros() as i64 };
    match history::start(times) {
        Started::New => true,
        Started::Changed => false,
        Started::NoWorkerFree => raise(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            "no background worker is free to record activity",
            "Raise max_worker_processes, which takes a restart; dbre.sample_activity() needs no worker.",
        ),
        Started::NoMemory | Started::Failed => raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the background worker that records activity has not started",
            "The server's log says why; it tries again every 10 s until dbre.stop_activity_history() is called.",
        ),
    }
}

/// Stops the recording; what was recorded stays until the server ends. Returns whether there was one.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
pub fn stop_activity_history() -> bool {
    history::stop()
}

fn between(argument: &str, given: Option<Interval>, least: Duration, most: Duration, from: &str, to: &str) -> Duration {
    let given = duration(argument, given);
    if given < least || given > most {
        let message = format!("argument {argument} is out of range");
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, format!("It goes from {from} to {to}."))
    }
    given
}

/// Whether activity is recorded, if not why, and since when, how often, how much; what sampling costs is measured: its time on one
/// core, as a share.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a status")]
pub fn activity_recording() -> TableIterator<
    'static,
    (
        name!(recording, bool),
        name!(reason, Option<&'static str>),
        name!(pid, Option<i32>),
        name!(since, Option<TimestampWithTimeZone>),
        name!(sample_interval, Option<Interval>),
        name!(period, Option<Interval>),
        name!(samples, i64),
        name!(samples_missed, i64),
        name!(share_of_a_core, Option<f64>),
        name!(periods, i64),
        name!(oldest_period, Option<TimestampWithTimeZone>),
        name!(memory_bytes, i64),
    ),
> {
    let Some(status) = history::status() else {
        let reason = Some("there is no shared memory for it: see the server's log");
        return TableIterator::once((false, reason, None, None, None, None, 0, 0, None, 0, None, 0));
    };
    let Recorder { pid, since, interval, period, samples, missed, cost, .. } = status.recorder;
    let runs = pid != 0;
    TableIterator::once((
        status.reason.is_none(),
        status.reason,
        runs.then_some(pid),
        runs.then(|| shown(since)),
        runs.then(|| length(interval)),
        runs.then(|| length(period)),
        samples as i64,
        missed as i64,
        runs.then(|| share(cost, history::age(since))),
        status.periods,
        status.oldest.map(shown),
        status.bytes as i64,
    ))
}

fn share(cost: i64, of: i64) -> f64 {
    (cost as f64 / of.max(1) as f64 * 1e6).round() / 1e6
}

/// Microseconds as the server counts them.
fn shown(time: i64) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(time).expect("a time that the server's clock has shown")
}

fn length(microseconds: i64) -> Interval {
    Interval::from_micros(microseconds)
}

/// What was recorded, by period: all connections of clients (`breakdown` is `all`), each pool of them (`pool`), and active sessions by what
/// they wait for (`wait`; no wait_event: they ran). Empty where nothing is recorded, see `dbre.activity_recording()`.
///
/// In use: active or in a transaction. It is null, and waits are left out, where the caller may not see the state of sessions. A period that is not
/// there was not recorded. A pool without application_name is of those for which a period had no room, together.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of the history")]
pub fn activity_history() -> TableIterator<
    'static,
    (
        name!(period_start, TimestampWithTimeZone),
        name!(period, Interval),
        name!(breakdown, &'static str),
        name!(database, Option<String>),
        name!(user_name, Option<String>),
        name!(application_name, Option<String>),
        name!(wait_event_type, Option<String>),
        name!(wait_event, Option<String>),
        name!(samples, i64),
        name!(samples_missed, i64),
        name!(mean_sessions, f64),
        name!(most_sessions, i32),
        name!(mean_in_use, Option<f64>),
        name!(most_in_use, Option<i32>),
        name!(mean_active, Option<f64>),
        name!(most_active, Option<i32>),
    ),
> {
    let names = Names::of(&Slots::read());
    let mut visible = Visible::default();
    let mut rows = Vec::new();
    for (period, entries) in history::periods() {
        check_for_interrupts();
        let all = row(&period, &period.all, visible.role(0), Of { breakdown: "all", ..Of::default() });
        rows.push(all);
        for entry in entries {
            let visible = visible.role(if entry.what == What::Pool { entry.role } else { 0 });
            if visible || entry.what == What::Pool {
                rows.push(row(&period, &entry.counts, visible, of(&names, &entry)));
            }
        }
    }
    TableIterator::new(rows.into_iter().map(|(start, length, of, missed, numbers)| {
        (
            start,
            length,
            of.breakdown,
            of.database,
            of.user,
            of.application,
            of.wait.0,
            of.wait.1,
            numbers.samples,
            missed,
            numbers.sessions.0,
            numbers.sessions.1,
            numbers.in_use.0,
            numbers.in_use.1,
            numbers.active.0,
            numbers.active.1,
        )
    }))
}

#[derive(Default)]
struct Of {
    breakdown: &'static str,
    database: Option<String>,
    user: Option<String>,
    application: Option<String>,
    wait: (Option<String>, Option<String>),
}

/// By role: the caller may see the state of its sessions. 0: of all.
#[derive(Default)]
struct Visible(HashMap<u32, bool>);

impl Visible {
    fn role(&mut self, role: u32) -> bool {
        *self.0.entry(role).or_insert_with(|| may_see(role))
    }
}

fn of(names: &Names, entry: &Entry) -> Of {
    let database = names.database(entry.database);
    match entry.what {
        What::Pool => Of {
            breakdown: "pool",
            database,
            user: names.role(entry.role),
            application: (!entry.rest).then(|| application_name(&entry.application)),
            ..Of::default()
        },
        What::Wait if entry.rest => Of { breakdown: "wait", wait: (Some("others".to_string()), None), ..Of::default() },
        What::Wait => Of { breakdown: "wait", database, wait: wait_names(entry.wait).unzip(), ..Of::default() },
    }
}

fn row(period: &Period, counts: &Counts, visible: bool, of: Of) -> (TimestampWithTimeZone, Interval, Of, i64, Numbers) {
    let mut counts = *counts;
    counts.unknown |= !visible;
    let numbers = Numbers { samples: period.samples as i64, ..numbers(&counts, period.samples, period.samples) };
    (shown(period.start), length(period.length), of, period.missed as i64, numbers)
}
