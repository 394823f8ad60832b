use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, ObjectKind};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "column_with_data_dropped",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "DROP COLUMN, or CASCADE of a dropped type or function, of a column of a table with rows.",
    effect: "Its values are gone at COMMIT. Only a backup brings them back; and code that still names the column fails.",
    workaround: "Deploy code that does not use it first; keep a copy (key and value) of what may be wanted; then drop it.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-DESC-DROP-COLUMN"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "by itself",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'alter table t drop column b' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "by its type",
            setup: "create type mood as enum ('good'); create table t (id int, m mood); insert into t select g, 'good' from generate_series(1, 1000) g; analyze t; create table example as select 'drop type mood cascade' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no rows, a column made here",
            setup: "create table t (id int, b text); analyze t; create table u as select 1 as id; create table example as select 'alter table t drop column b; alter table u add column n int; alter table u drop column n' as migration",
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
        let Effect::Drops { object, cascade_of } = effect else { continue };
        let (ObjectKind::Column, Some(table), Some(column)) = (object.kind, &object.table, &object.part) else {
            continue;
        };
        if table.private || object.rows < 1.0 {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &object.name);
        finding.severity = finding.severity.min(RULE.severity);
        let values = Count(object.rows as u64).of("row");
        finding.summary = format!("Column {column} of {} is dropped with the values of {values}", table.name);
        finding.cause = match cascade_of {
            Some(parent) => format!("It goes with {parent}, by CASCADE; the table has {}.", size(table)),
            None => format!("The table has {}; the migration's way back cannot bring the values.", size(table)),
        };
        finding.evidence.insert("values".into(), object.rows.into());
        findings.push(finding);
    }
    Ok(findings)
}
