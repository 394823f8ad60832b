use crate::facts::Facts;
use crate::facts::pgbouncer::Pgbouncer;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "pgbouncer_not_read",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "PgBouncer's console has shown what is not understood: columns of no version that is known (1.12 to 1.25 are), \
                or values that do not fit them. Low, and apart: it is one of several processes (so_reuseport is on, or it has a \
                peer_id), of which only the one that answered is looked at.",
    effect: "What needs them is not judged: silence about it says nothing.",
    workaround: "Update pg_dbre; until then read SHOW POOLS, SHOW CONFIG and SHOW DATABASES on the console itself.",
    sources: &["https://www.pgbouncer.org/usage.html#show-commands"],
    options: &[],
    needs: &[Need::Pgbouncer],
    cases: &[
        Case {
            name: "a console with columns of its own",
            setup: "create table pgbouncer as select true as pretends",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one of several that share a port",
            setup: "create table pgbouncer as select 'so_reuseport = 1' as settings",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one of several peers",
            setup: "create table pgbouncer as select 'peer_id = 2' as settings",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all is understood",
            setup: "create table pgbouncer as select ''::text as settings",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let pgbouncer = facts.pgbouncer();
    Ok(not_understood(pgbouncer).into_iter().chain(others(pgbouncer)).collect())
}

fn not_understood(pgbouncer: &Pgbouncer) -> Option<Finding> {
    let first = pgbouncer.left_out.first()?;
    Some(Finding {
        severity: RULE.severity,
        object: "PgBouncer's console".to_string(),
        summary: match pgbouncer.left_out.len() {
            1 => format!("PgBouncer {} is not understood: {first}", pgbouncer.version),
            many => {
                let more = Count(many as u64 - 1);
                format!("PgBouncer {} is not understood: {first}, and {more} more", pgbouncer.version)
            }
        },
        cause: "Nothing is guessed from columns whose meaning is not certain: what needs them is not judged."
            .to_string(),
        evidence: object! { "left_out": pgbouncer.left_out, "pgbouncer_version": pgbouncer.version },
        ..Finding::that_changes_nothing()
    })
}

/// Each has pools and clients of its own, and shows no other's.
fn others(pgbouncer: &Pgbouncer) -> Option<Finding> {
    let is_set = |name: &str| pgbouncer.number(name).is_some_and(|number| number > 0.0);
    let why = match (is_set("so_reuseport"), is_set("peer_id")) {
        (true, _) => "so_reuseport is on: others may share its port, and which of them answers is chance",
        (false, true) => "it has a peer_id, so it has peers",
        (false, false) => return None,
    };
    Some(Finding {
        severity: Severity::low,
        object: "PgBouncer's other processes".to_string(),
        summary: "Only one of several PgBouncer processes is looked at".to_string(),
        cause: format!("{why}. Pools, clients and limits are those of the one that answered; another may be full."),
        evidence: object! { "so_reuseport": pgbouncer.number("so_reuseport"), "peer_id": pgbouncer.number("peer_id") },
        app_fix: Some(
            "Ask each process by an address of its own: give each its own unix_socket_dir, or a foreign server for its own host and port."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    })
}
