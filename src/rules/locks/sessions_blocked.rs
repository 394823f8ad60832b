use crate::advice::blocked_finding::{OPTIONS, of_roots};
use crate::advice::blocked_trees::{Reason, Tree};
use crate::advice::blocking::{self, Blocking};
use crate::facts::Facts;
use crate::facts::activity::locks::{Kind, LockWait};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "sessions_blocked",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A session, which waits for no lock itself, holds a lock that others have waited for, one of them for at least \
                min_seconds; or, on a standby, a snapshot that replay waits for. At least many wait: critical; none for long_seconds: \
                medium; else high. One finding for each such session, over whatever chain. Not: who waits for a prepared transaction, in a cycle, behind a request for a strong \
                lock that waits itself, for a VACUUM, or only for advisory locks, which have rules of their own.",
    effect: "Each that waits holds a connection and its own locks; where requests keep coming, the pool runs dry.",
    workaround: "End what blocks; then keep transactions short, and set lock_timeout, so that a request fails before the pool does.",
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
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(of_roots(facts, options, Reason::Session, |blocking, tree, finding| match replay(blocking, tree) {
        Some(wait) => holds_replay_up(blocking, wait, finding),
        None => {
            let session = blocking.session(blocking.party(&blocking.nodes[tree.root]));
            let idle = session.is_some_and(|session| session.in_transaction_and_idle());
            finding.app_fix = Some(app_fix(idle));
        }
    }))
}

/// The wait of a standby's startup process for this root's transaction, which is no wait for a lock.
fn replay<'a>(blocking: &Blocking<'a>, tree: &Tree) -> Option<&'a LockWait> {
    let below = tree.waiting.iter().map(|place| &blocking.nodes[*place]).filter(|node| node.parent == Some(tree.root));
    let parties = below.map(|node| blocking.party(node));
    let startup = |party| blocking.session(party).is_some_and(|session| session.kind == "startup");
    parties.filter(|party| startup(party)).flat_map(|party| &party.waits).find(|wait| wait.mode.is_none())
}

fn holds_replay_up(blocking: &Blocking, wait: &LockWait, finding: &mut Finding) {
    let parties = &blocking.activity.locks.parties;
    let candidates: Vec<_> = wait.blockers.iter().map(|blocker| &parties[blocker.party]).collect();
    let databases: BTreeSet<Option<&str>> = candidates.iter().map(|party| blocking.database(party)).collect();
    let is_guess = match wait.target.kind {
        Kind::VirtualTransaction => databases.len() > 1,
        Kind::Page => candidates.len() > 1,
        _ => false,
    };
    finding.summary = finding.summary.replace("; the longest for ", "; the longest for at most ");
    finding.cause += &format!(" Replay of WAL stands still on this standby: it waits for {}.", wait.target.name);
    if is_guess {
        let names: Vec<String> = candidates.iter().map(|party| blocking::name(party)).collect();
        finding.fix_sql = None;
        finding.risk = Finding::that_changes_nothing().risk;
        finding.cause += &format!(
            " No fix_sql: for which of these it waits the server does not say: {}. end_sql of dbre.lock_tree ends this one.",
            listing(&names)
        );
    }
    finding.app_fix = Some(
        "Transactions on the standby that are short: each report in READ COMMITTED, no cursor or transaction left open. \
         max_standby_streaming_delay bounds how long replay waits, and then cancels the query; hot_standby_feedback = on avoids most \
         conflicts, and holds back VACUUM on the primary instead."
            .to_string(),
    );
}

fn app_fix(idle: bool) -> String {
    let of_root = if idle {
        "Where the last statement is in the code, end the transaction before anything outside the database is waited for \
         (SQLAlchemy: with Session.begin():, asyncpg: async with connection.transaction():), and set \
         idle_in_transaction_session_timeout for the role."
    } else {
        "Split what runs so long into transactions of a second or less, and let what takes long run before the first row is changed."
    };
    format!("{of_root} For those that wait: SET LOCAL lock_timeout = '2s' and a retry on SQLSTATE 55P03.")
}
