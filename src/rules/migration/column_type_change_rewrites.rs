use crate::advice::migration_effects::{ColumnTold, column_rewrites};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_type_change_rewrites",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "SET DATA TYPE to a type whose values are stored in another form, or must be checked one by one.",
    effect: "The table and all its indexes are written anew under ACCESS EXCLUSIVE, and foreign keys on the column are checked again.",
    workaround: "Add a column of the new type, keep both equal with a trigger, fill the old rows in batches, change over by renaming in a short transaction, drop the old one later.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "int to bigint",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter column n type bigint' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "varchar widened, varchar to text, numeric with more digits",
            setup: "create table t (id int primary key, a varchar(10), b varchar(10), c numeric(10, 2)); insert into t select g, 'a', 'b', g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter a type varchar(20), alter b type text, alter c type numeric(12, 2)' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "timestamps while the time zone is UTC",
            setup: "create table t (id int primary key, at timestamp); insert into t select g, now() from generate_series(1, 1000) g; analyze t; create table example as select 'set timezone = ''UTC''; alter table t alter at type timestamptz; set timezone = ''Europe/Berlin''; alter table t alter at type timestamp' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n alter id type bigint' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    Ok(column_rewrites(facts.migration(), RULE.id, |why| match why {
        Rewrite::TypeChange { from, to, .. } => Some(ColumnTold {
            before: "Changing",
            after: format!(" from {from} to {to}"),
            cause: format!(
                "{from} and {to} are not stored alike for every value, so each row is converted, and the table and its indexes are written anew"
            ),
        }),
        _ => None,
    }))
}
