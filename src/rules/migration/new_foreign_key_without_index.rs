use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "new_foreign_key_without_index",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A migration adds a foreign key, and when it has run no index of the table begins with the key's columns, in any order.",
    effect: "Each row deleted from the parent, or whose key is updated, reads the whole table, with the parent row locked; joins from the \
             parent to it read it, too.",
    workaround: "Create the index in the same migration: on an existing table concurrently, before the key.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a key of an existing table, one of a new table, and one of a new column",
            setup: "create table p (id int primary key); create table c (id int primary key, p_id int); create index on c (id, p_id); create \
                    table example as select 'alter table c add foreign key (p_id) references p not valid; create table n (p_id int \
                    references p); alter table p add above int references p' as migration",
            finds: 3,
            fix_clears: false,
        },
        Case {
            name: "an index that is there, one that comes later, a key's own, and a table that goes again",
            setup: "create table p (id int primary key, b int, unique (id, b)); create table c (id int primary key, p_id int, b int); create \
                    index on c (b, p_id); create table example as select 'alter table c add foreign key (p_id, b) references p (id, b); \
                    create table n (p_id int references p); create index on n (p_id); create table o (p_id int primary key references p); \
                    create table q (p_id int references p); drop table q' as migration",
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
        let Effect::ForeignKeyWithoutIndex { table, constraint } = effect else { continue };
        let columns: Vec<String> = constraint.columns.iter().map(|column| quote_identifier(column)).collect();
        let object = format!("{}({})", table.name, columns.join(", "));
        let mut finding = migration_step::finding(migration, step, table, &object);
        // It hurts when parents go, not while the migration runs.
        finding.severity = finding.severity.max(Severity::medium);
        let rows = if table.private { String::new() } else { format!(": {}", size(table)) };
        let constraint_name = quote_identifier(&constraint.name);
        finding.summary = format!("Foreign key {constraint_name} on {object} has no index{rows}");
        finding.cause = format!(
            "Postgres indexes the parent's side of a foreign key, never the child's: no index of {} begins with {} when the migration \
             has run.",
            table.name,
            listing(&columns),
        );
        finding.evidence.insert("constraint_name".into(), constraint.name.as_str().into());
        finding.evidence.insert("on_delete".into(), constraint.on_delete.as_str().into());
        (finding.fix_sql, finding.app_fix) = (None, Some(in_alembic(table.name.name.raw(), &constraint.columns)));
        finding.risk = "An index costs each write of the table a little, and room.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}

fn in_alembic(table: &str, columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| format!("{column:?}")).collect();
    let name = format!("{table}_{}_idx", columns.join("_"));
    format!("op.create_index({name:?}, {table:?}, [{}], postgresql_concurrently=True)", quoted.join(", "))
}
