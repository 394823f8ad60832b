use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, ObjectKind, Statement};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "index_dropped_without_concurrently",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "DROP INDEX without CONCURRENTLY, of an index of a table that others use and that is not partitioned.",
    effect: "ACCESS EXCLUSIVE on the table: short, but it waits for every running query on it, and every new query waits behind it.",
    workaround: "DROP INDEX CONCURRENTLY, outside a transaction.",
    sources: &["https://www.postgresql.org/docs/17/sql-dropindex.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an index",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create index t_a on t (a); create table example as select 'drop index t_a' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "concurrently, one made here, of a constraint that refuses",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create index t_a on t (a); create table example as select 'drop index concurrently t_a; create index concurrently t_b on t (b); drop table if exists nothing' as migration",
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
        if matches!(&step.statement, Statement::Drop(drop) if drop.concurrently || drop.kind != ObjectKind::Index) {
            continue;
        }
        for effect in &step.effects {
            let Effect::Drops { object, cascade_of: None } = effect else { continue };
            let Some(table) = object.table.as_ref().filter(|_| object.kind == ObjectKind::Index) else { continue };
            if table.private || table.kind == ObjectKind::PartitionedTable {
                continue;
            }
            let mut finding = migration_step::finding(migration, step, table, &object.name);
            // The lock is short where nothing runs on the table for long.
            finding.severity = finding.severity.max(RULE.severity);
            finding.summary =
                format!("Index {} of {} ({}) is dropped without CONCURRENTLY", object.name, table.name, size(table));
            finding.cause =
                "DROP INDEX takes ACCESS EXCLUSIVE on the table, not only on the index: it waits for what runs, and \
                             all that comes later waits for it."
                    .to_string();
            finding.evidence.insert("index_bytes".into(), object.bytes.into());
            findings.push(finding);
        }
    }
    Ok(findings)
}
