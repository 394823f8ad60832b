use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count};

pub static RULE: Rule = Rule {
    id: "wide_index",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A valid btree of at least min_index_bytes has more than max_key_columns key columns, or its key and INCLUDE \
                columns are on average wider than max_entry_bytes by planner statistics. Parts of a partitioned index are \
                judged with their parent.",
    effect: "Few entries fit on a page: the index is large and deep, and a long value can exceed the limit of 2704 bytes and \
             fail an INSERT.",
    workaround: "Index fewer columns, or a hash of the long one: CREATE INDEX … USING hash, or a btree on md5(column) or on \
                 left(column, 40) with queries that say the same. Which one is right depends on the queries: there is no fix \
                 that is safe in every case.",
    sources: &["https://www.postgresql.org/docs/17/btree.html", "https://www.postgresql.org/docs/17/hash-index.html"],
    options: &[
        OptionSpec::number("max_entry_bytes", (256.0, "bytes"), (16.0, 2704.0), "Average width that is still narrow."),
        OptionSpec::number("max_key_columns", (5.0, "columns"), (1.0, 32.0), "Key columns that are still few."),
        OptionSpec::number(
            "min_index_bytes",
            (Bytes::MIB as f64, "bytes"),
            (65536.0, 1e15),
            "Smaller indexes are not worth a finding.",
        ),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics],
    cases: &[
        Case {
            name: "long text",
            setup: "create table t (url text); alter table t alter url set storage plain; insert into t select repeat(md5(g::text), \
                    12) from generate_series(1, 4000) g; create index on t (url); analyze t",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "six key columns",
            setup: "create table t (a int, b int, c int, d int, e int, f int); insert into t select g, g, g, g, g, g from \
                    generate_series(1, 40000) g; create index on t (a, b, c, d, e, f); analyze t",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "narrow, or small",
            setup: "create table t (a int, b text); insert into t select g, md5(g::text) from generate_series(1, 40000) g; \
                    create index on t (a, b); create table u (url text); insert into u select repeat(md5(g::text), 12) from \
                    generate_series(1, 100) g; create index on u (url); analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let (max_width, max_columns) = (options.number("max_entry_bytes"), options.number("max_key_columns"));
    let min_bytes = options.bytes("min_index_bytes");
    let findings = catalog.indexes().filter_map(|(table, index)| {
        let judged = &*index.method == "btree" && index.is_usable() && index.parent.is_none();
        let bytes = catalog.index_bytes(table, index);
        if !judged || bytes.0 < min_bytes {
            return None;
        }
        let width = average_width(facts, table, index);
        let too_wide = width.is_some_and(|width| width > max_width);
        let too_many = index.keys.len() as f64 > max_columns;
        (too_wide || too_many).then(|| finding(facts, table, index, bytes, width.filter(|_| too_wide)))
    });
    Ok(findings.collect())
}

/// Of all columns. None: statistics of one are missing, or it is an expression.
fn average_width(facts: &Facts, table: &Table, index: &Index) -> Option<f64> {
    let width = |column| {
        facts
            .column_statistics()
            .of(table.oid, column)
            .map(|column| column.average_width * (1.0 - column.null_fraction))
    };
    index.key_attributes().chain(index.included.iter().copied()).map(width).sum()
}

fn finding(facts: &Facts, table: &Table, index: &Index, bytes: Bytes, too_wide: Option<f64>) -> Finding {
    let catalog = facts.catalog();
    let name = table.index_name(index);
    let key = table.key_listing(index);
    let columns = Count(index.keys.len() as u64).of("key column");
    let what = match too_wide {
        Some(width) => format!("entries of {width:.0} bytes on average"),
        None => columns.clone(),
    };
    Finding {
        severity: RULE.severity,
        weight: bytes.0,
        summary: format!("Index {name} on ({key}) has {what} and takes {bytes}"),
        cause: format!(
            "With {what}, few entries fit on a page of 8 kB.{} Shorten the key: a hash index for equality on one long column, a \
             btree on an expression such as md5(…) or left(…, 40), or fewer columns. The queries must say the same expression, \
             which is why no statement is given here.",
            if index.unique { " It is unique, so that its columns state a rule about the data." } else { "" },
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "key_columns": index.keys.len(),
            "included_columns": index.included.len(),
            "average_entry_bytes": too_wide.map(f64::round),
            "index_rows": index.rows,
            "index_bytes": bytes,
            "index_scans": catalog.scans(table, index),
        },
        impact: object! {},
        fix_sql: None,
        app_fix: None,
        risk: "Queries have to be changed with the index.".to_string(),
        rollback: Rollback::None,
        verify_sql: None,
        object: name.to_string(),
    }
}
