use crate::db::quote_literal;
use crate::facts::Facts;
use crate::facts::activity::Counters;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, listing, thousandths};

pub static RULE: Rule = Rule {
    id: "sessions_lost",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "More than max_share of the sessions of a database, of which there were at least min_sessions since its statistics were \
                reset, did not end as their client meant: the client was gone, a FATAL error, an operator's termination, or the \
                server's shutdown.",
    effect: "Their transactions were rolled back and their clients saw an error; until the server notices that a client is gone, the \
             session keeps its slot and its locks.",
    workaround: "Close pools when a process ends; tcp_keepalives_idle and client_connection_check_interval notice clients that are \
                 gone; look for the FATAL errors in the log.",
    sources: &[
        "https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW",
        "https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL",
    ],
    options: &[
        OptionSpec::number("max_share", (0.05, "of the sessions"), (0.0, 1.0), "So much is left alone."),
        OptionSpec::number("min_sessions", (200.0, "sessions"), (1.0, 1e12), "Fewer say nothing."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "two are terminated",
            setup: "select dbre.configure_rule('sessions_lost', options => '{\"min_sessions\": 1}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'a', null, 'select pg_terminate_backend(pg_backend_pid())'), \
                        (2, 'b', null, 'select pg_terminate_backend(pg_backend_pid())'), (3, 'c', null, 'select pg_sleep(0.3)')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all end as they should",
            setup: "select dbre.configure_rule('sessions_lost', options => '{\"min_sessions\": 1}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'a', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let databases = facts.activity().counters_by_database();
    Ok(databases.filter_map(|(name, counters)| judge(name, counters, options)).collect())
}

fn judge(database: &str, counters: &Counters, options: &Options) -> Option<Finding> {
    let lost = counters.abandoned + counters.fatal + counters.killed;
    let share = lost as f64 / counters.sessions.max(1) as f64;
    if (counters.sessions as f64) < options.number("min_sessions") || share <= options.number("max_share") {
        return None;
    }
    let of = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", Count(count)));
    let ways: Vec<String> = [
        of(
            counters.abandoned,
            "whose client was gone (crashed or killed processes, a network or proxy that drops idle connections)",
        ),
        of(
            counters.fatal,
            "by a FATAL error (a timeout that ends sessions, a conflict with recovery, broken messages)",
        ),
        of(counters.killed, "terminated by an operator (pg_terminate_backend) or by the server's shutdown or restart"),
    ]
    .into_iter()
    .flatten()
    .collect();
    Some(Finding {
        severity: RULE.severity,
        object: format!("database {database}"),
        weight: lost,
        summary: format!(
            "{} of {} sessions of database {database} were lost ({:.0} %)",
            Count(lost),
            Count(counters.sessions),
            share * 100.0
        ),
        cause: format!(
            "Since {}: {}.",
            counters.since.as_deref().unwrap_or("the statistics began"),
            listing(&ways)
        ),
        evidence: object! {
            "sessions": counters.sessions,
            "sessions_abandoned": counters.abandoned,
            "sessions_fatal": counters.fatal,
            "sessions_killed": counters.killed,
            "lost_share": thousandths(share),
            "statistics_since": counters.since,
        },
        app_fix: Some(
            "Close the pool when the process ends (SQLAlchemy: engine.dispose() or `await engine.dispose()`; asyncpg: await \
             pool.close()), on SIGTERM too; pool_recycle below what a proxy or firewall allows; pool_pre_ping=True so that requests do \
             not meet the dead ones."
                .to_string(),
        ),
        verify_sql: Some(format!(
            "select sessions, sessions_abandoned, sessions_fatal, sessions_killed from pg_catalog.pg_stat_database where datname = {};",
            quote_literal(database)
        )),
        ..Finding::that_changes_nothing()
    })
}
