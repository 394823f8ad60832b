use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "not_null_where_nulls_exist",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "SET NOT NULL, or a primary key, on a column that has NULLs by the statistics of the last ANALYZE.",
    effect: "The statement fails when it meets the first NULL, after it has locked and read the table; the deployment stops there.",
    workaround: "Fill the NULLs first, in batches, and keep new ones out with a CHECK NOT VALID.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "nulls",
            setup: "create table t (id int primary key, n int); insert into t select g, nullif(g % 4, 0) from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter n set not null' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no nulls, and nulls of a new table",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter n set not null; create table m (a int); alter table m alter a set not null' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings: Vec<Finding> = Vec::new();
    for (step, effect) in migration.effects(RULE.id) {
        let Effect::Fails { why: Failure::NullsExist { table, column, rows, basis }, .. } = effect else {
            continue;
        };
        let name = format!("{}.{}", table.name, quote_identifier(column));
        let mut finding = migration_step::finding(migration, step, table, &name);
        finding.severity = Severity::high;
        finding.summary = format!("{name} has NULL in about {}", Count(*rows as u64).of("row"));
        finding.cause = format!(
            "By the {basis} about {} of {} have no value there: the statement will fail.",
            Count(*rows as u64).of("row"),
            size(table)
        );
        finding.evidence.insert("null_rows".into(), (*rows as u64).into());
        finding.evidence.insert("sqlstate".into(), "23502".into());
        findings.push(migration_step::without_fix(finding));
    }
    Ok(findings)
}
