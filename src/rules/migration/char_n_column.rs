use crate::advice::migration_columns::{finding, new_columns};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "char_n_column",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A migration adds a column of type character(n), with n greater than 1.",
    effect: "Values are padded with blanks to n characters: they take that room, blanks at the end do not count in comparisons but do in LIKE and in what clients get, and it is no faster than text.",
    workaround: "Use text, with a CHECK on the length where there is a limit, or varchar(n).",
    sources: &["https://www.postgresql.org/docs/17/datatype-character.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a new table and an added column",
            setup: "create table t (id int primary key); create table example as select 'create table a (code char(8), flag char); alter table t add c character(3)' as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "other types, and a single character",
            setup: "create table t (id int primary key); create table example as select 'create table a (v varchar(8), n text, k \"char\"); alter table t add c varchar; create temp table x (c char(2))' as migration",
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
        if !(column.type_name.starts_with("character(") && column.type_name != "character(1)") {
            continue;
        }
        let mut finding = finding(step, &table, column);
        let type_name = &column.type_name;
        finding.summary =
            format!("{table}.{} is padded with blanks: {type_name}", crate::db::quote_identifier(&column.name));
        finding.cause = "The type keeps n characters of every value, blanks included.".to_string();
        finding.app_fix = Some("sa.Text()".to_string());
        findings.push(finding);
    }
    Ok(findings)
}
