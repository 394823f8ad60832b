use crate::advice::pgbouncer::{Breaks, ConnectQueries, Held};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::facts::pgbouncer::{Key, Mode, Pool};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration};

pub static RULE: Rule = Rule {
    id: "pgbouncer_session_pooling",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A pool in session mode at least idle_share of whose connections, held by clients, have been idle for \
                min_idle_seconds: medium; high while other clients wait for a connection.",
    effect: "Each client that stays connected keeps a server connection which it does not use: PgBouncer saves nothing.",
    workaround: "pool_mode = transaction, if the clients use nothing that outlives a transaction.",
    sources: &["https://www.pgbouncer.org/config.html#pool_mode"],
    options: &[
        OptionSpec::number("min_idle_seconds", (60.0, "seconds"), (0.0, 1e9), "Idle for less counts as in use."),
        OptionSpec::number("idle_share", (0.5, "of the connections held"), (0.0, 1.0), "So many of them must be idle."),
        OptionSpec::number(
            "min_connections",
            (5.0, "connections"),
            (1.0, 1e6),
            "Pools that hold fewer are left alone.",
        ),
    ],
    needs: &[Need::Activity, Need::Pgbouncer],
    cases: &[
        Case {
            name: "idle clients keep connections",
            setup: "select dbre.configure_rule('pgbouncer_session_pooling', options => '{\"min_idle_seconds\": 0, \"min_connections\": 2}'); \
                    create table pgbouncer as select 'pool_mode = session' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "transaction mode",
            setup: "select dbre.configure_rule('pgbouncer_session_pooling', options => '{\"min_idle_seconds\": 0, \"min_connections\": 2}'); \
                    create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "in use a moment ago",
            setup: "select dbre.configure_rule('pgbouncer_session_pooling', options => '{\"min_connections\": 2}'); \
                    create table pgbouncer as select 'pool_mode = session' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (pgbouncer, activity) = (facts.pgbouncer(), facts.activity());
    let pools = pgbouncer.pools.iter().filter(|pool| pool.mode == Mode::Session);
    let own = ConnectQueries::of(pgbouncer, activity);
    Ok(pools.filter_map(|pool| judge(facts, pool, &own, options)).collect())
}

fn judge(facts: &Facts, pool: &Pool, own: &ConnectQueries, options: &Options) -> Option<Finding> {
    let (pgbouncer, activity) = (facts.pgbouncer(), facts.activity());
    let held = Held::of(&[pool], pgbouncer, activity);
    let old =
        |session: &Session| session.state_seconds.is_some_and(|seconds| seconds >= options.number("min_idle_seconds"));
    let idle: Vec<&Session> = held.idle.iter().copied().filter(|session| old(session)).collect();
    let few = (held.all as f64) < options.number("min_connections");
    if few || (idle.len() as f64) < held.all as f64 * options.number("idle_share") {
        return None;
    }
    let breaks = Breaks::of(pool, pgbouncer, activity, own);
    let (longest, least) = (idle.first()?.state_seconds?, idle.last()?.state_seconds?);
    Some(Finding {
        severity: if pool.clients_waiting > 0 { Severity::high } else { RULE.severity },
        object: format!("PgBouncer pool {}", pool.name()),
        weight: idle.len() as u64,
        summary: format!(
            "{} of {} that clients of pool {} hold have been idle for at least {}",
            idle.len(),
            Count(held.all as u64).of("connection"),
            pool.name(),
            duration(least)
        ),
        cause: format!(
            "In session mode a connection is the client's until it disconnects, whether it sends anything or not{}.",
            match pool.clients_waiting {
                0 => String::new(),
                waiting => format!("; {} meanwhile", Count(waiting).does("client", "waits", "wait")),
            }
        ),
        evidence: object! {
            "connections_held": held.all,
            "connections_idle": idle.len(),
            "least_idle_seconds": least,
            "longest_idle_seconds": longest,
            "clients_waiting": pool.clients_waiting,
            "pool_size": pool.size,
            "session_features_in_use": breaks.features().into_iter().map(|feature| feature.name()).collect::<Vec<_>>(),
        },
        app_fix: Some(match breaks.features().is_empty() {
            true => format!(
                "pgbouncer.ini: {}, then RELOAD. Nothing that it would break shows in the sessions{}; \
                 drivers that prepare statements need max_prepared_statements > 0 (PgBouncer 1.21 or newer).",
                pgbouncer.line(&pgbouncer.own_place(pool, Key::Mode), Key::Mode, Mode::Transaction.name()),
                match pgbouncer.statements {
                    Some(_) => " and in pg_stat_statements",
                    None => "; pg_stat_statements, which would show more, is not installed here",
                }
            ),
            false => format!(
                "Transaction mode would break {}: change that first. Until then let applications close what they do not use: SQLAlchemy \
                 pool_size as small as the load needs, max_overflow for peaks.",
                breaks.names()
            ),
        }),
        ..Finding::that_changes_nothing()
    })
}
