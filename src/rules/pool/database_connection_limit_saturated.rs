use crate::advice::saturation::{self, Limit};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "database_connection_limit_saturated",
    category: "pool",
    severity: crate::finding::Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A database has a CONNECTION LIMIT of at least 5 (a smaller one is meant to be taken), and more than high_share of it is taken; more than critical_share: critical.",
    effect: "When all of it is taken, new connections to the database are refused (SQLSTATE 53300), while the server has slots left.",
    workaround: "End idle sessions now; then smaller pools, or a limit that fits them (ALTER DATABASE … CONNECTION LIMIT).",
    sources: &["https://www.postgresql.org/docs/17/sql-alterdatabase.html"],
    options: saturation::OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "idle sessions take all",
            setup: "select dbre.configure_rule('database_connection_limit_saturated', options => '{\"min_idle_seconds\": 0}'); \
                    do $$ begin execute format('alter database %I connection limit 10', current_database()); end $$; \
                    create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 10) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "there is room",
            setup: "do $$ begin execute format('alter database %I connection limit 20', current_database()); end $$; \
                    create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 8) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let databases = activity.slots.databases.iter().flatten();
    let concerned = databases.filter(|database| activity.only.as_ref().is_none_or(|only| *only == database.name));
    let limits = concerned.filter_map(|database| {
        let sessions: Vec<&Session> =
            activity.sessions.iter().filter(|s| s.takes_slot() && s.database_oid == Some(database.oid)).collect();
        let own = activity.slots.own.is_some_and(|(own, _)| own == database.oid);
        Some(Limit {
            object: format!("database {}", database.name),
            what: format!("connections to database {}", database.name),
            limit: database.limit.filter(|limit| *limit >= saturation::SMALLEST)?,
            filter: format!(" and datid = {}", database.oid),
            taken: sessions.len() as u64 + u64::from(own),
            logging_in: 0,
            sessions,
        })
    });
    Ok(limits.filter_map(|limit| saturation::judge(limit, facts, options)).collect())
}
