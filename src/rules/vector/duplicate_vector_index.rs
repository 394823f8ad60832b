use crate::advice::index_ddl::Removal;
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, Days, rounded};

pub static RULE: Rule = Rule {
    id: "duplicate_vector_index",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Two valid vector indexes of one table have the same key, operator class and predicate. Either they agree in method \
                and options too, or the one was never scanned while the other was, in at least min_statistics_days.",
    effect: "Every insert searches its place in both, both take disk and memory, and the planner uses one of them.",
    workaround: "Drop the one that is not used.",
    sources: &["https://github.com/pgvector/pgvector#indexing"],
    options: &[OptionSpec::number(
        "min_statistics_days",
        (7.0, "days"),
        (0.0, 3650.0),
        "How long scans must have been counted for one of two different indexes to be called unused.",
    )],
    needs: &[Need::Catalog, Need::Vectors],
    cases: &[
        Case {
            name: "the same twice",
            setup: "create extension vector; create table t (embedding vector(3)); insert into t select array[random(), \
                    random(), random()]::vector from generate_series(1, 200) g; create index one on t using hnsw (embedding \
                    vector_l2_ops); create index two on t using hnsw (embedding vector_l2_ops) with (m = 16)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "another method that is never scanned",
            setup: "create extension vector; select dbre.configure_rule('duplicate_vector_index', options => \
                    '{\"min_statistics_days\": 0}'); create table t (embedding vector(3)); insert into t select \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index one on t using \
                    ivfflat (embedding vector_l2_ops) with (lists = 2); analyze t; set enable_seqscan = off; select from t \
                    order by embedding <-> '[1,2,3]' limit 1; create index two on t using hnsw (embedding vector_l2_ops)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "they differ in operator, key or predicate, or in options and none was scanned",
            setup: "create extension vector; select dbre.configure_rule('duplicate_vector_index', options => \
                    '{\"min_statistics_days\": 0}'); create table t (a int, embedding vector(3)); insert into t select 1, \
                    array[random(), random(), random()]::vector from generate_series(1, 200) g; create index on t using hnsw \
                    (embedding vector_l2_ops); create index on t using hnsw (embedding vector_cosine_ops); create index on t \
                    using hnsw (embedding vector_l2_ops) where a = 2; create index on t using hnsw \
                    ((embedding::halfvec(3)) halfvec_l2_ops); create index on t using hnsw (embedding vector_l2_ops) with (m \
                    = 20)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let mut findings = Vec::new();
    for column in &vectors.columns {
        // A standby counts its own scans only.
        let days = column.statistics_days.filter(|_| !vectors.server.in_recovery);
        let counted = days.filter(|days| *days >= options.number("min_statistics_days"));
        for index in &column.indexes {
            let others = column.indexes.iter().filter(|other| same_use(index, other));
            let better = others.filter(|other| is_better(other, index, counted.is_some()));
            if let Some(kept) = better.max_by_key(|other| other.scans) {
                findings.extend(finding(facts, column, index, kept, counted));
            }
        }
    }
    Ok(findings)
}

fn same_use(index: &VectorIndex, other: &VectorIndex) -> bool {
    let usable = |index: &VectorIndex| index.valid && index.ready;
    index.oid != other.oid
        && usable(index)
        && usable(other)
        && index.partitioned == other.partitioned
        // A part of a partitioned index goes with that.
        && index.parent.is_none()
        && index.operator == other.operator
        && index.element == other.element
        && index.key_sql == other.key_sql
        && index.predicate == other.predicate
}

/// `other` stays and `index` goes. Of two alike the one with more scans stays, else the older one.
fn is_better(other: &VectorIndex, index: &VectorIndex, counted: bool) -> bool {
    match other.method == index.method {
        true => (other.scans, index.oid) > (index.scans, other.oid),
        false => counted && index.scans == 0 && other.scans > 0,
    }
}

fn finding(
    facts: &Facts,
    column: &VectorColumn,
    index: &VectorIndex,
    kept: &VectorIndex,
    days: Option<f64>,
) -> Option<Finding> {
    let table = facts.catalog().known(column.table)?;
    let removal = Removal::of(table, table.index(index.oid)?);
    let bytes = Bytes(index.bytes);
    let alike = kept.method == index.method;
    let scans = Count(kept.scans).of("scan");
    Some(Finding {
        severity: RULE.severity,
        object: index.name.to_string(),
        weight: index.bytes,
        summary: match alike {
            true => format!("Vector index {} is the same as {} and costs {bytes}", index.name, kept.name),
            false => format!(
                "Vector index {} is never scanned, {} serves its searches, and it costs {bytes}",
                index.name, kept.name
            ),
        },
        cause: match alike {
            true => format!(
                "Both are {} on {} with the same options and operator class.",
                index.method.name(),
                column.object()
            ),
            false => format!(
                "Both order {} by the same operator; the planner has taken {} ({scans}) and never {} in {}.",
                column.object(),
                described(kept),
                described(index),
                days.map_or("the time counted".to_string(), |days| Days(days).to_string()),
            ),
        },
        evidence: object! {
            "table": column.table_name.to_string(),
            "kept_index": kept.name.to_string(),
            "index_bytes": bytes,
            "kept_index_bytes": kept.bytes,
            "index_scans": index.scans,
            "kept_index_scans": kept.scans,
            "index_options": described(index),
            "kept_index_options": described(kept),
            "statistics_days": days.map(rounded),
        },
        impact: object! { "disk_bytes": change((bytes, "measured"), (0, "estimated")) },
        fix_sql: Some(removal.fix_sql),
        app_fix: Some(removal.app_fix),
        risk: match alike {
            true => removal.risk,
            false => format!("{} A standby or a rare job may use it: scans there are not counted here.", removal.risk),
        },
        rollback: removal.rollback,
        verify_sql: Some(removal.verify_sql),
    })
}

fn described(index: &VectorIndex) -> String {
    match index.method {
        Method::Hnsw { m, ef_construction } => format!("hnsw with m = {m}, ef_construction = {ef_construction}"),
        Method::Ivfflat { lists } => format!("ivfflat with lists = {lists}"),
    }
}
