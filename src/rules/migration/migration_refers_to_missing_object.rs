use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_refers_to_missing_object",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement needs a table, column, constraint, index, type or function that is not there at that point: never made, dropped or renamed before, or not in the search path.",
    effect: "The migration fails there, and all of its transaction is undone.",
    workaround: "Correct the name or the order; write the schema where the search path differs between environments; IF EXISTS where it may be gone.",
    sources: &["https://www.postgresql.org/docs/17/ddl-schemas.html#DDL-SCHEMAS-PATH"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a table that is gone and a column that never was",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$drop table t; alter table t add c int;\nalter table if exists t add d int$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a column that is made before",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add c int; alter table t alter c set default 1; create table u (x int); create index on u (x); drop table if exists nothing$m$ as migration",
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
        let Effect::Fails { why: Failure::Missing { kind, name }, sqlstate, .. } = effect else { continue };
        let mut finding = migration_step::without_table(step, &format!("{} {name}", kind.words()), RULE.severity);
        finding.summary = format!("The {} {name} does not exist when line {} runs: it fails", kind.words(), step.line);
        finding.cause = format!(
            "Neither the catalogs nor what the migration makes before it has the {} {name}, in the search path that is in force there.",
            kind.words()
        );
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        finding.risk = "The statement does not run.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}
