use crate::advice::migration_step::{self, size};
use crate::advice::migration_tables::together;
use crate::facts::Facts;
use crate::facts::migration::{Build, Effect};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "reindex_without_concurrently",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "REINDEX without CONCURRENTLY of an index or table that others use.",
    effect: "SHARE lock on the table and ACCESS EXCLUSIVE on each index: writes wait, and so do all queries that plan with the table, for as long as it builds.",
    workaround: "REINDEX … CONCURRENTLY, outside a transaction.",
    sources: &["https://www.postgresql.org/docs/17/sql-reindex.html#SQL-REINDEX-CONCURRENTLY"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an index and a table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'reindex index t_pkey; reindex table t' as migration",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "concurrently",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'reindex index concurrently t_pkey; reindex table concurrently t' as migration",
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
                Effect::BuildsIndex { table, index, concurrently: false, why: Build::Reindex, .. } => {
                    Some((table, index))
                }
                _ => None,
            })
        };
        let Some(table) = together(built().map(|(table, _)| table)) else { continue };
        let indexes: Vec<&str> = built().map(|(_, index)| index.as_str()).collect();
        let mut finding = migration_step::finding(migration, step, &table, &table.name.to_string());
        finding.summary = format!(
            "{} of {} ({}) built anew without CONCURRENTLY",
            Count(indexes.len() as u64).of("index"),
            table.name,
            size(&table)
        );
        finding.cause = "REINDEX holds SHARE on the table and ACCESS EXCLUSIVE on the index: writes wait, and planning any query on \
                         the table waits for the index."
            .to_string();
        finding.evidence.insert("indexes".into(), indexes.into());
        findings.push(finding);
    }
    Ok(findings)
}
