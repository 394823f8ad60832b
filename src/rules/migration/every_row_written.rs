use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::facts::migration::statement::QueryKind;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "every_row_written",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "UPDATE or DELETE without WHERE of a table with rows that others use.",
    effect: "Every row is written: as much WAL and dead space as the table is large, row locks until COMMIT, and for DELETE all data gone.",
    workaround: "Write in batches by key, each in its own transaction, with the condition that tells what is still to do.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-update.html",
        "https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "both",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'update t set b = ''y''; delete from t' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a condition, a new table, no rows",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table e (id int); analyze e; create table example as select 'update t set b = ''y'' where id = 5; create table n as select 1 as id; update n set id = 2; delete from e' as migration",
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
        let Effect::Writes { table, kind, has_condition: false, rows, basis } = effect else { continue };
        let (what, severity) = match kind {
            QueryKind::Update => ("UPDATE", Severity::low),
            QueryKind::Delete => ("DELETE", RULE.severity),
            _ => continue,
        };
        if table.private || table.rows < 1.0 {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
        finding.severity = finding.severity.min(severity);
        finding.summary = format!("{what} without WHERE writes all of {}: {}", table.name, size(table));
        finding.cause = match kind {
            QueryKind::Delete => "All rows are deleted; only a backup brings them back.".to_string(),
            _ => "Every row gets a new version: the table grows by its own size, and whoever writes the same row waits until COMMIT."
                .to_string(),
        };
        finding.evidence.insert("rows".into(), rows.round().into());
        finding.evidence.insert("rows_basis".into(), basis.as_str().into());
        findings.push(finding);
    }
    Ok(findings)
}
