use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, ObjectKind};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "table_with_rows_dropped",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "DROP of a table, partition or schema, by itself or by CASCADE, with rows that the migration has not put there.",
    effect: "The rows are gone at COMMIT. Only a backup brings them back.",
    workaround: "Rename it first and drop it when nothing has missed it; keep a copy of what may be wanted.",
    sources: &["https://www.postgresql.org/docs/17/sql-droptable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "rows",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'drop table t' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a schema",
            setup: "create schema s; create table s.t as select g as id from generate_series(1, 500) g; create table s.u as table s.t; analyze; create table example as select 'drop schema s cascade' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "no rows, made here",
            setup: "create table t (id int); analyze t; create table example as select 'drop table t; create table n as select 1 as id; drop table n; drop table if exists nothing' as migration",
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
        let Some(table) = object.table.as_ref().filter(|_| is_table(object.kind)) else { continue };
        if table.private || object.rows < 1.0 {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
        finding.severity = finding.severity.min(RULE.severity);
        finding.summary = format!("Table {} is dropped with its rows: {}", table.name, size(table));
        finding.cause = match cascade_of {
            Some(parent) => format!("It goes with {parent}, by CASCADE."),
            None => "DROP TABLE removes the rows; the migration's way back cannot bring them.".to_string(),
        };
        findings.push(finding);
    }
    Ok(findings)
}

fn is_table(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Table | ObjectKind::PartitionedTable)
}
