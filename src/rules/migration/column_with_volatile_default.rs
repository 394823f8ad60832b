use crate::advice::migration_effects::{ColumnTold, column_rewrites};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_with_volatile_default",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD COLUMN with a default that is volatile once the planner has simplified it: gen_random_uuid(), random(), clock_timestamp().",
    effect: "Every row gets a value of its own: the table and all its indexes are written anew under ACCESS EXCLUSIVE. A constant, now() or any other stable default is stored once, and takes no time.",
    workaround: "Add the column without the default, set the default for new rows, fill the old rows in batches, then make it NOT NULL by a validated CHECK.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "gen_random_uuid()",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column token uuid default gen_random_uuid()' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "stable, constant, and volatile only by its declaration",
            setup: "create function one() returns int language sql as 'select 1'; create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column a timestamptz default now(), add column b int default one(), add column c text default upper(''x'')' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "partitions",
            setup: "create table t (id int) partition by range (id); create table t1 partition of t for values from (1) to (500); create table t2 partition of t for values from (500) to (2000); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column a float8 default random()' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add column token uuid default gen_random_uuid()' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    Ok(column_rewrites(facts.migration(), RULE.id, |why| match why {
        Rewrite::VolatileDefault { default, .. } => Some(ColumnTold {
            before: "Adding",
            after: format!(" with the default {default}"),
            cause: format!(
                "{default} is volatile, so each row needs a value of its own, and the server writes the table and its indexes anew"
            ),
        }),
        _ => None,
    }))
}
