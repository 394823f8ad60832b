use crate::advice::blocked_builds::{Patient, wait_alone};
use crate::advice::blocked_finding::{OPTIONS, of_roots};
use crate::advice::blocked_replay;
use crate::advice::blocked_rows;
use crate::advice::blocked_trees::Reason;
use crate::advice::blocking::Blocking;
use crate::advice::end_loss::Work;
use crate::facts::Facts;
use crate::facts::activity::locks::Party;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "sessions_blocked",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A session, which waits for no lock itself, holds a lock that others have waited for, one of them for at least \
                min_seconds, or a page pinned that VACUUM waits for; or, on a standby, a snapshot that replay waits for. Whoever waits does something CONCURRENTLY that \
                waits for a transaction's end, or wants a snapshot that is SERIALIZABLE READ ONLY DEFERRABLE, and nobody waits for it but \
                autovacuum, or only autovacuum waits: low. Else at least many wait: critical; none for long_seconds: \
                medium; else high, as where a process of replication waits. One finding for each such \
                session, over whatever chain; sessions of whom to end one alone frees nobody share one. Not for those who wait only \
                for a prepared transaction, a VACUUM, advisory locks or each other, or behind a request for a strong lock that waits \
                itself: they have rules of their own. Or at least many \
                wait for rows of one relation, for one transaction after the other, each wait shorter than min_seconds and a statement \
                longer: high, one finding for the relation.",
    effect: "Each that waits holds a connection and its own locks; where requests keep coming, the pool runs dry.",
    workaround: "End what blocks, or what waits where that builds an index CONCURRENTLY or dumps; then keep transactions short, and set \
                 lock_timeout, so that a request fails before the pool does.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-locking.html",
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-LOCK-TIMEOUT",
    ],
    options: &OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "idle in a transaction that has changed a row",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create table t (id int \
                    primary key, n int); insert into t values (1, 0); create table sessions (step int, session text, role text, \
                    statement text, waits bool default false); insert into sessions values (1, 'web', null, 'begin; update t \
                    set n = 1', false), (2, 'one', null, 'update t set n = 2', true), (3, 'two', null, 'update t set n = 3', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a statement that runs",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create table t (id int \
                    primary key, n int); insert into t values (1, 0); create table sessions (step int, session text, role text, \
                    statement text, waits bool default false); insert into sessions values (1, 'report', null, 'with u as (update \
                    t set n = 1 returning n) select pg_sleep(600) from u', true), (2, 'one', null, 'update t set n = 2', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "two roots",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create table t (id int \
                    primary key, n int); insert into t values (1, 0), (2, 0); create table sessions (step int, session text, role \
                    text, statement text, waits bool default false); insert into sessions values (1, 'a', null, 'begin; update t \
                    set n = 1 where id = 1', false), (2, 'b', null, 'begin; update t set n = 1 where id = 2', false), (3, 'one', \
                    null, 'update t set n = 2 where id = 1', true), (4, 'two', null, 'update t set n = 3 where id = 2', true)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "an index that is built CONCURRENTLY waits for a report, and nobody for it",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert \
                    into sessions values (1, 'report', null, 'begin isolation level repeatable read; select from t', false), (2, \
                    'build', null, 'create index concurrently t_id on t (id)', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "for a moment only",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 600}'); create table t (id int \
                    primary key, n int); insert into t values (1, 0); create table sessions (step int, session text, role text, \
                    statement text, waits bool default false); insert into sessions values (1, 'web', null, 'begin; update t \
                    set n = 1', false), (2, 'one', null, 'update t set n = 2', true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "locks that nobody waits for",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert \
                    into sessions values (1, 'web', null, 'begin; lock t in access exclusive mode', false)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "two readers, and DDL that waits for both",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create \
                    table t (id int); create table sessions (step int, session text, role text, statement text, waits \
                    bool default false); insert into sessions values (1, 'one', null, 'begin; select from t', false), \
                    (2, 'two', null, 'begin; select from t', false), (3, 'migration', null, 'alter table t add n int', \
                    true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "two readers, DDL that waits for both, and a queue behind it",
            setup: "select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}'); create \
                    table t (id int); create table sessions (step int, session text, role text, statement text, waits \
                    bool default false); insert into sessions values (1, 'one', null, 'begin; select from t', false), \
                    (2, 'two', null, 'begin; select from t', false), (3, 'migration', null, 'alter table t add n int', \
                    true), (4, 'web', null, 'select from t', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let mut findings = of_roots(facts, options, Reason::Session, |blocking, tree, finding| {
        let roots = blocking.parties(&tree.roots);
        if let Some(wait) = blocked_replay::wait_for(blocking, &roots) {
            return blocked_replay::tell(blocking, wait, finding);
        }
        let advice: BTreeSet<&str> = roots.iter().map(|root| advice(blocking, root)).collect();
        let works: Vec<String> = roots.iter().filter_map(|root| blocking.progress(root)).collect();
        if !works.is_empty() {
            finding.cause.push_str(&format!(" How far: {}.", works.join("; ")));
        }
        let advice = advice.into_iter().collect::<Vec<_>>().join(" ");
        let patients: Vec<&str> = wait_alone(blocking, tree).into_iter().map(Patient::advice).collect();
        let for_waiting = match patients.is_empty() {
            true => "For those that wait: SET LOCAL lock_timeout = '2s' and a retry on SQLSTATE 55P03.".to_string(),
            false => patients.join(" "),
        };
        finding.app_fix = Some(format!("{advice} {for_waiting}"));
    });
    findings.extend(blocked_rows::findings(facts, options));
    Ok(findings)
}

fn advice(blocking: &Blocking, root: &Party) -> &'static str {
    match blocking.work(root) {
        Some(Work::ConcurrentBuild) => {
            "Let the index be built, and run after it what waits: ended, it leaves an invalid index, and begins anew. Builds \
             and migrations of one table belong one after the other."
        }
        Some(Work::Dump) => {
            "Let the dump finish, and run after it what waits: ended, it is to be done again as a whole. Keep migrations out of \
             its hours, or dump from a standby."
        }
        Some(Work::Other) => {
            "Where others can wait no longer, end it, and run it at other hours: ended, it begins anew. Where there is a CONCURRENTLY of \
             it, that blocks less."
        }
        None if blocking.session(root.who).is_some_and(|session| session.waits_at("SyncRep")) => {
            "It has committed, and waits for a synchronous standby: rule waits_on_commit says what to do about that."
        }
        None if blocking.session(root.who).is_some_and(|session| session.in_transaction_and_idle()) => {
            "Where the last statement is in the code, end the transaction before anything outside the database is waited for \
             (SQLAlchemy: with Session.begin():, asyncpg: async with connection.transaction():), and set \
             idle_in_transaction_session_timeout for the role."
        }
        None => {
            "Split what runs so long into transactions of a second or less, and let what takes long run before the first row is changed."
        }
    }
}
