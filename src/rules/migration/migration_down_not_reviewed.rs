use crate::facts::Facts;
use crate::facts::migration::UnreadKind;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_down_not_reviewed",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The file has both ways, up and down, as goose, dbmate, sql-migrate and node-pg-migrate write them.",
    effect: "The way up has been reviewed; the way down has not.",
    workaround: "Pass the way down by itself to dbre.migration_findings(), and both to dbre.migration_round_trip().",
    sources: &[
        "https://github.com/pressly/goose#sql-migrations",
        "https://github.com/amacneil/dbmate#creating-migrations",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a file of goose",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$-- +goose Up\nalter table t add c int;\n\n-- +goose Down\nalter table t drop c;\n$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "only the way up",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$-- +goose Up\nalter table t add c int;\n$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let unread = facts.migration().unread.iter().filter(|unread| unread.what == UnreadKind::Down);
    let findings = unread.map(|unread| Finding {
        severity: RULE.severity,
        object: format!("line {}", unread.line),
        summary: format!("The way down, from line {} on, has not been reviewed", unread.line),
        cause: "A file with both ways is reviewed as its tool runs it forward.".to_string(),
        evidence: object! { "line": unread.line, "text": unread.text, "why": unread.why },
        app_fix: None,
        risk: "It has not been reviewed.".to_string(),
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
