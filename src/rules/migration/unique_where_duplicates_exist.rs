use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "unique_where_duplicates_exist",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A unique index, UNIQUE or PRIMARY KEY on columns in which rows of today have equal values: counted where the table has at most many_rows rows, expected from n_distinct otherwise.",
    effect: "It fails after the whole table is read; CREATE INDEX CONCURRENTLY leaves an invalid index behind.",
    workaround: "Find and merge the duplicates first, and keep new ones out until the index is there.",
    sources: &["https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an index and a constraint",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'create unique index t_a on t (a); alter table t add constraint t_b_key unique (b)' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "distinct values, nulls, a partial index",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table n (x int); insert into n select null from generate_series(1, 100); analyze n; create table example as select 'create unique index t_id on t (id); create unique index n_x on n (x); create unique index t_p on t (a) where id < 5' as migration",
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
        let Effect::Fails { why: Failure::DuplicatesExist { table, columns, rows, basis }, sqlstate, certain } = effect
        else {
            continue;
        };
        let key = format!("{} ({})", table.name, columns.join(", "));
        let mut finding = migration_step::finding(migration, step, table, &key);
        finding.severity = if *certain { RULE.severity } else { Severity::medium };
        finding.summary = match certain {
            true => format!("{key} has duplicates ({basis}): the statement fails"),
            false => format!("{key} seems to have duplicates ({basis}): the statement would fail"),
        };
        finding.cause = format!(
            "About {} of {} have values that another row has too; NULLs are not counted.",
            Count(*rows as u64).of("row"),
            size(table)
        );
        finding.evidence.insert("duplicate_rows".into(), rows.round().into());
        finding.evidence.insert("duplicates_basis".into(), basis.as_str().into());
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        // Another way to the same constraint fails for the same rows.
        (finding.fix_sql, finding.app_fix) = (None, None);
        findings.push(finding);
    }
    Ok(findings)
}
