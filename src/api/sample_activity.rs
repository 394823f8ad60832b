//! `dbre.sample_activity()`.

use super::arguments::{duration, existing_database, required};
use crate::advice::wait_events::{Meaning, meaning_or_kind};
use crate::db::raise;
use crate::facts::activity::{Names, Slots};
use crate::measure::activity::{self, Counts, Group, Sampled, StatementId};
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(3600);
const SHORTEST: Duration = Duration::from_millis(1);

/// What sessions do and wait for, looked at every `sample_interval` for as long as `duration`: a look under load at little cost.
/// It is one statement, whose snapshot holds back VACUUM for as long.
///
/// `breakdown` says what a row counts: all connections of clients (`all`); a pool of them, or background processes by type
/// (`pool`: database, user, application_name); active sessions by what they wait for (`wait`; no wait_event: they ran; `meaning` is the end of "the session …") or by what they execute
/// (`statement`); a pool by state and wait (`state`). Means are over all samples, `most` is of one sample: the most of a pool is less than
/// the sum of its states'. In use: active or in a transaction, which are null where the caller may not see the state of a session.
/// `share_of_active` is of all active sessions whose state the caller may see. The first row tells what sampling cost.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a sample")]
pub fn sample_activity(
    duration: default!(Option<Interval>, "'10 s'"),
    sample_interval: default!(Option<Interval>, "'100 ms'"),
    target_database: default!(Option<&str>, "null"),
) -> TableIterator<
    'static,
    (
        name!(breakdown, &'static str),
        name!(backend_type, Option<String>),
        name!(database, Option<String>),
        name!(user_name, Option<String>),
        name!(application_name, Option<String>),
        name!(state, Option<&'static str>),
        name!(wait_event_type, Option<String>),
        name!(wait_event, Option<String>),
        name!(meaning, Option<&'static str>),
        name!(remedy, Option<&'static str>),
        name!(query_id, Option<i64>),
        name!(query, Option<String>),
        name!(samples, i64),
        name!(mean_sessions, f64),
        name!(most_sessions, i32),
        name!(mean_in_use, Option<f64>),
        name!(most_in_use, Option<i32>),
        name!(mean_active, Option<f64>),
        name!(most_active, Option<i32>),
        name!(share_of_active, Option<f64>),
        name!(samples_missed, Option<i64>),
        name!(sampling_ms, Option<f64>),
    ),
> {
    let (duration, interval) = times(duration, sample_interval);
    let only = target_database.map(|name| existing_database(name, &Slots::read()));
    let sampled = activity::sample(duration, interval, only);
    let names = Names::of(&Slots::read());
    let mut rows: Vec<_> = sampled.groups.iter().map(|(group, counts)| (rank(group), counts, group)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| weight(b.1).cmp(&weight(a.1))));
    let rows: Vec<_> = rows.into_iter().map(|(_, counts, group)| row(&sampled, &names, group, counts)).collect();
    TableIterator::new(rows.into_iter().map(|row| {
        let (of, numbers) = (row.of, row.numbers);
        (
            of.breakdown,
            of.kind,
            of.database,
            of.user,
            of.application,
            of.state,
            of.wait.0,
            of.wait.1,
            of.meaning,
            of.remedy,
            of.query_id,
            of.query,
            numbers.samples,
            numbers.sessions.0,
            numbers.sessions.1,
            numbers.in_use.0,
            numbers.in_use.1,
            numbers.active.0,
            numbers.active.1,
            row.share,
            row.missed,
            row.cost_ms,
        )
    }))
}

fn times(given: Option<Interval>, interval: Option<Interval>) -> (Duration, Duration) {
    let whole = duration("duration", given);
    let hint = "Pass an interval from 1 ms up to the duration: '100 ms'.";
    let interval = duration("sample_interval", Some(required("sample_interval", interval, hint)));
    let refuse = |argument: &str, hint: &str| {
        let message = format!("argument {argument} is out of range");
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, hint)
    };
    if whole > LONGEST {
        refuse("duration", "Pass an interval of at most an hour; dbre.start_activity_history() records for longer.");
    }
    if interval < SHORTEST || interval > whole {
        refuse("sample_interval", hint);
    }
    (whole, interval)
}

#[derive(Default)]
struct Of {
    breakdown: &'static str,
    kind: Option<String>,
    database: Option<String>,
    user: Option<String>,
    application: Option<String>,
    state: Option<&'static str>,
    wait: (Option<String>, Option<String>),
    meaning: Option<&'static str>,
    remedy: Option<&'static str>,
    query_id: Option<i64>,
    query: Option<String>,
}

/// Mean and most.
pub struct Numbers {
    pub samples: i64,
    pub sessions: (f64, i32),
    pub in_use: (Option<f64>, Option<i32>),
    pub active: (Option<f64>, Option<i32>),
}

struct Row {
    of: Of,
    numbers: Numbers,
    share: Option<f64>,
    missed: Option<i64>,
    cost_ms: Option<f64>,
}

fn row(sampled: &Sampled, names: &Names, group: &Group, counts: &Counts) -> Row {
    let is_all = *group == Group::All;
    let share = (!counts.unknown && sampled.active > 0).then(|| counts.active.sum as f64 / sampled.active as f64);
    Row {
        of: of(sampled, names, group),
        numbers: numbers(counts, sampled.samples, if is_all { sampled.samples } else { counts.samples }),
        share: share.map(rounded),
        missed: is_all.then_some(sampled.missed as i64),
        cost_ms: is_all.then_some(rounded(sampled.cost.as_secs_f64() * 1000.0)),
    }
}

pub fn numbers(counts: &Counts, of: u64, samples: u64) -> Numbers {
    let connections = counts.over(of);
    let known = |usage: crate::facts::activity::Use| match counts.unknown {
        true => (None, None),
        false => (Some(rounded(usage.mean)), Some(usage.most as i32)),
    };
    Numbers {
        samples: samples as i64,
        sessions: (rounded(connections.open.mean), connections.open.most as i32),
        in_use: known(connections.in_use),
        active: known(connections.active),
    }
}

fn of(sampled: &Sampled, names: &Names, group: &Group) -> Of {
    let pool = |breakdown, pool: &activity::Pool| Of {
        breakdown,
        kind: Some(pool.kind.name()),
        database: names.database(pool.database),
        user: names.role(pool.role),
        application: pool.application.as_ref().map(activity::application_name),
        ..Of::default()
    };
    match group {
        Group::All => Of { breakdown: "all", kind: Some("client backend".to_string()), ..Of::default() },
        Group::Pool(of) => pool("pool", of),
        Group::Wait(wait) => {
            let wait = waits(*wait);
            let meaning = meaning(&wait);
            Of { breakdown: "wait", meaning: Some(meaning.means), remedy: meaning.remedy, wait, ..Of::default() }
        }
        Group::State(of, state, wait) => {
            Of { state: state.map(|state| state.name()), wait: waits(*wait), ..pool("state", of) }
        }
        Group::Statement(of) => Of {
            breakdown: "statement",
            database: names.database(of.database),
            user: names.role(of.role),
            wait: waits(of.wait),
            query_id: if let StatementId::Known(id) = of.id { Some(id) } else { None },
            query: sampled.texts.get(&(of.database, of.role, of.id)).cloned(),
            ..Of::default()
        },
    }
}

fn waits(wait: u32) -> (Option<String>, Option<String>) {
    activity::wait_names(wait).unzip()
}

fn meaning(wait: &(Option<String>, Option<String>)) -> Meaning {
    match wait {
        (Some(kind), Some(event)) => meaning_or_kind(kind, event),
        _ => {
            Meaning { means: "runs, or waits for what the server does not tell: a processor, the kernel", remedy: None }
        }
    }
}

fn rank(group: &Group) -> u8 {
    match group {
        Group::All => 0,
        Group::Pool(_) => 1,
        Group::Wait(_) => 2,
        Group::Statement(_) => 3,
        Group::State(..) => 4,
    }
}

/// What comes first: by sessions in use, then by all.
fn weight(counts: &Counts) -> (u64, u64) {
    (counts.in_use.sum.max(counts.active.sum), counts.sessions.sum)
}

pub fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
