use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "drop_refused_by_dependents",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "DROP without CASCADE, or a change of a column type, of what other objects depend on.",
    effect: "It fails, and all of its transaction is undone.",
    workaround: "Drop or change the dependents first, each by name, and create them again after it.",
    sources: &["https://www.postgresql.org/docs/17/ddl-depend.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a view",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create view v as select id from t; create table example as select 'drop table t' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the view goes first",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create view v as select id from t; create table example as select 'drop view v; drop table t' as migration",
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
        let Effect::Fails { why: Failure::DependentsExist { object, dependents }, sqlstate, .. } = effect else {
            continue;
        };
        let dependents: Vec<String> = dependents.iter().map(|dependent| dependent.name.clone()).collect();
        let mut finding = migration_step::without_table(step, &object.name, RULE.severity);
        finding.summary = format!("{} is still used by {}: the statement fails", object.name, listing(&dependents));
        finding.cause = "Without CASCADE PostgreSQL drops nothing that others depend on.".to_string();
        finding.evidence.insert("dependents".into(), dependents.into());
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        findings.push(finding);
    }
    Ok(findings)
}
