use crate::advice::migration_step;
use crate::facts::Facts;
use crate::facts::migration::Effect;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_statement_not_judged",
    category: "migration",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "What a statement does cannot be told before it runs: dynamic SQL, code in another language, a function that writes, an object whose definition the migration makes itself.",
    effect: "Locks, rewrites and losses of it are not among the findings.",
    workaround: "Look at it yourself, or run dbre.migration_dry_run(). Static SQL instead of EXECUTE lets the review see it.",
    sources: &["https://www.postgresql.org/docs/17/plpgsql-statements.html#PLPGSQL-STATEMENTS-EXECUTING-DYN"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "EXECUTE in a DO block",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$do $$ begin execute format('drop table %I', 't'); end $$$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "static SQL in a DO block",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$do $$ begin if not exists (select from t where id = 0) then alter table t add c int; end if; end $$$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for step in migration.judged(RULE.id) {
        let reasons: Vec<&str> = step.effects.iter().filter_map(reason).collect();
        let Some(first) = reasons.first() else { continue };
        let mut finding = migration_step::without_table(step, &step.kind, RULE.severity);
        finding.summary = format!("Line {} ({}) has not been judged: {first}", step.line, step.kind);
        finding.cause = format!("It cannot be told from the text and the catalogs: {}.", reasons.join("; "));
        finding.risk = "Unknown: its locks, rewrites and losses are not in this review.".to_string();
        findings.push(finding);
    }
    Ok(findings)
}

fn reason(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::NotJudged { why } => Some(why.trim_end_matches('.')),
        _ => None,
    }
}
