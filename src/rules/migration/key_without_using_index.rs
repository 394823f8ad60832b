use crate::advice::migration_effects::{Caused, builds};
use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Build, Migration};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "key_without_using_index",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD UNIQUE, PRIMARY KEY or EXCLUDE on a table with rows, without USING INDEX.",
    effect: "The index is built while ACCESS EXCLUSIVE is held: reads and writes wait until it is done.",
    workaround: "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX, which takes no time. An exclusion constraint has no such way: a new table, or a quiet hour.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "unique",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add constraint t_n_key unique (n)' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "primary key",
            setup: "create table t (id int not null); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add primary key (id)' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "using index",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create unique index t_n on t (n); create table example as select 'alter table t add constraint t_n_key unique using index t_n' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add unique (id)' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = builds(migration, RULE.id, |why| matches!(why, Build::Unique | Build::PrimaryKey | Build::Exclude));
    Ok(found.iter().map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<String>) -> Finding {
    let (table, index) = (&one.table, one.why);
    let mut finding = migration_step::finding(migration, one.step, table, index);
    finding.summary = format!("Adding {index} builds its index over {} with the table locked", size(table));
    finding.cause = format!(
        "The constraint's index is built within the ALTER TABLE, and {}.",
        migration_step::who_waits(one.step, table)
    );
    finding
}
