//! Rows as queries.

/// Vectors of rows are found more easily than those of real queries, for the index was built from them: what they must find for
/// others to find `recall`. The factor between what is missed was measured on two sets of sentence embeddings with HNSW, and
/// shrinks with what is missed: 2.6 to 3.5 where queries miss 0.1, 1.9 to 2.3 at 0.05, 1.2 at 0.02, 1 at 0.013.
pub fn recall_of_rows(recall: f64) -> f64 {
    1.0 - (1.0 - recall) / factor(1.0 - recall)
}

fn factor(missed: f64) -> f64 {
    (missed / EQUAL).sqrt().clamp(1.2, 3.0)
}

/// Missed by both.
const EQUAL: f64 = 0.013;
