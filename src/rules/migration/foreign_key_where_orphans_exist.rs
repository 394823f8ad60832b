use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "foreign_key_where_orphans_exist",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A FOREIGN KEY that is validated, on columns in which rows of today have values that the other table has not: looked up where both tables have at most many_rows rows, expected from the statistics otherwise.",
    effect: "It fails after both tables were locked and read.",
    workaround: "Add it NOT VALID (new rows are checked from then on), repair or delete the orphans, then VALIDATE CONSTRAINT.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "orphans",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (t_id int); insert into c values (1), (5000); analyze c; create table example as select 'alter table c add constraint c_fk foreign key (t_id) references t' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "none, nulls, not valid",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (t_id int, other int); insert into c values (1, 5000), (null, 1); analyze c; create table example as select 'alter table c add constraint c_fk foreign key (t_id) references t; alter table c add constraint c_fk2 foreign key (other) references t not valid' as migration",
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
        let Effect::Fails { why: Failure::OrphansExist { table, constraint, rows, basis }, sqlstate, certain } = effect
        else {
            continue;
        };
        let object = format!("{} constraint {constraint}", table.name);
        let mut finding = migration_step::finding(migration, step, table, &object);
        finding.severity = if *certain { RULE.severity } else { Severity::medium };
        let orphans = Count(*rows as u64).of("row");
        finding.summary = format!("{} has {orphans} without a parent ({basis}): {constraint} fails", table.name);
        finding.cause = format!("The values of {orphans} of {} are not in the table it refers to.", size(table));
        finding.evidence.insert("orphan_rows".into(), rows.round().into());
        finding.evidence.insert("orphans_basis".into(), basis.as_str().into());
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        // Another way to the same constraint fails for the same rows.
        (finding.fix_sql, finding.app_fix) = (None, None);
        findings.push(finding);
    }
    Ok(findings)
}
