use crate::advice::migration_step::{self, size, who_waits};
use crate::advice::migration_tables::together;
use crate::facts::Facts;
use crate::facts::migration::{Build, Effect, ObjectKind};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "index_without_concurrently",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "CREATE INDEX without CONCURRENTLY on a table that others use.",
    effect: "SHARE lock on the table: every INSERT, UPDATE and DELETE waits until the whole table is read and the index is built, and until COMMIT.",
    workaround: "CREATE INDEX CONCURRENTLY outside a transaction; on a partitioned table ON ONLY first, then each partition concurrently, then ATTACH PARTITION.",
    sources: &["https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a table with rows",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'create index t_a on t (a)' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "in a transaction, on a partitioned table",
            setup: "create table p (id int, at date) partition by range (at); create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); insert into p select g, '2026-02-01' from generate_series(1, 500) g; analyze p; create table example as select 'begin; create index on p (id); commit' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "concurrently, on a new table, on a temporary one, allowed",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'create index concurrently t_a on t (a); create table n (id int); create index on n (id); create temp table x (id int); create index on x (id);
-- dbre: allow index_without_concurrently the application is stopped
create index t_b on t (b)' as migration",
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
        let built = || {
            step.effects.iter().filter_map(|effect| match effect {
                Effect::BuildsIndex { table, index, concurrently: false, why: Build::CreateIndex } => {
                    Some((table, index))
                }
                _ => None,
            })
        };
        let Some(table) = together(built().map(|(table, _)| table)) else { continue };
        let Some((_, first)) = built().next() else { continue };
        // Of a partitioned table each partition's index has a name of its own.
        let root = step.locks.iter().map(|lock| &lock.target).find(|table| table.kind == ObjectKind::PartitionedTable);
        let (table, index) = match root {
            Some(root) => (root.clone(), format!("index on {}", root.name)),
            None => (table, first.clone()),
        };
        let mut finding = migration_step::finding(migration, step, &table, &index);
        finding.summary = match root {
            Some(_) => format!("An index is built on {} ({}) without CONCURRENTLY", table.name, size(&table)),
            None => format!("Index {index} is built on {} ({}) without CONCURRENTLY", table.name, size(&table)),
        };
        finding.cause = format!(
            "CREATE INDEX takes a SHARE lock and reads the whole table while it holds it: {}.",
            who_waits(step, &table)
        );
        finding.evidence.insert("index".into(), index.as_str().into());
        findings.push(finding);
    }
    Ok(findings)
}
