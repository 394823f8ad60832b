use crate::facts::Facts;
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
                or values that do not fit them.",
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
    let Some(first) = pgbouncer.left_out.first() else { return Ok(Vec::new()) };
    Ok(vec![Finding {
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
    }])
}
