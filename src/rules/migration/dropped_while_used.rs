use crate::advice::migration_uses::findings;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "dropped_while_used",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A migration drops a table, view or column while queries that pg_stat_statements has counted, or bodies of functions in SQL or PL/pgSQL, still name it; nothing of that name is there when the migration has run. Names are matched in parsed queries.",
    effect: "Every such query fails from then on, that of old code that still runs while the new one is deployed, too; and what was dropped does not come back by itself.",
    workaround: "First deploy code that does not name it (an ORM names all columns that its model has), see in pg_stat_statements that nothing does, then drop it.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a column that a function reads, and a table that two functions read",
            setup: "create table t (id int primary key, note text, other text); create function f() returns text language plpgsql as 'declare r text; begin select t.note into r from t where id = 1; return r; end'; create function g() returns bigint language sql as 'select count(*) from t'; create function h() returns bigint language sql begin atomic select count(*) from t; end; create table u (id int); create function k() returns void language sql as 'delete from u'; create table example as select 'alter table t drop note; drop table u' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a query that was counted",
            setup: "create extension pg_stat_statements; create table t (id int primary key, note text); create table traffic as select 1 as step, 'select x.note from public.t x where id = %s' as query, 3 as times; create table example as select 'alter table t drop column note' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "what nobody names, and a function that goes, too",
            setup: "create table t (id int primary key, note text, other text); create function f() returns text language plpgsql as 'declare r text; begin select t.note into r from t where id = 1; return r; end'; create function g() returns bigint language sql as 'select count(*) from t'; create function h() returns bigint language sql begin atomic select count(*) from t; end; create table example as select 'alter table t drop other; drop function f(); alter table t drop note' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let is_ours = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Drops { .. }));
    Ok(findings(migration, RULE.id, is_ours, "dropped"))
}
