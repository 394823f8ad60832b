//! Limits in time for the application's role.

use super::Input;
use super::limit::Limit;
use super::rows::{Basis, Part, Rows, span};
use crate::facts::activity::concurrency::StatementTime;
use crate::units::Count;

/// What a limit is rounded up to.
const STEPS: [f64; 7] = [5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0];
const DEFAULT_STATEMENT_SECONDS: f64 = 30.0;
/// Counted for less, what is rare has not been seen: nothing is set below the default.
const LEAST_SECONDS: f64 = 86_400.0;
const LOCK_SECONDS: f64 = 5.0;
const IDLE_IN_TRANSACTION_SECONDS: f64 = 60.0;
/// It ends sessions: only for what nobody waits for any more.
const LEAST_TRANSACTION_SECONDS: f64 = 300.0;
/// Of a transaction_timeout that is left as it is.
const BELOW_TRANSACTION: f64 = 0.9;
/// A statement that is called less often may be anything.
const LEAST_CALLS: f64 = 20.0;
/// Of the slowest that is usual.
const HEADROOM: f64 = 3.0;
const IDS_NAMED: usize = 3;
#[derive(Clone, Debug)]
pub struct Timeouts {
    pub statement: Limit,
    lock: Limit,
    idle_in_transaction: Limit,
    pub transaction: Limit,
    /// Set for the role: its connections end when they are idle for as long.
    pub idle_session_seconds: Option<f64>,
    /// How many statements of the role have taken longer at least once, and some of their ids.
    pub longer: (usize, Vec<i64>),
}

impl Timeouts {
    pub fn of(input: &Input) -> Timeouts {
        let times = input.concurrency.statements.as_ref();
        let statements = times.map_or(&[][..], |times| &times.of_role);
        let counted_seconds = times.map_or(0.0, |times| times.seconds);
        let statement = statement(input, statement_timeout(statements, counted_seconds), None);
        let idle = idle_in_transaction(input, None);
        let transaction = transaction(input, &statement, &idle);
        // What is left there is no longer than these would be: they do something only below it.
        let (statement, idle) = match transaction.stays() {
            Some(most) => (
                self::statement(input, statement_timeout(statements, counted_seconds), Some(most)),
                idle_in_transaction(input, Some(most)),
            ),
            None => (statement, idle),
        };
        let lock = lock(input, &statement, &transaction);
        let is_longer = |s: &&StatementTime| statement.seconds().is_some_and(|most| s.most_ms > most * 1000.0);
        let longer: Vec<_> = statements.iter().filter(is_longer).collect();
        let longer = (longer.len(), longer.iter().filter_map(|s| s.query_id).take(IDS_NAMED).collect());
        let idle_session_seconds = idle_session(input);
        Timeouts { statement, lock, idle_in_transaction: idle, transaction, idle_session_seconds, longer }
    }

    pub fn tell(&self, input: &Input, rows: &mut Rows) {
        rows.push(self.statement.row(input, Some(&self.transaction)));
        rows.push(self.lock.row(input, Some(&self.statement)));
        rows.push(self.idle_in_transaction.row(input, Some(&self.transaction)));
        rows.push(self.transaction.row(input, None));
        rows.add(
            Part::Timeouts,
            "idle_session_timeout",
            0.0,
            "seconds",
            Basis::Default,
            "not to be set for an application: it ends connections that a pool keeps on purpose",
        );
    }
}

/// Tenths where a second more or less matters.
fn rounded(seconds: f64) -> f64 {
    if seconds < 10.0 { (seconds * 10.0).floor() / 10.0 } else { seconds.floor() }
}

/// `usual`: what it were without a limit to transactions, which is `most` if it is left as it is.
fn statement(input: &Input, usual: (f64, Basis, String), most: Option<f64>) -> Limit {
    let (seconds, basis, why) = usual;
    let (seconds, why) = match most.filter(|most| seconds >= *most) {
        Some(most) => (
            rounded(BELOW_TRANSACTION * most),
            format!(
                "a little shorter than transaction_timeout ({}), which ends the session instead of the statement; else {}: {why}",
                span(most),
                span(seconds)
            ),
        ),
        None => (seconds, why),
    };
    Limit::of(input, "statement_timeout", Some(seconds), basis, why)
}

fn idle_in_transaction(input: &Input, most: Option<f64>) -> Limit {
    let (seconds, shorter) = match most.filter(|most| IDLE_IN_TRANSACTION_SECONDS >= *most) {
        Some(most) => (rounded(most / 2.0), format!("; half of transaction_timeout ({})", span(most))),
        None => (IDLE_IN_TRANSACTION_SECONDS, String::new()),
    };
    let why = format!(
        "a transaction that is forgotten holds its connection, its locks and back the vacuum: it ends{shorter}"
    );
    Limit::of(input, "idle_in_transaction_session_timeout", Some(seconds), Basis::Default, why)
}

fn transaction(input: &Input, statement: &Limit, idle: &Limit) -> Limit {
    let name = "transaction_timeout";
    // Nothing of transactions was measured.
    let of = |advised, why| Limit::of(input, name, advised, Basis::Default, why);
    match (statement.seconds(), idle.seconds()) {
        (Some(statement), Some(idle)) => of(
            Some((4.0 * statement).max(2.0 * idle).max(LEAST_TRANSACTION_SECONDS)),
            format!(
                "4 × statement_timeout ({}), at least 2 × idle_in_transaction_session_timeout ({}) and {}: were it not longer than these, \
                 they would do nothing",
                span(statement),
                span(idle),
                span(LEAST_TRANSACTION_SECONDS)
            ),
        ),
        (statement, _) => {
            let unlimited =
                if statement.is_none() { "statement_timeout" } else { "idle_in_transaction_session_timeout" };
            of(None, format!("not to be set while {unlimited} is off by decision: it would end the same sessions"))
        }
    }
}

fn lock(input: &Input, statement: &Limit, transaction: &Limit) -> Limit {
    let deadlock = input.activity.locks.deadlock_timeout_seconds;
    let all = [statement, transaction].into_iter().filter_map(|limit| Some((limit.name, limit.seconds()?)));
    let before = all.min_by(|a, b| a.1.total_cmp(&b.1));
    let most = LOCK_SECONDS.max(2.0 * deadlock);
    let seconds = rounded(before.map_or(most, |(_, seconds)| most.min(seconds / 2.0)));
    let shorter =
        before.map(|(name, seconds)| format!("shorter than {name} ({}), ", span(seconds))).unwrap_or_default();
    let (advised, why) = match seconds > deadlock {
        true => (
            Some(seconds),
            format!(
                "{shorter}longer than deadlock_timeout ({}): a migration that waits for a lock does not pile up requests behind it",
                span(deadlock)
            ),
        ),
        false => {
            (None, format!("not to be set: {shorter}it could not be longer than deadlock_timeout ({})", span(deadlock)))
        }
    };
    Limit::of(input, "lock_timeout", advised, Basis::Default, why)
}

/// From what is usual for the role's statements, which have been counted for so many seconds: the mean and four deviations.
fn statement_timeout(statements: &[StatementTime], counted_seconds: f64) -> (f64, Basis, String) {
    let usual = |s: &StatementTime| s.most_ms.min(s.mean_ms + 4.0 * s.deviation_ms);
    let often: Vec<_> = statements.iter().filter(|s| s.calls >= LEAST_CALLS).collect();
    let Some(slowest) = often.iter().max_by(|a, b| usual(a).total_cmp(&usual(b))) else {
        let rests_on = "no statement of the role was counted often enough: what suits requests that a user waits for";
        return (DEFAULT_STATEMENT_SECONDS, Basis::Default, rests_on.to_string());
    };
    let (least, why) = match counted_seconds < LEAST_SECONDS {
        true => (
            DEFAULT_STATEMENT_SECONDS,
            format!(", not below {} while less than a day is counted", span(DEFAULT_STATEMENT_SECONDS)),
        ),
        false => (STEPS[0], String::new()),
    };
    let needed = (HEADROOM * usual(slowest) / 1000.0).max(least);
    let most = STEPS[STEPS.len() - 1];
    let seconds = STEPS.into_iter().find(|step| *step >= needed).unwrap_or(most);
    let which = slowest.query_id.map(|id| format!(" (query id {id})")).unwrap_or_default();
    let rests_on = format!(
        "3 × {:.0} ms, what the slowest of {} that the role runs often takes at most as a rule{which}: mean + 4 deviations in \
         pg_stat_statements; rounded up, at most {}{why}",
        usual(slowest),
        Count(often.len() as u64).of("statement"),
        span(most)
    );
    (seconds, Basis::Estimated, rests_on)
}

pub fn idle_session(input: &Input) -> Option<f64> {
    let set = input.activity.timeouts.of(input.role.oid, input.role.database_oid, "idle_session_timeout")?;
    (set.milliseconds > 0).then_some(set.milliseconds as f64 / 1000.0)
}
