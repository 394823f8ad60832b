use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "pgbouncer_client_limit_near",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "As many clients are connected to PgBouncer as high_share of max_client_conn: high; as critical_share: critical.",
    effect: "Beyond max_client_conn new clients are refused: no more connections allowed (max_client_conn).",
    workaround: "max_client_conn costs PgBouncer about 2 kB and a file descriptor a client: raise it (and the limit on open \
                 files), or let applications keep fewer connections open.",
    sources: &["https://www.pgbouncer.org/config.html#max_client_conn"],
    options: &[
        OptionSpec::number("high_share", (0.8, "of max_client_conn"), (0.0, 1.0), "From here on it is a finding."),
        OptionSpec::number("critical_share", (0.95, "of max_client_conn"), (0.0, 1.0), "From here on it is critical."),
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

fn check(facts: &Facts, options: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    let (Some(clients), Some(most)) = (pgbouncer.clients, pgbouncer.number("max_client_conn")) else {
        return Ok(Vec::new());
    };
    // The one that asks is gone in a moment.
    let clients = clients.saturating_sub(1);
    let share = clients as f64 / most.max(1.0);
    if share < options.number("high_share") {
        return Ok(Vec::new());
    }
    let waiting: u64 = pgbouncer.pools.iter().map(|pool| pool.clients_waiting).sum();
    let advised = (clients * 2).max(most as u64 * 2);
    Ok(vec![Finding {
        severity: if share >= options.number("critical_share") { Severity::critical } else { Severity::high },
        object: "PgBouncer max_client_conn".to_string(),
        weight: clients,
        summary: format!("{clients} of {most} clients that PgBouncer's max_client_conn allows are connected"),
        cause: match waiting {
            0 => "None of them waits for a server connection: it is only the limit that is too low, or applications that keep \
                  more connections than they use."
                .to_string(),
            _ => format!(
                "{waiting} of them wait for server connections: clients pile up behind full pools, and a higher limit alone \
                 lets more of them wait."
            ),
        },
        evidence: object! { "clients": clients, "max_client_conn": most, "clients_waiting": waiting },
        app_fix: Some(format!(
            "pgbouncer.ini: max_client_conn = {advised} (twice; estimated), with as many open files allowed (LimitNOFILE of its service); \
             RELOAD on the console. SQLAlchemy: pool_size and max_overflow of each process no larger than it uses, or NullPool where \
             PgBouncer pools anyway."
        )),
        risk: "None: nothing is changed by this finding. RELOAD drops no connection.".to_string(),
        ..Finding::that_changes_nothing()
    }])
}
