use crate::advice::measured_query::{excerpt, finding, judged, ms};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Change, Counters, Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "query_slower_than_before",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A query with at least min_calls calls both until a snapshot (dbre.snapshot_workload()) and since takes min_ratio times and \
                 min_more_ms more per call since, a difference of at least min_standard_errors standard errors of the two means. Of severity \
                 high where its mean is now above its target, or the additional time keeps busy_backends backends busy over at least \
                 min_seconds; low where that time is less than 1 s in all; else medium.",
    effect: "What was fast enough is not any more: after a release, a dropped index, a change of the plan or the growth of a table.",
    workaround: "What changed since the snapshot: releases, migrations, settings. Its plan now: dbre.explain_findings(). Blocks per call \
                 before and since tell whether it does more work.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[
        OptionSpec::number("min_ratio", (1.5, "times"), (1.0, 1e6), "Less is left alone."),
        OptionSpec::number("min_more_ms", (1.0, "ms per call"), (0.0, 1e9), "Less is left alone."),
        OptionSpec::number("min_calls", (10.0, "calls"), (2.0, 1e12), "Fewer, before or since, say nothing."),
        OptionSpec::number(
            "min_standard_errors",
            (4.0, "standard errors"),
            (0.0, 1e6),
            "A smaller difference may be an accident.",
        ),
        OptionSpec::number("busy_backends", (0.1, "backends"), (0.0, 1e6), "From here on the additional load matters."),
        OptionSpec::number("min_seconds", (60.0, "s"), (0.0, 1e9), "A load is told of a snapshot that is so old."),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "an index was dropped",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table t \
                    (id int, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) g; create index t_id on t (id); \
                    vacuum analyze t; create table traffic (step int, query text, times int); insert into traffic values (1, 'select v from \
                    t where id = %s', 30), (2, 'select dbre.snapshot_workload()', 1), (3, 'drop index if exists t_id', 1), (4, 'select v \
                    from t where id = %s', 30)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the same before and since",
            setup: "create extension pg_stat_statements; create table t (id int primary key, v text); insert into t select g, md5(g::text) \
                    from generate_series(1, 1000) g; vacuum analyze t; create table traffic (step int, query text, times int); insert into \
                    traffic values (1, 'select v from t where id = %s', 50), (2, 'select dbre.snapshot_workload()', 1), (3, 'select v from t \
                    where id = %s', 50)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Below it all calls together have lost next to nothing.
const LOW_MS: f64 = 1000.0;
/// From here on a query is said to do more work than before.
const MORE: f64 = 1.5;

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judged(facts).filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let statistics = facts.statement_statistics();
    let snapshot = statistics.snapshot.as_ref()?;
    let compared = statistics.change(statement)?;
    let (before, since) = (&compared.before, &compared.since);
    if before.calls.min(since.calls) < options.number("min_calls")
        || compared.ratio() < options.number("min_ratio")
        || compared.slower_ms() < options.number("min_more_ms")
        || compared.standard_errors() < options.number("min_standard_errors")
    {
        return None;
    }
    let extra = compared.extra_ms();
    let busy = extra / 1000.0 / snapshot.seconds_ago.max(1.0);
    let slow = kind.target_ms(&statistics.targets).is_some_and(|target| since.mean_ms() > target);
    let loads = busy >= options.number("busy_backends") && snapshot.seconds_ago >= options.number("min_seconds");
    let mut finding = finding(facts, statement, kind, extra);
    finding.severity = match () {
        _ if slow || loads => Severity::high,
        _ if extra < LOW_MS => Severity::low,
        _ => Severity::medium,
    };
    finding.summary = format!(
        "{}: {} of {} ms since {}, {} ms before: {} times as long",
        excerpt(&statement.text),
        Count(since.calls as u64).of("call"),
        ms(since.mean_ms()),
        snapshot.taken_at,
        ms(before.mean_ms()),
        shown(compared.ratio()),
    );
    finding.cause = format!("{} It took {} ms more than as many calls before.", difference(compared), shown(extra),);
    finding.evidence.extend(object! {
        "snapshot": snapshot.taken_at,
        "seconds_since_snapshot": rounded(snapshot.seconds_ago),
        "before": told(before),
        "since": told(since),
        "ratio": rounded(compared.ratio()),
        "standard_errors": rounded(compared.standard_errors()),
        "extra_ms": rounded(extra),
        "extra_busy_backends": rounded(busy),
    });
    finding.impact = object! {
        "mean_ms": change((rounded(since.mean_ms()), "measured"), (rounded(before.mean_ms()), "measured")),
    };
    Some(finding)
}

/// What is different in its work.
fn difference(compared: &Change) -> String {
    let (before, since) = (&compared.before, &compared.since);
    let each = |of: fn(&Counters) -> f64| (before.per_call(of(before)), since.per_call(of(since)));
    let grown = |(before, since): (f64, f64)| since >= MORE * before.max(1.0);
    let (rows, blocks, reads) = (each(|c| c.rows), each(|c| c.blocks), each(|c| c.read_blocks));
    let temp = each(|c| c.temp_blocks);
    let tell = |(before, since): (f64, f64), what: &str| {
        format!("{what} per call went from {} to {}", shown(before), shown(since))
    };
    if grown(rows) && grown(blocks) {
        format!("It returns or writes more: {}, and {}.", tell(rows, "rows"), tell(blocks, "blocks"))
    } else if grown(blocks) {
        format!(
            "It does more work for as many rows: {}. The plan has changed (an index is gone, statistics are others), or dead rows and \
             growth of its tables make the old one dearer.",
            tell(blocks, "blocks")
        )
    } else if grown(temp) {
        format!(
            "It spills to disk: {}. work_mem is too small for what it sorts or hashes now.",
            tell(temp, "temporary blocks written")
        )
    } else if grown(reads) {
        format!("It looks at as many blocks, but fewer are in shared_buffers: {}.", tell(reads, "blocks read"))
    } else {
        "It looks at as many blocks as before: not the plan, but what it waits for has changed (locks, disk, CPU taken by others), or what \
         it computes."
            .to_string()
    }
}

fn told(counters: &Counters) -> Value {
    json!({
        "calls": counters.calls,
        "mean_ms": rounded(counters.mean_ms()),
        "deviation_ms": rounded(counters.deviation_ms),
        "rows_per_call": rounded(counters.per_call(counters.rows)),
        "blocks_per_call": rounded(counters.per_call(counters.blocks)),
        "read_blocks_per_call": rounded(counters.per_call(counters.read_blocks)),
        "temp_blocks_per_call": rounded(counters.per_call(counters.temp_blocks)),
    })
}
