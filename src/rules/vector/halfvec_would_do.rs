use crate::advice::vector_column::read_of;
use crate::advice::vector_index::Design;
use crate::facts::vector::{Element, Key, Sample, VectorColumn, VectorIndex};
use crate::facts::{Facts, Namer};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, rounded};

/// Fewer sampled vectors say little of what is nearest.
const FEWEST_VECTORS: f64 = 200.0;

pub static RULE: Rule = Rule {
    id: "halfvec_would_do",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "An index keeps vectors in single precision, the nearest neighbors among sampled vectors are the same in half precision \
                (min_recall of them), and an index on a cast to halfvec is estimated to be at most max_size_share as large and at \
                least min_saved_bytes smaller.",
    effect: "The index takes more disk and memory than its answers need; an index that fits into memory is what makes searches fast.",
    workaround: "Index a cast to halfvec, use the same cast in the queries, and drop the other index when nothing scans it any more; or \
                 make the column itself a halfvec.",
    sources: &[
        "https://github.com/pgvector/pgvector#half-precision-indexing",
        "Measured: VECTOR_FACTS, recall@10 of halfvec 0.947 against 0.950, 112 against 195 MB (100,000 embeddings of 384 dimensions)",
    ],
    options: &[
        OptionSpec::number(
            "min_recall",
            (0.995, "share of the k nearest"),
            (0.0, 1.0),
            "Sampled neighbors that half precision must keep.",
        ),
        OptionSpec::number(
            "max_size_share",
            (0.7, "of the index's size"),
            (0.0, 1.0),
            "Size of the index in half precision at most.",
        ),
        OptionSpec::bytes("min_saved_bytes", 64 * Bytes::MIB, "what a cast in every query has to be worth"),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "half the size",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select g, (select \
                    array_agg(sin(g * d)) from generate_series(1, 64) d)::vector from generate_series(1, 1000) g; create index on t using \
                    ivfflat (embedding vector_cosine_ops) with (lists = 1); create index on t using hnsw (embedding vector_l2_ops) \
                    with (m = 4, ef_construction = 8) where id > 10; analyze t; select dbre.configure_rule('halfvec_would_do', options => \
                    '{\"min_saved_bytes\": 50000}')",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "too little is saved",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select g, (select \
                    array_agg(sin(g * d)) from generate_series(1, 64) d)::vector from generate_series(1, 1000) g; create index on t using \
                    ivfflat (embedding vector_cosine_ops) with (lists = 1); analyze t",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "half precision cannot tell the vectors apart, or cannot hold them",
            setup: "create extension vector; create table t (id int primary key, a vector(64), b vector(64)); insert into t select g, \
                    (select array_agg(1000 + sin(g * d) / 100) from generate_series(1, 64) d)::vector, (select array_agg(70000 + sin(g * \
                    d)) from generate_series(1, 64) d)::vector from generate_series(1, 1000) g; create index on t using ivfflat (a \
                    vector_l2_ops) with (lists = 1); create index on t using ivfflat (b vector_l2_ops) with (lists = 1); analyze t; \
                    select dbre.configure_rule('halfvec_would_do', options => '{\"min_saved_bytes\": 50000}')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let mut namer = facts.relation_names().namer();
    let mut findings = Vec::new();
    for column in facts.vectors().judged().filter(|column| column.element == Element::Vector) {
        let Some(sample) = &column.sample else { continue };
        let enough = sample.rows as f64 * (1.0 - sample.null_fraction) >= FEWEST_VECTORS;
        let recall = sample.halfvec_recall.filter(|recall| enough && *recall >= options.number("min_recall"));
        let Some(recall) = recall.filter(|_| !sample.beyond_halfvec) else { continue };
        // A partition's index is its parent's.
        for index in column.indexes.iter().filter(|index| index.valid && index.ready && index.parent.is_none()) {
            findings.extend(finding(facts, &mut namer, options, column, (sample, recall), index));
        }
    }
    Ok(findings)
}

fn finding(
    facts: &Facts,
    namer: &mut Namer,
    options: &Options,
    column: &VectorColumn,
    (sample, recall): (&Sample, f64),
    index: &VectorIndex,
) -> Option<Finding> {
    let vectors = facts.vectors();
    let extension = vectors.extension.as_ref()?;
    let whole = matches!(index.key, Key::Column | Key::Cast { element: Element::Vector, .. });
    if !whole || column.indexes.iter().any(|other| does_it_in_half(other, index)) {
        return None;
    }
    let design = Design::of(column, index)?;
    let key = Key::Cast { element: Element::Halfvec, dimensions: design.dimensions };
    let half = Design::new(column, index.method, key, index.operator, design.rows)?;
    let half = Design { predicate: index.predicate.clone(), ..half };
    let (now, then) = (Bytes(index.bytes), half.size());
    let saved = now.0.saturating_sub(then.0);
    if then.0 as f64 > options.number("max_size_share") * now.0 as f64 || saved < options.bytes("min_saved_bytes") {
        return None;
    }
    // An index that has swollen is no reason to change its type.
    if then.0 as f64 > options.number("max_size_share") * design.size().0 as f64 {
        return None;
    }
    let setting = half.setting_for(&vectors.goal)?;
    let creation = half.creation(facts, namer, column)?;
    let model = facts
        .catalog()
        .known(column.table)
        .and_then(|table| half.in_sqlalchemy(extension, &creation.name, table, column));
    Some(Finding {
        severity: RULE.severity,
        object: index.name.to_string(),
        weight: saved,
        summary: format!(
            "Index {} takes {now}; in half precision about {then}, with the same answers on a sample",
            index.name
        ),
        cause: format!(
            "Of the {} nearest neighbors of vectors among {}, {:.1}% are the same when the vectors are halfvec. An index on the cast \
             takes {then} instead of {now}: vectors move from page to page in steps, so it is not always half.",
            vectors.goal.k,
            read_of(sample),
            100.0 * recall
        ),
        evidence: object! {
            "table": column.table_name.to_string(),
            "index_definition": index.definition,
            "index_bytes": now.0,
            "index_scans": index.scans,
            "halfvec_index_bytes_estimated": then.0,
            "halfvec_recall_on_sample": rounded(recall),
            "k": vectors.goal.k,
            "sampled_rows": sample.rows,
            "table_bytes": column.table_bytes + column.toast_bytes,
            "vector_bytes": Element::Vector.value_bytes(f64::from(design.dimensions)),
            "halfvec_bytes": Element::Halfvec.value_bytes(f64::from(design.dimensions)),
        },
        impact: object! { "index_bytes": change((now.0, "measured"), (then.0, "estimated")) },
        fix_sql: Some(creation.fix_sql),
        app_fix: Some(format!(
            "Only queries with the cast use the new index: {} {} When nothing scans the old one any more: DROP INDEX CONCURRENTLY {};",
            half.search_sql(extension, column, &vectors.goal, &setting),
            model.unwrap_or_default(),
            index.name
        )),
        risk: format!(
            "{} Until the queries are changed and the old index is dropped, both are kept up to date.",
            creation.risk
        ),
        rollback: Rollback::Sql(creation.rollback_sql),
        verify_sql: Some(creation.verify_sql),
    })
}

fn does_it_in_half(other: &VectorIndex, index: &VectorIndex) -> bool {
    other.element == Element::Halfvec
        && matches!(other.key, Key::Cast { .. })
        && other.operator == index.operator
        && other.predicate == index.predicate
}
