use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Scan;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "attached_partition_scanned",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ATTACH PARTITION of a table with rows that no validated CHECK proves to be within the bound.",
    effect: "The table is read from end to end under ACCESS EXCLUSIVE.",
    workaround: "First ADD CHECK … NOT VALID with the bound and IS NOT NULL, VALIDATE it in a transaction of its own, then attach, then drop the CHECK.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-DESC-ATTACH-PARTITION"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "without a check",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table n (id int not null, at date not null); insert into n select g, '2027-02-01' from generate_series(1, 1000) g; analyze n; create table example as select 'alter table p attach partition n for values from (''2027-01-01'') to (''2028-01-01'')' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "with a check, a new table",
            setup: "create table p (id int not null, at date not null) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); create table n (id int not null, at date not null, check (at >= '2027-01-01' and at < '2028-01-01')); insert into n select g, '2027-02-01' from generate_series(1, 1000) g; analyze n; create table example as select 'alter table p attach partition n for values from (''2027-01-01'') to (''2028-01-01''); create table m (id int not null, at date not null); alter table p attach partition m for values from (''2028-01-01'') to (''2029-01-01'')' as migration",
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
            let Scan::AttachPartition { parent } = why else { continue };
            if table.private {
                continue;
            }
            let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
            finding.summary = format!("Attaching {} to {parent} reads all of it: {}", table.name, size(table));
            finding.cause =
                "No validated CHECK of the table proves that its rows are within the bound, so the server reads them, \
                             under ACCESS EXCLUSIVE."
                    .to_string();
            finding.evidence.insert("parent".into(), parent.as_str().into());
            findings.push(finding);
        }
    }
    Ok(findings)
}
