use crate::advice::migration_effects::{Caused, scans};
use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{Migration, Scan};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "check_without_not_valid",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD CHECK without NOT VALID on a table with rows.",
    effect: "Every row is read under ACCESS EXCLUSIVE: reads and writes wait as long.",
    workaround: "ADD CHECK … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own, which lets reads and writes go on.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "without",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add constraint n_positive check (n > 0)' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "not valid, then validated",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add constraint n_positive check (n > 0) not valid; alter table t validate constraint n_positive' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add check (id > 0)' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = scans(migration, RULE.id, |why| match why {
        Scan::Check { constraint } => Some(constraint.as_str()),
        _ => None,
    });
    Ok(found.iter().filter_map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<Scan>) -> Option<Finding> {
    let Scan::Check { constraint: part } = one.why else { return None };
    let table = &one.table;
    let name = format!("{}.{}", table.name, quote_identifier(part));
    let mut finding = migration_step::finding(migration, one.step, table, &name);
    finding.summary = format!("Adding the check {part} reads {}: {}", table.name, size(table));
    finding.cause = format!(
        "Without NOT VALID the rows that are there are checked at once; meanwhile {}.",
        migration_step::who_waits(one.step, table)
    );
    Some(finding)
}
