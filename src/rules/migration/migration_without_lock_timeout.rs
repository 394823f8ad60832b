use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Migration, Statement, Step};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "migration_without_lock_timeout",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A statement takes a lock that makes others wait, and no lock_timeout is in force: neither in the migration nor from the session, the role or the database. Of severity high where a table has at least many_rows rows or many_bytes.",
    effect: "It waits behind the longest transaction that uses the table, and every query that comes after it waits behind it: one forgotten transaction, and the application stands still.",
    workaround: "SET lock_timeout to a few seconds before the first of them, and try again when it runs out; or ALTER ROLE … SET lock_timeout for the role that runs migrations.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-LOCK-TIMEOUT",
        "https://www.postgresql.org/docs/17/explicit-locking.html",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "two statements outside a transaction",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add c int; alter table t add d int$m$ as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "in a transaction",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$begin; alter table t add c int; commit$m$ as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "set for the first only",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$begin; set local lock_timeout = '2s'; alter table t add c int; commit; alter table t add d int$m$ as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "in force, or nothing that others wait for",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$create index concurrently on t (a); create table u (x int); alter table u add y int; set lock_timeout = '2s'; alter table t add c int$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Long enough to get the lock between two transactions, short enough for those who wait behind it.
const TIMEOUT: &str = "5s";

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let waits: Vec<&Step> = migration.judged(RULE.id).filter(|step| waits_for_ever(step)).collect();
    Ok(waits.first().map(|first| finding(migration, first, &waits)).into_iter().collect())
}

fn waits_for_ever(step: &Step) -> bool {
    let nowait = matches!(step.statement, Statement::Lock { nowait: true, .. });
    step.lock_timeout.is_none()
        && !nowait
        && step.locks.iter().any(|lock| !lock.target.private && lock.mode.blocks_writes())
}

fn finding(migration: &Migration, first: &Step, waits: &[&Step]) -> Finding {
    let locks = || waits.iter().flat_map(|step| &step.locks).filter(|lock| lock.mode.blocks_writes());
    let most = locks().map(|lock| migration.severity(&lock.target)).min().unwrap_or(Severity::medium);
    let strongest = first.strongest().expect("it has one");
    let mut finding = migration_step::without_table(first, "lock_timeout", RULE.severity);
    finding.severity = most.clamp(Severity::high, Severity::medium);
    finding.summary = format!(
        "{} that others wait for without a lock_timeout, the first with {} on {}",
        Count(waits.len() as u64).of("step"),
        strongest.mode.sql(),
        strongest.target.name
    );
    finding.cause = format!(
        "Line {} waits for its lock as long as any transaction uses {}, and whoever comes after it waits, too.",
        first.line, strongest.target.name
    );
    let lines: Vec<usize> = waits.iter().map(|step| step.line).collect();
    finding.evidence.insert("steps".into(), waits.iter().map(|step| step.number).collect::<Vec<_>>().into());
    finding.evidence.insert("lines".into(), lines.into());
    let local = first.transaction.is_some() && waits.iter().all(|step| step.transaction == first.transaction);
    let set = if local { "set local" } else { "set" };
    finding.fix_sql = Some(format!("{set} lock_timeout = '{TIMEOUT}';\n{};", first.text));
    finding.app_fix = Some(format!("op.execute(\"{set} lock_timeout = '{TIMEOUT}'\") before it, or once in env.py."));
    finding.risk = "The migration fails when the timeout runs out, and is then run again.".to_string();
    finding
}
