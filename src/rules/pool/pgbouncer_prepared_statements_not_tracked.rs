use crate::facts::Facts;
use crate::facts::pgbouncer::Mode;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "pgbouncer_prepared_statements_not_tracked",
    category: "pool",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Pools with clients are in transaction or statement mode, and PgBouncer does not track prepared statements: \
                max_prepared_statements is 0, or it is older than 1.21.",
    effect: "Drivers that prepare by protocol, as asyncpg, psycopg 3 and JDBC do unless told not to, fail with: prepared statement … does \
             not exist; those told not to parse and plan each time.",
    workaround: "max_prepared_statements = 200 with PgBouncer 1.21 or newer (the default since 1.24).",
    sources: &["https://www.pgbouncer.org/config.html#max_prepared_statements"],
    options: &[],
    needs: &[Need::Pgbouncer],
    cases: &[
        Case {
            name: "not tracked",
            setup: "create table pgbouncer as select 'pool_mode = transaction\nmax_prepared_statements = 0' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "tracked",
            setup: "create table pgbouncer as select 'pool_mode = transaction\nmax_prepared_statements = 10' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "session mode needs none",
            setup: "create table pgbouncer as select 'pool_mode = session\nmax_prepared_statements = 0' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    let pools: Vec<String> = pgbouncer
        .pools
        .iter()
        .filter(|pool| pool.mode != Mode::Session && pool.clients_active + pool.clients_waiting > 0)
        .map(|pool| pool.name())
        .collect();
    let can = pgbouncer.release() >= (1, 21);
    let most = pgbouncer.number("max_prepared_statements");
    // A configuration that could not be read says nothing.
    let unread = pgbouncer.config.is_empty();
    if pools.is_empty() || unread || can && most != Some(0.0) {
        return Ok(Vec::new());
    }
    let change = match can {
        true => "pgbouncer.ini: max_prepared_statements = 200, then RELOAD on the console.".to_string(),
        false => {
            format!("Update PgBouncer {} to 1.21 or newer; there max_prepared_statements = 200.", pgbouncer.version)
        }
    };
    Ok(vec![Finding {
        object: "PgBouncer max_prepared_statements".to_string(),
        summary: match can {
            true => "PgBouncer does not track prepared statements: max_prepared_statements is 0".to_string(),
            false => format!("PgBouncer {} cannot track prepared statements", pgbouncer.version),
        },
        cause: format!(
            "Clients of {} may get another connection for each transaction, where what they have prepared is not known. Whether they prepare \
             neither PgBouncer nor the server shows.",
            pools.join(", ")
        ),
        evidence: object! {
            "pgbouncer_version": pgbouncer.version,
            "max_prepared_statements": most,
            "pools": pools,
        },
        app_fix: Some(format!(
            "{change} Until then: SQLAlchemy with asyncpg connect_args={{\"statement_cache_size\": 0, \"prepared_statement_cache_size\": 0}}, \
             psycopg 3 prepare_threshold=None, JDBC prepareThreshold=0."
        )),
        ..Finding::that_changes_nothing()
    }])
}
