use crate::facts::{Facts, NotAnalyzed};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, rounded};
use std::collections::{BTreeMap, BTreeSet};

pub static RULE: Rule = Rule {
    id: "n_plus_one_not_judged",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Texts of pg_stat_statements could not be analyzed, one finding for each SQLSTATE; or time_limit was up before all were.",
    effect: "Whether these statements are repeated for each row of another, or return the rows that others are repeated for, is not known.",
    workaround: "42501: call as a role that may SET ROLE to those that run the statements. 42P01: a table that is gone needs nothing; for \
                 names without a schema, set the role's search_path (ALTER ROLE … SET). 55P03: another session holds a lock on a table. Time: a longer time_limit.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[],
    needs: &[Need::Lookups],
    cases: &[
        Case {
            name: "a table that is gone",
            setup: "create extension pg_stat_statements; create table traffic as select * from (values (1, 'create table gone_%s (id int)', 1), \
                    (2, 'select * from gone_1', 3), (3, 'drop table gone_%s', 1)) t (step, query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all can be analyzed, utility statements are no queries",
            setup: "create extension pg_stat_statements; create table t (id int); create table traffic as select * from (values (1, 'select * \
                    from t where id = %s', 3), (2, 'set work_mem = 77', 1), (3, 'begin', 1), (4, 'commit', 1)) t (step, query, times)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const SHOWN: usize = 20;

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let lookups = facts.lookups();
    let mut reasons: BTreeMap<&str, Vec<&NotAnalyzed>> = BTreeMap::new();
    for statement in &lookups.not_analyzed {
        reasons.entry(&statement.why.sqlstate).or_default().push(statement);
    }
    let mut findings: Vec<Finding> =
        reasons.into_iter().map(|(sqlstate, statements)| refused(facts, sqlstate, &statements)).collect();
    if lookups.not_reached > 0 {
        findings.push(Finding {
            object: "time_limit".to_string(),
            summary: format!("{} not analyzed: time_limit was up", Count(lookups.not_reached).of("statement")),
            cause: "Statements are analyzed in the order of their total time; those that take least are left."
                .to_string(),
            evidence: object! { "statements": lookups.not_reached, "analyzed": lookups.statements.len() },
            ..Finding::that_changes_nothing()
        });
    }
    Ok(findings)
}

fn refused(facts: &Facts, sqlstate: &str, statements: &[&NotAnalyzed]) -> Finding {
    let messages: BTreeSet<&str> = statements.iter().map(|statement| statement.why.message.as_str()).collect();
    let total_ms: f64 = statements.iter().map(|statement| statement.total_ms).sum();
    let share = total_ms / facts.lookups().total_ms.max(f64::MIN_POSITIVE);
    Finding {
        object: format!("SQLSTATE {sqlstate}"),
        weight: total_ms as u64,
        summary: format!(
            "{} with {:.0}% of all time not analyzed: {}",
            Count(statements.len() as u64).of("statement"),
            100.0 * share,
            statements[0].why.message
        ),
        cause: "A text means what it meant to the role that ran it, and is analyzed with that role's rights and search_path, as they \
                are now."
            .to_string(),
        evidence: object! {
            "sqlstate": sqlstate,
            "statements": statements.len(),
            "calls": statements.iter().map(|statement| statement.calls).sum::<u64>(),
            "total_ms": rounded(total_ms),
            "share": rounded(share),
            "messages": messages.into_iter().take(SHOWN).collect::<Vec<_>>(),
            "query_ids": statements.iter().take(SHOWN).map(|statement| statement.query_id).collect::<Vec<_>>(),
        },
        ..Finding::that_changes_nothing()
    }
}
