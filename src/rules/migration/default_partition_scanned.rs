use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Scan;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "default_partition_scanned",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A partition is added to a table whose default partition has rows, and no validated CHECK of the default partition excludes the new bound.",
    effect: "The default partition is read from end to end under ACCESS EXCLUSIVE, and where the partition is created (not attached) the partitioned table is locked so too.",
    workaround: "First ADD CHECK … NOT VALID to the default partition that excludes the bound, VALIDATE it, then add the partition by CREATE TABLE and ATTACH PARTITION, then drop the CHECK.",
    sources: &["https://www.postgresql.org/docs/17/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "created",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table pd partition of p default; insert into p select g, '2020-02-01' from generate_series(1, 1000) g; analyze; create table example as select 'create table n partition of p for values from (''2027-01-01'') to (''2028-01-01'')' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "without a default partition",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table example as select 'create table n partition of p for values from (''2027-01-01'') to (''2028-01-01'')' as migration",
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
        for (table, why) in step.scans() {
            let Scan::DefaultPartition { parent, partition } = why else { continue };
            if table.private {
                continue;
            }
            let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
            finding.summary =
                format!("Adding {partition} to {parent} reads the default partition {} ({})", table.name, size(table));
            finding.cause =
                "Rows of the default partition might belong to the new one: the server looks at each, under ACCESS \
                             EXCLUSIVE, as no CHECK excludes it."
                    .to_string();
            finding.evidence.insert("parent".into(), parent.as_str().into());
            finding.evidence.insert("partition".into(), partition.as_str().into());
            findings.push(finding);
        }
    }
    Ok(findings)
}
