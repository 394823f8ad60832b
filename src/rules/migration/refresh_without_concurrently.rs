use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, LockMode, Rewrite};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "refresh_without_concurrently",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "REFRESH MATERIALIZED VIEW without CONCURRENTLY of one that has rows.",
    effect: "ACCESS EXCLUSIVE on it: every query on it waits until its own query has run and its indexes are built.",
    workaround: "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on columns without a condition.",
    sources: &["https://www.postgresql.org/docs/17/sql-refreshmaterializedview.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "with a unique index",
            setup: "create materialized view v as select g as id from generate_series(1, 1000) g; create unique index on v (id); analyze v; create table example as select 'refresh materialized view v' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "concurrently, a new one, without data",
            setup: "create materialized view v as select g as id from generate_series(1, 1000) g; create unique index on v (id); create materialized view empty as select 1 as id with no data; analyze v; create table example as select 'refresh materialized view concurrently v; create materialized view n as select 1; refresh materialized view n; refresh materialized view empty' as migration",
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
        let Effect::Rewrites { table: view, why: Rewrite::Refresh } = effect else { continue };
        let exclusive =
            |view| step.locks.iter().any(|lock| lock.target.id == view && lock.mode == LockMode::AccessExclusive);
        if view.private || view.bytes == 0 || !exclusive(view.id) {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, view, &view.name.to_string());
        finding.summary = format!("{} ({}) is refreshed without CONCURRENTLY", view.name, size(view));
        finding.cause =
            "ACCESS EXCLUSIVE is held while its query runs: nobody reads the materialized view until then.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}
