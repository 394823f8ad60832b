use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, listing};

pub static RULE: Rule = Rule {
    id: "log_not_read_whole",
    category: "config",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Files or lines of the log could not be read or not be understood: compressed files, truncated \
                    records, other formats, other languages, bytes that are no UTF-8, records too large to keep.",
    effect: "What they tell is not in the findings.",
    workaround: "Pass unpacked files in the argument files; set lc_messages = 'C', so that messages are in English.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-logging.html"],
    options: &[],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "the last line ends in the middle",
            setup: "create table example as select line from (values (1, '2026-11-20 10:00:00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"connection authorized: user=app\",,,,,,,,,\"web\",\"client backend\",,0'), (2, \
                    '2026-11-20 10:00:01.000 UTC,\"app\",\"x')) l (n, line) order by n",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "messages in German",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,FEHLER,22012,\"Division durch Null\",,,,,,\"select 1/0\",,,\"web\",\"client backend\",,0' \
                    as line from generate_series(1, 1) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all of it is read",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"connection authorized: user=app\",,,,,,,,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 2) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let log = facts.server_log();
    let unread = &log.unread;
    let lines = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", Count(count).of("record")));
    let files = |count: usize, what: &str| (count > 0).then(|| format!("{} {what}", Count(count as u64).of("file")));
    let reasons: Vec<String> = [
        files(unread.files.len(), "not read"),
        files(unread.not_structured.len(), "neither csvlog nor jsonlog"),
        (unread.broken_lines > 0).then(|| format!("{} of no record", Count(unread.broken_lines).of("line"))),
        lines(unread.truncated, "truncated"),
        lines(unread.long, "too large to be kept whole"),
        lines(unread.foreign, "in another language, in which crashes and kinds of waits are not recognized"),
        lines(unread.not_utf8, "with bytes that are no UTF-8"),
        lines(unread.durations_without_statement, "of log_duration, which do not name their statement"),
        files(unread.unknown_zones.len(), "or more with a time zone that is not known and taken for UTC"),
        (unread.dropped_statements > 0).then(|| {
            format!(
                "{} of {} that weigh little and made room for others",
                Count(unread.dropped_events).of("event"),
                Count(unread.dropped_statements).of("statement")
            )
        }),
        (unread.dropped_kinds > 0).then(|| format!("{} of too many kinds", Count(unread.dropped_kinds).of("event"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if reasons.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Finding {
        severity: Severity::low,
        object: "server log".to_string(),
        summary: format!("Not all of the log was counted: {}", listing(&reasons)),
        cause: "What could not be read or understood is left out of all findings on the log.".to_string(),
        evidence: object! {
            "files_not_read": unread.files,
            "files_not_structured": unread.not_structured,
            "broken_lines": unread.broken_lines,
            "truncated_records": unread.truncated,
            "long_records": unread.long,
            "records_in_other_languages": unread.foreign,
            "texts_not_utf8": unread.not_utf8,
            "durations_without_statement": unread.durations_without_statement,
            "unknown_time_zones": unread.unknown_zones,
            "statements_dropped": unread.dropped_statements,
            "events_dropped": unread.dropped_events + unread.dropped_kinds,
            "records": log.records,
            "records_of_other_databases": log.elsewhere,
            "files_read": log.files.len(),
            "bytes_read": log.bytes,
        },
        ..Finding::that_changes_nothing()
    }])
}
