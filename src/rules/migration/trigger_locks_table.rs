use crate::advice::migration_step::{self, size, who_waits};
use crate::advice::migration_tables::{locked, together};
use crate::facts::Facts;
use crate::facts::migration::{LockMode, Statement};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "trigger_locks_table",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A trigger is created, replaced, enabled or disabled on a table that others use.",
    effect: "SHARE ROW EXCLUSIVE (to drop or rename one, ACCESS EXCLUSIVE) on the table and each partition: writes wait until COMMIT, and the statement itself waits for every open transaction that has written to it.",
    workaround: "In a transaction of its own with a short lock_timeout and retries.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-createtrigger.html",
        "https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-TABLES",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a trigger",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create function f() returns trigger language plpgsql as 'begin return new; end'; create table example as select 'create trigger tr before insert on t for each row execute function f()' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "on a new table, on an empty one",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create function f() returns trigger language plpgsql as 'begin return new; end'; create table e (id int); create table example as select 'create table n (id int); create trigger tr before insert on n for each row execute function f(); create trigger tr before insert on e for each row execute function f()' as migration",
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
        let Statement::CreateTrigger { name, .. } = &step.statement else { continue };
        let Some(table) = together(locked(step, LockMode::ShareRowExclusive).map(|lock| &lock.target)) else {
            continue;
        };
        if table.bytes == 0 {
            continue;
        }
        let mut finding =
            migration_step::finding(migration, step, &table, &format!("trigger {name} on {}", table.name));
        // Nothing is read or written while the lock is held.
        finding.severity = finding.severity.max(RULE.severity);
        finding.summary =
            format!("Trigger {name} is created on {} ({}): its writes wait until COMMIT", table.name, size(&table));
        finding.cause = format!(
            "CREATE TRIGGER takes SHARE ROW EXCLUSIVE: {}, and each INSERT, UPDATE or DELETE that it is for calls the function \
             from then on.",
            who_waits(step, &table)
        );
        findings.push(finding);
    }
    Ok(findings)
}
