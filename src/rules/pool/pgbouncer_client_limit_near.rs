use crate::facts::Facts;
use crate::facts::pgbouncer::{Pgbouncer, Place, Pool};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "pgbouncer_client_limit_near",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "As many clients are connected to PgBouncer as high_share of max_client_conn, or from 1.24 on of max_db_client_connections of a \
                database or max_user_client_connections of a user: high; as critical_share: critical.",
    effect: "Beyond the limit new clients are refused: no more connections allowed (max_client_conn).",
    workaround: "max_client_conn costs PgBouncer about 2 kB and a file descriptor a client: raise it (and the limit on open \
                 files), or let applications keep fewer connections open.",
    sources: &["https://www.pgbouncer.org/config.html#max_client_conn"],
    options: &[
        OptionSpec::number("high_share", (0.8, "of the limit"), (0.0, 1.0), "From here on it is a finding."),
        OptionSpec::number("critical_share", (0.95, "of the limit"), (0.0, 1.0), "From here on it is critical."),
    ],
    needs: &[Need::Pgbouncer],
    cases: &[
        Case {
            name: "two of two",
            setup: "create table pgbouncer as select 'max_client_conn = 2' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "two of two of the database",
            setup: "create table pgbouncer as select 'max_db_client_connections = 2' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "room for more",
            setup: "create table pgbouncer as select 'max_client_conn = 100' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1'), (2, 'two', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// So many clients may be connected.
struct Limit {
    /// `max_client_conn`
    setting: &'static str,
    /// Whose line can set it.
    place: Place,
    clients: u64,
    most: u64,
    /// Clients under it that wait for a server connection.
    waiting: u64,
}

fn check(facts: &Facts, options: &Options) -> Verdict {
    let limits = limits(facts.pgbouncer());
    let share = |limit: &Limit| limit.clients as f64 / limit.most.max(1) as f64;
    let near = limits.into_iter().filter(|limit| share(limit) >= options.number("high_share"));
    Ok(near.map(|limit| finding(&limit, share(&limit) >= options.number("critical_share"))).collect())
}

fn limits(pgbouncer: &Pgbouncer) -> Vec<Limit> {
    let waiting = |takes: &dyn Fn(&Pool) -> bool| {
        pgbouncer.pools.iter().filter(|pool| takes(pool)).map(|pool| pool.clients_waiting).sum()
    };
    let of_all = pgbouncer.clients.zip(pgbouncer.number("max_client_conn")).map(|(clients, most)| Limit {
        setting: "max_client_conn",
        place: Place::Global,
        // The one that asks is gone in a moment.
        clients: clients.saturating_sub(1),
        most: most as u64,
        waiting: waiting(&|_| true),
    });
    let of_databases = pgbouncer.databases.iter().filter_map(|database| {
        Some(Limit {
            setting: "max_db_client_connections",
            place: Place::Database(database.name.clone()),
            clients: database.clients,
            most: database.max_clients?,
            waiting: waiting(&|pool| pool.database == database.name),
        })
    });
    let of_users = pgbouncer.users.iter().filter_map(|user| {
        Some(Limit {
            setting: "max_user_client_connections",
            place: Place::User(user.name.clone()),
            clients: user.clients,
            most: user.max_clients?,
            waiting: pgbouncer.active_clients.iter().filter(|client| client.waits && client.login == user.name).count()
                as u64,
        })
    });
    of_all.into_iter().chain(of_databases).chain(of_users).collect()
}

fn finding(limit: &Limit, critical: bool) -> Finding {
    let Limit { setting, place, clients, most, waiting } = limit;
    let whose = match place {
        Place::Global => String::new(),
        Place::Database(name) => format!(" of database {name}"),
        Place::User(name) => format!(" of user {name}"),
    };
    let advised = (clients * 2).max(most * 2);
    Finding {
        severity: if critical { Severity::critical } else { RULE.severity },
        object: format!("PgBouncer {setting}{whose}"),
        weight: *clients,
        summary: format!("{clients} of {most} clients{whose} that PgBouncer's {setting} allows are connected"),
        cause: match waiting {
            0 => "None of them waits for a server connection: it is only the limit that is too low, or applications that keep \
                  more connections than they use."
                .to_string(),
            _ => format!(
                "{waiting} of them wait for server connections: clients pile up behind full pools, and a higher limit alone \
                 lets more of them wait."
            ),
        },
        evidence: object! { "setting": setting, "clients": clients, "clients_allowed": most, "clients_waiting": waiting },
        app_fix: Some(format!(
            "pgbouncer.ini: {} (twice; estimated), with as many open files allowed (LimitNOFILE of its service); \
             RELOAD on the console. SQLAlchemy: pool_size and max_overflow of each process no larger than it uses, or NullPool where \
             PgBouncer pools anyway.",
            place.line(setting, advised)
        )),
        risk: "None: nothing is changed by this finding. RELOAD drops no connection.".to_string(),
        ..Finding::that_changes_nothing()
    }
}
