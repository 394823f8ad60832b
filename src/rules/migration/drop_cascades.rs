use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, ObjectKind};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, listing};

pub static RULE: Rule = Rule {
    id: "drop_cascades",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "DROP … CASCADE that takes other objects with it.",
    effect: "Views, foreign keys, policies, triggers, columns and tables go without being named, and locks are taken on each of them.",
    workaround: "Drop each by name, in order, or keep it: CASCADE also takes what somebody adds tomorrow.",
    sources: &["https://www.postgresql.org/docs/17/ddl-depend.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a view and a foreign key",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create view v as select id from t; create table c (t_id int references t); create table example as select 'drop table t cascade' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "nothing depends",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create index on t (a); create table example as select 'drop table t cascade' as migration",
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
        let dropped = |cascade: bool| {
            step.effects.iter().filter_map(move |effect| match effect {
                Effect::Drops { object, cascade_of } if cascade_of.is_some() == cascade => Some(object),
                _ => None,
            })
        };
        let objects: Vec<String> = dropped(true).map(|object| object.name.clone()).collect();
        let Some(first) = dropped(false).next().or(dropped(true).next()).filter(|_| !objects.is_empty()) else {
            continue;
        };
        // What only the dropped object had, such as a foreign key to it, is no loss by itself.
        let severity = match dropped(true).all(|object| object.kind == ObjectKind::Constraint) {
            true => Severity::medium,
            false => RULE.severity,
        };
        let mut finding = migration_step::without_table(step, &first.name, severity);
        finding.summary =
            format!("CASCADE drops {} more with {}", Count(objects.len() as u64).of("object"), first.name);
        finding.cause = format!("They depend on it: {}.", listing(&objects));
        finding.evidence.insert("objects".into(), objects.into());
        findings.push(finding);
    }
    Ok(findings)
}
