use crate::facts::Facts;
use crate::facts::migration::UnreadKind;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_copy_data",
    category: "migration",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "COPY … FROM STDIN is followed by its data, as in a dump.",
    effect: "The statement has been reviewed, the data have not: they may break constraints. Only psql can run such a file.",
    workaround: "Load data apart from the migration, or as INSERT.",
    sources: &["https://www.postgresql.org/docs/17/sql-copy.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "two rows",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$copy t (id, a) from stdin;\n3001\t1\n3002\t2;\n\\.\nselect 1;$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "from a file",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$copy t from '/tmp/t.copy'$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let unread = facts.migration().unread.iter().filter(|unread| unread.what == UnreadKind::CopyData);
    let findings = unread.map(|unread| Finding {
        severity: RULE.severity,
        object: format!("line {}", unread.line),
        summary: format!("Line {}: {}", unread.line, unread.why),
        cause: "The rows are no statements; they have not been looked at.".to_string(),
        evidence: object! { "line": unread.line, "text": unread.text, "why": unread.why },
        app_fix: None,
        risk: "It has not been reviewed.".to_string(),
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
