use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "enum_value_used_before_commit",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement uses a value of an enum in the transaction that adds it to a type which was there before.",
    effect: "It fails with 'unsafe use of new value', and all of its transaction is undone.",
    workaround: "Add the value in a migration of its own, before the one that uses it; in Alembic in an autocommit_block().",
    sources: &["https://www.postgresql.org/docs/17/sql-altertype.html#SQL-ALTERTYPE-NOTES"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "in one transaction",
            setup: "create type mood as enum ('a'); create table p (m mood); create table example as select $m$begin; alter type mood add value 'b'; insert into p values ('b'); alter table p alter m set default 'b'; commit$m$ as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "after its commit, and another value",
            setup: "create type mood as enum ('a'); create table p (m mood); create table example as select $m$begin; alter type mood add value 'b'; insert into p values ('a'); commit; insert into p values ('b')$m$ as migration",
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
        let Effect::Fails { why: Failure::EnumValueNotCommitted { value }, sqlstate, .. } = effect else {
            continue;
        };
        let mut finding = migration_step::without_table(step, &format!("value '{value}'"), RULE.severity);
        finding.summary = format!("The value '{value}' is used in the transaction that adds it: PostgreSQL refuses it");
        finding.cause = "A new value of an enum that was there before may be used only when the transaction that adds it has committed.".to_string();
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        finding.risk = "The statement does not run.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}
