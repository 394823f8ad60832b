use crate::advice::saturation::{self, Limit};
use crate::facts::Facts;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "connection_slots_saturated",
    category: "pool",
    severity: crate::finding::Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Of the connections that ordinary users can take (max_connections less superuser_reserved_connections and \
                reserved_connections) more than high_share are taken; more than critical_share: critical.",
    effect: "When all are taken, clients are refused (SQLSTATE 53300): the application is down, deploys and monitoring with it.",
    workaround: "End idle sessions now; then pools whose size times their processes stays below the limit, or PgBouncer before the \
                 server. More max_connections only move the limit: each takes memory, and more active sessions than cores are slower.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-MAX-CONNECTIONS",
        "https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-SUPERUSER-RESERVED-CONNECTIONS",
    ],
    options: saturation::OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "idle sessions take a fourth",
            setup: "select dbre.configure_rule('connection_slots_saturated', options => \
                        '{\"high_share\": 0.25, \"critical_share\": 0.9, \"min_idle_seconds\": 0}'); \
                    create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 30) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "few of all",
            setup: "create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 5) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let limit = Limit {
        object: "max_connections".to_string(),
        what: "connections that ordinary users can take".to_string(),
        limit: activity.slots.ordinary(),
        filter: String::new(),
        sessions: activity.sessions.iter().filter(|session| session.takes_slot()).collect(),
        taken: activity.slots_taken(),
        logging_in: activity.logging_in(),
    };
    Ok(saturation::judge(limit, facts, options).into_iter().collect())
}
