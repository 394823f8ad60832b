//! What findings about a step of a migration have in common: its place, lock and size, and the safer way.

use crate::facts::migration::{Lock, Migration, PlannedStatement, Step, Target};
use crate::finding::{Finding, Severity, change, object};
use crate::units::{Bytes, Count};
use serde_json::{Map, Value};

/// What a statement takes that only changes the catalog, in ms.
pub const CATALOG_CHANGE: f64 = 5.0;
/// A statement's beginning, in evidence.
const SHOWN: usize = 300;

/// About what `step` does to `table`, or to a part of it that `object` names. The rule adds summary, cause and evidence of its own.
pub fn finding(migration: &Migration, step: &Step, table: &Target, object: &str) -> Finding {
    let mut finding = without_table(step, object, migration.severity(table));
    finding.weight = table.bytes;
    finding.evidence.insert("table".into(), table.name.to_string().into());
    finding.evidence.insert("table_rows".into(), (table.rows as u64).into());
    finding.evidence.insert("table_bytes".into(), table.bytes.into());
    if table.rows_guessed {
        finding.evidence.insert("rows_are".into(), "a guess from the size: never analyzed".into());
    }
    finding
}

/// About a step that concerns no one table.
pub fn without_table(step: &Step, object: &str, severity: Severity) -> Finding {
    let fix_sql = step.safer.as_deref().and_then(|safer| as_sql(step, safer));
    let app_fix = step.safer.as_deref().and_then(as_alembic).filter(|_| fix_sql.is_some());
    let impact = match step.strongest().filter(|lock| lock.mode.blocks_writes() && fix_sql.is_some()) {
        Some(_) => object! {
            "others_wait_ms": change((step.estimated_ms.round(), "estimated"), (CATALOG_CHANGE, "estimated")),
        },
        None => Map::new(),
    };
    Finding {
        severity,
        object: place(step, object),
        evidence: object! {
            "step": step.number,
            "line": step.line,
            "statement": shortened(&step.text),
            "locks": locks(&step.locks),
            "transaction": step.transaction,
            "estimated_ms": step.estimated_ms.round(),
            "basis": step.basis,
        },
        risk: risk(step, fix_sql.is_some()),
        fix_sql,
        app_fix: app_fix.or_else(|| step.no_safer_way.clone()),
        impact,
        ..Finding::that_changes_nothing()
    }
}

/// The safer way of the statement is no answer to this finding.
pub fn without_fix(finding: Finding) -> Finding {
    Finding { fix_sql: None, app_fix: None, impact: Map::new(), ..finding }
}

/// `public.orders.note in step 3`: distinct wherever two steps are.
pub fn place(step: &Step, object: &str) -> String {
    format!("{object} in step {}", step.number)
}

/// `1,234 rows in 12 MB`
pub fn size(table: &Target) -> String {
    let about = if table.rows_guessed { "about " } else { "" };
    format!("{about}{} in {}", Count(table.rows as u64).of("row"), Bytes(table.bytes))
}

/// Who waits while the statement holds its lock on the table.
pub fn who_waits(step: &Step, table: &Target) -> &'static str {
    match step.locks.iter().find(|lock| lock.target.id == table.id) {
        Some(lock) if lock.mode.blocks_reads() => "every read and write of it waits",
        Some(lock) if lock.mode.blocks_writes() => "every write to it waits",
        _ => "reads and writes of it go on",
    }
}

/// `40 ms`, `3.2 s`, `7 min`
pub fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => "less than 1 ms".to_string(),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms if ms < 120_000.0 => format!("{:.0} s", ms / 1_000.0),
        ms if ms < 7_200_000.0 => format!("{:.0} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    }
}

/// The planned statements in place of the step's. What cannot stand in a transaction ends the step's and begins another; what may
/// stand together is one transaction.
fn as_sql(step: &Step, safer: &[PlannedStatement]) -> Option<String> {
    let together = |one: &PlannedStatement, next: &PlannedStatement| {
        one.in_transaction && next.in_transaction && one.phase == next.phase
    };
    let mut lines = Vec::new();
    let mut inside = step.transaction.is_some();
    for group in safer.chunk_by(together) {
        if inside && !group[0].in_transaction {
            lines.push("commit;".to_string());
            inside = false;
        }
        let apart = !inside && group.len() > 1;
        lines.extend(apart.then(|| "begin;".to_string()));
        lines.extend(group.iter().map(|planned| format!("{};", planned.sql.trim().trim_end_matches(';'))));
        lines.extend(apart.then(|| "commit;".to_string()));
    }
    if !inside && step.transaction.is_some() {
        lines.push("begin;".to_string());
    }
    (!safer.is_empty()).then(|| lines.join("\n"))
}

fn as_alembic(safer: &[PlannedStatement]) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut alone = false;
    for planned in safer.iter().filter(|planned| !planned.alembic.trim().is_empty()) {
        if !planned.in_transaction && !alone {
            lines.push("with op.get_context().autocommit_block():".to_string());
        }
        alone = !planned.in_transaction;
        let indent = if alone { "    " } else { "" };
        lines.extend(planned.alembic.trim().lines().map(|line| format!("{indent}{line}")));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn risk(step: &Step, has_fix: bool) -> String {
    let held = match step.strongest() {
        Some(lock) => format!(
            "As written: {} on {} for {} or longer (estimated: {}), and until its transaction ends.",
            lock.mode.sql(),
            lock.target.name,
            duration(step.estimated_ms),
            step.basis
        ),
        None => "As written it takes no lock that matters to others.".to_string(),
    };
    let planned = step.safer.iter().flatten().filter_map(|planned| planned.lock.as_ref()).max_by_key(|(mode, _)| *mode);
    match planned.filter(|_| has_fix) {
        Some((mode, on)) => format!("{held} The fix: at most {} on {on}.", mode.sql()),
        None => held,
    }
}

fn locks(locks: &[Lock]) -> Value {
    let shown = |lock: &Lock| serde_json::json!({"relation": lock.target.name.to_string(), "mode": lock.mode.name()});
    locks.iter().map(shown).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_that_people_use() {
        let shown = [0.2, 40.0, 3_200.0, 95_000.0, 420_000.0, 9_000_000.0].map(duration);
        assert_eq!(shown, ["less than 1 ms", "40 ms", "3.2 s", "95 s", "7 min", "2.5 h"]);
    }
}
