use crate::advice::index_ddl::Removal;
use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Days};

pub static RULE: Rule = Rule {
    id: "unused_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A valid index has not been scanned since statistics were reset, at least min_statistics_days ago, and is at \
                least as old. It is not unique, backs no constraint or replica identity, is not what a foreign key's lookup \
                needs, and takes at least min_index_bytes. Of severity medium from 10 MB on, low below.",
    effect: "Every write maintains it, and it takes disk, memory and vacuum time, for no query.",
    workaround: "Look at the replicas first: scans there count only there. Then drop it.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-ALL-INDEXES-VIEW"],
    options: &[
        OptionSpec::number(
            "min_statistics_days",
            (30.0, "days"),
            (0.0, 3650.0),
            "How long statistics must have counted: a monthly report may be what needs the index.",
        ),
        OptionSpec::bytes("min_index_bytes", 64 * Bytes::KIB, "Smaller indexes are not worth a finding."),
    ],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "never scanned",
            setup: "create table t (a int, b int); insert into t select g, g from generate_series(1, 10000) g; create index \
                    on t (a); select dbre.configure_rule('unused_index', options => '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "young statistics",
            setup: "create table t (a int, b int); insert into t select g, g from generate_series(1, 10000) g; create index \
                    on t (a)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "scanned, small, unique, of a constraint, or what a foreign key needs",
            setup: "create table t (a int, b int, c int primary key, d int references t); insert into t select g, g, g from \
                    generate_series(1, 10000) g; create index on t (a); create unique index on t (b); create index on t (d); \
                    create table small (a int); create index on small (a); select \
                    dbre.configure_rule('unused_index', options => '{\"min_statistics_days\": 0}'); set enable_seqscan = off; \
                    select a from t where a = 5",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a partitioned index none of whose parts was scanned",
            setup: "create table t (a int, b int) partition by range (a); create table t_1 partition of t for values from (0) \
                    to (10000); create table t_2 partition of t for values from (10000) to (20001); insert into t select g, g \
                    from generate_series(1, 20000) g; create index on t (b); select dbre.configure_rule('unused_index', \
                    options => '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let min_days = options.number("min_statistics_days");
    let days = facts.observed_days(min_days)?;
    let catalog = facts.catalog();
    let min_bytes = options.bytes("min_index_bytes");
    let findings = catalog.indexes().filter_map(|(table, index)| {
        let bytes = catalog.index_bytes(table, index);
        let age = catalog.index_age_days(table, index);
        let unused = catalog.scans(table, index).0 == 0
            && bytes.0 >= min_bytes
            && age.is_none_or(|age| age >= min_days)
            && catalog.serves_only_queries(table, index);
        unused.then(|| finding(facts, table, index, age.map_or(days, |age| age.min(days))))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, table: &Table, index: &Index, days: f64) -> Finding {
    let catalog = facts.catalog();
    let name = table.index_name(index);
    let bytes = catalog.index_bytes(table, index);
    let writes = catalog.total(table, |leaf| leaf.statistics.index_writes());
    let removal = Removal::of(table, index);
    Finding {
        severity: if bytes.0 >= 10 * Bytes::MIB { Severity::medium } else { Severity::low },
        weight: bytes.0,
        summary: format!("Index {name} has not been scanned in {} and costs {bytes}", Days(days)),
        cause: format!(
            "No plan on this server has used it in {}, while {} maintained it. Statistics do not know: scans on \
             replicas, queries that run more seldom than that, and plans that only looked at it.",
            Days(days),
            writes.of("row write"),
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "key": table.key_listing(index),
            "index_bytes": bytes,
            "index_scans": 0,
            "observed_days": (days * 10.0).round() / 10.0,
            "statistics_since": facts.database.statistics_since,
            "row_writes": writes,
        },
        impact: object! { "disk_bytes": change((bytes, "measured"), (0, "estimated")) },
        fix_sql: Some(removal.fix_sql),
        app_fix: Some(removal.app_fix),
        risk: format!("Check idx_scan in pg_stat_user_indexes on every replica first. {}", removal.risk),
        rollback: removal.rollback,
        verify_sql: Some(removal.verify_sql),
        object: name.to_string(),
    }
}
