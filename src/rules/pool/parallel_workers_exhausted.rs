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
    condition: "At this moment at least share of max_parallel_workers run for parallel queries on the whole server.",
    effect: "A query that is planned for workers gets none, and takes as long as its plan without them, or longer; and the workers that run \
                 take the cores of all others.",
    workaround: "Parallel queries are for few long reports: a lower max_parallel_workers_per_gather for the roles of the application, \
                     as many max_parallel_workers as there are cores to spare.",
    sources: &["https://www.postgresql.org/docs/17/how-parallel-query-works.html"],
    options: &[OptionSpec::number("share", (1.0, "of max_parallel_workers"), (0.01, 1.0), "Less is left alone.")],
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

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let allowed = activity.slots.max_parallel_workers;
    let running = workers(activity).count() as u64;
    let exhausted = allowed > 0 && running as f64 >= options.number("share") * allowed as f64;
    Ok(exhausted.then(|| judge(activity, running, allowed)).into_iter().collect())
}

fn workers(activity: &Activity) -> impl Iterator<Item = &Session> {
    activity.sessions.iter().filter(|session| session.leader.is_some_and(|leader| leader != session.pid))
}

fn judge(activity: &Activity, running: u64, allowed: u64) -> Finding {
    let mut leaders: Vec<(i32, usize)> = Vec::new();
    for leader in workers(activity).filter_map(|worker| worker.leader) {
        match leaders.iter_mut().find(|(pid, _)| *pid == leader) {
            Some((_, count)) => *count += 1,
            None => leaders.push((leader, 1)),
        }
    }
    leaders.sort_by_key(|(pid, count)| (std::cmp::Reverse(*count), *pid));
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
        object: "max_parallel_workers".to_string(),
        weight: running,
        summary: format!(
            "{} of the {allowed} that may are at work for {}",
            Count(running).of("parallel worker"),
            Count(leaders.len() as u64).of("query").replace("querys", "queries"),
        ),
        cause: format!("{most}. Workers were counted at one moment; dbre.sample_activity() shows whether it lasts."),
        evidence: object! {
            "parallel_workers": running,
            "max_parallel_workers": allowed,
            "max_worker_processes": activity.slots.max_worker_processes,
            "leaders": shown.collect::<Vec<_>>(),
            "basis": "counted at one moment",
        },
        app_fix: Some(
            "alter role … set max_parallel_workers_per_gather = 0; for the roles of the application, whose queries are short; reports keep \
             theirs."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

/// More leaders are counted only.
const SHOWN: usize = 10;
