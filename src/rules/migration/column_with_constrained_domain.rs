use crate::advice::migration_effects::{ColumnTold, column_rewrites};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_with_constrained_domain",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD COLUMN whose type is a domain with a CHECK or NOT NULL, even without a default.",
    effect: "The server must check the value for every row, and does so by writing the table and all its indexes anew under ACCESS EXCLUSIVE.",
    workaround: "Add the column of the domain's base type, with a CHECK NOT VALID that says what the domain says, and validate it in a transaction of its own.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "with a check",
            setup: "create domain positive as int check (value > 0); create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column n positive' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "without constraints",
            setup: "create domain code as text; create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column c code default ''x''' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add column n int' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    Ok(column_rewrites(facts.migration(), RULE.id, |why| match why {
        Rewrite::ConstrainedDomain { domain, .. } => Some(ColumnTold {
            before: "Adding",
            after: format!(" of the domain {domain}"),
            cause: format!(
                "The domain {domain} has constraints: a column of it is never added without writing the table and its indexes anew"
            ),
        }),
        _ => None,
    }))
}
