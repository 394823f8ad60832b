use crate::advice::saturation::{self, Limit};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "role_connection_limit_saturated",
    category: "pool",
    severity: crate::finding::Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A role has a CONNECTION LIMIT of at least 5 (a smaller one is meant to be taken), and more than high_share of it is taken; more than critical_share: critical. \
                Superusers have no limit.",
    effect: "When all of it is taken, new connections of the role are refused (SQLSTATE 53300), while the server has slots left.",
    workaround: "End idle sessions now; then smaller pools, or a limit that fits them (ALTER ROLE … CONNECTION LIMIT).",
    sources: &["https://www.postgresql.org/docs/17/sql-alterrole.html"],
    options: saturation::OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "idle sessions take all",
            setup: "select dbre.configure_rule('role_connection_limit_saturated', options => '{\"min_idle_seconds\": 0}'); \
                    do $$ begin execute format('create role %I login connection limit 6', current_database() || '_web'); end $$; \
                    create table sessions as select 1 as step, 'web ' || g as session, current_database() || '_web' as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 6) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "some listen, lock or have a temporary table",
            setup: "select dbre.configure_rule('role_connection_limit_saturated', options => '{\"min_idle_seconds\": 0}'); \
                    do $$ begin execute format('create role %I login connection limit 10', current_database() || '_web'); \
                        execute format('grant temporary on database %I to %I', current_database(), current_database() || '_web'); end $$; \
                    create table sessions as select 1 as step, session, current_database() || '_web' as role, statement, false as waits \
                        from (values ('listener', 'listen jobs'), ('leader', 'select pg_advisory_lock(42)'), \
                            ('report', 'create temp table t (id int)')) kept (session, statement) \
                    union all select 2, 'web ' || g, current_database() || '_web', 'select 1', false from generate_series(1, 7) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a role without limit",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_web'); end $$; \
                    create table sessions as select 1 as step, 'web ' || g as session, current_database() || '_web' as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 6) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let limits = activity.slots.roles.iter().flatten().filter_map(|role| {
        let limit = role.limit.filter(|limit| *limit >= saturation::SMALLEST)?;
        let sessions: Vec<&Session> =
            activity.sessions.iter().filter(|s| s.takes_slot() && s.role_oid == Some(role.oid)).collect();
        if activity.only.is_some() && !sessions.iter().any(|session| activity.concerns(session)) {
            return None;
        }
        let own = activity.slots.own.is_some_and(|(_, own)| own == role.oid);
        Some(Limit {
            object: format!("role {}", role.name),
            what: format!("connections of role {}", role.name),
            limit,
            filter: format!(" and usesysid = {}", role.oid),
            taken: sessions.len() as u64 + u64::from(own),
            logging_in: 0,
            sessions,
        })
    });
    Ok(limits.filter_map(|limit| saturation::judge(limit, facts, options)).collect())
}
