use crate::advice::measured_query::{excerpt, finding, judged, ms, percent};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_takes_most_time",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A statement takes at least min_share of the execution time of all statements of the database, and at least min_total_ms. Of \
                 severity medium where its mean is above its target, or where it has kept busy_backends backends busy on average over at \
                 least min_seconds, in at least min_calls calls; else low.",
    effect: "It is where the database's time goes: what makes it faster, or rarer, makes room for everything else.",
    workaround: "Faster: its plan (dbre.explain_findings()). Rarer: cache its answer, or ask for many rows at once.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[
        OptionSpec::number("min_share", (0.3, "of all time"), (0.0, 1.0), "Statements that take less are left alone."),
        OptionSpec::number("min_total_ms", (1000.0, "ms"), (0.0, 1e15), "Statements that take less are left alone."),
        OptionSpec::number("busy_backends", (0.5, "backends"), (0.0, 1e6), "From here on the load matters."),
        OptionSpec::number(
            "min_seconds",
            (60.0, "s"),
            (0.0, 1e9),
            "A load is told of statistics that count for so long.",
        ),
        OptionSpec::number("min_calls", (5.0, "calls"), (1.0, 1e12), "Fewer may never come again."),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "one of two takes nearly all",
            setup: "create extension pg_stat_statements; create table t (id int primary key); create table traffic (step int, query text, \
                    times int); insert into traffic values (1, 'select pg_sleep(0.02) from generate_series(1, 1)', 60), (2, 'select from t \
                    where id = %s', 60)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "next to nothing in all",
            setup: "create extension pg_stat_statements; create table t (id int primary key); create table traffic as select 1 as step, \
                    'select from t where id = %s' as query, 100 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    // What a function runs is part of what called it.
    let top = judged(facts).filter(|(statement, _)| statement.top_level);
    Ok(top.filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let statistics = facts.statement_statistics();
    let share = statistics.share(statement);
    if share < options.number("min_share") || statement.total_ms < options.number("min_total_ms") {
        return None;
    }
    let mean = statement.mean_ms();
    let slow = kind.target_ms(&statistics.targets).is_some_and(|target| mean > target);
    let busy = statistics.busy(statement.total_ms);
    let counted = statistics.totals.counted_seconds;
    let loads = busy >= options.number("busy_backends") && counted >= options.number("min_seconds");
    let mut finding = finding(facts, statement, kind, statement.total_ms);
    let often = statement.calls as f64 >= options.number("min_calls");
    finding.severity = if often && (slow || loads) { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{} takes {} of the database's time: {} of {} ms",
        excerpt(&statement.text),
        percent(share),
        Count(statement.calls).of("call"),
        ms(mean),
    );
    finding.cause = format!(
        "All statements take {} ms, this one {} ms: on average {busy:.2} of {:.2} busy backends over {} s. {}",
        shown(statistics.totals.total_ms),
        shown(statement.total_ms),
        statistics.busy(statistics.totals.total_ms),
        shown(counted),
        match slow {
            true => "Each call is above its target.",
            false => "Each call is fast enough: it is the number of calls.",
        }
    );
    finding.evidence.extend(object! {
        "busy_backends": rounded(busy),
        "busy_backends_of_all_statements": rounded(statistics.busy(statistics.totals.total_ms)),
        "calls_per_second": rounded(statement.calls as f64 / counted.max(1.0)),
        "database_counted_seconds": rounded(counted),
    });
    finding.app_fix = (!slow).then(|| {
        "Ask less often: cache what seldom changes, load children of many parents at once (selectinload), look many keys up in one query \
         (column == sqlalchemy.any_(array))."
            .to_string()
    });
    Some(finding)
}
