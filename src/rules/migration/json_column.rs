use crate::advice::migration_columns::{finding, new_columns};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "json_column",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A migration adds a column of type json.",
    effect: "The text is kept as it is and parsed again by every function that looks into it; there is no equality, so that DISTINCT, GROUP BY and UNION fail, and no index serves it.",
    workaround: "Use jsonb. Where the exact text counts (order of keys, duplicates), allow the rule with that reason.",
    sources: &["https://www.postgresql.org/docs/17/datatype-json.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a new table and an added column",
            setup: "create table t (id int primary key); create table example as select 'create table a (data json not null); alter table t add extra json' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "jsonb",
            setup: "create table t (id int primary key); create table example as select 'create table a (data jsonb not null, xml xml); alter table t add extra jsonb' as migration",
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
        if column.type_name != "json" {
            continue;
        }
        let mut finding = finding(step, &table, column);
        finding.summary = format!(
            "{table}.{} is json, which has no equality and no index",
            crate::db::quote_identifier(&column.name)
        );
        finding.cause =
            "The type is text that is known to be valid JSON; jsonb is parsed once, when it is written.".to_string();
        finding.app_fix = Some("sqlalchemy.dialects.postgresql.JSONB()".to_string());
        findings.push(finding);
    }
    Ok(findings)
}
