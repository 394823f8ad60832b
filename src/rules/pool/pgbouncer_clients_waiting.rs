use crate::advice::end_session::{Ending, Frees};
use crate::advice::pgbouncer::{Held, Root, app_fix, cause};
use crate::facts::Facts;
use crate::facts::pgbouncer::{Pgbouncer, Pool, Waiting};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "pgbouncer_clients_waiting",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Clients wait for a server connection of a PgBouncer's pool, the first of them for at least min_seconds: high; for \
                at least critical_share of query_wait_timeout, at which PgBouncer disconnects it: critical.",
    effect: "Requests stand still although the server may be idle; at query_wait_timeout they fail.",
    workaround: "Free what keeps the pool's connections: transactions left open, blocked or long statements, clients in session \
                 mode; a larger pool only where the server has room.",
    sources: &[
        "https://www.pgbouncer.org/usage.html#show-pools",
        "https://www.pgbouncer.org/config.html#query_wait_timeout",
    ],
    options: &[
        OptionSpec::number("min_seconds", (1.0, "seconds"), (0.0, 1e6), "Shorter waits are how a pool works."),
        OptionSpec::number(
            "critical_share",
            (0.5, "of query_wait_timeout"),
            (0.0, 1.0),
            "A wait of this share of it is critical.",
        ),
        OptionSpec::number(
            "left_open_seconds",
            (30.0, "seconds"),
            (0.0, 1e6),
            "Sessions idle in a transaction for as long are ended by the fix.",
        ),
    ],
    needs: &[Need::Activity, Need::Pgbouncer],
    cases: &[
        Case {
            name: "transactions left open hold the pool",
            setup: "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0, \"left_open_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction\ndefault_pool_size = 1' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'holder', null, 'begin', false), (2, 'holder', null, 'select 1', false), \
                    (3, 'waiter', null, 'select 2', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "as large as another user's pool, PgBouncer shows",
            setup: "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0, \"left_open_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction\ndefault_pool_size = 1\n[users]\naaa = pool_size=10' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'holder', null, 'begin', false), (2, 'holder', null, 'select 1', false), \
                    (3, 'waiter', null, 'select 2', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the limit of the database, a moment ago",
            setup: "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction\nmax_db_connections = 1' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'holder', null, 'begin', false), (2, 'holder', null, 'select 1', false), \
                    (3, 'waiter', null, 'select 2', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "nobody waits",
            setup: "select dbre.configure_rule('pgbouncer_clients_waiting', options => '{\"min_seconds\": 0}'); \
                    create table pgbouncer as select 'pool_mode = transaction\ndefault_pool_size = 1' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'holder', null, 'begin'), (2, 'holder', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    let waits = |pool: &&Pool| pool.clients_waiting > 0 && pool.longest_wait_seconds >= options.number("min_seconds");
    Ok(pgbouncer.pools.iter().filter(waits).map(|pool| judge(pool, pgbouncer, facts, options)).collect())
}

fn judge(pool: &Pool, pgbouncer: &Pgbouncer, facts: &Facts, options: &Options) -> Finding {
    let activity = facts.activity();
    let root = Root::of(pool, pgbouncer);
    let held = Held::of(&root.pools(pool, pgbouncer), pgbouncer, activity);
    let waiting = pgbouncer.waiting_for(pool);
    let timeout = pgbouncer.number("query_wait_timeout").filter(|seconds| *seconds > 0.0);
    let near = timeout.is_some_and(|timeout| pool.longest_wait_seconds >= timeout * options.number("critical_share"));
    let old = |seconds: Option<f64>| seconds.is_some_and(|seconds| seconds >= options.number("left_open_seconds"));
    let endings: Vec<Result<Ending, String>> = match root {
        Root::Paused | Root::AllPaused | Root::NotOpened => Vec::new(),
        _ => {
            let left = held.left_open.iter().filter(|session| old(session.state_seconds));
            left.map(|session| Ending::of(session, Frees::Transaction, activity)).collect()
        }
    };
    let refused: Vec<&str> = endings.iter().filter_map(|ending| ending.as_ref().err()).map(String::as_str).collect();
    let refused = refused.iter().map(|why| format!(" Not ended by the fix: {why}.")).collect::<String>();
    let endings: Vec<&Ending> = endings.iter().filter_map(|ending| ending.as_ref().ok()).collect();
    let joined = |part: &dyn Fn(&Ending) -> &str, by: &str| {
        (!endings.is_empty()).then(|| endings.iter().map(|ending| part(ending)).collect::<Vec<_>>().join(by))
    };
    Finding {
        severity: if near { Severity::critical } else { RULE.severity },
        object: format!("PgBouncer pool {}", pool.name()),
        weight: pool.clients_waiting,
        summary: format!(
            "{} for a server connection of pool {} ({} mode, {} of {} held), the first for {}",
            Count(pool.clients_waiting).does("client", "waits", "wait"),
            pool.name(),
            pool.mode.name(),
            pool.servers_active,
            pool.limit(),
            duration(pool.longest_wait_seconds)
        ),
        cause: format!(
            "{}{}{}{refused}",
            cause(pool, root, &held, pgbouncer, activity),
            lookups(pgbouncer.logging_in(pool)),
            who(&waiting)
        ),
        evidence: object! {
            "root": root.name(),
            "clients_waiting": pool.clients_waiting,
            "longest_wait_seconds": pool.longest_wait_seconds,
            "query_wait_timeout_seconds": timeout,
            "waiting": waiting.iter().take(SHOWN).map(|group| json!({
                "application_name": group.application,
                "client_address": group.address,
                "clients": group.clients,
                "longest_wait_seconds": group.longest_seconds,
            })).collect::<Vec<_>>(),
            "clients_logging_in": pgbouncer.logging_in(pool),
            "clients_active": pool.clients_active,
            "pool_mode": pool.mode.name(),
            "pool_size": pool.size,
            "pool_size_perhaps": pool.perhaps_size,
            "reserve_pool_size": pool.reserve,
            "servers_active": pool.servers_active,
            "servers": pool.servers(),
            "sessions_found": held.all,
            "sessions_idle_in_transaction": held.left_open.len(),
            "sessions_waiting_for_locks": held.waiting_for_locks,
            "sessions_active": held.active.len(),
            "sessions_idle": held.idle.len(),
            "idle_in_transaction": held.left_open.iter().take(SHOWN).map(|session| json!({
                "pid": session.pid,
                "idle_seconds": session.state_seconds,
                "last_statement": session.query,
                "application_name": session.application,
                "client_address": pgbouncer.holder_of(session).map(|client| &client.address),
            })).collect::<Vec<_>>(),
        },
        fix_sql: joined(&|ending| &ending.sql, "\n"),
        app_fix: Some(app_fix(pool, root, &held, pgbouncer, options.number("left_open_seconds"))),
        risk: joined(&|ending| &ending.risk, " ").unwrap_or(Finding::that_changes_nothing().risk),
        verify_sql: joined(&|ending| ending.verify_sql.trim_end_matches(';'), "\nunion all ")
            .map(|sql| format!("{sql};")),
        ..Finding::that_changes_nothing()
    }
}

/// ` 2 clients want to log in: …`
fn lookups(clients: u64) -> String {
    match clients {
        0 => String::new(),
        clients => format!(
            " {} to log in: PgBouncer looks their passwords up (auth_query) over a connection of this pool.",
            Count(clients).does("client", "waits", "wait")
        ),
    }
}

/// ` Most of those that wait: 6 of web at 10.0.0.3, 2 of worker at unix.`
fn who(waiting: &[Waiting]) -> String {
    let group = |group: &Waiting| {
        let of = group.application.map_or_else(|| "without application_name".to_string(), |name| format!("of {name}"));
        format!("{} {of} at {}", group.clients, group.address)
    };
    if waiting.is_empty() {
        return String::new();
    }
    let most = if waiting.len() > TOLD { "Most of those that wait" } else { "Those that wait" };
    format!(" {most}: {}.", waiting.iter().take(TOLD).map(group).collect::<Vec<_>>().join(", "))
}

/// More are left out of the evidence, and of the words.
const SHOWN: usize = 10;
const TOLD: usize = 3;
