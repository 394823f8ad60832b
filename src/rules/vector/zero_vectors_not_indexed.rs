use crate::advice::vector_column::{basis, read_of};
use crate::advice::vector_index::of_pgvector;
use crate::facts::Facts;
use crate::facts::vector::{Element, Operator, VectorColumn};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "zero_vectors_not_indexed",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A column that has an index for cosine distance, or is searched by it, holds vectors of which all elements are zero.",
    effect: "Cosine distance to a zero vector is NaN, and a cosine index leaves such rows out: searches never return them, without a word.",
    workaround: "Find out why nothing was embedded (empty text, a failed call of the model) and embed again; store NULL where there is \
                 nothing to embed.",
    sources: &[
        "https://github.com/pgvector/pgvector#hnsw",
        "Measured: rows of zero vectors in the table and not in the index",
    ],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a cosine index, on the column and on a cast",
            setup: "create extension vector; create table t (a vector(2), b halfvec(2), c vector(2), s sparsevec(3)); insert into t \
                    values ('[0,0]', '[0,0]', '[0,0]', '{}/3'), ('[1,0]', '[1,2]', '[0,1]', '{1:1}/3'); create index on t using hnsw (a \
                    vector_cosine_ops); create index on t using ivfflat (b halfvec_cosine_ops) with (lists = 1); create index on t \
                    using hnsw ((c::halfvec(2)) halfvec_cosine_ops); create index on t using hnsw (s sparsevec_cosine_ops)",
            finds: 4,
            fix_clears: false,
        },
        Case {
            name: "searched by cosine distance without an index",
            setup: "create extension vector; create extension pg_stat_statements; create table t (a vector(2)); insert into t values \
                    ('[0,0]'), ('[1,0]'); create table traffic (step int, query text, times int); insert into traffic values (1, \
                    'select * from t order by a <=> ''[1,%s]'' limit 1', 2)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no zero vector, or another distance",
            setup: "create extension vector; create table t (a vector(2), b vector(2), c vector(2)); insert into t values ('[1,0]', \
                    '[0,0]', '[0,0]'), (null, '[1,1]', '[1,1]'); create index on t using hnsw (a vector_cosine_ops); create index on t \
                    using hnsw (b vector_l2_ops)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    Ok(vectors.judged().filter_map(|column| finding(facts, column)).collect())
}

fn finding(facts: &Facts, column: &VectorColumn) -> Option<Finding> {
    let extension = facts.vectors().extension.as_ref()?;
    let sample = column.sample.as_ref().filter(|sample| sample.zero_fraction > 0.0)?;
    let indexes: Vec<String> = column
        .indexes
        .iter()
        .filter(|index| index.operator == Operator::Cosine)
        .map(|index| index.name.to_string())
        .collect();
    let searched = column.searches.iter().any(|search| search.operator == Operator::Cosine);
    if column.element == Element::Bit || (indexes.is_empty() && !searched) {
        return None;
    }
    let zeros = (column.vectors() * sample.zero_fraction).round().max(1.0) as u64;
    let norm = match column.element {
        Element::Vector => "vector_norm",
        _ => "l2_norm",
    };
    let what = if sample.whole { "" } else { "about " };
    Some(Finding {
        severity: RULE.severity,
        object: column.object(),
        weight: column.table_bytes,
        summary: format!(
            "{} holds {what}{} that searches by cosine distance never return",
            column.object(),
            Count(zeros).of("zero vector")
        ),
        cause: format!(
            "Of {}, {:.2}% of the vectors have only zeros. They have no direction: their cosine distance is NaN{}.",
            read_of(sample),
            100.0 * sample.zero_fraction,
            match indexes.is_empty() {
                true => ", which is sorted behind all others".to_string(),
                false => format!(", and they are not in {}", indexes.join(", ")),
            }
        ),
        evidence: object! {
            "zero_vectors": zeros,
            "basis": basis(sample),
            "zero_share": sample.zero_fraction,
            "null_share": sample.null_fraction,
            "sampled_rows": sample.rows,
            "cosine_indexes": indexes,
        },
        app_fix: Some(format!(
            "To see them: SELECT * FROM {} WHERE {}({}) = 0; Embed these again, and let the code that embeds refuse a vector of zeros{}.",
            column.table_name,
            of_pgvector(extension, norm),
            column.name,
            if column.not_null { "" } else { ", or store NULL for it" }
        )),
        ..Finding::that_changes_nothing()
    })
}
