use crate::advice::end_session::{Ending, Frees};
use crate::advice::long_running::{Kind, statements};
use crate::advice::measured_query::{excerpt, took};
use crate::advice::wait_events::meaning_or_kind;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Session, Usual};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration};
use serde_json::{Map, Value, json};

pub static RULE: Rule = Rule {
    id: "long_running_statement",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A client's statement has run for at least min_seconds without waiting for a lock or a synchronous standby; sessions of \
                    one role that run the same statement are one finding. Low where it has taken as long before (pg_stat_statements); high \
                    from many_seconds, or where it takes more than many_times as long as ever before. Maintenance and COPY (VACUUM, CREATE \
                    INDEX, pg_dump) count from maintenance_seconds, and are low; but a COPY that waits for its client, and has copied less than \
                    1000 bytes in each of its seconds, is as any statement.",
    effect: "Its connection is taken out of the pool, its memory and CPU from the others; its snapshot keeps dead rows of the whole \
                 database from being removed. A client that has given up long ago does not end it: the server notices when it sends.",
    workaround: "Cancel what nobody waits for any more; give each role the statement_timeout that its work needs, and long reports a role, \
                     and better a standby, of their own.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-STATEMENT-TIMEOUT"],
    options: &[
        OptionSpec::number(
            "min_seconds",
            (300.0, "seconds"),
            (0.0, 1e9),
            "Statements that run for less are left alone.",
        ),
        OptionSpec::number("many_seconds", (3600.0, "seconds"), (0.0, 1e9), "From here on: high."),
        OptionSpec::number("many_times", (10.0, "times"), (1.0, 1e9), "More than so many times its longest run: high."),
        OptionSpec::number("maintenance_seconds", (7200.0, "seconds"), (0.0, 1e9), "For maintenance and COPY."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "sleeps in the server",
            setup: "select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 0, \"many_seconds\": 0}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'web', null, 'select pg_sleep(60)', true), \
                    (2, 'web 2', null, 'select pg_sleep(60)', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "for a moment only",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'web', null, 'select pg_sleep(60)', true)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "waits for a lock",
            setup: "select dbre.configure_rule('long_running_statement', options => '{\"min_seconds\": 0}'); \
                    create table t (id int); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'first', null, 'begin; lock table t', false), \
                    (2, 'second', null, 'select from t', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let long = |session: &Session, kind: Kind| {
        let least = if kind.is_dear() { "maintenance_seconds" } else { "min_seconds" };
        let waits = session.waits_for_lock() || session.waits_at("SyncRep");
        !waits && session.query_seconds.is_some_and(|seconds| seconds >= options.number(least))
    };
    Ok(statements(activity, long).iter().map(|(kind, sessions)| judge(activity, *kind, sessions, options)).collect())
}

/// `sessions`: of one role and statement, longest first.
fn judge(activity: &Activity, kind: Kind, sessions: &[&Session], options: &Options) -> Finding {
    let longest = sessions[0];
    let seconds = longest.query_seconds.unwrap_or_default();
    let usual = activity.usual.of(longest);
    let query = longest.query.as_deref().unwrap_or("<hidden from the caller>");
    let endings: Vec<Result<Ending, String>> =
        sessions.iter().map(|session| Ending::of(session, Frees::Statement, activity)).collect();
    let refused: Vec<&str> = endings.iter().filter_map(|ending| ending.as_ref().err()).map(String::as_str).collect();
    let ended: Vec<&Ending> = endings.iter().flatten().collect();
    let joined = |part: fn(&Ending) -> &str| {
        let parts: Vec<&str> = ended.iter().map(|ending| part(ending)).collect();
        (!parts.is_empty()).then(|| parts.join("\n"))
    };
    let who = match sessions.len() {
        1 => format!("Session {}", longest.pid),
        many => format!("{} (first: {})", Count(many as u64).of("session"), longest.pid),
    };
    let role = longest.role.as_deref().unwrap_or("?");
    let concurrently = kind == Kind::Maintenance && query.to_lowercase().contains("concurrently");
    Finding {
        severity: severity(kind, seconds, usual, options),
        object: object_of(longest),
        weight: seconds as u64,
        summary: format!(
            "{who} of {role} ({}) {} {} for {}{}: {}",
            longest.application,
            if sessions.len() == 1 { "has run" } else { "have run" },
            match kind {
                Kind::Statement => "a statement",
                Kind::StalledCopy => "a COPY that waits for its client",
                other => other.name(),
            },
            duration(seconds),
            usually(usual),
            excerpt(query),
        ),
        cause: [cause(activity, longest, usual), refused.join("; ")].join(" ").trim().to_string(),
        evidence: evidence(activity, sessions, usual),
        fix_sql: joined(|ending| &ending.sql).filter(|_| !kind.is_dear()),
        app_fix: Some(
            "SQLAlchemy: create_async_engine(…, connect_args={\"server_settings\": {\"statement_timeout\": \"30s\"}}) for asyncpg, \
             connect_args={\"options\": \"-c statement_timeout=30s\"} for psycopg; a report sets its own by SET LOCAL. A request that the \
             client gives up must cancel its query: asyncio.timeout() around it does, closing the socket does not."
                .to_string(),
        ),
        risk: match (kind, ended.first()) {
            (kind, Some(ending)) if !kind.is_dear() => ending.risk.clone(),
            (_, Some(_)) if concurrently => {
                "Nothing is proposed. Cancelled, it leaves an invalid index behind, to be dropped.".to_string()
            }
            (_, Some(_)) => "Nothing is proposed: what it has done so far would be lost.".to_string(),
            (_, None) => Finding::NO_RISK.to_string(),
        },
        verify_sql: match ended.as_slice() {
            [only] if !kind.is_dear() => Some(only.verify_sql.clone()),
            _ => None,
        },
        ..Finding::that_changes_nothing()
    }
}

fn severity(kind: Kind, seconds: f64, usual: Option<Usual>, options: &Options) -> Severity {
    let beyond = |times: f64| usual.is_some_and(|usual| seconds * 1000.0 > times * usual.most_ms);
    match kind {
        _ if kind.is_dear() => Severity::low,
        _ if beyond(options.number("many_times")) => Severity::high,
        _ if usual.is_some() && !beyond(1.0) => Severity::low,
        _ if seconds >= options.number("many_seconds") => Severity::high,
        _ => Severity::medium,
    }
}

fn object_of(session: &Session) -> String {
    let database = session.database.as_deref().unwrap_or("?");
    let role = session.role.as_deref().unwrap_or("?");
    match session.query_id {
        Some(id) => format!("query {id} of {role} in {database}"),
        None => {
            let start = session.query_start.as_deref().unwrap_or_default();
            format!("statement of session {} since {start}", session.pid)
        }
    }
}

fn usually(usual: Option<Usual>) -> String {
    usual.map_or(String::new(), |usual| format!(", usually {}", took(usual.mean_ms)))
}

fn cause(activity: &Activity, session: &Session, usual: Option<Usual>) -> String {
    let now = match &session.wait {
        Some(wait) => {
            format!(
                "At this moment it {} ({}: {}).",
                meaning_or_kind(&wait.kind, &wait.event).means,
                wait.kind,
                wait.event
            )
        }
        None => "At this moment it waits for nothing: it computes.".to_string(),
    };
    let before = match (usual, &activity.usual.unknown) {
        (Some(usual), _) => format!(
            "{} before took {} each, {} at most.",
            Count(usual.calls as u64).of("run"),
            took(usual.mean_ms),
            took(usual.most_ms),
        ),
        (None, Some(why)) => format!("How long it usually takes is not known: {why}."),
        (None, None) => "No earlier run of it has been counted.".to_string(),
    };
    let progress = activity.progress_of(session).map(|progress| format!("Progress: {}.", progress.text()));
    let workers = match activity.workers_of(session) {
        0 => None,
        workers => Some(format!("{} for it.", Count(workers as u64).does("parallel worker", "runs", "run"))),
    };
    let plan = "dbre.explain_findings() says why a query takes its time.".to_string();
    [Some(now), Some(before), progress, workers, Some(plan)].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn evidence(activity: &Activity, sessions: &[&Session], usual: Option<Usual>) -> Map<String, Value> {
    let longest = sessions[0];
    let each = sessions.iter().take(SHOWN).map(|session| {
        json!({
            "pid": session.pid,
            "statement_seconds": session.query_seconds,
            "transaction_seconds": session.transaction_seconds,
            "wait_event": session.wait.as_ref().map(|wait| format!("{}: {}", wait.kind, wait.event)),
            "client_address": session.client_address,
        })
    });
    object! {
        "database": longest.database,
        "user_name": longest.role,
        "application_name": longest.application,
        "statement_seconds": longest.query_seconds,
        "sessions": sessions.len(),
        "longest": each.collect::<Vec<_>>(),
        "query": longest.query,
        "query_id": longest.query_id,
        "snapshot_age_transactions": longest.snapshot_age,
        "parallel_workers": activity.workers_of(longest),
        "progress": activity.progress_of(longest).map(|progress| progress.text()),
        "usual_calls": usual.map(|usual| usual.calls),
        "usual_mean_ms": usual.map(|usual| usual.mean_ms),
        "usual_most_ms": usual.map(|usual| usual.most_ms),
        "basis": "times measured now; usual times counted by pg_stat_statements",
    }
}

/// More sessions are counted only.
const SHOWN: usize = 10;
