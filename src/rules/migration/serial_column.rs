use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Statement};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "serial_column",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A migration creates a table with a column of type serial, bigserial or smallserial.",
    effect: "Who may insert into the table needs a privilege on its sequence, too; anybody can write other numbers over it, so that later \
             ones collide; CREATE TABLE … LIKE shares the sequence between both tables.",
    workaround: "Use an identity column: bigint generated always as identity.",
    sources: &["https://www.postgresql.org/docs/17/ddl-identity-columns.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "in a new table",
            setup: "create table example as select 'create table a (id bigserial primary key, n serial4)' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "identity columns, and a table that ends with the session",
            setup: "create table example as select 'create table a (id bigint generated always as identity primary key); create temp table b \
                    (id serial)' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for step in migration.judged(RULE.id) {
        let Statement::CreateTable(create) = &step.statement else { continue };
        let created = step.effects.iter().find_map(|effect| match effect {
            Effect::CreatesTable { table } if !table.temporary => Some(table),
            _ => None,
        });
        let Some(table) = created else { continue };
        for column in create.columns.iter().filter(|column| column.of_type.serial) {
            let name = format!("{}.{}", table.name, crate::db::quote_identifier(&column.name));
            let mut finding = migration_step::without_table(step, &name, Severity::low);
            finding.summary =
                format!("{name} is {}: an identity column does the same with less to go wrong", column.of_type.text);
            finding.cause =
                "serial is an integer with a default and a sequence that the table merely owns.".to_string();
            finding.evidence.insert("column".into(), name.into());
            finding.evidence.insert("type".into(), column.of_type.text.as_str().into());
            finding.risk = "None now: write the identity column before the migration has run.".to_string();
            (finding.fix_sql, finding.app_fix) =
                (None, Some("sa.Column(sa.BigInteger(), sa.Identity(always=True))".to_string()));
            findings.push(finding);
        }
    }
    Ok(findings)
}
