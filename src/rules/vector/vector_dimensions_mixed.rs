use crate::advice::vector_column::{basis, read_of, type_text};
use crate::advice::vector_index::{default_operator, of_pgvector};
use crate::facts::Facts;
use crate::facts::vector::{Element, Extension, Sample, VectorColumn};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use serde_json::{Map, Value, json};

pub static RULE: Rule = Rule {
    id: "vector_dimensions_mixed",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Sampled vectors of one column have different numbers of dimensions.",
    effect: "A search that compares all rows fails with an error (different vector dimensions), and no index can hold them together. \
             Vectors of different models are not comparable in any case.",
    workaround: "One column, or one table, for each model. Until then: a partial index for each number of dimensions, with the same \
                 condition and cast in the queries.",
    sources: &["https://github.com/pgvector/pgvector#can-i-store-vectors-with-different-dimensions-in-the-same-column"],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "two models in one column",
            setup: "create extension vector; create table t (id int, embedding vector, s sparsevec); insert into t values (1, '[1,2]', \
                    '{1:1}/3'), (2, '[1,2,3]', '{1:1}/4'), (3, null, null)",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "all have the same, or the type says how many",
            setup: "create extension vector; create table t (a vector, b vector(3), c vector); insert into t values ('[1,2]', \
                    '[1,2,3]', null), ('[3,4]', null, null)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    // vector_dimensions_unexpected says it, and more.
    if vectors.goal.dimensions.is_some() {
        return Ok(Vec::new());
    }
    let mixed = vectors.judged().filter_map(|column| {
        let sample = column.sample.as_ref().filter(|sample| sample.dimensions.len() > 1)?;
        Some(finding(extension, column, sample))
    });
    Ok(mixed.collect())
}

fn finding(extension: &Extension, column: &VectorColumn, sample: &Sample) -> Finding {
    let all: u64 = sample.dimensions.values().sum();
    let most = sample.dimensions.iter().max_by_key(|(_, count)| **count).map_or(0, |(dimensions, _)| *dimensions);
    let shares: Map<String, Value> = sample
        .dimensions
        .iter()
        .map(|(dimensions, count)| (dimensions.to_string(), json!(*count as f64 / all as f64)))
        .collect();
    Finding {
        severity: if column.searches.is_empty() { Severity::medium } else { RULE.severity },
        object: column.object(),
        weight: column.table_bytes + column.toast_bytes,
        summary: format!(
            "Column {} holds vectors of {} different numbers of dimensions",
            column.object(),
            sample.dimensions.len()
        ),
        cause: format!(
            "Of {}, most vectors have {most} dimensions, the others {}. A distance between vectors of different dimensions is an error.",
            read_of(sample),
            others(sample, most),
        ),
        evidence: object! {
            "type": column.element.name(),
            "share_by_dimensions": shares,
            "sampled_rows": sample.rows,
            "basis": basis(sample),
            "rows_estimated": column.rows,
            "statements": statements(extension, column, sample),
        },
        app_fix: Some(format!(
            "Move the vectors of each model into a column or table of their own, with the dimensions in the type. To see which rows \
             have others: SELECT * FROM {} WHERE {} <> {most};",
            column.table_name,
            dimensions_of(extension, column),
        )),
        ..Finding::that_changes_nothing()
    }
}

fn others(sample: &Sample, most: u32) -> String {
    let others: Vec<String> =
        sample.dimensions.keys().filter(|dimensions| **dimensions != most).map(u32::to_string).collect();
    match others.len() {
        0..=5 => others.join(", "),
        more => format!("{}, … ({more} in all)", others[..5].join(", ")),
    }
}

fn dimensions_of(extension: &Extension, column: &VectorColumn) -> String {
    match column.element {
        Element::Sparsevec => format!("split_part({}::text, '/', 2)::int", column.name),
        _ => format!("{}({})", of_pgvector(extension, "vector_dims"), column.name),
    }
}

/// A partial index for each, as long as they are kept together.
fn statements(extension: &Extension, column: &VectorColumn, sample: &Sample) -> Vec<String> {
    let class = of_pgvector(extension, &default_operator(column).0.class(column.element));
    // A cast of a sparsevec to text is not immutable enough for an index.
    let indexable = |dimensions: &&u32| {
        column.element != Element::Sparsevec && **dimensions <= column.element.most_indexable_dimensions()
    };
    let statement = |dimensions: &u32| {
        format!(
            "CREATE INDEX CONCURRENTLY ON {} USING hnsw (({}::{}) {class}) WHERE {} = {dimensions};",
            column.table_name,
            column.name,
            type_text(extension, column.element, *dimensions),
            dimensions_of(extension, column),
        )
    };
    sample.dimensions.keys().filter(indexable).take(5).map(statement).collect()
}
