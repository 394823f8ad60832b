use crate::advice::leaks::{self, Words};
use crate::facts::Facts;
use crate::facts::activity::State;
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "failed_transaction_left_open",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Sessions of one application, role and database have been idle in a failed transaction for at least min_seconds, with \
                the same last statement but for constants and generated names (one finding for these).",
    effect: "Every further statement of theirs fails (SQLSTATE 25P02) until the transaction ends, and each takes a connection.",
    workaround: "Roll back when a statement fails: with a context manager, not with an except that swallows the error.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW"],
    options: &[
        OptionSpec::number("min_seconds", (30.0, "seconds"), (0.0, 1e9), "Sessions idle for less are left alone."),
        OptionSpec::pattern("except_applications", "^$", "Applications that are left alone."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "an error was swallowed",
            setup: "select dbre.configure_rule('failed_transaction_left_open', options => \
                        '{\"min_seconds\": 0, \"except_applications\": \"^none$\"}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'begin'), (2, 'web', null, 'select 1 / 0')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a transaction that has not failed",
            setup: "select dbre.configure_rule('failed_transaction_left_open', options => '{\"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'begin'), (2, 'web', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const WORDS: Words = Words {
    state: "idle in a failed transaction",
    why: "A statement failed, and the code went on as if it had not: the error was caught, and nothing rolled back.",
    app_fix: "Let the error leave the block that began the transaction. SQLAlchemy: `with session.begin(): …` rolls back by itself; \
              after a caught IntegrityError call session.rollback(), or expect it within `with session.begin_nested(): …`; asyncpg: \
              `async with connection.transaction(): …`.",
    may_end: true,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let leaks = leaks::leaks(activity, State::Aborted, options);
    Ok(leaks.iter().map(|leak| leaks::finding(leak, activity, RULE.severity, &WORDS)).collect())
}
