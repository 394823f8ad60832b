use crate::advice::blocking::{self, Blocking};
use crate::facts::Facts;
use crate::facts::activity::locks::{LockWait, Party, tree};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{duration, on_one_line, rounded};
use serde_json::json;
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "deadlock_in_making",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Sessions wait for each other in a circle. If the circle has been closed for longer than deadlock_timeout and a \
                minute, so that the server does not break it: critical. One finding for each circle.",
    effect: "None of them can go on. When deadlock_timeout has passed, the server fails one of the statements (SQLSTATE 40P01); until \
             then they, and all who wait for them, hold their connections.",
    workaround: "Lock things in the same order everywhere; retry a transaction that fails with 40P01.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-DEADLOCKS",
        "https://www.postgresql.org/docs/17/runtime-config-locks.html#GUC-DEADLOCK-TIMEOUT",
    ],
    options: &[],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "two rows in two orders",
            setup: "create table t (id int primary key, n int); insert into t values (1, 0), (2, 0); create table sessions (step int, \
                    session text, role text, statement text, waits bool default false); insert into sessions values (1, 'a', null, \
                    'set deadlock_timeout = ''1h''; begin; update t set n = 1 where id = 1', false), (2, 'b', null, 'set \
                    deadlock_timeout = ''1h''; begin; update t set n = 1 where id = 2', false), (3, 'a', null, 'update t set n = 2 \
                    where id = 2', true), (4, 'b', null, 'update t set n = 2 where id = 1', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "circle of session locks",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'a', null, 'set deadlock_timeout = ''1h''; select pg_advisory_lock(1)', false), (2, 'b', null, \
                    'set deadlock_timeout = ''1h''; select pg_advisory_lock(2)', false), (3, 'a', null, 'select pg_advisory_lock(2)', \
                    true), (4, 'b', null, 'select pg_advisory_lock(1)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a chain is no circle",
            setup: "create table t (id int primary key, n int); insert into t values (1, 0), (2, 0); create table sessions (step int, \
                    session text, role text, statement text, waits bool default false); insert into sessions values (1, 'a', null, \
                    'begin; update t set n = 1 where id = 1', false), (2, 'b', null, 'begin; update t set n = 1 where id = 2', \
                    false), (3, 'b', null, 'update t set n = 2 where id = 1', true), (4, 'c', null, 'update t set n = 2 where id = \
                    2', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Past deadlock_timeout by so much, and the server will not break it any more.
const OVERDUE_SECONDS: f64 = 60.0;

fn check(facts: &Facts, _: &Options) -> Verdict {
    let blocking = Blocking::of(facts.activity());
    let mut cycles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, node) in blocking.nodes.iter().enumerate() {
        if let Some(cycle) = node.cycle {
            cycles.entry(cycle).or_default().push(place);
        }
    }
    let concern = |members: &&Vec<usize>| blocking.concerns_any(&[], members);
    Ok(cycles.values().filter(concern).filter_map(|members| judge(&blocking, members)).collect())
}

fn judge(blocking: &Blocking, members: &[usize]) -> Option<Finding> {
    let circle = circle(blocking, members);
    let parties = &blocking.activity.locks.parties;
    // Whoever has done least since it began, and so has least to do again; a long piece of work begins anew, whatever it has written.
    let worth = |party: &usize| {
        let session = blocking.session(parties[*party].who);
        let writes = session.is_some_and(|session| session.transaction_id.is_some());
        let age = session.and_then(|session| session.transaction_seconds).unwrap_or(f64::MAX);
        (blocking.work(&parties[*party]).is_some(), writes, (age * 1000.0) as u64)
    };
    let mut victims: Vec<usize> = circle.iter().map(|(party, _)| *party).collect();
    victims.sort_by_key(worth);
    let ending = victims.iter().find_map(|party| blocking.ending(&parties[*party]).ok().map(|ending| (*party, ending)));
    let closed = closed_seconds(circle.iter().map(|(_, wait)| *wait));
    let held_up = members.iter().map(|place| blocking.nodes[*place].blocks_in_all).max()?;
    let overdue = closed > blocking.activity.locks.deadlock_timeout_seconds + OVERDUE_SECONDS;
    let who: Vec<String> = circle.iter().map(|(party, _)| blocking.described(parties[*party].who)).collect();
    let mut identity: Vec<String> = circle.iter().map(|(party, _)| blocking.identity(&parties[*party])).collect();
    identity.sort();
    Some(Finding {
        severity: if overdue { Severity::critical } else { RULE.severity },
        object: identity.join(", "),
        weight: held_up as u64,
        summary: format!("{} sessions wait for each other in a circle: {}", circle.len(), on_one_line(&who.join(", "))),
        cause: format!(
            "{} {}{}",
            circle.iter().map(|(party, wait)| part(blocking, &parties[*party], wait)).collect::<Vec<_>>().join(" "),
            outlook(blocking, &circle, overdue),
            match &ending {
                Some((victim, ending)) => {
                    format!(" fix_sql {} {}, which has least to do again.", ending.does, blocking.described(parties[*victim].who))
                }
                None => blocking::why_no_fix(&blocking.ending(&parties[victims[0]])),
            },
        ),
        evidence: object! {
            "circle": circle.iter().map(|(party, wait)| shown(blocking, &parties[*party], wait)).collect::<Vec<_>>(),
            "closed_for_seconds": rounded(closed),
            "deadlock_timeout_seconds": blocking.activity.locks.deadlock_timeout_seconds,
            "blocked": held_up,
        },
        verify_sql: Some(verify_sql(parties, &circle, ending.as_ref().map(|(victim, _)| *victim))),
        fix_sql: ending.as_ref().map(|(_, ending)| ending.sql.clone()),
        app_fix: Some(
            "Lock in one order wherever several rows or tables are changed: sort by key before the UPDATEs (SQLAlchemy flushes rows of \
             one table in the order of their primary keys; explicit UPDATEs it does not sort), or take them at once with SELECT … ORDER \
             BY id FOR UPDATE. Retry the whole transaction on SQLSTATE 40P01."
                .to_string(),
        ),
        risk: ending.map_or_else(|| Finding::that_changes_nothing().risk, |(_, ending)| ending.risk),
        ..Finding::that_changes_nothing()
    })
}

/// Since the last of them began to wait; one that has only just begun shows no time yet.
fn closed_seconds<'a>(waits: impl Iterator<Item = &'a LockWait>) -> f64 {
    waits.map(|wait| wait.seconds.unwrap_or(0.0)).fold(f64::INFINITY, f64::min)
}

/// True once none of them waits in a circle, and none for the one that the fix ends: what it holds may outlive its statement.
fn verify_sql(parties: &[Party], circle: &[(usize, &LockWait)], victim: Option<usize>) -> String {
    let members: Vec<&Party> = circle.iter().map(|(party, _)| &parties[*party]).collect();
    let condition = match victim.and_then(|victim| parties[victim].who.pid()) {
        Some(pid) => format!("(in_cycle or {pid} = any (blocked_by))"),
        None => "in_cycle".to_string(),
    };
    blocking::verify(&members, &condition)
}

/// The members one after another, each waiting for the next, the last for the first.
fn circle<'a>(blocking: &Blocking<'a>, members: &[usize]) -> Vec<(usize, &'a LockWait)> {
    let parties = &blocking.activity.locks.parties;
    let of_circle: Vec<usize> = members.iter().map(|place| blocking.nodes[*place].party).collect();
    let mut seen: Vec<(usize, &LockWait)> = Vec::new();
    let mut party = of_circle[0];
    loop {
        let inner =
            parties[party].waits.iter().flat_map(|wait| wait.blockers.iter().map(move |blocker| (wait, blocker)));
        let next =
            inner.filter(|(_, blocker)| of_circle.contains(&blocker.party)).max_by_key(|(_, blocker)| blocker.holds);
        // Each of a circle waits for another of it.
        let Some((wait, blocker)) = next else { return seen };
        seen.push((party, wait));
        if let Some(start) = seen.iter().position(|(before, _)| *before == blocker.party) {
            return seen.split_off(start);
        }
        party = blocker.party;
    }
}

fn part(blocking: &Blocking, party: &Party, wait: &LockWait) -> String {
    format!(
        "The {} has waited {} for {}{}.{}",
        blocking.described(party.who),
        duration(wait.seconds.unwrap_or(0.0)),
        blocking::wanted(wait),
        blocking::holds(party).map_or(String::new(), |holds| format!(", and holds {holds}")),
        blocking.last_statement(party)
    )
}

fn shown(blocking: &Blocking, party: &Party, wait: &LockWait) -> serde_json::Value {
    let mut shown = blocking.of_root(party);
    shown.insert("waits_for".to_string(), json!(blocking::wanted(wait)));
    shown.insert("waiting_seconds".to_string(), json!(wait.seconds));
    serde_json::Value::Object(shown)
}

fn outlook(blocking: &Blocking, circle: &[(usize, &LockWait)], overdue: bool) -> String {
    let timeout = duration(blocking.activity.locks.deadlock_timeout_seconds);
    let parties = &blocking.activity.locks.parties;
    let holds = circle.iter().enumerate().all(|(number, (_, wait))| {
        let next = circle[(number + 1) % circle.len()].0;
        wait.blockers.iter().any(|blocker| blocker.party == next && blocker.holds)
    });
    let longest = circle.iter().map(|(party, _)| tree::waited(parties, *party)).fold(0.0, f64::max);
    match (overdue, holds) {
        (true, _) => format!(
            "That goes on for {} though deadlock_timeout is {timeout}: one of them has a longer one of its own.",
            duration(longest)
        ),
        (false, true) => format!("The server fails one of them when deadlock_timeout ({timeout}) has passed for it."),
        (false, false) => format!(
            "Some only queue before others: when deadlock_timeout ({timeout}) has passed, the server may change their order rather than \
             fail one."
        ),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::activity::locks::{Kind, Target};

    #[test]
    fn a_circle_is_closed_by_the_last_wait() {
        let wait = |seconds: Option<f64>| LockWait {
            pid: 1,
            target: Target { kind: Kind::Advisory, database: 5, relation: None, name: String::new() },
            row: None,
            mode: None,
            seconds,
            blockers: Vec::new(),
            next: Vec::new(),
        };
        let closed = |seconds: &[Option<f64>]| {
            let waits: Vec<LockWait> = seconds.iter().copied().map(wait).collect();
            closed_seconds(waits.iter())
        };
        assert_eq!(closed(&[Some(90.0), Some(2.0)]), 2.0);
        assert_eq!(closed(&[Some(90.0), None]), 0.0);
        assert_eq!(closed(&[None, None]), 0.0);
    }
}
