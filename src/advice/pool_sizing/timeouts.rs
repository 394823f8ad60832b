//! Limits in time for the application's role.

use super::Input;
use super::rows::{Basis, Part, Row, Rows, Statements, span};
use crate::facts::activity::concurrency::StatementTime;
use crate::facts::activity::timeouts::Timeout;
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
/// A statement that is called less often may be anything.
const LEAST_CALLS: f64 = 20.0;
/// Of the slowest that is usual.
const HEADROOM: f64 = 3.0;
const IDS_NAMED: usize = 3;
const RISK: &str = "New sessions get it; those that are open keep what they have until they reconnect. statement_timeout and \
                    lock_timeout fail the statement, the others end the session. That holds for migrations of this role, too (CREATE INDEX \
                    CONCURRENTLY, VACUUM): these begin with SET statement_timeout = 0 and SET transaction_timeout = 0, or use a \
                    role of their own, as long jobs do. No lock on tables; needs the right to alter the role.";

const OF_SUPERUSER: &str =
    ". Not for a superuser, whose sessions also do maintenance: name the role of the application (target_role)";

#[derive(Clone, Debug)]
pub struct Timeouts {
    pub statement_seconds: f64,
    pub lock_seconds: f64,
    pub idle_in_transaction_seconds: f64,
    pub transaction_seconds: f64,
    /// Set for the role: its connections end when they are idle for as long.
    pub idle_session_seconds: Option<f64>,
    basis: Basis,
    rests_on: String,
    /// How many statements of the role have taken longer at least once, and some of their ids.
    pub longer: (usize, Vec<i64>),
}

impl Timeouts {
    pub fn of(input: &Input) -> Timeouts {
        let times = input.concurrency.statements.as_ref();
        let statements = times.map_or(&[][..], |times| &times.of_role);
        let (statement_seconds, basis, rests_on) =
            statement_timeout(statements, times.map_or(0.0, |times| times.seconds));
        let longer: Vec<_> = statements.iter().filter(|s| s.most_ms > statement_seconds * 1000.0).collect();
        let transaction = (4.0 * statement_seconds).max(LEAST_TRANSACTION_SECONDS);
        Timeouts {
            statement_seconds,
            lock_seconds: LOCK_SECONDS.min(statement_seconds / 2.0).floor(),
            idle_in_transaction_seconds: IDLE_IN_TRANSACTION_SECONDS,
            transaction_seconds: transaction,
            idle_session_seconds: idle_session(input),
            basis,
            rests_on,
            longer: (longer.len(), longer.iter().filter_map(|s| s.query_id).take(IDS_NAMED).collect()),
        }
    }

    pub fn tell(&self, input: &Input, rows: &mut Rows) {
        let statement = span(self.statement_seconds);
        let limits = [
            ("statement_timeout", self.statement_seconds, self.basis, self.rests_on.clone()),
            (
                "lock_timeout",
                self.lock_seconds,
                Basis::Default,
                format!(
                    "shorter than statement_timeout ({statement}), longer than deadlock_timeout: a migration that waits for a lock does not pile up requests behind it"
                ),
            ),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction_seconds,
                Basis::Default,
                "a transaction that is forgotten holds its connection, its locks and back the vacuum: it ends"
                    .to_string(),
            ),
            (
                "transaction_timeout",
                self.transaction_seconds,
                Basis::Estimated,
                format!(
                    "4 × statement_timeout ({statement}), at least {}; longer than statement_timeout and \
                     idle_in_transaction_session_timeout, for else these do nothing",
                    span(LEAST_TRANSACTION_SECONDS)
                ),
            ),
        ];
        for (name, seconds, basis, rests_on) in limits {
            rows.push(row(input, name, seconds, basis, rests_on));
        }
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

fn row(input: &Input, name: &'static str, seconds: f64, basis: Basis, rests_on: String) -> Row {
    let whose = format!("alter role {} in database {}", input.role_identifier, input.database_identifier);
    let before = input.role.setting_here(name);
    let rollback = match before {
        Some(value) => format!("{whose} set {name} = '{}';", value.replace('\'', "''")),
        None => format!("{whose} reset {name};"),
    };
    let now = input.activity.timeouts.of(input.role.oid, input.role.database_oid, name);
    let told = match &now {
        None => "what its new sessions have now could not be read".to_string(),
        Some(Timeout { milliseconds: 0, .. }) => "its new sessions have none now".to_string(),
        Some(Timeout { milliseconds, .. }) => {
            format!("its new sessions have {} now", span(*milliseconds as f64 / 1000.0))
        }
    };
    // A shorter one was set on purpose.
    let is_so = now.is_some_and(|now| now.milliseconds > 0 && now.milliseconds as f64 <= seconds * 1000.0);
    let is_superuser = input.role.is_superuser;
    let left = match (is_superuser, is_so) {
        (true, _) => OF_SUPERUSER,
        (false, true) => ", which is left as it is",
        (false, false) => "",
    };
    let fix = format!("{whose} set {name} = '{}s';", super::rows::number(seconds));
    Row {
        part: Part::Timeouts,
        name,
        value: Some(seconds),
        unit: Some("seconds"),
        basis,
        rests_on: format!("{rests_on}; {told}{left}"),
        statements: (!is_so && !is_superuser).then_some(Statements { fix, rollback, risk: RISK }),
        text: None,
    }
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

fn idle_session(input: &Input) -> Option<f64> {
    let set = input.activity.timeouts.of(input.role.oid, input.role.database_oid, "idle_session_timeout")?;
    (set.milliseconds > 0).then_some(set.milliseconds as f64 / 1000.0)
}
