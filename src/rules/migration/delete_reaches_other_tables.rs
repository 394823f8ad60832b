use crate::advice::migration_step::{self, size};
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "delete_reaches_other_tables",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "DELETE of rows that foreign keys of other tables with rows refer to, ON DELETE CASCADE, SET NULL or SET DEFAULT; or of any action without an index on the referring columns.",
    effect: "Rows of other tables go or change without being named; without an index each deleted row reads all of the referring table.",
    workaround: "Delete the children first, in batches; create the missing index concurrently before.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "cascade with and without an index",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (t_id int references t on delete cascade); insert into c select g from generate_series(1, 2000) g; create table d (t_id int references t on delete set null); insert into d select g from generate_series(1, 2000) g; create index on d (t_id); analyze; create table example as select 'delete from t where a = 3' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "indexed and restricted, no rows",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table c (t_id int references t); insert into c values (1); create index on c (t_id); create table d (t_id int references t on delete cascade); analyze; create table example as select 'delete from t where id = 3' as migration",
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
        let Effect::Reaches { table, constraint, action, rows, indexed, basis } = effect else { continue };
        let changes = matches!(action.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT");
        if table.private || table.rows < 1.0 || (!changes && *indexed) {
            continue;
        }
        let object = format!("{} constraint {constraint}", table.name);
        let mut finding = migration_step::finding(migration, step, table, &object);
        // The size of what is reached counts, but where the table is read for each deleted row.
        if *indexed {
            finding.severity = match *rows / migration.many_rows {
                times if times >= 1.0 => RULE.severity,
                times if times >= 0.01 => Severity::medium,
                _ => Severity::low,
            };
        }
        let reached = Count(rows.round() as u64).of("row");
        finding.summary = match (changes, indexed) {
            (true, true) => format!("DELETE also reaches {reached} of {} (ON DELETE {action})", table.name),
            (true, false) => format!(
                "DELETE also reaches {reached} of {} (ON DELETE {action}), and reads all of it for each deleted row",
                table.name
            ),
            (false, _) => format!("DELETE reads all of {} for each deleted row: {}", table.name, size(table)),
        };
        finding.cause = match indexed {
            true => format!("Foreign key {constraint} says so; how many, {basis}."),
            false => {
                format!("No index begins with the columns of foreign key {constraint}; how many rows, {basis}.")
            }
        };
        finding.evidence.insert("reached_rows".into(), rows.round().into());
        finding.evidence.insert("reached_rows_basis".into(), basis.as_str().into());
        finding.evidence.insert("action".into(), action.as_str().into());
        finding.evidence.insert("indexed".into(), (*indexed).into());
        findings.push(finding);
    }
    Ok(findings)
}
