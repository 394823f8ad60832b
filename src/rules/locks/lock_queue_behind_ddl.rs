use crate::advice::blocked_finding::{OPTIONS, sessions_wait, severity};
use crate::advice::blocked_trees::{Queue, queues_behind_sessions};
use crate::advice::blocking::{self, Blocking};
use crate::advice::end_session::{Ending, duration};
use crate::facts::Facts;
use crate::facts::activity::locks::{LockWait, Party};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "lock_queue_behind_ddl",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A client's request for a lock on a relation, in SHARE UPDATE EXCLUSIVE or a stronger mode, waits for one who holds \
                it and is no VACUUM, and others wait only because this request comes before theirs; one of them for at least \
                min_seconds. At least many of them: critical; none for long_seconds: medium; else high. One finding for a relation.",
    effect: "The table is as good as locked already, though the ALTER TABLE, DROP INDEX or LOCK has not begun: even readers queue \
             behind it, for as long as the longest transaction on the table goes on.",
    workaround: "Cancel the request: it has done nothing yet. Run it again with a lock_timeout of a second or two, and retries.",
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
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let blocking = Blocking::of(facts.activity());
    Ok(queues_behind_sessions(&blocking).iter().filter_map(|queue| judge(&blocking, queue, options)).collect())
}

fn judge(blocking: &Blocking, queue: &Queue, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&queue.behind);
    if waiting.longest_seconds < options.number("min_seconds")
        || !blocking.concerns_any(queue.requests[0], &queue.behind)
    {
        return None;
    }
    let party = |place: &usize| blocking.party(&blocking.nodes[*place]);
    let requests: Vec<&Party> = queue.requests.iter().map(party).collect();
    let (first, count) = (requests[0], queue.behind.len());
    let wait = first.waits.iter().find(|wait| wait.target.relation.is_some())?;
    let endings: Result<Vec<Ending>, String> = requests.iter().map(|party| blocking.ending(party)).collect();
    let fix: Option<String> =
        endings.as_ref().ok().map(|all| all.iter().map(|ending| ending.sql.as_str()).collect::<Vec<_>>().join("\n"));
    let holders: Vec<Value> = queue.holders.iter().map(|place| Value::Object(blocking.of_root(party(place)))).collect();
    Some(Finding {
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
            "{}{} {} but for {}: their locks do not conflict with what is held.{}",
            requests.iter().map(|party| request(blocking, party)).collect::<String>(),
            held_by(blocking, queue),
            format_args!("{} would not wait", if count == 1 { "1 session".to_string() } else { format!("{count} sessions") }),
            if requests.len() == 1 { "this request" } else { "these requests" },
            endings.as_ref().err().map_or(String::new(), |why| format!(" No fix_sql: {why}.")),
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
        fix_sql: fix,
        app_fix: Some(
            "Run it again as a migration that gives up soon: SET lock_timeout = '2s', and a retry on SQLSTATE 55P03 with a pause that \
             grows (Alembic: op.execute(\"SET LOCAL lock_timeout = '2s'\") first). dbre.migration_plan() writes such steps."
                .to_string(),
        ),
        risk: endings.map_or_else(
            |_| Finding::that_changes_nothing().risk,
            |all| all.first().map_or(String::new(), |ending| ending.risk.clone()),
        ),
        verify_sql: Some(format!(
            "select not exists (select from dbre.lock_tree where pid = any ('{{{}}}') and blocks_in_all > 0) as cured;",
            requests.iter().flat_map(|party| &party.waits).map(|wait| wait.pid.to_string()).collect::<Vec<_>>().join(",")
        )),
        ..Finding::that_changes_nothing()
    })
}

fn mode(wait: &LockWait) -> &'static str {
    wait.mode.map_or("", |mode| mode.sql())
}

fn request(blocking: &Blocking, party: &Party) -> String {
    let seconds = party.waits.iter().filter_map(|wait| wait.seconds).fold(0.0, f64::max);
    let wanted = party.waits.first().map_or(String::new(), blocking::wanted);
    format!(
        "The {} has waited {} for {wanted}.{} ",
        blocking.described(party),
        duration(seconds),
        blocking.last_statement(party)
    )
}

fn requested(blocking: &Blocking, party: &Party) -> Value {
    let mut shown = blocking.of_root(party);
    shown.insert("waits_for".to_string(), json!(party.waits.first().map(blocking::wanted)));
    Value::Object(shown)
}

/// Who holds it, and how to end the first of them, if it is the request that must go through.
fn held_by(blocking: &Blocking, queue: &Queue) -> String {
    let Some(holder) = queue.holders.first().map(|place| blocking.party(&blocking.nodes[*place])) else {
        return String::new();
    };
    let others = match queue.holders.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let end = match blocking.ending(holder) {
        Ok(ending) => format!(" (to let the request through instead, end it: {})", ending.sql),
        Err(_) => String::new(),
    };
    format!("It is held by {}{others}, which {}{end}.", blocking.described(holder), blocking.doing(holder))
}
