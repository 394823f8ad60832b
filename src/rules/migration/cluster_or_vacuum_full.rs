use crate::advice::migration_step::{self, duration, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, Rewrite};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "cluster_or_vacuum_full",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "CLUSTER or VACUUM FULL of a table that others use.",
    effect: "ACCESS EXCLUSIVE: every read and write of it waits until the table and all its indexes are written anew.",
    workaround: "Not in a migration: plain VACUUM, or pg_repack (an extension of its own) where the space must come back.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-cluster.html",
        "https://www.postgresql.org/docs/17/sql-vacuum.html",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "both",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'cluster t using t_pkey; vacuum full t' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "vacuum, a new table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'vacuum t; create table n (id int primary key); cluster n using n_pkey' as migration",
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
        let (table, what) = match effect {
            Effect::Rewrites { table, why: Rewrite::Cluster } => (table, "CLUSTER"),
            Effect::Rewrites { table, why: Rewrite::VacuumFull } => (table, "VACUUM FULL"),
            _ => continue,
        };
        if table.private {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
        finding.summary = format!(
            "{what} writes {} anew ({}): no read and no write of it for {} or longer",
            table.name,
            size(table),
            duration(step.estimated_ms)
        );
        finding.cause = format!("{what} holds ACCESS EXCLUSIVE on the table until it and all its indexes are copied.");
        finding.evidence.insert("index_bytes".into(), table.index_bytes.into());
        findings.push(finding);
    }
    Ok(findings)
}
