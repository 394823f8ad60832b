use crate::advice::migration_effects::{Caused, scans};
use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Migration, Scan};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "foreign_key_without_not_valid",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD FOREIGN KEY without NOT VALID on a table with rows.",
    effect: "Every row is looked up in the other table under SHARE ROW EXCLUSIVE: writes to both tables wait as long.",
    workaround: "ADD FOREIGN KEY … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own, which lets writes to both tables go on. On a partitioned table, where NOT VALID is refused: add it to each partition so, then to the parent.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "without",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add constraint t_p foreign key (n) references p' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "not valid, then validated",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add constraint t_p foreign key (n) references p not valid; alter table t validate constraint t_p' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a new column, a new table",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column p_id int references p; create table n (id int references p)' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = scans(migration, RULE.id, |why| match why {
        Scan::ForeignKey { constraint } => Some(constraint.as_str()),
        _ => None,
    });
    // A change of type checks again, too.
    let adds = |one: &&Caused<Scan>| {
        one.step.effects.iter().any(|effect| matches!(effect, Effect::AddsForeignKey { validates: true, .. }))
    };
    Ok(found.iter().filter(adds).filter_map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<Scan>) -> Option<Finding> {
    let Scan::ForeignKey { constraint: part } = one.why else { return None };
    let table = &one.table;
    let name = format!("{}.{}", table.name, quote_identifier(part));
    let mut finding = migration_step::finding(migration, one.step, table, &name);
    finding.summary = format!("Adding the foreign key {part} checks every row of {}: {}", table.name, size(table));
    finding.cause = format!(
        "Without NOT VALID each row that is there is looked up in the table referred to, and both tables are locked as long: {} {}.",
        table.name,
        migration_step::who_waits(one.step, table)
    );
    Some(finding)
}
