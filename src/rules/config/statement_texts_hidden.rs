use crate::advice::measured_query::percent;
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "statement_texts_hidden",
    category: "config",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "pg_stat_statements shows the caller neither text nor identity of some statements of this database: other roles ran them.",
    effect: "They are in the sums, and in no finding.",
    workaround: "Ask as a member of pg_read_all_stats (pg_monitor is one). Its members see texts of all roles, with what constants of \
                 utility statements hold.",
    sources: &["https://www.postgresql.org/docs/17/predefined-roles.html"],
    options: &[],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "a role that may see its own only",
            setup: "create extension pg_stat_statements; create table traffic as select 1 as step, 'select 1' as query, 1 as times; \
                    insert into traffic values (2, 'set role none', 1), (3, 'select count(*) from pg_class', 3); create role \
                    :\"DBNAME\"; grant pg_read_all_stats to :\"DBNAME\" with admin option, inherit false, set false; grant select on \
                    traffic, dbre.rule_settings, dbre.suppressions, dbre.workload_snapshots, dbre.workload_snapshot_statements to \
                    :\"DBNAME\"; grant usage on schema dbre to :\"DBNAME\"; grant execute on all functions in schema dbre, public to \
                    :\"DBNAME\"; grant usage on type dbre.severity, dbre.advice to :\"DBNAME\"; alter database :\"DBNAME\" set role = \
                    :\"DBNAME\"",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a superuser sees all",
            setup: "create extension pg_stat_statements; create table traffic as select 1 as step, 'select 1' as query, 1 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let statistics = facts.statement_statistics();
    let (totals, setup) = (&statistics.totals, &statistics.setup);
    if totals.hidden_statements == 0 || setup.reads_all_statistics {
        return Ok(Vec::new());
    }
    let share = totals.hidden_ms / totals.total_ms.max(f64::MIN_POSITIVE);
    let caller = quote_identifier(&setup.caller);
    Ok(vec![Finding {
        severity: Severity::low,
        object: "pg_stat_statements".to_string(),
        weight: totals.hidden_ms as u64,
        summary: format!(
            "{} of {} with {} of the time are hidden from {caller}",
            Count(totals.hidden_statements),
            Count(totals.statements).of("statement"),
            percent(share)
        ),
        cause: "Other roles ran them, and only members of pg_read_all_stats see statements of others.".to_string(),
        evidence: object! {
            "hidden_statements": totals.hidden_statements,
            "hidden_ms": rounded(totals.hidden_ms),
            "hidden_share": rounded(share),
            "statements": totals.statements,
            "role": setup.caller,
        },
        fix_sql: Some(format!("grant pg_read_all_stats to {caller};")),
        risk: format!("{caller} then sees texts and counters of all roles in all databases, and what they run now."),
        rollback: Rollback::Sql(format!("revoke pg_read_all_stats from {caller};")),
        verify_sql: Some(format!(
            "select pg_catalog.pg_has_role({}, 'pg_read_all_stats', 'usage');",
            crate::db::quote_literal(&setup.caller)
        )),
        ..Finding::that_changes_nothing()
    }])
}
