use crate::advice::blocked_finding::{OPTIONS, of_roots};
use crate::advice::blocked_trees::Reason;
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "blocked_by_prepared_transaction",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Sessions wait for a lock that a prepared transaction (PREPARE TRANSACTION) holds, one of them for at least \
                min_seconds. At least many wait: critical; none for long_seconds: medium; else high, as where a process of replication waits.",
    effect: "No session holds these locks: no timeout ends them, no restart, and nothing in pg_stat_activity shows them.",
    workaround: "Whoever coordinates the two-phase commit decides: COMMIT PREPARED or ROLLBACK PREPARED.",
    sources: &["https://www.postgresql.org/docs/17/sql-prepare-transaction.html"],
    options: &OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "a row that it has changed",
            setup: "select dbre.configure_rule('blocked_by_prepared_transaction', options => '{\"min_seconds\": 0}'); create table t \
                    (id int primary key, n int); insert into t values (1, 0); create table sessions (step int, session text, role \
                    text, statement text, waits bool default false); insert into sessions values (1, 'coordinator', null, 'begin; \
                    update t set n = 1', false), (2, 'coordinator', null, 'prepare transaction ''' || current_database() || ' a''', \
                    false), (3, 'one', null, 'update t set n = 2', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "prepared, and nobody waits",
            setup: "select dbre.configure_rule('blocked_by_prepared_transaction', options => '{\"min_seconds\": 0}'); create table t \
                    (id int primary key, n int); insert into t values (1, 0); create table sessions (step int, session text, role \
                    text, statement text, waits bool default false); insert into sessions values (1, 'coordinator', null, 'begin; \
                    update t set n = 1', false), (2, 'coordinator', null, 'prepare transaction ''' || current_database() || ' b''', \
                    false)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "with a session that holds the table, too",
            setup: "select dbre.configure_rule('blocked_by_prepared_transaction', options => \
                    '{\"min_seconds\": 0}'); create table t (id int); create table sessions (step int, session text, \
                    role text, statement text, waits bool default false); insert into sessions values (1, \
                    'coordinator', null, 'begin; insert into t values (1)', false), (2, 'coordinator', null, 'prepare \
                    transaction ''' || current_database() || ' c''', false), (3, 'report', null, 'begin; select from \
                    t', false), (4, 'migration', null, 'alter table t add n int', true)",
            finds: 1,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(of_roots(facts, options, Reason::Prepared, |_, _, finding| {
        finding.app_fix = Some(
            "Ask the coordinator (transaction manager, XA, SQLAlchemy's twophase=True) what it has decided for this gid: whatever the \
             other participants did, this one has to do. If nothing uses two-phase commit, set max_prepared_transactions = 0."
                .to_string(),
        );
    }))
}
