//! What findings on vector columns have in common.

use crate::advice::vector_index::{Design, Setting, default_operator, of_pgvector};
use crate::facts::vector::{Element, Extension, Key, Method, Sample, VectorColumn, Vectors};
use crate::units::{Bytes, Count, rounded};
use serde_json::{Value, json};

/// Of an index that is created without options.
pub const DEFAULT_HNSW: Method = Method::Hnsw { m: 16, ef_construction: 64 };

/// `all 1,000 rows`, `2,000 rows taken at random`
pub fn read_of(sample: &Sample) -> String {
    let rows = Count(sample.rows).of("row");
    match (sample.whole, sample.rows) {
        (true, 1) => "its only row".to_string(),
        (true, _) => format!("all {rows}"),
        (false, _) => format!("{rows} taken at random"),
    }
}

/// How sure a figure of a sample is.
pub fn basis(sample: &Sample) -> &'static str {
    if sample.whole { "measured" } else { "estimated" }
}

/// `vector(1536)`, in the schema of pgvector where that is not public.
pub fn type_text(extension: &Extension, element: Element, dimensions: u32) -> String {
    match element {
        // Not pgvector's.
        Element::Bit => format!("bit({dimensions})"),
        element => of_pgvector(extension, &format!("{}({dimensions})", element.name())),
    }
}

/// An index that serves searches of this column exists.
pub fn has_usable_index(column: &VectorColumn) -> bool {
    column.indexes.iter().any(|index| index.valid && index.ready)
}

/// What an index could be made of instead of the column, with its size, and the query that it serves.
pub fn ways(vectors: &Vectors, column: &VectorColumn, keys: &[Key]) -> Vec<Value> {
    let Some(extension) = &vectors.extension else { return Vec::new() };
    let operator = default_operator(column).0;
    let rows = vectors.rows(column);
    let designs = keys.iter().filter_map(|key| Design::new(column, DEFAULT_HNSW, key.clone(), operator, rows));
    let describe = |design: Design| {
        let setting = design.setting_for(&vectors.goal).unwrap_or(Setting::EfSearch(1000));
        json!({
            "index": format!("ON {} {}", column.table_name, design.specification(extension, column)),
            "index_bytes_estimated": design.size().0,
            "query": design.search_sql(extension, column, &vectors.goal, &setting),
            "recall": match &design.key {
                Key::Subvector { .. } => json!("only of a model whose vectors may be shortened; dbre.vector_recall() measures it"),
                Key::BinaryQuantize { .. } => json!("depends on the vectors; dbre.vector_recall() measures it"),
                _ => json!({ "value": rounded(design.recall_with(&setting, &vectors.goal)), "basis": "estimated" }),
            },
        })
    };
    designs.map(describe).collect()
}

/// Of the table with what is stored out of line.
pub fn stored_bytes(column: &VectorColumn) -> Bytes {
    Bytes(column.table_bytes + column.toast_bytes)
}
