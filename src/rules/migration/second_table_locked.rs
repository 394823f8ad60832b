use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, Lock, LockMode, Migration, ObjectKind, Step};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "second_table_locked",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A statement that adds or drops a foreign key also locks the table at its other end, which it need not even name.",
    effect: "Writes to that table wait, too (on dropping: reads as well), and the statement waits for whoever uses it; two such statements in another order deadlock.",
    workaround: "Set a short lock_timeout and try again; have nothing slow in the same transaction; take the locks in the order in which the application does.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-altertable.html",
        "https://www.postgresql.org/docs/17/explicit-locking.html",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a foreign key added, a foreign key dropped",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int, a int references p, b int); analyze; create table example as select 'alter table t add foreign key (b) references p not valid; alter table t drop constraint t_a_fkey' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "to itself, to a table of the migration's own, validated",
            setup: "create table p (id int primary key); create table t (id int primary key, a int, b int); alter table t add constraint v foreign key (b) references p not valid; create table example as select 'create table n (id int primary key); alter table t add foreign key (a) references n; alter table t add foreign key (b) references t; alter table t validate constraint v' as migration",
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
        for lock in second_locks(step) {
            findings.push(finding(migration, step, lock));
        }
    }
    Ok(findings)
}

/// Tables at the other end of foreign keys that the step adds or drops.
fn second_locks(step: &Step) -> Vec<&Lock> {
    let mut ends = Vec::new();
    let mut drops_key = false;
    for effect in &step.effects {
        match effect {
            Effect::AddsForeignKey { table, constraint, .. } => {
                ends.extend(constraint.references.filter(|parent| *parent != table.id));
            }
            Effect::Drops { object, .. } => drops_key |= object.kind == ObjectKind::Constraint,
            _ => {}
        }
    }
    let named = step.locks.first().map(|lock| lock.target.id);
    let altered_alone = step.locks.first().is_some_and(|lock| lock.target.kind == ObjectKind::Table);
    let alters = matches!(step.statement, crate::facts::migration::Statement::AlterTable(_));
    let is_second = |lock: &&Lock| {
        let is_table = matches!(lock.target.kind, ObjectKind::Table | ObjectKind::PartitionedTable);
        let by_drop = drops_key && alters && altered_alone && Some(lock.target.id) != named;
        is_table && !lock.target.private && lock.mode >= LockMode::Share && (ends.contains(&lock.target.id) || by_drop)
    };
    step.locks.iter().filter(is_second).collect()
}

fn finding(migration: &Migration, step: &Step, lock: &Lock) -> Finding {
    let table = &lock.target;
    let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
    // Short, unless rows are read while it is held.
    let read = step.read_tables().into_iter().map(|read| migration.severity(read)).min();
    finding.severity = read.unwrap_or(Severity::low).max(Severity::medium);
    let waits = if lock.mode.blocks_reads() { "reads and writes" } else { "writes" };
    finding.summary = format!("Step {} also locks {} in {} mode", step.number, table.name, lock.mode.sql());
    finding.cause = format!(
        "The foreign key's triggers are on both tables: {waits} of {} ({}) wait from here to the end of the transaction.",
        table.name,
        size(table)
    );
    finding.evidence.insert("lock".into(), lock.mode.name().into());
    migration_step::without_fix(finding)
}
