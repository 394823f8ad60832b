use crate::advice::migration_effects::{Caused, builds};
use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::{Build, Migration};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_type_change_rebuilds_indexes",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "SET DATA TYPE or a new COLLATE that leaves the rows as they are, but not the order or operators of an index on the column.",
    effect: "The index is built anew under ACCESS EXCLUSIVE on the table: reads and writes wait as long.",
    workaround: "Add a column of the new type or collation, index it CONCURRENTLY, keep both equal with a trigger, fill it in batches, and change over by renaming.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "another collation",
            setup: "create table t (id int primary key, name text); create index t_name on t (name); insert into t select g, g::text from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter name type text collate \"POSIX\"' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no index on it, the same collation",
            setup: "create table t (id int primary key, name varchar(10), other text); create index t_name on t (name); insert into t select g, g::text from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter other type text collate \"POSIX\"; alter table t alter name type varchar(20)' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = builds(migration, RULE.id, |why| why == Build::TypeChange);
    Ok(found.iter().map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<String>) -> Finding {
    let (table, index) = (&one.table, one.why);
    let mut finding = migration_step::finding(migration, one.step, table, index);
    finding.summary = format!("The change of type builds {index} anew over {}", size(table));
    finding.cause = format!(
        "The rows stay as they are, but the index compares values differently after the change, so it is built anew; meanwhile {}.",
        migration_step::who_waits(one.step, table)
    );
    finding
}
