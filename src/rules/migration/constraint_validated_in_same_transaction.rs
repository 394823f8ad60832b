use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{LockMode, Scan};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "constraint_validated_in_same_transaction",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "VALIDATE CONSTRAINT while the transaction still holds the lock under which the constraint was added NOT VALID.",
    effect: "The stronger lock is held until COMMIT, so that validation blocks as long as adding the constraint at once would have: NOT VALID saves nothing.",
    workaround: "COMMIT between the two: ADD … NOT VALID in one transaction, VALIDATE CONSTRAINT in the next.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a check",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'begin; alter table t add constraint n_positive check (n > 0) not valid; alter table t validate constraint n_positive; commit' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a foreign key in a block",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'begin; alter table t add constraint t_p foreign key (n) references p not valid; alter table t validate constraint t_p; commit' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "apart",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'begin; alter table t add constraint n_positive check (n > 0) not valid; commit; begin; alter table t validate constraint n_positive; commit' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings: Vec<Finding> = Vec::new();
    for step in migration.judged(RULE.id) {
        for (table, why) in step.scans() {
            let Scan::Validate { constraint } = why else { continue };
            let held =
                step.held.iter().find(|lock| lock.target.id == table.id && lock.mode > LockMode::ShareUpdateExclusive);
            let Some(held) = held.filter(|_| !table.private) else { continue };
            let name = format!("{}.{}", table.name, quote_identifier(constraint));
            let mut finding = migration_step::finding(migration, step, table, &name);
            finding.summary =
                format!("Validating {constraint} reads {} under {}: {}", table.name, held.mode.sql(), size(table));
            finding.cause = format!(
                "Step {} of the same transaction took {} on {}, and it is held until COMMIT, while VALIDATE CONSTRAINT alone would \
                 need SHARE UPDATE EXCLUSIVE only.",
                held.step,
                held.mode.sql(),
                table.name
            );
            finding.evidence.insert("locked_in_step".into(), held.step.into());
            findings.push(finding);
        }
    }
    Ok(findings)
}
