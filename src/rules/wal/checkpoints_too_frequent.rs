use crate::advice::logged::{alter_system, times};
use crate::advice::plan_weight::shown;
use crate::facts::server_log::{Checkpoints, shown_time};
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, rounded};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "checkpoints_too_frequent",
    category: "wal",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The log warns that checkpoints are too frequent, or at least min_checkpoints and most of all were \
                    started because WAL had reached max_wal_size; and max_wal_size is not larger by now than what the \
                    WAL of the log wants.",
    effect: "After each checkpoint the first change of every page writes the whole page to WAL: frequent ones \
                    multiply WAL, and all dirty pages are written again and again.",
    workaround: "Set max_wal_size so that checkpoints are started by checkpoint_timeout.",
    sources: &[
        "https://www.postgresql.org/docs/17/wal-configuration.html",
        "https://www.postgresql.org/docs/17/runtime-config-wal.html#GUC-MAX-WAL-SIZE",
    ],
    options: &[
        OptionSpec::number(
            "min_checkpoints",
            (10.0, "checkpoints"),
            (1.0, 1e9),
            "So many that WAL started matter without a warning.",
        ),
        OptionSpec::number("few", (3.0, "warnings"), (1.0, 1e9), "Fewer are low."),
        OptionSpec::bytes("most_bytes", 64 << 30, "A larger max_wal_size is not proposed."),
    ],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "WAL starts a checkpoint every half minute",
            setup: "create table example as select line from generate_series(1, 20) g cross join lateral (values (1, \
                    '2026-11-20 10:' || to_char(g / 2, 'FM00') || ':' || to_char(20 * (g % 2), 'FM00') || '.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"checkpoints are occurring too frequently (30 seconds apart)\",,\"Consider \
                    increasing the configuration parameter \"\"max_wal_size\"\".\",,,,,,,\"\",\"checkpointer\",,0'), (2, \
                    '2026-11-20 10:' || to_char(g / 2, 'FM00') || ':' || to_char(20 * (g % 2), 'FM00') || '.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"checkpoint starting: wal\",,,,,,,,,\"\",\"checkpointer\",,0'), (3, '2026-11-20 \
                    10:' || to_char(g / 2, 'FM00') || ':' || to_char(20 * (g % 2) + 15, 'FM00') || '.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"checkpoint complete: wrote 9999 buffers (61.0%); 0 WAL file(s) added, 0 \
                    removed, 33 recycled; write=14.5 s, sync=0.1 s, total=15.0 s; sync files=9, longest=0.1 s, \
                    average=0.1 s; distance=4300000 kB, estimate=4300000 kB; lsn=1/0, redo \
                    lsn=1/0\",,,,,,,,,\"\",\"checkpointer\",,0')) l (n, line) order by g, n",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "checkpoints in their time",
            setup: "create table example as select line from generate_series(1, 11) g cross join lateral (values (1, \
                    '2026-11-20 10:' || to_char(5 * g, 'FM00') || ':00.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"checkpoint starting: time\",,,,,,,,,\"\",\"checkpointer\",,0'), (2, \
                    '2026-11-20 10:' || to_char(5 * g, 'FM00') || ':30.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"checkpoint complete: wrote 99 buffers (0.6%); write=14.5 s; distance=4300 kB, \
                    estimate=4300 kB; lsn=1/0, redo lsn=1/0\",,,,,,,,,\"\",\"checkpointer\",,0')) l (n, line) order by \
                    g, n",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// The least step, as a segment of WAL is 16 MB.
const STEP: f64 = (1u64 << 28) as f64;
/// What is left free above the measured rate.
const HEADROOM: f64 = 1.2;

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judge(facts.server_log(), options).into_iter().collect())
}

fn judge(log: &ServerLog, options: &Options) -> Option<Finding> {
    let (checkpoints, settings) = (&log.checkpoints, &log.settings);
    let by_wal =
        checkpoints.by_wal as f64 >= options.number("min_checkpoints") && 2 * checkpoints.by_wal > checkpoints.started;
    if checkpoints.warnings == 0 && !by_wal {
        return None;
    }
    let timeout = settings.number("checkpoint_timeout").max(1.0);
    let size = settings.number("max_wal_size") * Bytes::MIB as f64;
    let rate = checkpoints.wal_bytes_per_second();
    // A checkpoint starts when WAL has grown by max_wal_size / (1 + checkpoint_completion_target).
    let wanted = rate.map(|rate| {
        let bytes = rate * timeout * (1.0 + settings.number("checkpoint_completion_target")) * HEADROOM;
        (bytes / STEP).ceil() * STEP
    });
    let most = options.number("most_bytes");
    let beyond = wanted.is_some_and(|wanted| wanted > most);
    let wanted = wanted.map(|wanted| wanted.min(most));
    if wanted.is_some_and(|wanted| wanted <= size) {
        return None;
    }
    let apart = seconds_apart(checkpoints);
    let few = (checkpoints.warnings as f64) < options.number("few") && !by_wal;
    let mut finding = Finding {
        severity: if few { Severity::low } else { Severity::medium },
        object: "max_wal_size".to_string(),
        weight: checkpoints.by_wal.max(checkpoints.warnings),
        summary: format!(
            "Checkpoints are too frequent: {} of {} were started by WAL, the log warns {}",
            checkpoints.by_wal,
            checkpoints.started,
            times(checkpoints.warnings)
        ),
        cause: format!("max_wal_size is {}", settings.shown("max_wal_size")),
        evidence: object! {
            "checkpoints": checkpoints.started,
            "checkpoints_by_wal": checkpoints.by_wal,
            "checkpoints_by_time": checkpoints.by_time,
            "warnings": checkpoints.warnings,
            "apart_seconds": apart.map(rounded),
            "wal_bytes_per_second": rate.map(rounded),
            "max_wal_size_bytes": size,
            "checkpoint_timeout_seconds": timeout,
            "checkpoint_completion_target": settings.number("checkpoint_completion_target"),
            "log_first": shown_time(log.first),
            "log_last": shown_time(log.last),
        },
        ..Finding::that_changes_nothing()
    };
    if let Some(apart) = apart {
        finding.cause +=
            &format!("; checkpoints started by WAL were {} s apart, not {} s", shown(apart), shown(timeout));
    }
    let Some((rate, wanted)) = rate.zip(wanted) else {
        finding.cause += ". How much WAL was written between them is not in the log: with log_checkpoints = on it is, and the \
                          size that is wanted can be computed.";
        return Some(finding);
    };
    finding.cause += &format!(
        ", for {} of WAL were written a second. Until checkpoint_timeout that wants max_wal_size = {}.",
        Bytes(rate as u64),
        Bytes(wanted as u64)
    );
    if beyond {
        finding.cause +=
            " The rate wants more than that, and more is not proposed: where a bulk load is the cause, let it pass.";
    }
    let megabytes = (wanted / Bytes::MIB as f64).ceil();
    let (fix, rollback) = alter_system(settings, &[("max_wal_size", format!("{megabytes}MB"))]);
    finding.fix_sql = Some(fix);
    finding.rollback = Rollback::Sql(rollback);
    finding.verify_sql = Some(format!(
        "select s.setting::float8 >= {megabytes} as is_set from pg_catalog.pg_settings s where s.name = 'max_wal_size';"
    ));
    finding.risk = format!(
        "No restart, no locks. pg_wal may grow to {}: the disk must have room for it. Recovery after a crash replays up to as much \
         more WAL.",
        Bytes(wanted as u64)
    );
    if let Some(apart) = apart {
        finding.impact = object! { "seconds_between_checkpoints": change((rounded(apart), "measured"), (json!(timeout), "estimated")) };
    }
    Some(finding)
}

fn seconds_apart(checkpoints: &Checkpoints) -> Option<f64> {
    let measured: i64 = checkpoints.intervals.iter().map(|(ms, _)| ms).sum();
    match (checkpoints.intervals.len(), checkpoints.warnings) {
        (0, 0) => None,
        (0, warnings) => Some(checkpoints.warned_seconds as f64 / warnings as f64),
        (count, _) => Some(measured as f64 / 1000.0 / count as f64),
    }
}
