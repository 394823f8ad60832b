use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "locks_in_deadlock_order",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A transaction locks a table that a foreign key refers to against all other locks, and then the table that has the foreign key against writes.",
    effect: "The application locks them the other way: INSERT locks the table with the foreign key, and then the row that it refers to. Each waits for the other until deadlock_timeout, and one of them is undone.",
    workaround: "Change the table with the foreign key first, or each in a transaction of its own; lock_timeout and another try for the rest.",
    sources: &["https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-DEADLOCKS"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "the table that is referred to first",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (id int primary key, t_id int references t); create table example as select $m$begin; alter table t add x int; alter table c add y int; commit$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the other way, and apart",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (id int primary key, t_id int references t); create table example as select $m$begin; alter table c add y int; alter table t add x int; commit; alter table t add z int; alter table c add z int$m$ as migration",
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
        let Effect::LocksInDeadlockOrder { referred_to, referring, constraint } = effect else { continue };
        let mut finding = migration_step::without_table(step, &referring.target.name.to_string(), RULE.severity);
        finding.summary = format!(
            "{} is locked while {} is held: an INSERT locks them the other way around",
            referring.target.name, referred_to.target.name
        );
        finding.cause = format!(
            "Step {} holds {} on {}. Who has written to {} and now looks up {constraint} waits for that, and this statement \
             waits for them: a deadlock.",
            referred_to.step,
            referred_to.mode.sql(),
            referred_to.target.name,
            referring.target.name
        );
        finding.evidence.insert("foreign_key".into(), constraint.as_str().into());
        finding.evidence.insert("held_since_step".into(), referred_to.step.into());
        finding.risk = "A deadlock undoes the migration or a transaction of the application.".to_string();
        findings.push(migration_step::without_fix(finding));
    }
    Ok(findings)
}
