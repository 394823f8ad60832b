use crate::advice::vector_column::read_of;
use crate::advice::vector_index::operator_text;
use crate::facts::Facts;
use crate::facts::vector::{Element, Operator, VectorColumn, VectorSearch};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "inner_product_would_do",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Searches compare all rows by cosine distance, and all sampled vectors have length 1 (within tolerance): the inner product \
                orders them alike.",
    effect: "Cosine distance computes both lengths again for every row. (Of an index it makes no difference: that keeps vectors of \
             length 1 and compares by inner product.)",
    workaround: "ORDER BY <#> instead of <=>; the cosine distance is 1 + (a <#> b).",
    sources: &[
        "https://github.com/pgvector/pgvector#exact-search",
        "Measured: 3,000 vectors of 1,536 dimensions in memory, 20 ms by cosine distance, 4 to 12 ms by inner product",
    ],
    options: &[
        OptionSpec::number(
            "tolerance",
            (0.001, "difference from 1"),
            (0.0, 0.1),
            "By which lengths may differ from 1.",
        ),
        OptionSpec::number(
            "min_rows",
            (1000.0, "rows"),
            (0.0, 1e12),
            "Searches on smaller tables are not worth a change.",
        ),
    ],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "searches without an index",
            setup: "create extension vector; create extension pg_stat_statements; create table t (id int, a vector(3)); insert into t \
                    select g, l2_normalize(array[g, 1, 2]::vector) from generate_series(1, 1500) g; analyze t; create table traffic \
                    (step int, query text, times int); insert into traffic values (1, 'select id from t order by a <=> ''[1,%s,0]'' \
                    limit 3', 3)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "vectors of other lengths, served by an index, by another distance",
            setup: "create extension vector; create extension pg_stat_statements; create table t (id int, a vector(3), b vector(3), c \
                    vector(3)); insert into t select g, array[g, 1, 2]::vector, l2_normalize(array[g, 1, 2]::vector), \
                    l2_normalize(array[g, 1, 2]::vector) from generate_series(1, 1500) g; create index on t using hnsw (b \
                    vector_cosine_ops); analyze t; create table traffic (step int, query text, times int); insert into traffic values \
                    (1, 'select id from t order by a <=> ''[1,%s,0]'' limit 3', 3), (2, 'select id from t order by b <=> ''[1,%s,0]'' \
                    limit 3', 3), (3, 'select id from t order by c <#> ''[1,%s,0]'' limit 3', 3)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let large = vectors.judged().filter(|column| vectors.rows(column) >= options.number("min_rows"));
    Ok(large.filter_map(|column| finding(facts, options, column)).collect())
}

/// It computes a distance for each row.
fn is_exact(column: &VectorColumn, search: &VectorSearch) -> bool {
    let served = |oid: &u32| column.indexes.iter().any(|index| index.oid == *oid);
    match &search.planned_indexes {
        Some(planned) => !planned.iter().any(served),
        None => !column.indexes.iter().any(|index| index.valid && index.operator == Operator::Cosine),
    }
}

fn finding(facts: &Facts, options: &Options, column: &VectorColumn) -> Option<Finding> {
    let extension = facts.vectors().extension.as_ref()?;
    let sample = column.sample.as_ref()?;
    let (least, greatest) = sample.norms?;
    let tolerance = options.number("tolerance");
    let normalized = sample.zero_fraction == 0.0 && 1.0 - least <= tolerance && greatest - 1.0 <= tolerance;
    if !normalized || !matches!(column.element, Element::Vector | Element::Halfvec) {
        return None;
    }
    let exact: Vec<&VectorSearch> = column
        .searches
        .iter()
        .filter(|search| search.operator == Operator::Cosine && is_exact(column, search))
        .collect();
    let first = exact.first()?;
    let (calls, total_ms) =
        exact.iter().fold((0.0, 0.0), |(calls, ms), search| (calls + search.calls, ms + search.total_ms()));
    Some(Finding {
        severity: RULE.severity,
        object: column.object(),
        weight: total_ms as u64,
        summary: format!(
            "Vectors of {} have length 1: searches of all rows need no cosine, the inner product orders alike",
            column.object()
        ),
        cause: format!(
            "The lengths of the vectors of {} are between {least:.6} and {greatest:.6}, and {} of cosine distance compare every row. With \
             length 1 the cosine distance is 1 minus the inner product, which takes less to compute.",
            read_of(sample),
            match exact.len() {
                1 => "one kind of search".to_string(),
                several => format!("{several} kinds of searches"),
            }
        ),
        evidence: object! {
            "least_length": least,
            "greatest_length": greatest,
            "sampled_rows": sample.rows,
            "whole_table_read": sample.whole,
            "rows_estimated": column.rows,
            "searches_calls": calls,
            "searches_total_ms": rounded(total_ms),
            "query_id": first.query_id,
        },
        app_fix: Some(format!(
            "ORDER BY {} {} $1 (SQLAlchemy: max_inner_product() instead of cosine_distance()); where the distance itself is used, it is 1 + \
             that. The query vector need not have length 1. An index for it then has the operator class {}. Let the code that embeds \
             keep the lengths at 1 (l2_normalize()).",
            column.name,
            operator_text(extension, Operator::InnerProduct),
            Operator::InnerProduct.class(column.element),
        )),
        ..Finding::that_changes_nothing()
    })
}
