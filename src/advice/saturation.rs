//! A limit of connections that is nearly or all taken: who takes them, and which sessions can be done without.

use super::end_sessions::{Endings, of_unchanged};
use super::pools::{self, Pool, largest, longest_first};
use super::session_features::SessionFeature;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Session, State};
use crate::facts::migration::text::lexer::{Kind, Token, Tokens};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{OptionSpec, Options};
use crate::units::{Count, duration, thousandths};
use std::collections::HashSet;

/// Pools that a cause and evidence name.
const NAMED: usize = 3;
const SHOWN: usize = 20;
/// So much further down than the share that is too much, lest it be reached again at once.
const ROOM: f64 = 0.1;

/// A smaller limit of a role or a database is meant to be taken: one session at a time, or none.
pub const SMALLEST: u64 = 5;

pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::number("high_share", (0.8, "of the limit"), (0.01, 1.0), "More than this is a finding."),
    OptionSpec::number("critical_share", (0.95, "of the limit"), (0.01, 1.0), "More than this is critical."),
    OptionSpec::number(
        "min_idle_seconds",
        (10.0, "seconds"),
        (0.0, 1e9),
        "Sessions that have been idle for less are in use: the fix does not end them.",
    ),
];

pub struct Limit<'a> {
    pub object: String,
    /// `connections of role web`
    pub what: String,
    pub limit: u64,
    /// Which rows of pg_stat_get_activity() they are: ` and datid = 5`
    pub filter: String,
    /// By others than who reads.
    pub sessions: Vec<&'a Session>,
    /// By others and who reads.
    pub taken: u64,
    /// By clients of which no session is shown yet.
    pub logging_in: u64,
}

pub fn judge(limit: Limit, facts: &Facts, options: &Options) -> Option<Finding> {
    let activity = facts.activity();
    let share = limit.taken as f64 / limit.limit.max(1) as f64;
    if share <= options.number("high_share") {
        return None;
    }
    let pools = pools::of(limit.sessions.iter().copied());
    let surplus = surplus(&limit, options);
    let idle = Idle::of(activity, &pools, options);
    let endings = idle.endings(activity, surplus);
    let left = limit.taken - endings.count;
    let mut evidence = object! {
        "taken": limit.taken,
        "limit": limit.limit,
        "share": thousandths(share),
        "logging_in": limit.logging_in,
        "to_end_sessions": surplus,
        "fix_ends_sessions": endings.count,
        "idle_sessions_spared": idle.spared,
        "idle_sessions_in_other_databases": idle.elsewhere,
        "pool_count": pools.len(),
        "pools": pools.iter().take(SHOWN).map(Pool::figures).collect::<Vec<_>>(),
    };
    let whole = Pool { sessions: limit.sessions.clone() };
    evidence.insert("all".to_string(), whole.figures());
    Some(Finding {
        severity: if share > options.number("critical_share") { Severity::critical } else { Severity::high },
        object: limit.object,
        weight: limit.taken,
        summary: format!("{} of {} {} are taken ({:.0} %)", limit.taken, limit.limit, limit.what, share * 100.0),
        cause: cause(&whole, &pools, limit.logging_in, idle.limits(&endings, surplus)),
        evidence,
        impact: object! { "connections": change((limit.taken, "measured"), (left, "estimated")) },
        risk: match endings.sql {
            None => Finding::NO_RISK.to_string(),
            Some(_) => "Ended sessions are idle and outside of a transaction: nothing is rolled back. They lose what a session has: \
                        prepared statements, settings, and LISTEN, cursors WITH HOLD, temporary tables of other databases and a base \
                        backup (pg_backup_start), which is aborted, where their last statement does not show them. Their pools connect again when they need to; one that does not test its connections \
                        (SQLAlchemy: pool_pre_ping) hands out a dead one first."
                .to_string(),
        },
        fix_sql: endings.sql,
        verify_sql: Some(match limit.logging_in {
            0 => format!(
                "select pg_catalog.count(*) <= {:.0} as below from pg_catalog.pg_stat_get_activity(null) where \
                 coalesce(backend_type, 'client backend') = 'client backend' and datid is not null{};",
                (options.number("high_share") * limit.limit as f64).floor(),
                limit.filter
            ),
            // Who logs in is not in pg_stat_get_activity().
            _ => "select not exists (select from dbre.pool_pressure() p where p.rule = 'connection_slots_saturated') as below;"
                .to_string(),
        }),
        app_fix: Some(format!(
            "(pool_size + max_overflow) × processes of all services must stay below {}: SQLAlchemy's defaults are 15 for each \
             process (create_engine(pool_size=5, max_overflow=10)). Close idle connections (pool_recycle, asyncpg: \
             max_inactive_connection_lifetime) or put PgBouncer with pool_mode = transaction between; select * from \
             dbre.pool_sizing(…) computes the sizes.",
            limit.limit
        )),
        ..Finding::that_changes_nothing()
    })
}

/// How many must go.
fn surplus(limit: &Limit, options: &Options) -> u64 {
    let wanted = (options.number("high_share") - ROOM).max(0.0) * limit.limit as f64;
    limit.taken.saturating_sub(wanted as u64)
}

/// Those that have been idle for long, outside of a transaction.
struct Idle<'a> {
    /// First of the pool that has most of them, longest idle first.
    may_go: Vec<&'a Session>,
    /// They show that something would be lost with them.
    spared: u64,
    /// In databases that the caller has not asked about.
    elsewhere: u64,
    min_seconds: f64,
}

impl<'a> Idle<'a> {
    fn of(activity: &'a Activity, pools: &[Pool<'a>], options: &Options) -> Idle<'a> {
        let min_seconds = options.number("min_idle_seconds");
        let with_slots: HashSet<i32> = activity.replication_slots.iter().filter_map(|slot| slot.active_pid).collect();
        let is_used = |session: &&Session| {
            let pid = session.pid;
            activity.locks.usage.advisory.contains(&pid)
                || with_slots.contains(&pid)
                || activity.temporary_tables.contains(&pid)
                || shows_use(session)
        };
        let (mut spared, mut elsewhere) = (0, 0);
        let mut of_pools: Vec<Vec<&Session>> = Vec::new();
        for pool in pools {
            let long = |session: &&Session| session.state_seconds.is_some_and(|seconds| seconds >= min_seconds);
            let idle: Vec<&Session> = pool.in_state(&[State::Idle]).filter(long).filter(|s| s.is_client()).collect();
            let (here, others): (Vec<&Session>, Vec<&Session>) =
                idle.into_iter().partition(|session| activity.concerns(session));
            let (kept, mut may_go): (Vec<&Session>, Vec<&Session>) = here.into_iter().partition(is_used);
            longest_first(&mut may_go);
            elsewhere += others.len() as u64;
            spared += kept.len() as u64;
            of_pools.push(may_go);
        }
        of_pools.sort_by_key(|sessions| std::cmp::Reverse(sessions.len()));
        Idle { may_go: of_pools.concat(), spared, elsewhere, min_seconds }
    }

    fn endings(&self, activity: &Activity, surplus: u64) -> Endings {
        let mut sessions = self.may_go.clone();
        sessions.sort_by_key(|session| !activity.caller.may_signal(session));
        sessions.truncate(surplus as usize);
        of_unchanged(&sessions, &activity.caller)
    }

    /// Why the fix does not end more.
    fn limits(&self, endings: &Endings, surplus: u64) -> Vec<String> {
        let mut limits = Vec::new();
        match endings.count {
            0 if self.may_go.len() as u64 + self.spared + self.elsewhere == 0 => limits.push(format!(
                "None of them has been idle for {}: nothing can be ended without loss.",
                duration(self.min_seconds)
            )),
            0 => {}
            count if count < surplus => limits.push(format!(
                "The fix ends all {} that have been idle for long and may be ended, which is not enough.",
                Count(count).of("session")
            )),
            _ => {}
        }
        let sessions = |count: u64| Count(count).does("idle session", "is", "are");
        if self.spared > 0 {
            limits.push(format!(
                "{} spared: {} an advisory lock, a replication slot, a temporary table, or LISTEN, pg_backup_start() or a cursor WITH \
                 HOLD as last statement.",
                sessions(self.spared),
                if self.spared == 1 { "it has" } else { "each has" },
            ));
        }
        if self.elsewhere > 0 && endings.count < surplus {
            limits.push(format!(
                "{} in other databases: dbre.pool_pressure() without target_database offers to end those too.",
                sessions(self.elsewhere)
            ));
        }
        limits.extend(endings.refused.as_ref().map(|refused| format!("{refused}.")));
        limits
    }
}

/// Its last statement shows that the session itself is used; who holds an advisory lock or a replication slot is known, and who has
/// temporary tables in the database that is asked in.
fn shows_use(session: &Session) -> bool {
    use SessionFeature::{HeldCursor, Listen, TemporaryTable};
    let statement = session.query.as_deref().unwrap_or_default();
    let features = SessionFeature::of(statement);
    features.iter().any(|feature| matches!(feature, Listen | TemporaryTable | HeldCursor)) || begins_backup(statement)
}

/// A base backup is aborted with the session that began it.
fn begins_backup(statement: &str) -> bool {
    let tokens: Vec<Token> = Tokens::of(statement).filter(|token| token.kind != Kind::Comment).collect();
    tokens.windows(2).any(|pair| pair[1].is("(") && pair[0].name().as_deref() == Some("pg_backup_start"))
}

fn cause(whole: &Pool, pools: &[Pool], logging_in: u64, limits: Vec<String>) -> String {
    let all = (whole.connections() + logging_in).max(1) as f64;
    let most = |count: u64| count as f64 > all / 2.0;
    let waiting = whole.waiting().count() as u64;
    let in_transaction = whole.count(&[State::IdleInTransaction, State::Aborted]);
    let why = if most(logging_in) {
        "Most have not begun a session: neither the pools nor their statements take them."
    } else if most(in_transaction) {
        "Most are idle in a transaction: the application does not give them back (transaction_leaked names the place)."
    } else if most(waiting) {
        "Most wait for a lock: what blocks them holds the connections, not the load (sessions_blocked names it)."
    } else if most(whole.active()) {
        "Most are at work: statements arrive faster than they end; fewer connections would not be slower."
    } else if most(whole.count(&[State::Idle])) {
        "Most are idle: the pools are larger than what they use at once."
    } else {
        "No state has the most of them."
    };
    let mut parts = Vec::new();
    if whole.connections() > 0 {
        parts.push(format!("{}.", whole.summary()));
    }
    parts.extend(still_logging_in(logging_in));
    parts.push(why.to_string());
    if whole.connections() > 0 {
        parts.push(format!("Taken by {}.", largest(pools, NAMED)));
    }
    parts.extend(limits);
    parts.join(" ")
}

/// They hold a connection each, and pg_stat_activity does not show them.
fn still_logging_in(count: u64) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{} still logging in, which pg_stat_activity does not show: the method that pg_hba.conf has for them is slow (LDAP, \
             RADIUS, PAM), the clients say nothing, or a catalog that they need is locked. authentication_timeout ends those that take \
             longer.",
            match count {
                1 => "1 connection is".to_string(),
                many => format!("{} are", Count(many).of("connection")),
            }
        )
    })
}
