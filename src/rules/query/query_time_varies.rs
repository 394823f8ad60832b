use crate::advice::measured_query::{excerpt, finding, judged, p95_ms};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_time_varies",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The mean time of a query with at least min_calls calls is within its target (of the rule slow_query), the time that 95% of \
                 the calls stay below is not. That time is an estimate: mean + 1.645 deviations, the slowest call left out. Of severity \
                 medium from twice the target on, else low.",
    effect: "Most users see a fast query, some wait; averages on dashboards hide it.",
    workaround: "Find out what is different about slow calls: parameters with many rows, a generic plan, locks waited for, a cold cache. \
                 auto_explain with log_min_duration shows plans of slow calls, log_lock_waits the locks.",
    sources: &[
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
        "https://www.postgresql.org/docs/17/auto-explain.html",
    ],
    options: &[OptionSpec::number("min_calls", (20.0, "calls"), (3.0, 1e12), "Queries with fewer are left alone.")],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "every tenth call takes four times the target",
            setup: "create extension pg_stat_statements; create table t (id int primary key); insert into t select generate_series(1, 100); \
                    create table traffic (step int, query text, times int); insert into traffic values (1, 'select id, case when id % 10 = 0 \
                    then pg_sleep(0.4) end from t where id = %s', 30)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one slow call of many",
            setup: "create extension pg_stat_statements; create table t (id int primary key); insert into t select generate_series(1, 100); \
                    create table traffic (step int, query text, times int); insert into traffic values (1, 'select id, case when id = 5 \
                    then pg_sleep(0.9) end from t where id = %s', 100)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judged(facts).filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let target = kind.target_ms(&facts.statement_statistics().targets)?;
    let (mean, p95) = (statement.mean_ms(), p95_ms(statement));
    if (statement.calls as f64) < options.number("min_calls") || mean > target || p95 <= target {
        return None;
    }
    let mut finding = finding(facts, statement, kind, statement.total_ms);
    finding.severity = if p95 >= 2.0 * target { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{}: {} take {} ms in the mean, but 5% more than about {} ms; target {} ms",
        excerpt(&statement.text),
        Count(statement.calls).of("call"),
        shown(mean),
        shown(p95),
        shown(target),
    );
    finding.cause = format!(
        "Times go from {} to {} ms, with a deviation of {} ms. The 95% are estimated from mean and deviation without the slowest call: \
         pg_stat_statements keeps no distribution.",
        shown(statement.least_ms),
        shown(statement.most_ms),
        shown(statement.deviation_ms),
    );
    finding.evidence.extend(object! {
        "p95_ms_estimated": rounded(p95),
        "least_ms": rounded(statement.least_ms),
        "target_ms": target,
    });
    Some(finding)
}
