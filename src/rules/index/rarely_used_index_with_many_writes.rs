use crate::advice::index_ddl::Removal;
use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Days};

pub static RULE: Rule = Rule {
    id: "rarely_used_index_with_many_writes",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A valid index has been scanned, but at least min_writes_per_scan times as many row writes (inserts, and updates \
                that were not HOT) have maintained it, at least min_writes in all, in at least min_statistics_days. It is not \
                unique or partial, backs no constraint or replica identity, is neither what a foreign key's lookup needs nor what makes \
                another index redundant, and takes at least min_index_bytes. Of severity medium from 10 MB on, low below.",
    effect: "Writes pay for an index that hardly any query reads.",
    workaround: "Find the query behind the scans; if it can do without, drop the index.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-ALL-INDEXES-VIEW"],
    options: &[
        OptionSpec::number("min_writes", (10_000.0, "rows"), (1.0, 1e15), "Fewer row writes are not judged."),
        OptionSpec::number(
            "min_writes_per_scan",
            (1000.0, "rows"),
            (1.0, 1e12),
            "Row writes that one scan must be worth.",
        ),
        OptionSpec::number(
            "min_statistics_days",
            (7.0, "days"),
            (0.0, 3650.0),
            "How long statistics must have counted.",
        ),
        OptionSpec::bytes("min_index_bytes", Bytes::MIB, "Smaller indexes are not worth a finding."),
    ],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "one scan, many writes",
            setup: "create table t (a int, b int); create index on t (a); insert into t select g, g from generate_series(1, \
                    60000) g; set enable_seqscan = off; select a from t where a = 5; select \
                    dbre.configure_rule('rarely_used_index_with_many_writes', options => '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "scanned often enough",
            setup: "create table t (a int, b int); create index on t (a); insert into t select g, g from generate_series(1, \
                    60000) g; set enable_seqscan = off; select count(*) from generate_series(1, 100) g, lateral (select a from t \
                    where t.a = g limit 1) x; select dbre.configure_rule('rarely_used_index_with_many_writes', options => \
                    '{\"min_statistics_days\": 0}')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "it takes over from a redundant index",
            setup: "create table t (a int, b int); create index short on t (a); create index long on t (a, b); insert into t \
                    select g, g from generate_series(1, 60000) g; set enable_seqscan = off; select b from t where a = 5 and b \
                    = 5; select dbre.configure_rule('rarely_used_index_with_many_writes', options => \
                    '{\"min_statistics_days\": 0}')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "young statistics",
            setup: "create table t (a int, b int); create index on t (a); insert into t select g, g from generate_series(1, \
                    60000) g; set enable_seqscan = off; select a from t where a = 5",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let days = facts.observed_days(options.number("min_statistics_days"))?;
    let catalog = facts.catalog();
    let (min_writes, min_ratio) = (options.number("min_writes"), options.number("min_writes_per_scan"));
    let min_bytes = options.bytes("min_index_bytes");
    let findings = catalog.indexes().filter_map(|(table, index)| {
        let scans = catalog.scans(table, index).0 as f64;
        let writes = catalog.total(table, |leaf| leaf.statistics.index_writes()).0 as f64;
        let rare = scans > 0.0
            && writes >= min_writes
            && writes >= min_ratio * scans
            && catalog.index_bytes(table, index).0 >= min_bytes
            && index.predicate.is_none()
            && catalog.serves_only_queries(table, index)
            && !table.indexes.iter().any(|shorter| shorter.is_usable() && shorter.is_prefix_of(index));
        rare.then(|| finding(facts, table, index, days))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, table: &Table, index: &Index, days: f64) -> Finding {
    let catalog = facts.catalog();
    let name = table.index_name(index);
    let bytes = catalog.index_bytes(table, index);
    let scans = catalog.scans(table, index);
    let writes = catalog.total(table, |leaf| leaf.statistics.index_writes());
    let removal = Removal::of(table, index);
    Finding {
        severity: if bytes.0 >= 10 * Bytes::MIB { Severity::medium } else { Severity::low },
        weight: bytes.0,
        summary: format!("Index {name} served {} for {} and costs {bytes}", scans.of("scan"), writes.of("row write")),
        cause: format!(
            "Since statistics were reset, {} ago, {} went through {name}, and only {} read it. Statistics do not know \
             scans on replicas, nor how much a scan mattered.",
            Days(days),
            writes.of("row write"),
            scans.of("scan"),
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "key": table.key_listing(index),
            "index_bytes": bytes,
            "index_scans": scans,
            "row_writes": writes,
            "observed_days": (days * 10.0).round() / 10.0,
        },
        impact: object! {
            "index_row_writes": change((writes, "measured"), (0, "estimated")),
            "disk_bytes": change((bytes, "measured"), (0, "estimated")),
        },
        fix_sql: Some(removal.fix_sql),
        app_fix: Some(removal.app_fix),
        risk: format!(
            "The queries behind the scans fall back to another plan: find them first, and look at the replicas. {}",
            removal.risk
        ),
        rollback: removal.rollback,
        verify_sql: Some(removal.verify_sql),
        object: name.to_string(),
    }
}
