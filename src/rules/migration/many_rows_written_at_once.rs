use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::facts::migration::statement::QueryKind;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "many_rows_written_at_once",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "One statement with a condition or a query that, as the planner expects, inserts, updates or deletes at least many_rows rows of a table that others use.",
    effect: "Row locks, WAL and dead rows of all of them in one transaction: replicas lag, vacuum cannot clean up behind it, and a failure undoes everything.",
    workaround: "In batches by key, each in its own transaction, outside the migration that changes the schema.",
    sources: &["https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "updated",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 150000) g; analyze t; create table example as select 'update t set a = 0 where id > 10' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "inserted",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 150000) g; analyze t; create table u (id int); create table example as select 'insert into u select id from t' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'update t set a = 0 where id > 10; insert into t values (5000, 1)' as migration",
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
        let Effect::Writes { table, kind, has_condition, rows, basis } = effect else { continue };
        let what = match kind {
            QueryKind::Update if *has_condition => "UPDATE",
            QueryKind::Delete if *has_condition => "DELETE",
            QueryKind::Insert => "INSERT",
            QueryKind::Merge => "MERGE",
            _ => continue,
        };
        if table.private || *rows < migration.many_rows {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
        finding.severity = if *rows >= 100.0 * migration.many_rows { Severity::critical } else { RULE.severity };
        finding.summary = format!("{what} writes {} of {} in one statement", Count(*rows as u64).of("row"), table.name);
        finding.cause = format!("It is one transaction for all of them; the table has {}.", size(table));
        finding.evidence.insert("rows".into(), rows.round().into());
        finding.evidence.insert("rows_basis".into(), basis.as_str().into());
        findings.push(finding);
    }
    Ok(findings)
}
