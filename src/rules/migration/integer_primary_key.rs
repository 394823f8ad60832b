use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Column, Effect, ObjectKind, Relation, Statement};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "integer_primary_key",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A migration creates a table whose primary key is one column of type integer or smallint that numbers itself: by serial, \
                identity or nextval().",
    effect: "An integer ends at 2,147,483,647, and failed inserts and rolled back transactions use up numbers, too. When they have run out, \
             no row can be inserted, and bigint then means to rewrite the table and all that reference it.",
    workaround: "Use bigint from the start: bigint generated always as identity.",
    sources: &["https://www.postgresql.org/docs/17/datatype-numeric.html#DATATYPE-INT"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "serial and identity",
            setup: "create table example as select 'create table a (id serial primary key); create table b (id smallint generated always as \
                    identity, primary key (id))' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "bigint, numbers that others give, and keys of several columns",
            setup: "create table example as select 'create table a (id bigserial primary key); create table b (id int primary key); create \
                    table c (id serial, n int, primary key (id, n)); create temp table d (id serial primary key)' as migration",
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
        let Effect::CreatesTable { table } = effect else { continue };
        let Some(column) = small_key(table, &step.statement) else { continue };
        let name = format!("{}.{}", table.name, crate::db::quote_identifier(&column.name));
        let mut finding = migration_step::without_table(step, &name, Severity::low);
        finding.summary = format!("Primary key {name} of type {} ends at {}", column.type_name, end(column));
        finding.cause =
            "The column numbers its rows itself, and the type decides when there are no more numbers.".to_string();
        finding.evidence.insert("column".into(), name.into());
        finding.evidence.insert("type".into(), column.type_name.as_str().into());
        finding.risk = "None now: write bigint before the migration has run.".to_string();
        (finding.fix_sql, finding.app_fix) = (None, Some("sa.BigInteger()".to_string()));
        findings.push(finding);
    }
    Ok(findings)
}

fn small_key<'a>(table: &'a Relation, statement: &Statement) -> Option<&'a Column> {
    let own = matches!(table.kind, ObjectKind::Table | ObjectKind::PartitionedTable) && table.parents.is_empty();
    let key = table.constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey)?;
    let [only] = key.columns.as_slice() else { return None };
    let column = table.columns.iter().find(|column| column.name == *only)?;
    let serial = match statement {
        Statement::CreateTable(create) => create.columns.iter().any(|own| own.name == *only && own.of_type.serial),
        _ => false,
    };
    let numbers = serial
        || column.identity.is_some()
        || column.default.as_ref().is_some_and(|default| default.contains("nextval("));
    let small = matches!(column.type_name.as_str(), "integer" | "smallint");
    (own && !table.temporary && numbers && small).then_some(column)
}

fn end(column: &Column) -> &'static str {
    if column.type_name == "integer" { "2,147,483,647" } else { "32,767" }
}
