use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, Days, rounded};

pub static RULE: Rule = Rule {
    id: "statement_statistics_young",
    category: "config",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "pg_stat_statements has counted statements of this database for less than min_seconds, or none at all.",
    effect: "What runs nightly, on Mondays or under load is not among them: findings are true of this time only.",
    workaround: "Ask again later. Do not reset the statistics to see what is new: dbre.snapshot_workload() and a comparison show that.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[OptionSpec::number(
        "min_seconds",
        (3600.0, "s"),
        (0.0, 1e9),
        "Statistics that count for longer are not young.",
    )],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "just reset",
            setup: "create extension pg_stat_statements; create table traffic as select 1 as step, 'select 1' as query, 1 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "old enough",
            setup: "create extension pg_stat_statements; create table traffic as select 1 as step, 'select 1' as query, 1 as times; \
                    select dbre.configure_rule('statement_statistics_young', options => '{\"min_seconds\": 0}')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statistics = facts.statement_statistics();
    let totals = &statistics.totals;
    if !statistics.counts() || totals.counted_seconds >= options.number("min_seconds") {
        return Ok(Vec::new());
    }
    let time = match totals.counted_seconds {
        seconds if seconds < 120.0 => Count(seconds.round() as u64).of("second"),
        seconds => Days(seconds / 86_400.0).to_string(),
    };
    Ok(vec![Finding {
        severity: Severity::low,
        object: "pg_stat_statements".to_string(),
        summary: match totals.statements {
            0 => "pg_stat_statements has counted no statement of this database yet".to_string(),
            number => {
                format!("pg_stat_statements counts this database for {time} only: {}", Count(number).of("statement"))
            }
        },
        cause: "The statistics were reset, the server crashed, or the database is new or not used.".to_string(),
        evidence: object! {
            "counted_seconds": rounded(totals.counted_seconds),
            "seconds_since_reset": totals.reset_seconds.map(rounded),
            "statements": totals.statements,
            "calls": totals.calls,
            "total_ms": rounded(totals.total_ms),
        },
        ..Finding::that_changes_nothing()
    }])
}
