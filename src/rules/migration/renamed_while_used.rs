use crate::advice::migration_uses::findings;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "renamed_while_used",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A migration renames a table, view or column, or moves it to another schema, while queries that pg_stat_statements has counted, or bodies of functions in SQL or PL/pgSQL, name it as it was; nothing of the old name is there when the migration has run. Names are matched in parsed queries; views and policies follow a rename by themselves.",
    effect: "Between the migration and the deployment of code that knows the new name, every such query fails.",
    workaround: "Expand and contract: add the new column, keep both in step by a trigger, switch the code, drop the old one. A table can be renamed when a view of its old name takes its place in the same transaction.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a column that a function reads, and a table that two functions read",
            setup: "create table t (id int primary key, note text, other text); create function f() returns text language plpgsql as 'declare r text; begin select t.note into r from t where id = 1; return r; end'; create function g() returns bigint language sql as 'select count(*) from t'; create function h() returns bigint language sql begin atomic select count(*) from t; end; create table example as select 'alter table t rename note to remark; alter table t rename to u' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a query that was counted",
            setup: "create extension pg_stat_statements; create table t (id int primary key, note text); create table traffic as select 1 as step, 'insert into t (id, note) values (%s, null)' as query, 3 as times; create table example as select 'alter table t rename column note to remark' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "what nobody names, a function that is made anew, and a view that takes the table's place",
            setup: "create table t (id int primary key, note text, other text); create function f() returns text language plpgsql as 'declare r text; begin select t.note into r from t where id = 1; return r; end'; create function g() returns bigint language sql as 'select count(*) from t'; create function h() returns bigint language sql begin atomic select count(*) from t; end; create table example as select 'alter table t rename other to another; create or replace function f() returns text language sql as ''select null::text''; alter table t rename note to remark; begin; alter table t rename to u; create view t as table u; commit' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let is_ours = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Renames { .. }));
    Ok(findings(migration, RULE.id, is_ours, "renamed"))
}
