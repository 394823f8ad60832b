use crate::advice::migration_effects::rewrites;
use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Rewrite;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "persistence_change_rewrites",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ALTER TABLE … SET LOGGED or SET UNLOGGED of a table with rows.",
    effect: "The table and all its indexes are written anew under ACCESS EXCLUSIVE; SET LOGGED also writes all of it to the WAL. An unlogged table is empty after a crash and on every standby.",
    workaround: "Fill a new table of the wanted kind in batches and change over by renaming; or do it while nobody works on the table.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "set unlogged",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t set unlogged' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it is so already",
            setup: "create table t (id int primary key); insert into t select g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t set logged' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = rewrites(migration, RULE.id, |why| match why {
        Rewrite::SetLogged => Some("logged"),
        Rewrite::SetUnlogged => Some("unlogged"),
        _ => None,
    });
    let finding = |one: &crate::advice::migration_effects::Caused<Rewrite>| -> Finding {
        let table = &one.table;
        let (to, also) = match one.why {
            Rewrite::SetUnlogged => {
                ("UNLOGGED", " After it a crash empties the table, and standbys have no rows of it.")
            }
            _ => ("LOGGED", " All of it goes through the WAL to every standby."),
        };
        let mut finding = migration_step::finding(migration, one.step, table, &table.name.to_string());
        finding.summary = format!("SET {to} rewrites {}: {}", table.name, size(table));
        finding.cause = format!(
            "The table and its indexes are written anew in files of the other kind; meanwhile {}.{also}",
            migration_step::who_waits(one.step, table)
        );
        finding
    };
    Ok(found.iter().map(finding).collect())
}
