use crate::advice::measured_query::{finding, judged, percent, targets, told};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "slow_query",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The mean time of a statement in pg_stat_statements is above the target of its kind: hot_ms for at most one row of one table \
                 without aggregation; complex_ms for aggregates or sorts over more than three joins, aggregates that read complex_blocks \
                 blocks, or 100,000 rows; regular_ms for other queries. Of severity high from 1 s and twice the target on, else medium. \
                 With fewer than min_calls calls medium where it takes min_share of the database's time, else low. Kinds are told from \
                 words of the text.",
    effect: "Users wait, and a connection of the pool is taken for as long.",
    workaround: "Look at its plan: dbre.explain_findings() with representative parameters.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[
        OptionSpec::number("hot_ms", (100.0, "ms"), (0.1, 1e9), "Target of hot queries."),
        OptionSpec::number("regular_ms", (500.0, "ms"), (0.1, 1e9), "Target of regular queries."),
        OptionSpec::number("complex_ms", (1000.0, "ms"), (0.1, 1e9), "Target of complex queries."),
        OptionSpec::number(
            "complex_blocks",
            (2000.0, "blocks"),
            (1.0, 1e12),
            "Aggregates that read as many shared blocks per call are complex.",
        ),
        OptionSpec::number(
            "min_calls",
            (5.0, "calls"),
            (1.0, 1e12),
            "With fewer the mean says little of the next call.",
        ),
        OptionSpec::number(
            "min_share",
            (0.1, "of all time"),
            (0.0, 1.0),
            "Few calls that take less are of severity low.",
        ),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "a lookup that takes longer than a tenth of a second",
            setup: "create extension pg_stat_statements; create table t (id int primary key, v text); insert into t values (1, 'a'); create \
                    table traffic (step int, query text, times int); insert into traffic values (1, 'select v, pg_sleep(0.12) from t where \
                    id = 1', 6), (2, 'select v from t where id = 1', 20)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "fast queries, utility and this extension",
            setup: "create extension pg_stat_statements; create table t (id int primary key, v text); insert into t values (1, 'a'); create \
                    table traffic (step int, query text, times int); insert into traffic values (1, 'select v from t where id = %s', 50), \
                    (2, 'do $$ begin perform pg_sleep(0.6); end $$', 1), (3, 'select count(*), pg_sleep(0.6) from dbre.rules()', 1)",
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
    let target = kind.target_ms(&targets(options))?;
    let (mean, calls) = (statement.mean_ms(), statement.calls as f64);
    if mean <= target {
        return None;
    }
    let beyond = statement.total_ms - calls * target;
    let mut finding = finding(facts, statement, kind, statement.total_ms);
    let share = facts.statement_statistics().share(statement);
    finding.severity = if calls < options.number("min_calls") {
        if share >= options.number("min_share") { Severity::medium } else { Severity::low }
    } else if mean >= 1000.0 && mean >= 2.0 * target {
        Severity::high
    } else {
        Severity::medium
    };
    finding.summary = format!("{}; target {} ms", told(facts, statement), shown(target));
    finding.cause = format!(
        "The target of a {} query is {} ms; this one takes {} ms in the mean, at least {} ms and at most {} ms. {} {}",
        kind.name(),
        shown(target),
        shown(mean),
        shown(statement.least_ms),
        shown(statement.most_ms),
        spent(facts, statement),
        "Its plan says why: dbre.explain_findings().",
    );
    finding.evidence.extend(object! { "target_ms": target, "beyond_target_ms": rounded(beyond) });
    finding.impact = object! {
        "total_ms": change((rounded(statement.total_ms), "measured"), (rounded(calls * target), "estimated")),
    };
    Some(finding)
}

/// What of its time is known.
fn spent(facts: &Facts, statement: &MeasuredStatement) -> String {
    let blocks = (statement.shared_hit_blocks + statement.shared_read_blocks) as f64 / statement.calls.max(1) as f64;
    let io = match facts.statement_statistics().setup.track_io_timing {
        true => format!(", {} of its time for reading and writing them", percent(statement.io_ms / statement.total_ms)),
        false => String::new(),
    };
    let rows = match statement.rows_per_call() {
        1.0 => "1 row".to_string(),
        rows => format!("{} rows", shown(rows)),
    };
    format!("A call looks at {} blocks for {rows}{io}.", shown(blocks))
}
