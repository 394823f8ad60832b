use crate::advice::logged::{times, verify};
use crate::facts::server_log::shown_time;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "autovacuum_canceled_logged",
    category: "vacuum",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The log has autovacuum of a table canceled at least many times: another session wanted a lock that \
                    conflicts with it.",
    effect: "Dead rows stay, the table grows, statistics age, and in the end vacuum against wraparound cannot be \
                    canceled and blocks.",
    workaround: "Find what locks the table that often: DDL, LOCK TABLE, CREATE INDEX without CONCURRENTLY, TRUNCATE \
                    in jobs; run VACUUM on the table in a quiet hour.",
    sources: &["https://www.postgresql.org/docs/17/routine-vacuuming.html#AUTOVACUUM"],
    options: &[OptionSpec::number("many", (5.0, "times"), (1.0, 1e9), "Fewer are left alone.")],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "a job locks the table again and again",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,57014,\"canceling autovacuum task\",,,,,\"automatic vacuum of table \"\"' || \
                    current_database() || '.public.orders\"\"\",,,,\"\",\"autovacuum worker\",,0' as line from \
                    generate_series(1, 6) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "canceled once",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,57014,\"canceling autovacuum task\",,,,,\"automatic vacuum of table \"\"' || \
                    current_database() || '.public.orders\"\"\",,,,\"\",\"autovacuum worker\",,0' as line from \
                    generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    let often = log.autovacuum_canceled.iter().filter(|(_, count)| *count as f64 >= options.number("many"));
    Ok(often.map(|(table, count)| judge(log, table, *count)).collect())
}

fn judge(log: &ServerLog, table: &str, count: u64) -> Finding {
    Finding {
        severity: Severity::medium,
        object: table.to_string(),
        weight: count,
        summary: format!("Autovacuum of {table} was canceled {}", times(count)),
        cause: "Other sessions wanted locks that conflict with it; it gives way to them after deadlock_timeout."
            .to_string(),
        evidence: object! {
            "count": count,
            "deadlock_timeout": log.settings.shown("deadlock_timeout"),
            "log_first": shown_time(log.first),
            "log_last": shown_time(log.last),
        },
        verify_sql: Some(verify(RULE.id, table)),
        ..Finding::that_changes_nothing()
    }
}
