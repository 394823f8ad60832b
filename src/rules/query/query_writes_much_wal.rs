use crate::advice::measured_query::{excerpt, finding, judged, percent};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_writes_much_wal",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query has written at least min_wal_bytes of WAL, min_share of that of all statements of the database, and min_row_bytes \
                 per row. Of severity medium from medium_bytes_per_second on, over at least min_seconds; else low.",
    effect: "WAL is written by everyone who commits, sent to standbys, archived, and brings checkpoints on.",
    workaround: "Full-page images: space checkpoints out (max_wal_size, checkpoint_timeout), wal_compression. Rows: fewer indexes, room on \
                 the page for HOT updates (fillfactor), no updates that change nothing, large columns out of hot rows.",
    sources: &[
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
        "https://www.postgresql.org/docs/17/wal-configuration.html",
        "https://www.postgresql.org/docs/17/storage-hot.html",
    ],
    options: &[
        OptionSpec::bytes("min_wal_bytes", 64 * Bytes::MIB, "Queries that write less are left alone."),
        OptionSpec::number("min_share", (0.2, "of all WAL"), (0.0, 1.0), "Queries that write less are left alone."),
        OptionSpec::bytes("min_row_bytes", 2048, "WAL for each row; less is usual."),
        OptionSpec::bytes("medium_bytes_per_second", Bytes::MIB, "From here on the finding is of severity medium."),
        OptionSpec::number(
            "min_seconds",
            (60.0, "s"),
            (0.0, 1e9),
            "A rate is told of statistics that count for so long.",
        ),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "rows whose pages are logged whole",
            setup: "create extension pg_stat_statements; create table t (id int primary key, n int, v text); alter table t alter v set \
                    storage plain; insert into t select g, 0, string_agg(md5((100 * g + i)::text), '') from generate_series(1, 400) g cross \
                    join generate_series(1, 200) i group by g; select dbre.configure_rule('query_writes_much_wal', options => \
                    '{\"min_wal_bytes\": 1000000}'); create table traffic (step int, query text, times int); insert into traffic values \
                    (1, 'checkpoint', 1), (2, 'update t set n = n + 1 where id = %s', 400)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "small rows",
            setup: "create extension pg_stat_statements; create table t (id int primary key, n int); select \
                    dbre.configure_rule('query_writes_much_wal', options => '{\"min_wal_bytes\": 10000}'); create table traffic as select 1 \
                    as step, 'insert into t values (%s, 5)' as query, 500 as times",
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
    let totals = &facts.statement_statistics().totals;
    let bytes = statement.wal_bytes;
    let share = (bytes / totals.wal_bytes.max(1.0)).min(1.0);
    let row = bytes / statement.rows as f64;
    if statement.rows == 0
        || bytes < options.number("min_wal_bytes")
        || share < options.number("min_share")
        || row < options.number("min_row_bytes")
    {
        return None;
    }
    // An upper bound: the unused part of a page is left out of its image.
    let images = (statement.full_page_images as f64 * BLOCK / bytes).min(1.0);
    let rate = bytes / totals.counted_seconds.max(1.0);
    let lasting = totals.counted_seconds >= options.number("min_seconds");
    let mut finding = finding(facts, statement, kind, statement.total_ms);
    finding.severity = match lasting && rate >= options.number("medium_bytes_per_second") {
        true => Severity::medium,
        false => Severity::low,
    };
    finding.summary = format!(
        "{}: {} wrote {} of WAL, {} for each row and {} of the database's",
        excerpt(&statement.text),
        Count(statement.calls).of("call"),
        Bytes(bytes as u64),
        Bytes(row as u64),
        percent(share),
    );
    finding.cause = match images >= 0.3 {
        true => format!(
            "{} full-page images are up to {} of it: the first change of a page after a checkpoint logs the page whole. Checkpoints that \
             are farther apart need fewer.",
            Count(statement.full_page_images),
            percent(images)
        ),
        false => format!(
            "{} records, {} for each row, of {} bytes each; full-page images are at most {} of it. Each index that gets an entry is a \
             record; wide rows are logged whole.",
            Count(statement.wal_records),
            shown(statement.wal_records as f64 / statement.rows as f64),
            shown(bytes / statement.wal_records.max(1) as f64),
            percent(images),
        ),
    };
    finding.evidence.extend(object! {
        "wal_bytes": bytes,
        "wal_bytes_per_row": rounded(row),
        "wal_bytes_per_second": rounded(rate),
        "share_of_wal": rounded(share),
        "wal_records": statement.wal_records,
        "full_page_images": statement.full_page_images,
        "share_of_full_page_images_at_most": rounded(images),
    });
    Some(finding)
}
