use crate::advice::logged::{of_group, verify};
use crate::facts::server_log::Group;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, on_one_line};

pub static RULE: Rule = Rule {
    id: "temp_files_logged",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The log has temporary files of a statement, in all at least min_bytes; medium from large_bytes on.",
    effect: "A sort or hash that does not fit in work_mem is written to disk and read again: it is slower, and \
                    takes I/O from the rest.",
    workaround: "Sort and hash fewer or narrower rows, give the order by an index, or give this statement more \
                    work_mem in its transaction.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-logging.html#GUC-LOG-TEMP-FILES",
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM",
    ],
    options: &[
        OptionSpec::bytes("min_bytes", 64 << 20, "Less of one statement is left alone."),
        OptionSpec::bytes("large_bytes", 1 << 30, "So much of one statement is medium."),
        OptionSpec::number("findings", (20.0, "statements"), (1.0, 1000.0), "Those that wrote most are told."),
    ],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "a report that sorts on disk",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"temporary file: path \"\"base/pgsql_tmp/pgsql_tmp4242.' || g || '\"\", size \
                    83886080\",,,,,,\"select * from orders order by note\",,,\"web\",\"client backend\",,0' as line from \
                    generate_series(1, 20) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one small file",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"temporary file: path \"\"base/pgsql_tmp/pgsql_tmp4242.' || g || '\"\", size \
                    838860\",,,,,,\"select * from orders order by note\",,,\"web\",\"client backend\",,0' as line from \
                    generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// What a file needs in memory when it is sorted or hashed there, roughly.
const MEMORY_PER_FILE: f64 = 2.0;
/// More is not asked for by a session of an application.
const MOST_MEGABYTES: f64 = 1024.0;
/// A larger one is several files.
const LARGEST_FILE: f64 = (1u64 << 30) as f64;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    let large = log.temp_files.iter().filter(|group| group.events.total >= options.number("min_bytes"));
    Ok(large.take(options.number("findings") as usize).map(|group| judge(log, group, options)).collect())
}

fn judge(log: &ServerLog, group: &Group, options: &Options) -> Finding {
    let events = &group.events;
    let large = events.total >= options.number("large_bytes");
    let megabytes = (events.largest * MEMORY_PER_FILE / Bytes::MIB as f64).ceil();
    let (work_mem, sessions) = (log.settings.shown("work_mem"), log.settings.number("max_connections"));
    let mut evidence = of_group(log, group, "bytes");
    evidence.extend(object! {
        "work_mem": work_mem,
        "work_mem_estimated_bytes": megabytes * Bytes::MIB as f64,
        "max_connections": sessions,
    });
    let told =
        if group.text.is_empty() { "no statement is logged for them".to_string() } else { on_one_line(&group.text) };
    let fits = megabytes <= MOST_MEGABYTES && events.largest < LARGEST_FILE;
    let cause = match fits {
        true => format!(
            "work_mem is {work_mem}; a sort or hash of the largest file would take about {megabytes} MB of memory. As a setting of \
             all {sessions} possible sessions that would be {} for one sort each: set it for this statement alone.",
            Bytes((megabytes * sessions) as u64 * Bytes::MIB)
        ),
        false => format!(
            "work_mem is {work_mem}; no work_mem that a session may take would hold this: fewer rows, narrower rows or an index that \
             gives the order."
        ),
    };
    Finding {
        severity: if large { Severity::medium } else { Severity::low },
        object: group.object.clone(),
        weight: events.total as u64,
        summary: format!(
            "{}, {} in all and {} at most: {told}",
            Count(events.count).of("temporary file"),
            Bytes(events.total as u64),
            Bytes(events.largest as u64)
        ),
        cause,
        evidence,
        app_fix: fits.then(|| {
            format!(
                "Before this query, in its transaction: `session.execute(text(\"SET LOCAL work_mem = '{megabytes}MB'\"))` (SQLAlchemy)."
            )
        }),
        risk: "SET LOCAL ends with the transaction; each sort and hash of the query, and each parallel worker, may take as much."
            .to_string(),
        verify_sql: Some(verify(RULE.id, &group.object)),
        ..Finding::that_changes_nothing()
    }
}
