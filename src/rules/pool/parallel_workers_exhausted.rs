use crate::advice::measured_query::excerpt;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Session};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "parallel_workers_exhausted",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At this moment at least share of the parallel workers that may run at once on the whole server do: max_parallel_workers, or \
                what other background workers (the launcher of logical replication is always one) leave of max_worker_processes, where \
                that is less.",
    effect: "A query that is planned for workers gets none, and takes as long as its plan without them, or longer; and the workers that run \
                 take the cores of all others.",
    workaround: "Parallel queries are for few long reports: a lower max_parallel_workers_per_gather for the roles of the application, \
                     as many max_parallel_workers as there are cores to spare, and a larger max_worker_processes.",
    sources: &["https://www.postgresql.org/docs/17/how-parallel-query-works.html"],
    options: &[OptionSpec::number("share", (1.0, "of the workers that may run"), (0.01, 1.0), "Less is left alone.")],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "a worker runs",
            setup: "select dbre.configure_rule('parallel_workers_exhausted', options => '{\"share\": 0.1}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'set debug_parallel_query = on', false), \
                    (2, 'report', null, 'select pg_sleep(60)', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "fewer than there may be",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'set debug_parallel_query = on', false), \
                    (2, 'report', null, 'select pg_sleep(60)', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// How many parallel workers may run at once.
struct Limit {
    allowed: u64,
    setting: &'static str,
    /// Background workers that do something else.
    others: u64,
}

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let limit = limit(activity);
    let running = workers(activity).count() as u64;
    let exhausted = limit.allowed > 0 && running as f64 >= options.number("share") * limit.allowed as f64;
    Ok(exhausted.then(|| judge(activity, running, &limit)).into_iter().collect())
}

fn workers(activity: &Activity) -> impl Iterator<Item = &Session> {
    activity.sessions.iter().filter(|session| session.is_parallel_worker())
}

fn limit(activity: &Activity) -> Limit {
    let slots = &activity.slots;
    let others = activity.sessions.iter().filter(|s| s.is_background_worker() && !s.is_parallel_worker()).count();
    // The session that reads is not among them.
    let others = others as u64 + u64::from(slots.own.is_none());
    let left = slots.max_worker_processes.saturating_sub(others);
    match slots.max_parallel_workers.filter(|allowed| *allowed <= left) {
        None => Limit { allowed: left, setting: "max_worker_processes", others },
        Some(allowed) => Limit { allowed, setting: "max_parallel_workers", others },
    }
}

fn judge(activity: &Activity, running: u64, limit: &Limit) -> Finding {
    let slots = &activity.slots;
    let mut leaders: Vec<(i32, usize)> = Vec::new();
    for leader in workers(activity).filter_map(|worker| worker.leader) {
        match leaders.iter_mut().find(|(pid, _)| *pid == leader) {
            Some((_, count)) => *count += 1,
            None => leaders.push((leader, 1)),
        }
    }
    leaders.sort_by_key(|(pid, count)| (std::cmp::Reverse(*count), *pid));
    let (binds, more) = match limit.setting {
        "max_parallel_workers" => (
            format!("max_parallel_workers = {} allows no more", limit.allowed),
            "a larger max_parallel_workers (within max_worker_processes)".to_string(),
        ),
        _ => (
            format!(
                "max_worker_processes = {} allows no more, of which {} at other work{}",
                slots.max_worker_processes,
                match limit.others {
                    1 => "1 is".to_string(),
                    others => format!("{} are", Count(others)),
                },
                slots
                    .max_parallel_workers
                    .map_or(String::new(), |more| format!(", though max_parallel_workers is {more}"))
            ),
            "a larger max_worker_processes, which takes a restart (of standbys first, which need at least as many)"
                .to_string(),
        ),
    };
    let of = |pid: i32| activity.sessions.iter().find(|session| session.pid == pid);
    let most = leaders.first().map_or(String::new(), |(pid, count)| {
        let query = of(*pid)
            .and_then(|session| session.query.as_deref())
            .unwrap_or("a statement that is hidden from the caller");
        format!("Most of them, {count}, run for session {pid}: {}", excerpt(query))
    });
    let shown = leaders.iter().take(SHOWN).map(|(pid, count)| {
        let session = of(*pid);
        json!({
            "pid": pid,
            "workers": count,
            "user_name": session.and_then(|session| session.role.as_deref()),
            "application_name": session.map(|session| session.application.as_str()),
            "statement_seconds": session.and_then(|session| session.query_seconds),
            "query": session.and_then(|session| session.query.as_deref()),
        })
    });
    Finding {
        severity: RULE.severity,
        object: limit.setting.to_string(),
        weight: running,
        summary: format!(
            "{} of the {} that may are at work for {}",
            Count(running).of("parallel worker"),
            Count(limit.allowed),
            Count(leaders.len() as u64).of("query"),
        ),
        cause: format!(
            "{binds}. {most}. Workers were counted at one moment; dbre.sample_activity() shows whether it lasts."
        ),
        evidence: object! {
            "parallel_workers": running,
            "allowed": limit.allowed,
            "limited_by": limit.setting,
            "max_parallel_workers": slots.max_parallel_workers,
            "max_worker_processes": slots.max_worker_processes,
            "other_background_workers": limit.others,
            "leaders": shown.collect::<Vec<_>>(),
            "basis": "counted at one moment",
        },
        app_fix: Some(format!(
            "alter role … set max_parallel_workers_per_gather = 0; for the roles of the application, whose queries are short; reports keep \
             theirs. Where more of the {} cores are to spare: {more}.",
            activity.cores
        )),
        ..Finding::that_changes_nothing()
    }
}

/// More leaders are counted only.
const SHOWN: usize = 10;
