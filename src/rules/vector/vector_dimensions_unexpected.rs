use crate::advice::vector_column::{basis, read_of};
use crate::facts::Facts;
use crate::facts::vector::{Element, VectorColumn};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_dimensions_unexpected",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A column declares, or stores, vectors of other dimensions than expected_dimensions.",
    effect: "Embeddings of the expected model cannot be stored in it, or cannot be compared with those that are there.",
    workaround: "Find out which model wrote the vectors that are there, and embed the texts again with the one that searches use.",
    sources: &["https://github.com/pgvector/pgvector#reference"],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "declared and stored",
            setup: "create extension vector; create table t (a vector(2), b vector, c vector(3)); insert into t values ('[1,2]', \
                    '[1,2,3]', '[1,2,3]'), (null, '[1,2,3,4]', null); do $$ begin execute format('alter database %I set \
                    example.arguments = %L', current_database(), 'expected_dimensions => 3'); end $$",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "as expected, nothing stored, bits",
            setup: "create extension vector; create table t (a vector(3), b vector, c bit(64)); insert into t values ('[1,2,3]', null, \
                    null); create index on t using hnsw (c bit_hamming_ops); do $$ begin execute format('alter database %I set \
                    example.arguments = %L', current_database(), 'expected_dimensions => 3'); end $$",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "nothing is expected",
            setup: "create extension vector; create table t (a vector(2))",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(expected) = vectors.goal.dimensions else { return Ok(Vec::new()) };
    // Bits are made of vectors by any rule.
    let columns = vectors.judged().filter(|column| column.element != Element::Bit);
    Ok(columns.filter_map(|column| finding(column, expected)).collect())
}

fn finding(column: &VectorColumn, expected: u32) -> Option<Finding> {
    let sample = column.sample.as_ref();
    let (stored, others): (u64, u64) = sample.map_or((0, 0), |sample| {
        let of = |others: bool| {
            sample.dimensions.iter().filter(|(has, _)| !others || **has != expected).map(|(_, count)| *count).sum()
        };
        (of(false), of(true))
    });
    let declared = column.dimensions.filter(|declared| *declared != expected);
    if declared.is_none() && others == 0 {
        return None;
    }
    let (summary, cause) = match (declared, sample) {
        (Some(declared), _) => (
            format!("Column {} takes vectors of {declared} dimensions, not of {expected}", column.object()),
            format!(
                "Its type is {}({declared}): an INSERT of a vector of {expected} dimensions fails, and so does a search with one.",
                column.element.name()
            ),
        ),
        (None, Some(sample)) => (
            format!(
                "{:.1}% of the vectors in {} have other dimensions than {expected}",
                100.0 * others as f64 / stored as f64,
                column.object()
            ),
            format!(
                "Its type takes any dimensions. Of {}, {others} of {stored} vectors have others than {expected}; a search that \
                 compares them with a vector of {expected} fails.",
                read_of(sample)
            ),
        ),
        (None, None) => return None,
    };
    Some(Finding {
        severity: RULE.severity,
        object: column.object(),
        weight: column.table_bytes + column.toast_bytes,
        summary,
        cause,
        evidence: object! {
            "expected_dimensions": expected,
            "declared_dimensions": column.dimensions,
            "stored_dimensions": sample.map(|sample| sample.dimensions.keys().copied().take(20).collect::<Vec<_>>()),
            "sampled_vectors": stored,
            "sampled_vectors_of_others": others,
            "basis": sample.map(basis),
            "rows_estimated": column.rows,
        },
        app_fix: Some(format!(
            "Compare the dimensions of the model that embeds (EMBEDDING_DIMENSIONS, the dimensions argument of the API) with the \
             column's. A change of model means a new column of {}({expected}), all texts embedded again into it, and searches moved to \
             it when that is done.",
            column.element.name()
        )),
        ..Finding::that_changes_nothing()
    })
}
