use crate::advice::pgbouncer::{Breaks, ConnectQueries};
use crate::advice::session_features::Used;
use crate::facts::pgbouncer::{Key, Mode, Pgbouncer, Place, Pool};
use crate::facts::{Facts, shortened};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "pgbouncer_features_break",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A pool in transaction or statement mode whose clients use what outlives a transaction (LISTEN, session-level advisory \
                locks, SET without LOCAL, temporary tables, cursors WITH HOLD, PREPARE in SQL, LOAD): high where the sessions of the \
                pool show it now, medium where pg_stat_statements has it of the pool's role in its database. Settings that PgBouncer \
                tracks for each client (TimeZone, client_encoding, application_name and others) do not count, nor pools of a database that \
                DISABLE has taken out of service, nor a set_config() of \
                which the text does not say whether it is for the session: pg_stat_statements has a parameter there.",
    effect: "It works by chance, as long as the same connection comes back: settings and locks reach other clients, \
             notifications nobody.",
    workaround: "Keep such use within a transaction, or give those clients a pool in session mode or a direct connection.",
    sources: &["https://www.pgbouncer.org/features.html#sql-feature-map-for-pooling-modes"],
    options: &[],
    needs: &[Need::Activity, Need::Pgbouncer],
    cases: &[
        Case {
            name: "an advisory lock left behind",
            setup: "create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'job', null, 'select pg_advisory_lock(1)'), (2, 'job', null, 'select 2')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a setting, long ago",
            setup: "create extension pg_stat_statements; create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'job', null, 'set statement_timeout = ''1min'''), (2, 'job', null, 'select 2')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "settings that are tracked, or may be the transaction's",
            setup: "create extension pg_stat_statements; create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'job', null, 'select set_config(''app.tenant'', ''7'', true)'), \
                    (2, 'job', null, 'select set_config(''TimeZone'', ''UTC'', false)')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "session mode",
            setup: "create table pgbouncer as select 'pool_mode = session' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'job', null, 'select pg_advisory_lock(1)'), (2, 'job', null, 'select 2')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a lock of the transaction",
            setup: "create table pgbouncer as select 'pool_mode = transaction' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'job', null, 'select pg_advisory_xact_lock(1)'), (2, 'job', null, 'select 2')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Evidence quotes so much of a statement.
const SHOWN: usize = 300;

fn check(facts: &Facts, _: &Options) -> Verdict {
    let (pgbouncer, activity) = (facts.pgbouncer(), facts.activity());
    // A database out of service has a finding of its own.
    let served = |pool: &&Pool| pgbouncer.database(&pool.database).is_none_or(|database| !database.disabled);
    let pools = pgbouncer.pools_here(&activity.sessions).filter(|pool| pool.mode != Mode::Session).filter(served);
    let own = ConnectQueries::of(pgbouncer, activity);
    let broken = pools.map(|pool| (pool, Breaks::of(pool, pgbouncer, activity, &own)));
    Ok(broken
        .filter(|(_, breaks)| !breaks.features().is_empty())
        .map(|(pool, breaks)| judge(pool, &breaks, pgbouncer))
        .collect())
}

fn judge(pool: &Pool, breaks: &Breaks, pgbouncer: &Pgbouncer) -> Finding {
    let (database, role) = pgbouncer.on_server(pool);
    let features = breaks.features();
    let what: Vec<String> =
        features.iter().map(|feature| format!("{}: {}", feature.name(), feature.breaks())).collect();
    let instead: Vec<String> =
        features.iter().map(|feature| format!("{}: {}.", feature.name(), feature.instead())).collect();
    let seen = match breaks.now.is_empty() {
        true => format!(
            "pg_stat_statements has it of role {role} in database {database}; whether it came through PgBouncer, and whether it is its own \
             connect_query (which is as it should be), the server does not record."
        ),
        false => "The pool's sessions on this server show it now.".to_string(),
    };
    Finding {
        severity: if breaks.now.is_empty() { Severity::medium } else { RULE.severity },
        object: format!("PgBouncer pool {}", pool.name()),
        summary: format!(
            "Clients of pool {} use what {} mode breaks: {}",
            pool.name(),
            pool.mode.name(),
            breaks.names()
        ),
        cause: format!(
            "{seen} In {} mode each transaction may get another connection. {}.",
            pool.mode.name(),
            what.join("; ")
        ),
        evidence: object! {
            "pool_mode": pool.mode.name(),
            "seen_now": shown(&breaks.now),
            "recorded": shown(&breaks.recorded),
            "statements_recorded": pgbouncer.statements.is_some(),
        },
        app_fix: Some(format!(
            "{} Where it must stay, pgbouncer.ini: {}, then RELOAD on the console; or a connection past PgBouncer.",
            instead.join(" "),
            session_mode(pool, pgbouncer)
        )),
        ..Finding::that_changes_nothing()
    }
}

/// For these clients alone, where that can be. There each keeps a connection: fewer than they are would let the others wait.
fn session_mode(pool: &Pool, pgbouncer: &Pgbouncer) -> String {
    let mode = Mode::Session.name();
    let clients = |pool: &Pool| (pool.clients_active + pool.clients_waiting).max(1);
    match pgbouncer.own_place(pool, Key::Mode) {
        // It wins over that of any database.
        user @ Place::User(_) => {
            let pools = pgbouncer.pools.iter().filter(|other| other.user == pool.user);
            format!(
                "{}, which holds in every database of the user, and in each a connection for every client ({})",
                pgbouncer.line(&user, Key::Mode, mode),
                pgbouncer.line(&pgbouncer.own_place(pool, Key::Size), Key::Size, pools.map(clients).max().unwrap_or(1))
            )
        }
        _ => format!(
            "a second name of the database, [databases] {}_session = … dbname={} pool_mode={mode} pool_size={} (… as in the line of {}; a \
             connection for every client), to which those that need it connect",
            pool.database,
            pgbouncer.on_server(pool).0,
            clients(pool),
            pool.database
        ),
    }
}

fn shown(used: &[Used]) -> Value {
    let shown = |used: &Used| {
        json!({
            "feature": used.feature.name(),
            "statements": used.statements,
            "calls": used.calls,
            "example": shortened(&used.example.chars().take(SHOWN).collect::<String>()),
        })
    };
    used.iter().map(shown).collect()
}
