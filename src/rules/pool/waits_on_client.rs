use crate::advice::pools::{ACTIVE, Pool, label, longest};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration, thousandths};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "waits_on_client",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_sessions sessions of one application, role and database, and at least min_share of its active ones, are in \
                the middle of a statement that has run for min_seconds and wait for their client: to read what they send (ClientWrite) \
                or to send what they need (ClientRead).",
    effect: "They hold connections, snapshots and locks at the pace of the client; the server could go on.",
    workaround: "Fetch less or in batches, work on rows after the result is read, and look at the CPU and network of the client.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#WAIT-EVENT-CLIENT-TABLE"],
    options: &[
        OptionSpec::number("min_sessions", (5.0, "sessions"), (1.0, 1e9), "Fewer are left alone."),
        OptionSpec::number("min_share", (0.5, "of the active sessions"), (0.0, 1.0), "A smaller share is left alone."),
        OptionSpec::number("min_seconds", (1.0, "seconds"), (0.0, 1e9), "Shorter statements are left alone."),
        OptionSpec::pattern(
            "except_applications",
            "^(pg_dump|pg_dumpall|pg_restore|pg_basebackup)$",
            "Applications that copy at the pace of their disk.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "a copy without rows",
            setup: "select dbre.configure_rule('waits_on_client', options => '{\"min_sessions\": 1, \"min_seconds\": 0}'); \
                    create table loaded (a int); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'loader', null, 'copy loaded from stdin', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "idle sessions wait for their client too",
            setup: "select dbre.configure_rule('waits_on_client', options => '{\"min_sessions\": 1, \"min_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let except = options.pattern("except_applications");
    let mut pools: BTreeMap<String, Vec<&Session>> = BTreeMap::new();
    for session in facts.activity().clients().filter(|session| !except.is_match(&session.application)) {
        pools.entry(label(session)).or_default().push(session);
    }
    Ok(pools.into_iter().filter_map(|(name, sessions)| judge(&name, &Pool { sessions }, options)).collect())
}

fn judge(name: &str, pool: &Pool, options: &Options) -> Option<Finding> {
    let of_event = |session: &&Session, event: &str| {
        session.wait.as_ref().is_some_and(|wait| wait.kind == "Client" && wait.event == event)
            && session.query_seconds.is_some_and(|seconds| seconds >= options.number("min_seconds"))
    };
    let waiting = |event| pool.in_state(&ACTIVE).filter(move |session| of_event(session, event));
    let (reading, writing) = (waiting("ClientRead").count() as u64, waiting("ClientWrite").count() as u64);
    let (count, active) = (reading + writing, pool.active());
    let share = count as f64 / active.max(1) as f64;
    if count == 0 || (count as f64) < options.number("min_sessions") || share < options.number("min_share") {
        return None;
    }
    let oldest = longest(waiting("ClientRead").chain(waiting("ClientWrite")), |session| session.query_seconds);
    let mostly_writing = writing >= reading;
    Some(Finding {
        severity: RULE.severity,
        object: name.to_string(),
        weight: count,
        summary: format!(
            "{} of {active} active sessions of {name} wait for their client, for up to {}",
            Count(count),
            duration(oldest.unwrap_or_default())
        ),
        cause: match mostly_writing {
            true => "The client does not read its results as fast as they come (ClientWrite): it works on each row before it takes the \
                     next, or has no CPU or network for them."
                .to_string(),
            false => "The server is in the middle of a statement and needs more of it (ClientRead): COPY FROM STDIN whose rows do not \
                      come, or a pipeline that the client has not finished."
                .to_string(),
        } + " This is one look: look again to see whether it lasts.",
        evidence: object! {
            "waiting_for_client": count,
            "client_read": reading,
            "client_write": writing,
            "active": active,
            "share": thousandths(share),
            "longest_statement_seconds": oldest,
            "example": waiting("ClientWrite").chain(waiting("ClientRead")).next().and_then(|session| session.query.clone()),
        },
        app_fix: Some(
            "Read only the columns and rows that are used (LIMIT, keyset pagination); SQLAlchemy: execution_options(yield_per=1000) or \
             stream_results, and the work after the read, outside of the transaction; asyncpg: a cursor with prefetch; for COPY send \
             larger buffers. An async client whose event loop is blocked by CPU work shows the same."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    })
}
