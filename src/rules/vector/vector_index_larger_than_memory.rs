use crate::advice::vector_index::{Design, has_class, key_in_words};
use crate::facts::Facts;
use crate::facts::vector::{Element, Key, VectorColumn, VectorIndex};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, rounded};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "vector_index_larger_than_memory",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A valid HNSW index is larger than shared_buffers and than effective_cache_size, or than memory_bytes where that is \
                set.",
    effect: "A search visits rows all over the graph: what is not in memory is a random read each, dozens to hundreds for every \
             search.",
    workaround: "Index half precision, or bits with re-ranking, which take a fraction; or partition, or give it more memory.",
    sources: &["https://github.com/pgvector/pgvector#scaling"],
    options: &[OptionSpec::bytes(
        "memory_bytes",
        0,
        "What can be cached; 0: the larger of shared_buffers and effective_cache_size.",
    )],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "1 MB of memory",
            setup: "create extension vector; select dbre.configure_rule('vector_index_larger_than_memory', options => \
                    '{\"memory_bytes\": 1000000}'); create table t (id int primary key, embedding vector(256)); insert into t \
                    select g, (select array_agg(random()) from generate_series(1, 256) where g > 0)::vector from \
                    generate_series(1, 1000) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 8, \
                    ef_construction = 16); vacuum analyze t",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "there is room",
            setup: "create extension vector; create table t (id int primary key, embedding vector(256)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 256) where g > 0)::vector from generate_series(1, \
                    500) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 8, ef_construction = 16); vacuum \
                    analyze t",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let server = &vectors.server;
    let memory = match options.bytes("memory_bytes") {
        0 => server.shared_buffers_bytes.max(server.effective_cache_size_bytes),
        set => set,
    };
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let judged = index.valid && !index.partitioned && index.method.name() == "hnsw" && index.bytes > memory;
        judged.then(|| finding(facts, column, index, memory))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, column: &VectorColumn, index: &VectorIndex, memory: u64) -> Finding {
    let server = &facts.vectors().server;
    let bytes = Bytes(index.bytes);
    let smaller = smaller(column, index);
    Finding {
        severity: RULE.severity,
        object: index.name.to_string(),
        weight: index.bytes,
        summary: format!("Vector index {} takes {bytes}, and {} can be cached", index.name, Bytes(memory)),
        cause: format!(
            "The graph is read at random, and no part of it is read more than the rest. shared_buffers is {}, \
             effective_cache_size {}, which is what the server is told of the system's cache.",
            Bytes(server.shared_buffers_bytes),
            Bytes(server.effective_cache_size_bytes)
        ),
        evidence: object! {
            "table": column.table_name.to_string(),
            "index_bytes": bytes,
            "memory_bytes": memory,
            "shared_buffers_bytes": server.shared_buffers_bytes,
            "effective_cache_size_bytes": server.effective_cache_size_bytes,
            "machine_memory_bytes": server.memory_bytes,
            "index_scans": index.scans,
            "share_in_memory_at_most": rounded(memory as f64 / index.bytes as f64),
            "smaller_indexes": smaller,
        },
        app_fix: Some(match smaller.is_empty() {
            true => "Partition the table by what searches filter on, or give the server more memory. If effective_cache_size is \
                     less than the system caches, correct it."
                .to_string(),
            false => "Create one of the smaller indexes of the evidence beside it, change the searches to its key, compare both \
                      with dbre.vector_recall(), and drop this one. If effective_cache_size is less than the system caches, \
                      correct it."
                .to_string(),
        }),
        ..Finding::that_changes_nothing()
    }
}

/// Indexes on less of each vector, with what they would take.
fn smaller(column: &VectorColumn, index: &VectorIndex) -> Vec<Value> {
    let Some(dimensions) = column.known_dimensions() else { return Vec::new() };
    let half = (column.element == Element::Vector).then_some(Key::Cast { element: Element::Halfvec, dimensions });
    let bits =
        matches!(column.element, Element::Vector | Element::Halfvec).then_some(Key::BinaryQuantize { dimensions });
    let keys = [half, bits].into_iter().flatten().filter(|key| *key != index.key);
    let designs = keys.filter_map(|key| {
        let design = Design::new(column, index.method, key, index.operator, column.vectors())?;
        has_class(index.method, design.element, design.operator).then_some(design)
    });
    let smaller = designs.filter(|design| design.size().0 < index.bytes);
    smaller
        .map(|design| {
            json!({
                "key": key_in_words(&design.key),
                "operator_class": design.operator.class(design.element),
                "estimated_bytes": design.size(),
            })
        })
        .collect()
}
