use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_creates_existing_object",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement makes a table, column, index, constraint, type or schema whose name is taken at that point.",
    effect: "The migration fails there, and all of its transaction is undone.",
    workaround: "Drop or rename the old one first, or choose another name. IF NOT EXISTS passes over a differing object of that name in silence: use it only where that is meant.",
    sources: &["https://www.postgresql.org/docs/17/sql-createtable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a table and a column",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$create table t (x int); alter table t add a bigint$m$ as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "after a rename, and if not exists",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t rename to old; create table t (x int); create table if not exists t (y int); alter table t add column if not exists x bigint$m$ as migration",
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
        let Effect::Fails { why: Failure::Exists { kind, name }, sqlstate, .. } = effect else { continue };
        let mut finding = migration_step::without_table(step, &format!("{} {name}", kind.words()), RULE.severity);
        finding.summary =
            format!("The {} {name} is there already when line {} runs: it fails", kind.words(), step.line);
        finding.cause = format!("The catalogs, or what the migration makes before it, have a {} {name}.", kind.words());
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        finding.risk = "The statement does not run.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}
