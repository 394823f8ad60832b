use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "truncate_in_migration",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "TRUNCATE of a table that others use and that has rows; with CASCADE also of those that refer to it.",
    effect: "All rows are gone at COMMIT, for snapshots that were taken before as well, and ACCESS EXCLUSIVE keeps everyone out until then.",
    workaround: "DELETE in batches what is not wanted any more; list the tables instead of CASCADE.",
    sources: &["https://www.postgresql.org/docs/17/sql-truncate.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "rows, and those of a child",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (id int, t_id int references t); insert into c select g, g from generate_series(1, 2000) g; analyze c; create table example as select 'truncate t cascade' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "no rows, a new table",
            setup: "create table t (id int primary key); analyze t; create table example as select 'truncate t; create table n as select 1 as id; truncate n' as migration",
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
        let Effect::Empties { table, cascade_of } = effect else { continue };
        if table.private || table.rows < 1.0 {
            continue;
        }
        let mut finding = migration_step::finding(migration, step, table, &table.name.to_string());
        finding.severity = finding.severity.min(RULE.severity);
        finding.summary = match cascade_of {
            Some(parent) => format!("TRUNCATE of {parent} also empties {} ({})", table.name, size(table)),
            None => format!("TRUNCATE empties {} ({})", table.name, size(table)),
        };
        finding.cause = match cascade_of {
            Some(parent) => {
                format!("It has a foreign key to {parent}, and CASCADE truncates whatever refers, whole.")
            }
            None => "TRUNCATE removes all rows; only a backup brings them back.".to_string(),
        };
        findings.push(finding);
    }
    Ok(findings)
}
