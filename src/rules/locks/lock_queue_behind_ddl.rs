use crate::advice::blocked_finding::{OPTIONS, sessions_wait, severity};
use crate::advice::blocked_replication;
use crate::advice::blocked_trees::{Queue, queues_behind_sessions};
use crate::advice::blocking::{self, Blocking};
use crate::facts::Facts;
use crate::facts::activity::locks::{LockWait, Party};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, duration};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "lock_queue_behind_ddl",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A client's request for a lock on a relation, in SHARE UPDATE EXCLUSIVE or a stronger mode, waits for one who holds \
                it and is no VACUUM, and others would not wait but for this request: it comes before theirs, or its transaction holds \
                what they want; one of them for at least min_seconds. At least many of them: critical; none for long_seconds: medium; else \
                high, as where a process of replication waits. One finding for a relation.",
    effect: "The table is as good as locked already, though the ALTER TABLE, DROP INDEX or LOCK has not begun: even readers queue \
             behind it, for as long as the longest transaction on the table goes on.",
    workaround: "Cancel the request: where it is the first of its transaction, nothing is lost. Run it again with a lock_timeout of a \
                 second or two, and retries.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-locking.html",
        "https://www.postgresql.org/docs/17/sql-altertable.html",
    ],
    options: &OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "readers behind ALTER TABLE, which waits for a reader",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'report', null, 'begin; select from t', false), (2, 'migration', null, 'alter table t add n \
                    int', true), (3, 'one', null, 'select from t', true), (4, 'two', null, 'insert into t values (1)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "two requests on one table",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'report', null, 'begin; select from t', false), (2, 'migration', null, 'alter table t add n \
                    int', true), (3, 'other', null, 'truncate t', true), (4, 'one', null, 'select from t', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "nobody is behind it",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'report', null, 'begin; select from t', false), (2, 'migration', null, 'alter table t add n \
                    int', true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "who is behind it would wait all the same",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'report', null, 'begin; lock t in access exclusive mode', false), (2, 'migration', null, \
                    'alter table t add n int', true), (3, 'one', null, 'select from t', true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "VACUUM and a reader hold it",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); \
                    create table t (id int); insert into t select generate_series(1, 100000); create table sessions \
                    (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'report', null, 'begin; select from t limit 1', false), (2, 'nightly', null, \
                    'set vacuum_cost_limit = 1; set vacuum_cost_delay = 100', false), (3, 'nightly', null, 'vacuum t', \
                    true), (4, 'migration', null, 'alter table t add n int', true), (5, 'one', null, 'select from t \
                    limit 1', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a migration in one transaction, which holds another table already",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); \
                    create table a (id int); create table b (id int); create table sessions (step int, session text, \
                    role text, statement text, waits bool default false); insert into sessions values (1, 'report', \
                    null, 'begin; select from b', false), (2, 'migration', null, 'begin; alter table a add n int; \
                    insert into a values (1)', false), (3, 'migration', null, 'alter table b add n int', true), (4, \
                    'one', null, 'select from a', true), (5, 'two', null, 'select from b', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a migration in two steps, of which only the first table is wanted",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); \
                    create table a (id int); create table b (id int); create table sessions (step int, session text, \
                    role text, statement text, waits bool default false); insert into sessions values (1, 'report', \
                    null, 'begin; select from b', false), (2, 'migration', null, 'begin; alter table a add n int', \
                    false), (3, 'migration', null, 'alter table b add n int', true), (4, 'one', null, 'select from \
                    a', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a foreign key that has one table and waits for the other",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); \
                    create table orders (id int primary key); create table items (id int, order_id int); insert into \
                    orders values (1); create table sessions (step int, session text, role text, statement text, \
                    waits bool default false); insert into sessions values (1, 'report', null, 'begin; update orders \
                    set id = id', false), (2, 'migration', null, 'alter table items add foreign key (order_id) \
                    references orders', true), (3, 'one', null, 'insert into items values (1, 1)', true), (4, 'two', \
                    null, 'insert into items values (2, 1)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a partitioned table that waits for a reader of a partition",
            setup: "select dbre.configure_rule('lock_queue_behind_ddl', options => '{\"min_seconds\": 0}'); \
                    create table p (id int) partition by range (id); create table p1 partition of p for values from \
                    (0) to (10); create table sessions (step int, session text, role text, statement text, waits \
                    bool default false); insert into sessions values (1, 'report', null, 'begin; select from p1', \
                    false), (2, 'migration', null, 'alter table p add n int', true), (3, 'one', null, 'select from \
                    p', true)",
            finds: 1,
            fix_clears: true,
        },
    ],
    check,
};

/// Of what the requests hold already, so much is named.
const HELD_NAMED: usize = 3;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let blocking = Blocking::of(facts.activity());
    Ok(queues_behind_sessions(&blocking).iter().filter_map(|queue| judge(&blocking, queue, options)).collect())
}

fn judge(blocking: &Blocking, queue: &Queue, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&queue.requests, &queue.behind);
    if waiting.longest_seconds < options.number("min_seconds") || !blocking.concerns_any(&queue.requests, &queue.behind)
    {
        return None;
    }
    let requests = blocking.parties(&queue.requests);
    let (first, count) = (requests[0], queue.behind.len());
    let wait = first.waits.iter().find(|wait| wait.target.relation.is_some())?;
    let script = blocking.end_all(&requests);
    let holders: Vec<Value> =
        blocking.parties(&queue.holders).into_iter().map(|party| Value::Object(blocking.of_root(party))).collect();
    let mut finding = Finding {
        severity: severity(options, count, waiting.longest_seconds),
        object: queue.relation.clone(),
        weight: count as u64,
        summary: format!(
            "{} behind a request for {} on {}, which waits itself; the longest for {}",
            sessions_wait(count),
            mode(wait),
            queue.relation,
            duration(waiting.longest_seconds)
        ),
        cause: format!(
            "{}{} {} would not wait but for {}: {}.{}{}",
            requests.iter().map(|party| request(blocking, party)).collect::<String>(),
            held_by(blocking, queue),
            Count(count as u64).of("session"),
            if requests.len() == 1 { "this request" } else { "these requests" },
            why_behind(blocking, queue),
            lost(blocking, &requests),
            blocking::why_no_fix(&script),
        ),
        evidence: object! {
            "relation": queue.relation,
            "mode": mode(wait),
            "requests": requests.iter().map(|party| requested(blocking, party)).collect::<Vec<_>>(),
            "holders": holders,
            "blocked": count,
            "longest_wait_seconds": waiting.longest_seconds,
            "waiting": waiting.rows,
        },
        impact: object! { "sessions_waiting": change((count, "measured"), (0, "estimated")) },
        fix_sql: script.as_ref().ok().map(|script| script.sql.clone()),
        app_fix: Some(
            "Run it again as a migration that gives up soon: SET lock_timeout = '2s', and a retry on SQLSTATE 55P03 with a pause that \
             grows (Alembic: op.execute(\"SET LOCAL lock_timeout = '2s'\") first). dbre.migration_plan() writes such steps."
                .to_string(),
        ),
        risk: script.map_or_else(|_| Finding::that_changes_nothing().risk, |script| script.risk),
        verify_sql: Some(blocking::verify_sql(&requests, &[])),
        ..Finding::that_changes_nothing()
    };
    blocked_replication::tell(blocking, &queue.behind, &mut finding);
    Some(finding)
}

fn mode(wait: &LockWait) -> &'static str {
    wait.mode.map_or("", |mode| mode.sql())
}

fn request(blocking: &Blocking, party: &Party) -> String {
    let seconds = party.waits.iter().filter_map(|wait| wait.seconds).fold(0.0, f64::max);
    let wanted = party.waits.first().map_or(String::new(), blocking::wanted);
    format!(
        "The {} has waited {} for {wanted}.{} ",
        blocking.described(party.who),
        duration(seconds),
        blocking.last_statement(party)
    )
}

fn requested(blocking: &Blocking, party: &Party) -> Value {
    let mut shown = blocking.of_root(party);
    shown.insert("waits_for".to_string(), json!(party.waits.first().map(blocking::wanted)));
    Value::Object(shown)
}

/// Why those behind wait: for what comes before them, or for what the transaction of a request holds already.
fn why_behind(blocking: &Blocking, queue: &Queue) -> String {
    let by_request = |place: &&usize, held: bool| {
        let blockers = blocking.waits().blockers(**place);
        blockers.iter().any(|(blocker, holds)| *holds == held && queue.requests.contains(blocker))
    };
    let for_held = queue.behind.iter().filter(|place| by_request(place, true)).count();
    let in_queue = queue.behind.iter().filter(|place| by_request(place, false) && !by_request(place, true)).count();
    let requests = blocking.parties(&queue.requests);
    if in_queue == queue.behind.len() {
        let nothing_yet = match requests.iter().all(|party| blocking.has_done_nothing(party)) {
            true => "; what waits in front of them has done nothing yet",
            false => "",
        };
        return format!("what they want does not conflict with what is held{nothing_yet}");
    }
    let held = requests.iter().flat_map(|party| &party.holds).filter(|held| held.waited_for);
    let mut held: Vec<String> = held.map(|held| format!("{} on {}", held.mode.sql(), held.target.name)).collect();
    held.truncate(HELD_NAMED);
    let more = queue.behind.len() - in_queue - for_held;
    let parts = [
        (in_queue, "behind it in the queue, and in no conflict with what is held there".to_string()),
        (for_held, format!("for what its transaction holds already ({})", held.join(", "))),
        (more, "for one of these".to_string()),
    ];
    let part = |(count, for_what): &(usize, String)| format!("{count} {for_what}");
    parts.iter().filter(|(count, _)| *count > 0).map(part).collect::<Vec<_>>().join("; ")
}

/// With a request that has got locks already.
fn lost(blocking: &Blocking, requests: &[&Party]) -> &'static str {
    let begun: Vec<_> = requests.iter().filter(|party| !blocking.has_done_nothing(party)).collect();
    let is_whole = |party: &&&Party| blocking.session(party.who).is_some_and(|session| session.is_whole_transaction());
    match begun.iter().all(is_whole) {
        true if begun.is_empty() => "",
        true => " Cancelled, it loses nothing but itself: the statement is all that its transaction is.",
        false => {
            " Cancelled, it takes its whole transaction with it: what earlier statements of that have done is rolled back, and all of \
             them are to be run again."
        }
    }
}

/// Who holds it, and how to end them, if it is the request that must go through.
fn held_by(blocking: &Blocking, queue: &Queue) -> String {
    let holders = blocking.parties(&queue.holders);
    let all = if holders.len() > 1 { "; to let the request through instead, all of them have to end" } else { "" };
    format!("It is held by {}{all}.", blocking.with_endings(&holders))
}
