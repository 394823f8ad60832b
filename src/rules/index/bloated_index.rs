use crate::advice::index_size::{KeyColumn, btree_bytes};
use crate::db::quote_literal;
use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count};

pub static RULE: Rule = Rule {
    id: "bloated_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A valid btree without expressions is larger than planner statistics say it would be after a rebuild, by at \
                least min_bloat_fraction of its size and min_wasted_bytes. Rows are scaled by the growth of the table since it \
                was last vacuumed or analyzed.",
    effect: "Scans read pages that are mostly empty, and these take disk and cache.",
    workaround: "Rebuild it concurrently; then find out what made it so: long transactions that hold back vacuum, or bulk deletes.",
    sources: &[
        "https://www.postgresql.org/docs/17/routine-reindex.html",
        "https://www.postgresql.org/docs/17/sql-reindex.html#SQL-REINDEX-CONCURRENTLY",
    ],
    options: &[
        OptionSpec::number(
            "min_bloat_fraction",
            (0.5, "fraction of the index"),
            (0.3, 0.95),
            "Of the pages of a healthy index a third may be empty.",
        ),
        OptionSpec::number(
            "min_wasted_bytes",
            ((10 * Bytes::MIB) as f64, "bytes"),
            (65536.0, 1e15),
            "Less is not worth a rebuild. Indexes of up to 64 kB are never judged.",
        ),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics],
    cases: &[
        Case {
            name: "most rows are gone, the pages are not",
            setup: "create table t (id bigint primary key, v text); insert into t select g, md5(g::text) from \
                    generate_series(1, 200000) g; create index on t (v); delete from t where id % 10 <> 0; vacuum analyze t; \
                    select dbre.configure_rule('bloated_index', options => '{\"min_wasted_bytes\": 1000000}')",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "after a rebuild, in random order, with duplicates, nulls, a predicate",
            setup: "create table t (id bigint primary key, v text, k int, n int); insert into t select g, md5(g::text), g % \
                    100, case when g % 5 = 0 then g end from generate_series(1, 100000) g; create index on t (k); create index \
                    on t (n); create index on t (v) where k = 1; create index on t (k, v); create index on t (k) \
                    with (deduplicate_items = off, fillfactor = 50); create table u (v text); create \
                    index on u (v); insert into u select v from t; analyze; select \
                    dbre.configure_rule('bloated_index', options => '{\"min_wasted_bytes\": 65536}')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the table has grown since it was analyzed",
            setup: "create table t (id bigint primary key) with (autovacuum_enabled = off); insert into t select \
                    generate_series(1, 1000); analyze t; insert into t select generate_series(1001, 200000); select \
                    dbre.configure_rule('bloated_index', options => '{\"min_wasted_bytes\": 65536}')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const FILLFACTOR: f64 = 90.0;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (min_fraction, min_wasted) = (options.number("min_bloat_fraction"), options.bytes("min_wasted_bytes"));
    let large = facts.catalog().indexes().filter(|(_, index)| index.bytes().0 >= min_wasted);
    let findings = large.filter_map(|(table, index)| {
        let (rows, rebuilt) = rebuilt(facts, table, index)?;
        let wasted = Bytes(index.bytes().0.saturating_sub(rebuilt.0));
        let bloated = wasted.0 >= min_wasted && wasted.0 as f64 >= min_fraction * index.bytes().0 as f64;
        bloated.then(|| finding(table, index, rows, rebuilt, wasted))
    });
    Ok(findings.collect())
}

/// The rows in the index, and its size after REINDEX, as far as statistics tell.
fn rebuilt(facts: &Facts, table: &Table, index: &Index) -> Option<(Count, Bytes)> {
    let judged = &*index.method == "btree" && index.is_usable() && !index.partitioned && index.expressions.is_none();
    if !judged || !table.is_maintained() {
        return None;
    }
    let rows = index.rows?.0 as f64 * table.growth()?.max(1.0);
    let key = |attribute: i16, in_key: bool| {
        let statistics = facts.column_statistics().of(table.oid, attribute)?;
        let mut column = KeyColumn::of(facts.catalog(), table, attribute, table.rows?.0 as f64, statistics)?;
        column.deduplicates &= in_key && index.deduplicates;
        Some(column)
    };
    let keys = index.key_attributes().map(|attribute| key(attribute, true));
    let columns: Option<Vec<_>> = keys.chain(index.included.iter().map(|attribute| key(*attribute, false))).collect();
    let fillfactor = index.fillfactor.map_or(FILLFACTOR, f64::from);
    Some((Count(rows as u64), btree_bytes(rows, &columns?, index.unique, fillfactor)))
}

fn finding(table: &Table, index: &Index, rows: Count, rebuilt: Bytes, wasted: Bytes) -> Finding {
    let name = table.index_name(index);
    let bytes = index.bytes();
    let percent = 100.0 * wasted.0 as f64 / bytes.0 as f64;
    Finding {
        severity: RULE.severity,
        weight: wasted.0,
        summary: format!(
            "Index {name} is {bytes}; rebuilt it would be about {rebuilt} ({percent:.0}% bloat, estimated)"
        ),
        cause: format!(
            "For {} a fresh btree takes about {rebuilt}, estimated from planner statistics with columns taken as independent. \
             The rest are pages that deleted and updated rows left behind and that new keys don't fall into.",
            rows.of("row")
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "index_bytes": bytes,
            "index_rows": rows,
            "estimated_bytes": rebuilt,
            "estimated_wasted_bytes": wasted,
        },
        impact: object! { "disk_bytes": change((bytes, "measured"), (rebuilt, "estimated")) },
        fix_sql: Some(format!("REINDEX INDEX CONCURRENTLY {name};")),
        app_fix: None,
        risk: format!(
            "Needs about {rebuilt} of disk while it runs (estimated) and writes as much WAL. SHARE UPDATE EXCLUSIVE: reads and \
             writes go on; it waits for transactions that use the table and cannot run in a transaction block. If it fails, \
             it leaves an invalid index that ends in _ccnew: drop that."
        ),
        rollback: Rollback::None,
        verify_sql: Some(format!(
            "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size(pg_catalog.to_regclass({})));",
            quote_literal(&name.to_string())
        )),
        object: name.to_string(),
    }
}
