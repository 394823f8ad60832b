use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Step};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::time::Duration;

pub static RULE: Rule = Rule {
    id: "statement_timeout_too_short",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement is estimated to take longer than the statement_timeout in force for it, which the migration, the session, the role or the database sets.",
    effect: "It is cancelled, and all of its transaction is undone. CREATE INDEX CONCURRENTLY leaves an index behind that is not valid and that every write must keep up.",
    workaround: "Set statement_timeout to 0, or to more than it takes, for this statement only; lock_timeout is what keeps others from waiting.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-STATEMENT-TIMEOUT"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an index under 1 ms, in a transaction and outside",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 7 from generate_series(1, 20000) g; analyze t; create table example as select $m$set statement_timeout = '1ms'; create index concurrently on t (a); begin; create index on t (a, id); commit$m$ as migration",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "time enough, or none set",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 7 from generate_series(1, 20000) g; analyze t; create table example as select $m$create index on t (a); set statement_timeout = '1h'; create index on t (a, id)$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for step in migration.judged(RULE.id) {
        let Some(timeout) = step.statement_timeout.filter(|timeout| is_too_short(step, *timeout)) else { continue };
        let mut finding = migration_step::without_table(step, "statement_timeout", RULE.severity);
        finding.summary = format!(
            "{} takes about {} (estimated), and statement_timeout is {}",
            step.kind,
            migration_step::duration(step.estimated_ms),
            migration_step::duration(milliseconds(timeout))
        );
        finding.cause =
            format!("PostgreSQL cancels it when {} are over.", migration_step::duration(milliseconds(timeout)));
        finding.evidence.insert("statement_timeout_ms".into(), milliseconds(timeout).into());
        // SET LOCAL goes with the transaction; RESET would go back to what the session began with.
        let (set, back) = match step.transaction {
            Some(_) => (
                "set local statement_timeout = 0",
                format!("set local statement_timeout = '{}ms'", timeout.as_millis()),
            ),
            None => ("set statement_timeout = 0", format!("set statement_timeout = '{}ms'", timeout.as_millis())),
        };
        finding.fix_sql = Some(format!("{set};\n{};\n{back};", step.text));
        finding.app_fix = Some(format!("op.execute(\"{set}\") before it, op.execute(\"{back}\") after it."));
        finding.risk = "It runs, and holds its locks, as long as it takes.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}

/// Only what goes through a table takes time that can be told.
fn is_too_short(step: &Step, timeout: Duration) -> bool {
    let works = |effect: &Effect| {
        matches!(
            effect,
            Effect::Rewrites { .. } | Effect::Scans { .. } | Effect::BuildsIndex { .. } | Effect::Writes { .. }
        )
    };
    step.estimated_ms > milliseconds(timeout) && step.effects.iter().any(works)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
