use crate::advice::migration_columns::{finding, new_columns};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "timestamp_without_time_zone",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A migration adds a column of type timestamp without time zone.",
    effect: "The value says nothing about which moment is meant: what now() stores depends on the session's TimeZone, and comparing it with timestamptz converts by the reader's, so that two sessions see different moments.",
    workaround: "Use timestamptz; it takes the same 8 bytes. Where a wall clock without a place is meant, allow the rule with that reason.",
    sources: &["https://www.postgresql.org/docs/17/datatype-datetime.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a new table and an added column",
            setup: "create table t (id int primary key); create table example as select 'create table a (at timestamp not null, \"On\" timestamp(0) with time zone); alter table t add at timestamp(3)' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "other types, and a table that ends with the session",
            setup: "create table t (id int primary key); create table example as select 'create table a (at timestamptz, day date); alter table t add times time; create temp table x (at timestamp); create table b (ats timestamp[])' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for (step, table, column) in new_columns(migration, RULE.id) {
        if !(column.type_name.starts_with("timestamp") && column.type_name.ends_with(" without time zone")) {
            continue;
        }
        let mut finding = finding(step, &table, column);
        finding.summary =
            format!("{table}.{} is a timestamp without time zone", crate::db::quote_identifier(&column.name));
        finding.cause =
            "Which moment a value means depends on the TimeZone of who wrote it, and of who reads it.".to_string();
        finding.app_fix = Some("sa.DateTime(timezone=True)".to_string());
        findings.push(finding);
    }
    Ok(findings)
}
