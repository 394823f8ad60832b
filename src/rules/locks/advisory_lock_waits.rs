use crate::advice::blocked_finding::{OPTIONS, all_the_same, of_roots};
use crate::advice::blocked_trees::{Reason, Tree};
use crate::advice::blocking::Blocking;
use crate::facts::Facts;
use crate::facts::activity::State;
use crate::facts::activity::locks::Party;
use crate::finding::{Finding, Severity};
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
            fix_clears: false,
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
    Ok(of_roots(facts, options, Reason::Advisory, |blocking, tree, finding| {
        let roots = blocking.parties(&tree.roots);
        let idle = roots.iter().filter(|root| is_idle(blocking, root)).count();
        if idle > 0 {
            let who = if roots.len() == 1 { "It is".to_string() } else { format!("{idle} of them: each is") };
            finding.cause.push_str(&format!(
                " {who} in no transaction: it has taken the lock for the session (pg_advisory_lock), and keeps it until it lets go or ends."
            ));
        }
        if idle == roots.len() && one_key(blocking, tree) {
            may_be_elected(blocking, tree, finding);
        }
        finding.app_fix = Some(
            "Take the lock for the transaction (pg_advisory_xact_lock), or in a connection that no pool shares. With PgBouncer in \
             transaction mode, or a pool that resets with ROLLBACK only, a lock for the session passes on to whoever gets the connection \
             next. Jobs that only one may run: pg_try_advisory_xact_lock(), and leave when it says false."
                .to_string(),
        );
    }))
}

/// In no transaction.
fn is_idle(blocking: &Blocking, root: &Party) -> bool {
    blocking.session(root.who).is_some_and(|session| session.state == Some(State::Idle))
}

/// All that wait want the same lock.
fn one_key(blocking: &Blocking, tree: &Tree) -> bool {
    let waiting = blocking.parties(&tree.waiting);
    let mut targets = waiting.iter().flat_map(|party| &party.waits).map(|wait| &wait.target);
    let first = targets.next();
    targets.all(|target| Some(target) == first)
}

/// A leader and those that would follow it look the same as a lock that nobody lets go of: to end which is not ours to decide.
fn may_be_elected(blocking: &Blocking, tree: &Tree, finding: &mut Finding) {
    finding.severity = match finding.severity {
        Severity::critical => Severity::high,
        _ => Severity::medium,
    };
    finding.take_fix_away();
    finding.cause.push_str(&format!(
        " No fix_sql, for it may be so by design: a leader holds such a lock while it works elsewhere, and those that would follow wait \
         for its end, each in a connection of its own. Look at whose the connection of the holder is (application, address), and \
         whether those that wait were begun to do so, rather than to serve a request. If it is no leader, its connection went back to a \
         pool with the lock: end it, and where it has been taken call pg_advisory_unlock().{}",
        all_the_same(blocking, tree)
    ));
}
