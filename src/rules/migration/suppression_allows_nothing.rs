use crate::facts::Facts;
use crate::facts::migration::UnreadKind;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "suppression_allows_nothing",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A comment with `dbre:` allows nothing: it gives no rule or no reason, names a rule that there is not, or does not stand on a line before a statement.",
    effect: "What it was to allow is reported all the same, or is thought to be allowed and is not.",
    workaround: "Write `-- dbre: allow <rule> <reason>` on a line before the statement.",
    sources: &["https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "no reason, no such rule, behind the statement",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$-- dbre: allow index_without_concurrently\ncreate index on t (a);\n-- dbre: allow no_such_rule it is fine\ncreate index on t (b); -- dbre: allow index_without_concurrently it is small\nselect 1$m$ as migration",
            finds: 3,
            fix_clears: false,
        },
        Case {
            name: "with its reason",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$-- dbre: allow index_without_concurrently nobody uses the table yet\n-- another comment\ncreate index on t (a)$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let unread = facts.migration().unread.iter().filter(|unread| unread.what == UnreadKind::Suppression);
    let findings = unread.map(|unread| Finding {
        severity: RULE.severity,
        object: format!("line {}", unread.line),
        summary: format!("Line {} allows nothing: {}", unread.line, unread.why),
        cause: "A suppression says which rule and why, so that whoever reads it later can tell whether it still holds."
            .to_string(),
        evidence: object! { "line": unread.line, "text": unread.text, "why": unread.why },
        app_fix: None,
        risk: "It has not been reviewed.".to_string(),
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
