use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_statement_fails",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "PostgreSQL refuses a statement, as the catalogs are at that point, for a reason that no other rule has.",
    effect: "The migration fails there, and all of its transaction is undone.",
    workaround: "The message says what to correct.",
    sources: &["https://www.postgresql.org/docs/17/errcodes-appendix.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a foreign key that is not valid on a partitioned table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$create table p (id int, t_id int) partition by range (id); alter table p add constraint f foreign key (t_id) references t not valid$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "on a table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$create table p (id int, t_id int); alter table p add constraint f foreign key (t_id) references t not valid$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for (step, effect) in migration.effects(RULE.id) {
        let Effect::Fails { why: Failure::Other { message }, sqlstate, .. } = effect else { continue };
        let mut finding = migration_step::without_table(step, &step.kind, RULE.severity);
        finding.summary = format!("Line {} fails: {message}", step.line);
        finding.cause = format!("PostgreSQL will refuse it: {message}.");
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        finding.risk = "The statement does not run.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}
