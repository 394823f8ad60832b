use crate::advice::blocked_finding::{OPTIONS, of_roots};
use crate::advice::blocked_trees::Reason;
use crate::facts::Facts;
use crate::facts::activity::State;
use crate::facts::activity::locks::Party;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "advisory_lock_waits",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A session, which waits for no lock itself, holds advisory locks, and all that wait for it directly want those; one of \
                them for at least min_seconds. At least many wait: critical; none for long_seconds: medium; else high. Sessions of whom \
                to end one alone frees nobody share a finding.",
    effect: "The application waits for itself, each time with a connection of the pool; a lock taken for the session outlives the \
             transaction, and stays when the pool takes the connection back.",
    workaround: "Take locks for the transaction, and ask rather than wait: pg_try_advisory_xact_lock().",
    sources: &["https://www.postgresql.org/docs/17/explicit-locking.html#ADVISORY-LOCKS"],
    options: &OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "held by an idle session",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); create table sessions (step \
                    int, session text, role text, statement text, waits bool default false); insert into sessions values (1, \
                    'worker', null, 'select pg_advisory_lock(42)', false), (2, 'other', null, 'select pg_advisory_lock(42)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "holder active",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); create table sessions (step \
                    int, session text, role text, statement text, waits bool default false); insert into sessions values (1, \
                    'job', null, 'select pg_advisory_lock(42)', false), (2, 'job', null, 'select pg_sleep(500)', true), (3, 'other', \
                    null, 'select pg_advisory_lock(42)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "held for a transaction",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); create table sessions (step \
                    int, session text, role text, statement text, waits bool default false); insert into sessions values (1, \
                    'worker', null, 'begin; select pg_advisory_xact_lock(1, 2)', false), (2, 'other', null, 'select \
                    pg_advisory_xact_lock(1, 2)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "shared",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); create table sessions (step \
                    int, session text, role text, statement text, waits bool default false); insert into sessions values (1, \
                    'worker', null, 'select pg_advisory_lock_shared(42)', false), (2, 'other', null, 'select \
                    pg_advisory_lock_shared(42)', false)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a row, not an advisory lock",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); create table t (id int primary \
                    key, n int); insert into t values (1, 0); create table sessions (step int, session text, role text, statement \
                    text, waits bool default false); insert into sessions values (1, 'web', null, 'begin; update t set n = 1', \
                    false), (2, 'one', null, 'update t set n = 2', true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "two that share a lock which a third wants alone",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default \
                    false); insert into sessions values (1, 'one', null, 'select pg_advisory_lock_shared(42)', false), \
                    (2, 'two', null, 'begin; select pg_advisory_xact_lock_shared(42)', false), (3, 'other', null, \
                    'select pg_advisory_lock(42)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "all that wait are in a queue behind DDL, or wait for one who is",
            setup: "select dbre.configure_rule('advisory_lock_waits', options => '{\"min_seconds\": 0}'); \
                    create table b (id int); create table v (id int); create table sessions (step int, session text, \
                    role text, statement text, waits bool default false); insert into sessions values (1, 'a', null, \
                    'begin; select from b', false), (2, 'm', null, 'alter table b add x int', true), (3, 'x', null, \
                    'begin; lock v in row exclusive mode', false), (4, 'c', null, 'begin; lock v in row exclusive \
                    mode', false), (5, 'x', null, 'select from b', true), (6, 'z', null, 'begin; lock v', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(of_roots(facts, options, Reason::Advisory, |blocking, roots, finding| {
        let state = |root: &&&Party| blocking.session(root).and_then(|session| session.state);
        let idle: Vec<_> = roots.iter().filter(|root| state(root) == Some(State::Idle)).collect();
        if !idle.is_empty() {
            let who = if roots.len() == 1 { "It is".to_string() } else { format!("{} of them: each is", idle.len()) };
            finding.cause.push_str(&format!(
                " {who} in no transaction: it has taken the lock for the session (pg_advisory_lock), and keeps it until it lets go or ends."
            ));
        }
        finding.app_fix = Some(
            "Take the lock for the transaction (pg_advisory_xact_lock), or in a connection that no pool shares. With PgBouncer in \
             transaction mode, or a pool that resets with ROLLBACK only, a lock for the session passes on to whoever gets the connection \
             next. Jobs that only one may run: pg_try_advisory_xact_lock(), and leave when it says false."
                .to_string(),
        );
    }))
}
