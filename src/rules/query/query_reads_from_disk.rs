use crate::advice::measured_query::{excerpt, finding, judged, percent};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_reads_from_disk",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query with at least min_calls calls reads at least min_read_bytes per call from outside of shared_buffers, and finds less \
                 than min_hit_ratio of its blocks there. Of severity medium where its mean is above its target, and, if track_io_timing \
                 measures it, a third of its time is for that; else low.",
    effect: "Reads from the system's cache cost a copy, those from disk milliseconds each; and what is read drives other blocks out.",
    workaround: "Let it read less: an index for its condition, fewer columns and rows. If it needs all of it: more shared_buffers.",
    sources: &[
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-SHARED-BUFFERS",
    ],
    options: &[
        OptionSpec::number("min_hit_ratio", (0.95, "of the blocks"), (0.0, 1.0), "From here on the cache is warm."),
        OptionSpec::number("min_read_bytes", (1048576.0, "bytes per call"), (0.0, 1e15), "Fewer are left alone."),
        OptionSpec::number("min_calls", (5.0, "calls"), (1.0, 1e12), "First calls fill the cache."),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "a table of which scans keep only a part in the cache",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table t \
                    as select g as id, repeat('x', 1900) as v from generate_series(1, 30000) g; vacuum analyze t; create table traffic as select 1 as step, 'select max(length(v)) from t' \
                    as query, 8 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all in the cache",
            setup: "create extension pg_stat_statements; create table t (id int primary key, v text); insert into t select g, md5(g::text) \
                    from generate_series(1, 50000) g; vacuum analyze t; create table traffic as select 1 as step, 'select max(length(v)) \
                    from t' as query, 8 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let queries = judged(facts).filter(|(_, kind)| *kind != Kind::Utility);
    Ok(queries.filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let statistics = facts.statement_statistics();
    let (hit, read) = (statement.shared_hit_blocks as f64, statement.shared_read_blocks as f64);
    let calls = statement.calls as f64;
    let (ratio, bytes) = (hit / (hit + read).max(1.0), read * BLOCK / calls.max(1.0));
    if calls < options.number("min_calls")
        || bytes < options.number("min_read_bytes")
        || ratio >= options.number("min_hit_ratio")
    {
        return None;
    }
    let timed = statistics.setup.track_io_timing;
    let waits = statement.io_ms / statement.total_ms.max(f64::MIN_POSITIVE);
    let slow = kind.target_ms(&statistics.targets).is_some_and(|target| statement.mean_ms() > target);
    let concerned = if timed { statement.io_ms } else { statement.total_ms };
    let mut finding = finding(facts, statement, kind, concerned);
    finding.severity = if slow && (!timed || waits >= 1.0 / 3.0) { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{} reads {} per call from outside of shared_buffers: {} of its blocks were there in {}",
        excerpt(&statement.text),
        Bytes(bytes as u64),
        percent(ratio),
        Count(statement.calls).of("call"),
    );
    let share = read / statistics.totals.read_blocks.max(1.0);
    finding.cause = format!(
        "A call looks at {} blocks and reads {} of them; these are {} of all that the database's statements read. {}",
        shown((hit + read) / calls),
        shown(read / calls),
        percent(share.min(1.0)),
        match timed {
            true => format!(
                "Reading and writing blocks takes {} of its time ({} ms).",
                percent(waits),
                shown(statement.io_ms)
            ),
            false => "How long that takes is not measured: track_io_timing is off.".to_string(),
        },
    );
    finding.evidence.extend(object! {
        "hit_ratio": rounded(ratio),
        "read_bytes_per_call": rounded(bytes),
        "read_bytes": read * BLOCK,
        "share_of_reads": rounded(share.min(1.0)),
        "io_ms": timed.then(|| rounded(statement.io_ms)),
    });
    Some(finding)
}
