use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_needs_newer_server",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement uses what a later release of PostgreSQL has and this server does not.",
    effect: "It fails here, and all of its transaction is undone.",
    workaround: "Write it in the way that this release knows, or upgrade the server first.",
    sources: &["https://www.postgresql.org/docs/18/release-18.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a virtual generated column, a constraint that is not enforced, uuidv7()",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add v int generated always as (a + 1) virtual; alter table t add constraint c check (a > 0) not enforced; alter table t add u uuid default uuidv7()$m$ as migration",
            finds: 3,
            fix_clears: false,
        },
        Case {
            name: "what this release has",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add v int generated always as (a + 1) stored; alter table t add constraint c check (a >= 0); alter table t add u uuid default gen_random_uuid()$m$ as migration",
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
        let Effect::Fails { why: Failure::NewerServer { feature, version }, sqlstate, .. } = effect else {
            continue;
        };
        let mut finding = migration_step::without_table(step, feature, RULE.severity);
        finding.summary = format!("{feature} needs PostgreSQL {version}: this server does not have it");
        finding.cause = format!("{feature} came with PostgreSQL {version}; this server refuses the statement.");
        finding.evidence.insert("needs_version".into(), (*version).into());
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        findings.push(finding);
    }
    Ok(findings)
}
