use crate::advice::pgbouncer::identifier;
use crate::facts::Facts;
use crate::facts::pgbouncer::{Pgbouncer, PooledDatabase};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "pgbouncer_database_out_of_service",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A database is disabled or paused on PgBouncer's console, or (from 1.19 on) PgBouncer with all its databases is paused or \
                suspended: medium. High where clients wait, or where a disabled database is in use: clients are connected to it, or PgBouncer's \
                averages (since its last stats_period but one) have queries of it.",
    effect: "DISABLE refuses every new client (FATAL: database is disabled) and leaves those that are connected; PAUSE and SUSPEND let \
             every client wait, up to query_wait_timeout.",
    workaround: "ENABLE or RESUME on the console, when what it was done for is over.",
    sources: &["https://www.pgbouncer.org/usage.html#process-controlling-commands"],
    options: &[],
    needs: &[Need::Pgbouncer],
    cases: &[
        Case {
            name: "disabled",
            setup: "create table pgbouncer as select '' as settings, format('DISABLE %I', current_database()) as console",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "paused, and nobody waits",
            setup: "create table pgbouncer as select '' as settings, format('PAUSE %I', current_database()) as console",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all are paused",
            setup: "create table pgbouncer as select '' as settings, 'PAUSE' as console",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "in service",
            setup: "create table pgbouncer as select '' as settings, format('RECONNECT %I', current_database()) as console",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    let all = (pgbouncer.paused == Some(true)).then(|| all_paused(pgbouncer));
    let out = pgbouncer.databases.iter().filter(|database| database.paused || database.disabled);
    Ok(all.into_iter().chain(out.map(|database| judge(database, pgbouncer))).collect())
}

fn all_paused(pgbouncer: &Pgbouncer) -> Finding {
    let waiting: u64 = pgbouncer.pools.iter().map(|pool| pool.clients_waiting).sum();
    Finding {
        severity: if waiting > 0 { Severity::high } else { RULE.severity },
        object: "PgBouncer".to_string(),
        weight: waiting,
        summary: format!("PgBouncer is paused with all its databases{}", waiting_for(waiting)),
        cause: "PAUSE or SUSPEND was run on its console: no client gets a server connection until RESUME.".to_string(),
        evidence: object! { "paused": true, "clients_waiting": waiting },
        app_fix: Some("On the console: RESUME;".to_string()),
        ..Finding::that_changes_nothing()
    }
}

fn judge(database: &PooledDatabase, pgbouncer: &Pgbouncer) -> Finding {
    let PooledDatabase { name, paused, disabled, .. } = database;
    let pools = || pgbouncer.pools.iter().filter(|pool| pool.database == *name);
    let waiting: u64 = pools().map(|pool| pool.clients_waiting).sum();
    let clients: u64 = pools().map(|pool| pool.clients_active).sum::<u64>() + waiting;
    // Queries per second are whole numbers.
    let query_ms = pgbouncer.load(name).map(|load| load.query_ms);
    let in_use = clients > 0 || query_ms.is_some_and(|ms| ms > 0.0);
    let states: Vec<&str> = [(*disabled, "disabled"), (*paused, "paused")]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, state)| state)
        .collect();
    let mut cause = Vec::new();
    let mut commands = Vec::new();
    if *disabled {
        cause.push(match clients {
            0 => "New clients are refused: database is disabled.".to_string(),
            _ => format!(
                "New clients are refused: database is disabled. {} from before, and cannot come back once gone.",
                match clients {
                    1 => "1 is connected".to_string(),
                    many => format!("{} are connected", Count(many)),
                }
            ),
        });
        commands.push(format!("ENABLE {};", identifier(name)));
    }
    if *paused {
        cause.push("Clients get no server connection until RESUME.".to_string());
        commands.push(format!("RESUME {};", identifier(name)));
    }
    Finding {
        severity: if waiting > 0 || *disabled && in_use { Severity::high } else { RULE.severity },
        object: format!("PgBouncer database {name}"),
        weight: clients,
        summary: format!("Database {name} is {} on PgBouncer's console{}", states.join(" and "), waiting_for(waiting)),
        cause: cause.join(" "),
        evidence: object! {
            "disabled": disabled,
            "paused": paused,
            "clients": clients,
            "clients_waiting": waiting,
            "database_query_ms": query_ms,
        },
        app_fix: Some(format!("On the console: {}", commands.join(" "))),
        ..Finding::that_changes_nothing()
    }
}

fn waiting_for(clients: u64) -> String {
    match clients {
        0 => String::new(),
        clients => format!("; {}", Count(clients).does("client", "waits", "wait")),
    }
}
