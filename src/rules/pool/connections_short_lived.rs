use crate::facts::Facts;
use crate::facts::activity::Counters;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "connections_short_lived",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The sessions of a database lasted less than max_mean_seconds on average, as the server has counted them since its \
                statistics were reset, and there were at least min_sessions of them, at least min_per_second where it is known since \
                when.",
    effect: "Each begins a process, logs in and fills its caches: milliseconds of CPU before the first statement, and all statements \
             are planned anew. A burst of them takes all connections at once.",
    workaround: "A pool that lives as long as the process; where processes are short (functions, cron), PgBouncer before the server.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW"],
    options: &[
        OptionSpec::number("max_mean_seconds", (10.0, "seconds"), (0.0, 1e9), "Longer sessions are left alone."),
        OptionSpec::number("min_sessions", (1000.0, "sessions"), (1.0, 1e12), "Fewer say nothing."),
        OptionSpec::number("min_per_second", (1.0, "sessions per second"), (0.0, 1e9), "Fewer are left alone."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "a connection for every statement",
            setup: "select dbre.configure_rule('connections_short_lived', options => '{\"min_sessions\": 1, \"min_per_second\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few of them",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'select 1')",
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
    if counters.sessions == 0 || (counters.sessions as f64) < options.number("min_sessions") {
        return None;
    }
    let mean = counters.session_seconds / counters.sessions as f64;
    let per_second = counters.since_seconds.filter(|seconds| *seconds > 0.0).map(|s| counters.sessions as f64 / s);
    if mean >= options.number("max_mean_seconds")
        || per_second.is_some_and(|rate| rate < options.number("min_per_second"))
    {
        return None;
    }
    let working = counters.active_seconds / counters.session_seconds.max(f64::MIN_POSITIVE);
    Some(Finding {
        severity: RULE.severity,
        object: format!("database {database}"),
        weight: counters.sessions,
        summary: format!(
            "{} of database {database} lasted {mean:.1} s on average{}",
            Count(counters.sessions).of("session"),
            per_second.map_or(String::new(), |rate| format!(", {rate:.1} began every second"))
        ),
        cause: format!(
            "Clients connect anew instead of keeping connections{}; they worked {:.0} % of the time that they were connected.",
            match &counters.since {
                Some(since) => format!(" (counted since {since})"),
                None => " (counted since the statistics began)".to_string(),
            },
            working.min(1.0) * 100.0
        ),
        evidence: object! {
            "sessions": counters.sessions,
            "session_seconds": counters.session_seconds,
            "active_seconds": counters.active_seconds,
            "mean_session_seconds": mean,
            "sessions_per_second": per_second,
            "statistics_since": counters.since,
        },
        app_fix: Some(
            "One engine or pool for the life of the process. SQLAlchemy: one module-level create_engine(…), not one for each request, \
             and no poolclass=NullPool without PgBouncer; asyncpg: create_pool() at startup instead of connect() in each request; \
             Django: CONN_MAX_AGE = 60 and CONN_HEALTH_CHECKS = True; functions and short jobs: PgBouncer with pool_mode = transaction."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    })
}
