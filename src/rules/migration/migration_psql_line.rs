use crate::facts::Facts;
use crate::facts::migration::UnreadKind;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_psql_line",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A line of the migration is a command of psql's own, which begins with a backslash.",
    effect: "The server never sees it: what psql does there (another file, another database, what a query returns) has not been reviewed, and no other program can run the file.",
    workaround: "Say it in SQL. Review included files by themselves.",
    sources: &["https://www.postgresql.org/docs/17/app-psql.html#APP-PSQL-META-COMMANDS"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "another file, and statements that a query makes",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$\\set ON_ERROR_STOP on\n\\i other.sql\nalter table t add c int;\nselect 'drop table t' \\gexec\n$m$ as migration",
            finds: 3,
            fix_clears: false,
        },
        Case {
            name: "a backslash in a string",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add c text default E'\\n'; comment on table t is '\n\\i other'$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let unread = facts.migration().unread.iter().filter(|unread| unread.what == UnreadKind::Psql);
    let findings = unread.map(|unread| Finding {
        severity: RULE.severity,
        object: format!("line {}", unread.line),
        summary: format!("Line {} is for psql, not for the server: {}", unread.line, unread.text),
        cause: format!("Passed over: {}.", unread.why),
        evidence: object! { "line": unread.line, "text": unread.text, "why": unread.why },
        app_fix: None,
        risk: "It has not been reviewed.".to_string(),
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
