use crate::advice::measured_query::excerpt;
use crate::facts::Facts;
use crate::facts::activity::Activity;
use crate::facts::activity::locks::ProcessLocks;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "lock_table_nearly_full",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Of the locks that the shared lock table is made for, max_locks_per_transaction × (all backends + \
                max_prepared_transactions), at least min_share are taken; from critical_share on: critical.",
    effect: "When it is full, statements fail with \"out of shared memory\" (SQLSTATE 53200), whoever's they are.",
    workaround: "Fewer locks in one transaction: fewer tables and partitions at once; or a larger max_locks_per_transaction, which \
                 takes a restart.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-locks.html#GUC-MAX-LOCKS-PER-TRANSACTION"],
    options: &[
        OptionSpec::number("min_share", (0.7, "share"), (0.0, 1.0), "Less is let alone."),
        OptionSpec::number("critical_share", (0.9, "share"), (0.0, 1.0), "From here on it is critical."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "taken to a share set low",
            setup: "select dbre.configure_rule('lock_table_nearly_full', options => '{\"min_share\": 0}'); create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); insert into \
                    sessions values (1, 'dump', null, 'begin; lock t in share mode', false)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a few locks",
            setup: "create table t (id int); create table sessions (step int, session text, role text, statement text, waits bool default \
                    false); insert into sessions values (1, 'dump', null, 'begin; lock t in share mode', false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// So many of those that have most locks are named.
const NAMED: usize = 5;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let usage = &activity.locks.usage;
    let share = usage.locks as f64 / usage.capacity.max(1) as f64;
    Ok((share >= options.number("min_share") && usage.locks > 0)
        .then(|| judge(activity, share, options))
        .into_iter()
        .collect())
}

fn judge(activity: &Activity, share: f64, options: &Options) -> Finding {
    let usage = &activity.locks.usage;
    let most: Vec<&ProcessLocks> = usage.processes.iter().filter(|process| process.shared > 0).take(NAMED).collect();
    let larger = usage.max_locks_per_transaction * 2;
    Finding {
        severity: if share >= options.number("critical_share") { Severity::critical } else { RULE.severity },
        object: "max_locks_per_transaction".to_string(),
        weight: usage.locks,
        summary: format!(
            "{} of {} locks of the shared lock table are taken ({:.0}%)",
            usage.locks,
            usage.capacity,
            share * 100.0
        ),
        cause: format!(
            "max_locks_per_transaction is {}; {}. No fix_sql: what would help at once is that they end what they do.",
            usage.max_locks_per_transaction,
            most.iter().map(|process| described(activity, process)).collect::<Vec<_>>().join(", ")
        ),
        evidence: object! {
            "locks": usage.locks,
            "capacity": usage.capacity,
            "share": rounded(share),
            "max_locks_per_transaction": usage.max_locks_per_transaction,
            "most": most.iter().map(|process| shown(activity, process)).collect::<Vec<_>>(),
        },
        app_fix: Some(format!(
            "Where one transaction touches that many tables or partitions (dumps, migrations, maintenance, queries that prune nothing), do it \
             in several. Or, with a restart: alter system set max_locks_per_transaction = {larger}; which takes some 270 bytes of shared \
             memory for each lock more; standbys first."
        )),
        verify_sql: Some(
            "select pg_catalog.count(*) as locks from pg_catalog.pg_lock_status() where not fastpath;".to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

fn described(activity: &Activity, process: &ProcessLocks) -> String {
    match process.pid {
        0 => format!("prepared transactions hold {}", process.shared),
        pid if pid == activity.caller.pid => format!("the session that asks holds {}", process.shared),
        pid => match activity.sessions.iter().find(|session| session.pid == pid) {
            Some(session) => format!("{} holds {}", crate::advice::blocking::describe(session), process.shared),
            None => format!("process {pid} holds {}", process.shared),
        },
    }
}

fn shown(activity: &Activity, process: &ProcessLocks) -> Value {
    let session = activity.sessions.iter().find(|session| session.pid == process.pid);
    json!({
        "pid": process.pid,
        "locks": process.shared,
        "fast_path_locks": process.fast_path,
        "user_name": session.and_then(|session| session.role.as_deref()),
        "database": session.and_then(|session| session.database.as_deref()),
        "application_name": session.map(|session| session.application.as_str()),
        "query": session.and_then(|session| session.query.as_deref()).map(excerpt),
    })
}
