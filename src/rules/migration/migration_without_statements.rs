use crate::facts::Facts;
use crate::facts::migration::Origin;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_without_statements",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The text is empty, or holds nothing but comments and what is no SQL.",
    effect: "There is nothing to review. A file that is empty by mistake is recorded as applied, and its change never comes.",
    workaround: "Pass the migration's SQL.",
    sources: &["https://www.postgresql.org/docs/17/sql-syntax-lexical.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "only comments",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$-- alter table t add c int;\n/* later */\n;$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a statement",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$select 1$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    if !migration.steps.is_empty() || migration.origin == Origin::Python {
        return Ok(Vec::new());
    }
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "migration".to_string(),
        summary: "There is no statement in the text".to_string(),
        cause: "It is empty, or all of it is comments or no SQL.".to_string(),
        evidence: object! { "lines_not_read": migration.unread.len() },
        ..Finding::that_changes_nothing()
    }])
}
