use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Lock, LockMode, Migration, Step, Target, strongest};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Locks in the evidence.
const SHOWN: usize = 20;

pub static RULE: Rule = Rule {
    id: "strong_lock_before_slow_statement",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "In a transaction that holds a lock which blocks others, a later statement reads, writes or indexes a whole table, and does not itself take that lock. Severity by the size of what it works on.",
    effect: "A lock is held until COMMIT: what would have been blocked for a moment is blocked as long as the slow statement takes.",
    workaround: "Commit before the slow statement, or run it in a migration of its own; take the strong lock last.",
    sources: &["https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-TABLES"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a column, then an index on another table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table u (id int, x int); insert into u select g, g from generate_series(1, 2000) g; analyze u; create table example as select $m$begin; alter table t add c int; create index on u (x); commit$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "validated while ACCESS EXCLUSIVE is held",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$begin; alter table t add c int; alter table t add constraint k check (a >= 0) not valid; alter table t validate constraint k; commit$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "each in its own, or a new table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$begin; alter table t add c int; commit; create index on t (a); begin; alter table t add d int; create table n (x int); create index on n (x); commit$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut transactions: BTreeMap<Option<usize>, Vec<Slow>> = BTreeMap::new();
    for slow in migration.judged(RULE.id).filter_map(slow) {
        transactions.entry(slow.step.transaction).or_default().push(slow);
    }
    Ok(transactions.values().filter_map(|statements| finding(migration, statements)).collect())
}

/// A statement that works on a whole table while locks are held that it does not need.
struct Slow<'a> {
    step: &'a Step,
    table: &'a Target,
    held: Vec<&'a Lock>,
}

fn slow(step: &Step) -> Option<Slow<'_>> {
    let tables = step.effects.iter().filter_map(whole).filter(|table| !table.private && table.rows >= 1.0);
    let table = tables.max_by(|one, other| one.rows.total_cmp(&other.rows))?;
    let held: Vec<&Lock> = step.held.iter().filter(|held| blocks_longer(held, step)).collect();
    (!held.is_empty()).then_some(Slow { step, table, held })
}

/// Of a transaction: about the statement that takes longest.
fn finding(migration: &Migration, statements: &[Slow]) -> Option<Finding> {
    let time = |slow: &&Slow| (slow.step.estimated_ms, slow.table.rows);
    let worst =
        statements.iter().max_by(|one, other| time(one).partial_cmp(&time(other)).unwrap_or(Ordering::Equal))?;
    let Slow { step, table, held } = worst;
    let strongest = strongest(held.iter().copied())?;
    let others = held.len() - 1;
    let and_others =
        if others == 0 { String::new() } else { format!(" (and {})", Count(others as u64).of("other lock")) };
    let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
    finding.summary = format!(
        "{} works on {} of {} while {} on {}{and_others} is held since step {}",
        step.kind,
        migration_step::size(table),
        table.name,
        strongest.mode.sql(),
        strongest.target.name,
        strongest.step
    );
    let all: f64 = statements.iter().map(|slow| slow.step.estimated_ms).sum();
    finding.cause = format!(
        "Locks go with the transaction: for about {} (estimated) {} of {} wait for {}, which would not block them by {}.",
        migration_step::duration(all),
        if strongest.mode.blocks_reads() { "reads and writes" } else { "writes" },
        strongest.target.name,
        if statements.len() == 1 { "this statement" } else { "its statements" },
        if statements.len() == 1 { "itself" } else { "themselves" },
    );
    let shown: Vec<serde_json::Value> = held.iter().take(SHOWN).map(|held| shown(held)).collect();
    finding.evidence.insert("held".into(), shown.into());
    finding.evidence.insert("locks_held".into(), held.len().into());
    let steps: Vec<usize> = statements.iter().map(|slow| slow.step.number).collect();
    finding.evidence.insert("slow_steps".into(), steps.into());
    finding.fix_sql = None;
    finding.risk = format!(
        "As written: {} on {} until COMMIT, about {} (estimated) for the slow statements alone.",
        strongest.mode.sql(),
        strongest.target.name,
        migration_step::duration(all)
    );
    finding.app_fix = Some("Put the slow statement into a revision of its own, before or after this one.".to_string());
    Some(finding)
}

fn shown(held: &Lock) -> serde_json::Value {
    serde_json::json!({"relation": held.target.name.to_string(), "mode": held.mode.name(), "since_step": held.step})
}

/// What the statement goes through as a whole.
fn whole(effect: &Effect) -> Option<&Target> {
    match effect {
        Effect::Rewrites { table, .. } | Effect::Scans { table, .. } | Effect::BuildsIndex { table, .. } => Some(table),
        _ => None,
    }
}

/// The statement's own lock would block fewer.
fn blocks_longer(held: &Lock, step: &Step) -> bool {
    let own = step.locks.iter().find(|lock| lock.target.id == held.target.id).map(|lock| lock.mode);
    let blocks = |mode: LockMode| (mode.blocks_reads(), mode.blocks_writes());
    held.mode.blocks_writes()
        && !held.target.private
        && own.is_none_or(|own| own < held.mode && blocks(own) != blocks(held.mode))
}
