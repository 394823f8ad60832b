use crate::advice::migration_step::{self, size};
use crate::facts::migration::{Effect, Failure};

use crate::facts::Facts;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_added_not_null_without_default",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD COLUMN … NOT NULL without a default to a table that has rows.",
    effect: "The rows that are there would have no value: the statement fails, and the deployment stops there.",
    workaround: "Give it a default that is not volatile, which takes no time; or add it without NOT NULL, fill it in batches, and make it NOT NULL by a validated CHECK.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "rows",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column n int not null' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a default, an empty table",
            setup: "create table e (id int); create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column n int not null default 0; alter table e add column n int not null' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings: Vec<Finding> = Vec::new();
    for (step, effect) in migration.effects(RULE.id) {
        let Effect::Fails { why: Failure::RowsExist { table, what }, .. } = effect else { continue };
        let mut finding = migration_step::finding(migration, step, table, &format!("{} ({what})", table.name));
        finding.severity = Severity::high;
        finding.summary = format!("{} has rows: {what}", table.name);
        finding.cause = format!("The {} that are there would have no value: the statement will fail.", size(table));
        finding.evidence.insert("sqlstate".into(), "23502".into());
        findings.push(migration_step::without_fix(finding));
    }
    Ok(findings)
}
