use crate::advice::migration_step;
use crate::advice::migration_uses::{about_users, said};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "not_null_without_default_while_inserted",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "When the migration has run, a column that it adds or makes NOT NULL has no default, and INSERTs that pg_stat_statements has \
                counted give it no value.",
    effect: "Old code that still runs cannot insert a row any more: each of those INSERTs fails with a NOT NULL violation.",
    workaround: "Give the column a default, at least until the new code is everywhere; or set NOT NULL only then.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-NOT-NULL"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an added column, and one that becomes NOT NULL",
            setup: "create extension pg_stat_statements; create table t (id int primary key, note text); create table traffic as select 1 as \
                    step, 'insert into t (id) values (%s)' as query, 3 as times; create table example as select 'alter table t add v int; \
                    update t set v = 0, note = ''''; alter table t alter v set not null; alter table t alter note set not null' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a default, a value that is given, and a column that may be NULL",
            setup: "create extension pg_stat_statements; create table t (id int primary key, note text); create table traffic as select 1 as \
                    step, 'insert into t (id, note) values (%s, 1)' as query, 3 as times; create table example as select 'alter table t add v \
                    int not null default 0, add w int; alter table t alter note set not null' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for (step, effect) in migration.effects(RULE.id) {
        let Effect::InsertedWithout { table, column, by } = effect else { continue };
        let name = format!("{}.{}", table.name, quote_identifier(column));
        let mut finding = migration_step::finding(migration, step, table, &name);
        finding.summary = format!("{name} is NOT NULL without a default after this, and {} give it no value", said(by));
        finding.cause =
            "An INSERT that does not name a column gives it its default; without one that is NULL.".to_string();
        about_users(&mut finding, by);
        findings.push(finding);
    }
    Ok(findings)
}
