use crate::advice::leaks::{self, Leak, Words};
use crate::facts::Facts;
use crate::facts::activity::State;
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "transaction_leaked",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Sessions of one application, role and database have been idle in a transaction for at least min_seconds, with the \
                same last statement but for constants and generated names (one finding for these): high; critical where they are at least many, or take more \
                than critical_share of the connections that ordinary users can take. Of a foreign server's queries (postgres_fdw): low, \
                medium where others wait for them.",
    effect: "Each holds a connection, its locks, and back VACUUM, for nothing; a leak takes one connection after another until the \
             pool is empty.",
    workaround: "End the transaction where it is begun: with a context manager, and before anything outside of the database is \
                 waited for. idle_in_transaction_session_timeout ends what is left.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT",
        "https://docs.sqlalchemy.org/en/20/errors.html#error-3o7r",
    ],
    options: &[
        OptionSpec::number("min_seconds", (60.0, "seconds"), (0.0, 1e9), "Sessions idle for less are left alone."),
        OptionSpec::number("many", (10.0, "sessions"), (1.0, 1e9), "So many are critical."),
        OptionSpec::number(
            "critical_share",
            (0.2, "of the connections"),
            (0.0, 1.0),
            "More than this share of what ordinary users can take is critical.",
        ),
        OptionSpec::pattern(
            "except_applications",
            "^(pg_dump|pg_dumpall|pg_repack)$",
            "Applications that keep a transaction open on purpose: pg_dump for its parallel jobs, pg_repack for the lock of its table.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "three after one statement, one after another",
            setup: "select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions select s.step, 'web ' || g, null, s.statement from generate_series(1, 3) g cross join lateral (values \
                        (1, 'set application_name = web'), (2, 'begin'), (3, 'select ' || g)) s (step, statement); \
                    insert into sessions values (4, 'jobs', null, 'begin; create table written (a int)')",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "after savepoints and cursors whose names are generated",
            setup: "select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions select s.step, s.step % 2 || ' web ' || g, null, s.statement from generate_series(1, 3) g cross join lateral \
                        (values (1, 'set application_name = web'), (2, 'set application_name = web'), \
                        (3, format('begin; savepoint \"s%s_x1\"', g)), (4, format('begin; declare \"_django_curs_%s_sync_1\" cursor for select 1', g)), \
                        (5, format('release savepoint \"s%s_x1\"', g)), (6, format('fetch 100 from \"_django_curs_%s_sync_1\"', g))) s (step, statement)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "for a moment only",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'begin'), (2, 'web', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a parallel pg_dump",
            setup: "select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'pg_dump', null, 'begin isolation level repeatable read'), \
                        (2, 'pg_dump', null, 'select pg_export_snapshot()')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "pg_repack, which keeps its table locked from a second connection",
            setup: "select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}'); create table repacked (a int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'pg_repack', null, 'begin'), \
                        (2, 'pg_repack', null, 'lock table repacked in access share mode')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const WORDS: Words = Words {
    state: "idle in a transaction",
    why: "The code that runs it neither commits nor rolls back: it waits for something outside of the database, or an error took it \
          past the end of the transaction.",
    app_fix: "Find the code that runs this statement. SQLAlchemy: `with Session(engine) as session, session.begin(): …` or `with \
              engine.begin() as connection: …`, never a session kept in a global or returned from a generator; asyncpg: `async with \
              pool.acquire() as connection, connection.transaction(): …`; Django: `with transaction.atomic(): …`; and no HTTP call, \
              queue or file within.",
    may_end: true,
};

/// What postgres_fdw calls its sessions, unless it is told otherwise.
const FOREIGN: &str = "postgres_fdw";

const OF_FOREIGN_SERVER: Words = Words {
    why: "It belongs to a transaction on the server that connects (postgres_fdw), which ends it with its own: while that server computes, \
          or waits for its client, there is nothing to do here.",
    app_fix: "Look on the server that connects (client_address) for the transaction that is open: dbre.long_running and \
              dbre.pool_pressure() there. What ends this session here fails that one.",
    may_end: false,
    ..WORDS
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let leaks = leaks::leaks(activity, State::IdleInTransaction, options);
    let severity = |leak: &Leak| {
        if leak.is_of(FOREIGN) {
            return if leak.blocked > 0 { Severity::medium } else { Severity::low };
        }
        let count = leak.sessions.len() as f64;
        let share = count / activity.slots.ordinary().max(1) as f64;
        match count >= options.number("many") || share > options.number("critical_share") {
            true => Severity::critical,
            false => RULE.severity,
        }
    };
    let words = |leak: &Leak| if leak.is_of(FOREIGN) { &OF_FOREIGN_SERVER } else { &WORDS };
    Ok(leaks.iter().map(|leak| leaks::finding(leak, activity, severity(leak), words(leak))).collect())
}
