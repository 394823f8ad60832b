use crate::advice::migration_effects::{Caused, scans};
use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Migration, Scan};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "set_not_null_scans",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "SET NOT NULL on a column that no validated CHECK says has a value.",
    effect: "Every row is read under ACCESS EXCLUSIVE: reads and writes wait as long.",
    workaround: "ADD CHECK (column IS NOT NULL) NOT VALID, VALIDATE it in a transaction of its own, then SET NOT NULL, which then reads nothing, and drop the CHECK.",
    sources: &["https://www.postgresql.org/docs/17/sql-altertable.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "without a check",
            setup: "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter n set not null' as migration",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a primary key of an index on a column that may be null",
            setup: "create table t (n int); insert into t select g from generate_series(1, 1000) g; analyze t; create unique index t_n on t (n); create table example as select 'alter table t add primary key using index t_n' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "with a validated check, and one that implies it",
            setup: "create table t (id int primary key, n int check (n is not null), m int, constraint m_known check (m is not null and m > 0)); insert into t select g, g, g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter n set not null; alter table t alter m set not null' as migration",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a check that is not validated, and one that NULL passes",
            setup: "create table t (id int primary key, n int, m int check (m > 0)); insert into t select g, g, g from generate_series(1, 1000) g; analyze t; alter table t add constraint n_known check (n is not null) not valid; create table example as select 'alter table t alter n set not null; alter table t alter m set not null' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a table of the migration's own",
            setup: "create table example as select 'create table n (id int); alter table n alter id set not null' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = scans(migration, RULE.id, |why| match why {
        Scan::SetNotNull { column } => Some(column.as_str()),
        Scan::PrimaryKeyNotNull { columns } => columns.first().map(String::as_str),
        _ => None,
    });
    Ok(found.iter().filter_map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<Scan>) -> Option<Finding> {
    let (columns, how) = match one.why {
        Scan::SetNotNull { column } => (std::slice::from_ref(column), "SET NOT NULL"),
        // Building the index reads them anyway.
        Scan::PrimaryKeyNotNull { .. } if builds_index(one) => return None,
        Scan::PrimaryKeyNotNull { columns } => (&columns[..], "PRIMARY KEY"),
        _ => return None,
    };
    let table = &one.table;
    let quoted: Vec<String> = columns.iter().map(|column| quote_identifier(column)).collect();
    let name = format!("{}.{}", table.name, quoted.join(", "));
    let mut finding = migration_step::finding(migration, one.step, table, &name);
    finding.summary = format!("{how} on {name} reads {}: {}", table.name, size(table));
    finding.cause = format!(
        "No validated CHECK implies that {name} has a value in every row, so the server reads them all; meanwhile {}.",
        migration_step::who_waits(one.step, table)
    );
    Some(finding)
}

fn builds_index(one: &Caused<Scan>) -> bool {
    one.step.effects.iter().any(|effect| matches!(effect, Effect::BuildsIndex { .. }))
}
