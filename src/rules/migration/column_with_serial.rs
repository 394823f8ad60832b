use crate::advice::migration_effects::{ColumnTold, column_rewrites};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_with_serial",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD COLUMN of type serial, bigserial or smallserial to a table that others use.",
    effect: "Every row takes a number of the new sequence: the table and all its indexes are written anew under ACCESS EXCLUSIVE.",
    workaround: "Create the sequence, add a plain column, set nextval() as its default, fill the old rows in batches, then make it NOT NULL by a validated CHECK and let the column own the sequence.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "bigserial",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column n bigserial' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a plain column",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column n bigint' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add column n serial' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    Ok(column_rewrites(facts.migration(), RULE.id, |why| {
        match why {
        Rewrite::Serial { .. } => Some(ColumnTold {
            before: "Adding the serial column",
            after: String::new(),
            cause: "Each row of the table takes a number of the sequence that serial creates, so the table and its indexes are written anew".to_string(),
        }),
        _ => None,
    }
    }))
}
