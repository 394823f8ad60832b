use crate::advice::migration_effects::{ColumnTold, column_rewrites};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_with_stored_generated",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ADD COLUMN … GENERATED ALWAYS AS (…) STORED to a table that others use.",
    effect: "The value of every row is computed and stored: the table and all its indexes are written anew under ACCESS EXCLUSIVE.",
    workaround: "There is no way without the rewrite as long as the column is to be a generated one. A plain column that a trigger keeps, filled in batches, holds the same; so does an index on the expression, or a view.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "stored",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column twice int generated always as (id * 2) stored' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a plain column",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t add column twice int' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n add column b int generated always as (id * 2) stored' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    Ok(column_rewrites(facts.migration(), RULE.id, |why| {
        match why {
        Rewrite::StoredGenerated { .. } => Some(ColumnTold {
            before: "Adding the stored generated column",
            after: String::new(),
            cause: "The column is stored, so its value is computed for each row, and the table and its indexes are written anew".to_string(),
        }),
        _ => None,
    }
    }))
}
