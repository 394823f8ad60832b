use crate::advice::blocking;
use crate::advice::measured_query::excerpt;
use crate::facts::Facts;
use crate::facts::activity::locks::{FAST_PATH_SLOTS, ProcessLocks};
use crate::facts::activity::{Activity, Session};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

pub static RULE: Rule = Rule {
    id: "fast_path_locks_exhausted",
    category: "locks",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_sessions clients of one database have all of their fast-path slots for relation locks taken, and more weak \
                locks on relations in the shared table. If at least waiting of the database's sessions wait for LWLock:LockManager at \
                this moment: high.",
    effect: "Each further table, partition or index that a statement touches, also those that it only plans, costs a lock in the shared \
             table, and its partition's lightweight lock: with many cores they wait for each other there.",
    workaround: "Fewer relations for a statement: prune partitions when planning, drop indexes that nothing uses, prepare statements.",
    sources: &[
        "https://www.postgresql.org/docs/17/view-pg-locks.html",
        "https://www.postgresql.org/docs/17/monitoring-stats.html#WAIT-EVENT-LWLOCK-TABLE",
    ],
    options: &[
        OptionSpec::number("min_sessions", (5.0, "sessions"), (1.0, 1e6), "Fewer at once are let alone."),
        OptionSpec::number("waiting", (2.0, "sessions"), (1.0, 1e6), "So many that wait for the lock manager: high."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "forty partitions in one statement",
            setup: "select dbre.configure_rule('fast_path_locks_exhausted', options => '{\"min_sessions\": 1}'); create table t (id int) \
                    partition by range (id); select format('create table t_%s partition of t for values from (%s) to (%s)', g, g, g + 1) \
                    from generate_series(1, 40) g \\gexec\ncreate table sessions (step int, session text, role text, statement text, \
                    waits bool default false); insert into sessions values (1, 'web', null, 'begin; select from t', false)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one partition is left when it is planned",
            setup: "select dbre.configure_rule('fast_path_locks_exhausted', options => '{\"min_sessions\": 1}'); create table t (id int) \
                    partition by range (id); select format('create table t_%s partition of t for values from (%s) to (%s)', g, g, g + 1) \
                    from generate_series(1, 40) g \\gexec\ncreate table sessions (step int, session text, role text, statement text, \
                    waits bool default false); insert into sessions values (1, 'web', null, 'begin; select from t where id = 7', false)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a single session",
            setup: "create table t (id int) partition by range (id); select format('create table t_%s partition of t for values from (%s) \
                    to (%s)', g, g, g + 1) from generate_series(1, 40) g \\gexec\ncreate table sessions (step int, session text, role \
                    text, statement text, waits bool default false); insert into sessions values (1, 'web', null, 'begin; select from \
                    t', false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let full = activity
        .locks
        .usage
        .processes
        .iter()
        .filter(|process| process.fast_path >= FAST_PATH_SLOTS && process.weak_relations_shared > 0);
    let full: HashMap<i32, &ProcessLocks> = full.map(|process| (process.pid, process)).collect();
    if full.is_empty() {
        return Ok(Vec::new());
    }
    let mut of_database: BTreeMap<&str, Vec<(&Session, &ProcessLocks)>> = BTreeMap::new();
    for session in activity.clients() {
        if let (Some(database), Some(process)) = (&session.database, full.get(&session.pid)) {
            of_database.entry(database).or_default().push((session, process));
        }
    }
    let many = of_database.into_iter().filter(|(_, sessions)| sessions.len() as f64 >= options.number("min_sessions"));
    Ok(many.map(|(database, sessions)| judge(activity, database, sessions, options)).collect())
}

fn judge(
    activity: &Activity,
    database: &str,
    mut sessions: Vec<(&Session, &ProcessLocks)>,
    options: &Options,
) -> Finding {
    sessions.sort_by_key(|(session, process)| (std::cmp::Reverse(process.weak_relations_shared), session.pid));
    let in_manager = |session: &&Session| {
        let event = session.wait.as_ref().map(|wait| wait.event.as_str());
        session.database.as_deref() == Some(database) && event == Some("LockManager")
    };
    let waiting = activity.clients().filter(in_manager).count();
    let (most, of_most) = sessions[0];
    let relations = of_most.fast_path + of_most.weak_relations_shared;
    let statement = most.query.as_deref().map_or(String::new(), |query| format!(" Its statement: {}.", excerpt(query)));
    Finding {
        severity: if waiting as f64 >= options.number("waiting") { Severity::high } else { RULE.severity },
        object: format!("database {database}"),
        weight: sessions.len() as u64,
        summary: format!(
            "{} of {database} lock more than {FAST_PATH_SLOTS} relations at once, up to {relations}; {waiting} wait for the lock manager",
            crate::units::Count(sessions.len() as u64).of("session"),
        ),
        cause: format!(
            "Each process has {FAST_PATH_SLOTS} fast-path slots, a number that PostgreSQL 17 has compiled in; what is beyond goes to the shared \
             table. {} has {relations} relations locked.{statement}",
            blocking::describe(most)
        ),
        evidence: object! {
            "database": database,
            "sessions": sessions.len(),
            "fast_path_slots": FAST_PATH_SLOTS,
            "waiting_for_lock_manager": waiting,
            "most": sessions.iter().take(5).map(|(session, process)| json!({
                "pid": session.pid,
                "application_name": session.application,
                "fast_path_locks": process.fast_path,
                "relation_locks_beyond": process.weak_relations_shared,
                "query": session.query.as_deref().map(excerpt),
            })).collect::<Vec<_>>(),
        },
        app_fix: Some(
            "Put the partition key into the WHERE clause as a constant or parameter of the same type, so that all but one partition are left \
             out when it is planned; fewer, larger partitions; drop indexes that nothing uses (dbre.check(rules => array['unused_index'])); \
             prepared statements with a generic plan lock only what they scan. PostgreSQL 18 sizes the fast path by \
             max_locks_per_transaction."
                .to_string(),
        ),
        verify_sql: Some(
            "select pid, pg_catalog.count(*) filter (where fastpath) as fast_path, pg_catalog.count(*) filter (where not fastpath) as shared \
             from pg_catalog.pg_lock_status() where locktype = 'relation' group by pid order by shared desc limit 5;"
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}
