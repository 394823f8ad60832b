use crate::advice::logged::{seen, times, verify};
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "connections_refused",
    category: "pool",
    severity: Severity::critical,
    since: "0.1.0",
    enabled: true,
    condition: "The log has connections that were refused for lack of slots (SQLSTATE 53300), at least many: \
                    critical; fewer: high.",
    effect: "A client that is refused is out of service; and so are those who come to look.",
    workaround: "Fewer and shared connections: a pool in the application whose size times its processes stays below \
                    max_connections, or PgBouncer before the server.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-MAX-CONNECTIONS"],
    options: &[OptionSpec::number("many", (10.0, "connections"), (1.0, 1e9), "So many refused are critical.")],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "no slots",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,FATAL,53300,\"sorry, too many clients already\",,,,,,,,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 12) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a password is wrong",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,FATAL,28P01,\"password authentication failed for user \
                    \"\"app\"\"\",,,,,,,,,\"web\",\"client backend\",,0' as line from generate_series(1, 12) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    Ok((log.refused.count > 0).then(|| judge(log, options)).into_iter().collect())
}

fn judge(log: &ServerLog, options: &Options) -> Finding {
    let (refused, settings) = (&log.refused, &log.settings);
    let slots = settings.number("max_connections");
    let reserved = settings.number("superuser_reserved_connections") + settings.number("reserved_connections");
    let mut evidence = seen(log, (refused.first, refused.last), &refused.users, &refused.applications);
    evidence.extend(object! {
        "count": refused.count,
        "messages": refused.messages.iter().map(|(message, count)| json!({"message": message, "count": count})).collect::<Vec<_>>(),
        "databases": refused.databases.names(),
        "max_connections": slots,
        "reserved_connections": reserved,
    });
    let many = refused.count as f64 >= options.number("many");
    let top = refused.messages.iter().max_by_key(|(_, count)| *count).map_or("", |(message, _)| message.as_str());
    Finding {
        severity: if many { Severity::critical } else { Severity::high },
        object: "max_connections".to_string(),
        weight: refused.count,
        summary: format!("Connections were refused {} for lack of slots: {top}", times(refused.count)),
        cause: format!(
            "{} of {slots} slots are for all, {reserved} are reserved; a limit of a role or a database, where the message names one, \
             is lower.",
            slots - reserved
        ),
        evidence,
        app_fix: Some(format!(
            "SQLAlchemy: (pool_size + max_overflow) × processes of all services must stay below {}; set pool_timeout so that requests \
             wait for a connection instead of opening another. With many processes put PgBouncer (pool_mode = transaction) between.",
            slots - reserved
        )),
        verify_sql: Some(verify(RULE.id, "max_connections")),
        ..Finding::that_changes_nothing()
    }
}
