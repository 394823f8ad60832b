//! The true neighbours, computed here from the same numbers and without PostgreSQL.

use crate::cache::Vectors;
use std::thread;

/// Enough to hold the nearest ones whatever float32 rounds.
const CANDIDATES: usize = 64;

pub struct Truth {
    /// Distance of the k-th neighbour: what is as near counts as found.
    pub farthest: f64,
    pub ids: Vec<usize>,
}

/// For each query, among the rows that `with` takes.
pub fn truths(rows: &Vectors, queries: &[&[f32]], k: usize, with: impl Fn(usize) -> bool + Sync) -> Vec<Truth> {
    let half = queries.len().div_ceil(2).max(1);
    let with = &with;
    thread::scope(|scope| {
        let parts: Vec<_> = queries
            .chunks(half)
            .map(|part| scope.spawn(move || part.iter().map(|query| truth(rows, query, k, with)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("a thread of the exact search")).collect()
    })
}

fn truth(rows: &Vectors, query: &[f32], k: usize, with: &impl Fn(usize) -> bool) -> Truth {
    let mut near: Vec<(f32, usize)> =
        (0..rows.len()).filter(|&id| with(id)).map(|id| (-dot(query, rows.row(id)), id)).collect();
    let candidates = CANDIDATES.max(2 * k).min(near.len());
    if candidates > 0 && candidates < near.len() {
        near.select_nth_unstable_by(candidates - 1, |a, b| a.0.total_cmp(&b.0));
    }
    let mut exact: Vec<(f64, usize)> =
        near[..candidates].iter().map(|&(_, id)| (cosine_distance(query, rows.row(id)), id)).collect();
    exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    exact.truncate(k);
    Truth { farthest: exact.last().map_or(0.0, |last| last.0), ids: exact.into_iter().map(|(_, id)| id).collect() }
}

/// All embeddings are of length 1, so that this orders as the cosine distance does.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

pub fn cosine_distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a), f64::from(b));
        product += a * b;
        left += a * a;
        right += b * b;
    }
    1.0 - product / (left * right).sqrt()
}

/// How many of `found` are as near as the k-th true neighbour.
pub fn hits(rows: &Vectors, query: &[f32], truth: &Truth, found: impl Iterator<Item = usize>) -> usize {
    found.filter(|&id| truth.ids.contains(&id) || cosine_distance(query, rows.row(id)) <= truth.farthest).count()
}
