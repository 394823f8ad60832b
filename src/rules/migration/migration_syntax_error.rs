use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure, Statement, Step, UnreadKind};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_syntax_error",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The server's own parser refuses a statement; what needs a newer server is migration_needs_newer_server's.",
    effect: "The migration stops there: with a transaction around it all is undone, without one what stands before it stays.",
    workaround: "Correct the statement. A placeholder of a tool or a variable of psql must be filled in before the text is reviewed: pass what the server will get.",
    sources: &["https://www.postgresql.org/docs/17/sql-syntax.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a word is misspelled",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add c int;\nalter table t ad d int;\nalter table t add e int$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a bracket and a quote are left open",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$create table u (a int;\nupdate t set b = 'it's' where id = 1;\nalter table t add e int$m$ as migration",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "all of it is SQL",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$alter table t add c int; -- 'comment\nselect $$;$$$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings: Vec<Finding> = migration.judged(RULE.id).filter_map(of_step).collect();
    for rest in migration.unread.iter().filter(|unread| unread.what == UnreadKind::Rest) {
        findings.push(Finding {
            severity: RULE.severity,
            object: format!("text from line {}", rest.line),
            summary: format!("The text from line {} on has not been reviewed: {}", rest.line, rest.why),
            cause: "So many errors mean that this is no SQL for PostgreSQL.".to_string(),
            evidence: object! { "line": rest.line },
            ..Finding::that_changes_nothing()
        });
    }
    Ok(findings)
}

fn of_step(step: &Step) -> Option<Finding> {
    let Statement::SyntaxError(error) = &step.statement else { return None };
    let is_newer = |effect: &Effect| matches!(effect, Effect::Fails { why: Failure::NewerServer { .. }, .. });
    if step.effects.iter().any(is_newer) {
        return None;
    }
    let before = &step.text[..error.offset.unwrap_or(0).min(step.text.len())];
    let line = step.line + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
    let mut finding = migration_step::without_table(step, "syntax error", RULE.severity);
    finding.summary = format!("Line {line}, column {column}: {}", error.message);
    finding.cause = match hint(&step.text[before.len()..], before) {
        Some(hint) => format!("The server's parser refuses the statement there. {hint}"),
        None => "The server's parser refuses the statement there; the others were reviewed as if it were not there."
            .to_string(),
    };
    finding.evidence.append(&mut object! { "line": line, "column": column, "sqlstate": error.sqlstate });
    finding.risk = "The statement does not run.".to_string();
    Some(finding)
}

/// What the place looks like.
fn hint(behind: &str, before: &str) -> Option<&'static str> {
    let placeholder =
        ["${", "{{", "{%", "<%"].iter().any(|mark| behind.starts_with(mark) || before.ends_with(&mark[..1]));
    match () {
        () if placeholder => Some("It looks like a placeholder of a tool: pass the text with its value in it."),
        () if behind.starts_with(':') => Some("It looks like a variable of psql: pass the text with its value in it."),
        () if behind.starts_with('`') => Some("Names are quoted with double quotes in PostgreSQL."),
        () => None,
    }
}
