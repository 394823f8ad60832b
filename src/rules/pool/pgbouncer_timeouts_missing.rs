use crate::advice::pgbouncer::Held;
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::facts::pgbouncer::Mode;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration};

pub static RULE: Rule = Rule {
    id: "pgbouncer_timeouts_missing",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "PgBouncer's query_wait_timeout is 0; or its idle_transaction_timeout and (from 1.25 on) its transaction_timeout are 0 while \
                sessions of its pools in transaction mode have been idle in a transaction for min_seconds and the server has neither \
                idle_in_transaction_session_timeout nor transaction_timeout for them.",
    effect: "Clients wait for a connection without end; one transaction that nobody ends keeps its connection without end.",
    workaround: "query_wait_timeout a little below the client's own patience, idle_transaction_timeout above the longest pause that is meant.",
    sources: &[
        "https://www.pgbouncer.org/config.html#query_wait_timeout",
        "https://www.pgbouncer.org/config.html#idle_transaction_timeout",
    ],
    options: &[OptionSpec::number(
        "min_seconds",
        (60.0, "seconds"),
        (0.0, 1e9),
        "Idle in a transaction for less is no sign of a leak.",
    )],
    needs: &[Need::Activity, Need::Pgbouncer],
    cases: &[
        Case {
            name: "clients may wait forever",
            setup: "create table pgbouncer as select 'query_wait_timeout = 0' as settings",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a transaction that nobody ends",
            setup: "select dbre.configure_rule('pgbouncer_timeouts_missing', options => '{\"min_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'begin'), (2, 'one', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "PgBouncer ends it",
            setup: "select dbre.configure_rule('pgbouncer_timeouts_missing', options => '{\"min_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction\nidle_transaction_timeout = 60' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'begin'), (2, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the server ends it, and all else in time",
            setup: "select dbre.configure_rule('pgbouncer_timeouts_missing', options => '{\"min_seconds\": 0}'); \
                    do $$ begin execute format('alter database %I set transaction_timeout = ''5min''', current_database()); end $$; \
                    create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'begin'), (2, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the server ends it",
            setup: "select dbre.configure_rule('pgbouncer_timeouts_missing', options => '{\"min_seconds\": 0}'); \
                    do $$ begin execute format('alter database %I set idle_in_transaction_session_timeout = ''1min''', \
                    current_database()); end $$; \
                    create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'begin'), (2, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    let is_off = |name: &str| pgbouncer.number(name) == Some(0.0);
    let waits = is_off("query_wait_timeout").then(waits_forever);
    let left = pgbouncer.leaves_transactions_open().then(|| left_open(facts, options)).flatten();
    Ok(waits.into_iter().chain(left).collect())
}

fn waits_forever() -> Finding {
    Finding {
        severity: RULE.severity,
        object: "PgBouncer query_wait_timeout".to_string(),
        summary: "PgBouncer lets clients wait for a server connection without end: query_wait_timeout is 0".to_string(),
        cause: "When a pool is full or the server is down, requests hang instead of failing, and those behind them too."
            .to_string(),
        evidence: object! { "query_wait_timeout_seconds": 0 },
        app_fix: Some(
            "pgbouncer.ini: query_wait_timeout = 20, below the timeout of the requests (PgBouncer's default is 120), then RELOAD on the console."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

/// Of the server's timeouts.
const ENDS_IT: [&str; 2] = ["idle_in_transaction_session_timeout", "transaction_timeout"];

fn left_open(facts: &Facts, options: &Options) -> Option<Finding> {
    let (pgbouncer, activity) = (facts.pgbouncer(), facts.activity());
    let unlimited = |session: &&Session| {
        let (Some(role), Some(database)) = (session.role_oid, session.database_oid) else { return false };
        ENDS_IT.into_iter().all(|name| {
            let timeout = activity.timeouts.of(role, database, name);
            timeout.is_some_and(|timeout| timeout.milliseconds == 0)
        })
    };
    let old =
        |session: &&Session| session.state_seconds.is_some_and(|seconds| seconds >= options.number("min_seconds"));
    let pools = pgbouncer.pools.iter().filter(|pool| pool.mode == Mode::Transaction);
    let mut left: Vec<&Session> = pools
        .flat_map(|pool| Held::of(&[pool], pgbouncer, activity).left_open)
        .filter(|session| old(session) && unlimited(session))
        .collect();
    left.sort_by(|a, b| b.state_seconds.unwrap_or_default().total_cmp(&a.state_seconds.unwrap_or_default()));
    let longest = left.first()?.state_seconds?;
    Some(Finding {
        severity: RULE.severity,
        object: "PgBouncer idle_transaction_timeout".to_string(),
        weight: left.len() as u64,
        summary: format!(
            "Neither PgBouncer nor the server ends transactions that are left open: {} of PgBouncer's pools, the longest for {}",
            Count(left.len() as u64).of("session"),
            duration(longest)
        ),
        cause: "idle_transaction_timeout and transaction_timeout (1.25 or newer) of PgBouncer are 0, and so are \
                idle_in_transaction_session_timeout and transaction_timeout of the server. (What pgbouncer.ini sets for a single user does \
                not show on the console.)"
            .to_string(),
        evidence: object! {
            "idle_transaction_timeout_seconds": 0,
            "sessions_idle_in_transaction": left.len(),
            "longest_idle_seconds": longest,
            "pids": left.iter().take(20).map(|session| session.pid).collect::<Vec<_>>(),
        },
        app_fix: Some(
            "pgbouncer.ini: idle_transaction_timeout = 60, then RELOAD on the console; or on the server, which holds without PgBouncer too, \
             ALTER ROLE … SET idle_in_transaction_session_timeout = '60s' for the role of the pool. The client's transaction is rolled back \
             and its connection closed: it must be ready for that."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    })
}
