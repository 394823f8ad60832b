use crate::advice::migration_step;
use crate::advice::migration_tables::locked;
use crate::facts::Facts;
use crate::facts::migration::statement::AlterTableAction;
use crate::facts::migration::{LockMode, ObjectKind, Statement};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "detach_partition_without_concurrently",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "DETACH PARTITION without CONCURRENTLY from a table that others use and that has no default partition.",
    effect: "ACCESS EXCLUSIVE on the partitioned table: short, but it waits for every query on any partition, and every new one waits behind it.",
    workaround: "DETACH PARTITION … CONCURRENTLY, outside a transaction.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-DESC-DETACH-PARTITION"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a partition",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table example as select 'alter table p detach partition p1' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "concurrently, with a default partition, which refuses that",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table q (id int) partition by list (id); create table q1 partition of q for values in (1); create table qd partition of q default; create table example as select 'alter table p detach partition p1 concurrently; alter table q detach partition q1' as migration",
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
        let Statement::AlterTable(statement) = &step.statement else { continue };
        for command in &statement.commands {
            let AlterTableAction::DetachPartition { partition, concurrently: false, finalize: false } = &command.what
            else {
                continue;
            };
            let locks: Vec<_> = locked(step, LockMode::AccessExclusive).map(|lock| &lock.target).collect();
            let Some(parent) = locks.iter().find(|table| table.kind == ObjectKind::PartitionedTable) else { continue };
            // CONCURRENTLY is refused where there is a default partition, which is locked besides parent and partition.
            if locks.len() > 2 {
                continue;
            }
            let mut finding = migration_step::finding(migration, step, parent, &partition.name);
            finding.severity = RULE.severity;
            finding.summary = format!("{} is detached from {} without CONCURRENTLY", partition.name, parent.name);
            finding.cause =
                "DETACH PARTITION takes ACCESS EXCLUSIVE on the partitioned table: queries on all partitions wait."
                    .to_string();
            findings.push(finding);
        }
    }
    Ok(findings)
}
