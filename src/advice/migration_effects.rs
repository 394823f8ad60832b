//! What a step does to whole tables, gathered by what causes it: an ALTER TABLE of a partitioned table rewrites each partition.

use super::migration_step::{self, size, who_waits};
use super::migration_tables::together;
use crate::db::quote_identifier;
use crate::facts::migration::{Build, Effect, Migration, ObjectKind, Rewrite, Scan, Step, Target};
use crate::finding::Finding;

/// One cause in one step.
pub struct Caused<'a, T> {
    pub step: &'a Step,
    /// The table that is altered, with the rows and bytes of all that are concerned.
    pub table: Target,
    pub why: &'a T,
}

/// Rewrites that `picked` has a key for: one for each key and step. Tables that nobody else can use are left out.
pub fn rewrites<'a>(
    migration: &'a Migration,
    rule: &'a str,
    picked: impl Fn(&'a Rewrite) -> Option<&'a str>,
) -> Vec<Caused<'a, Rewrite>> {
    caused(migration, rule, |effect| match effect {
        Effect::Rewrites { table, why } => Some((table, why, picked(why)?)),
        _ => None,
    })
}

/// As `rewrites`, of the rows that are read. A table that the step rewrites anyway is not read for another reason.
pub fn scans<'a>(
    migration: &'a Migration,
    rule: &'a str,
    picked: impl Fn(&'a Scan) -> Option<&'a str>,
) -> Vec<Caused<'a, Scan>> {
    let mut caused = caused(migration, rule, |effect| match effect {
        Effect::Scans { table, why } => Some((table, why, picked(why)?)),
        _ => None,
    });
    caused.retain(|one| {
        !one.step.effects.iter().any(|effect| match effect {
            Effect::Rewrites { table, .. } => table.id == one.table.id,
            _ => false,
        })
    });
    caused
}

/// As `rewrites`, of indexes that are built.
pub fn builds<'a>(migration: &'a Migration, rule: &'a str, picked: impl Fn(Build) -> bool) -> Vec<Caused<'a, String>> {
    caused(migration, rule, |effect| match effect {
        Effect::BuildsIndex { table, index, why, .. } if picked(*why) => Some((table, index, index.as_str())),
        _ => None,
    })
}

/// How a rule tells of a column that makes its table be rewritten.
pub struct ColumnTold {
    /// What is done, before the column's name and after it.
    pub before: &'static str,
    pub after: String,
    /// Why that writes the table anew.
    pub cause: String,
}

/// A finding for each column whose rewrite `told` knows.
pub fn column_rewrites(
    migration: &Migration,
    rule: &str,
    told: impl Fn(&Rewrite) -> Option<ColumnTold>,
) -> Vec<Finding> {
    let found = rewrites(migration, rule, |why| why.column().filter(|_| told(why).is_some()));
    let findings = found.iter().filter_map(|one| {
        let (column, ColumnTold { before, after, cause }) = (one.why.column()?, told(one.why)?);
        let table = &one.table;
        let name = format!("{}.{}", table.name, quote_identifier(column));
        let mut finding = migration_step::finding(migration, one.step, table, &name);
        finding.summary = format!("{before} {name}{after} rewrites {}: {}", table.name, size(table));
        finding.cause = format!("{cause}; meanwhile {}.", who_waits(one.step, table));
        finding.evidence.insert("column".into(), column.into());
        Some(finding)
    });
    findings.collect()
}

fn caused<'a, T>(
    migration: &'a Migration,
    rule: &'a str,
    effect_of: impl Fn(&'a Effect) -> Option<(&'a Target, &'a T, &'a str)>,
) -> Vec<Caused<'a, T>> {
    let mut all = Vec::new();
    for step in migration.judged(rule) {
        let mut keys: Vec<(&str, &T, Vec<&Target>)> = Vec::new();
        for (table, why, key) in step.effects.iter().filter_map(&effect_of) {
            match keys.iter_mut().find(|(known, ..)| *known == key) {
                Some((_, _, tables)) => tables.push(table),
                None => keys.push((key, why, vec![table])),
            }
        }
        for (_, why, tables) in keys {
            let Some(mut table) = together(tables.into_iter()) else { continue };
            // The first lock is on what the statement names.
            let named = step.locks.first().map(|lock| &lock.target);
            if let Some(named) = named.filter(|named| named.kind == ObjectKind::PartitionedTable) {
                table =
                    Target { rows: table.rows, bytes: table.bytes, index_bytes: table.index_bytes, ..named.clone() };
            }
            all.push(Caused { step, table, why });
        }
    }
    all
}
