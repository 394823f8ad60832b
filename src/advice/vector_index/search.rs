//! Options and settings by which an index reaches a recall, estimated from one measured data set: dbre.vector_recall() measures.

use super::Design;
use crate::facts::vector::{Element, Goal, Key, Method};

/// What decides how many rows a search looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    EfSearch(u32),
    Probes(u32),
}

/// recall@10 of HNSW with m = 16, ef_construction = 64 over 100,000 real embeddings, held-out queries.
const HNSW_MISSES: [(f64, f64); 3] = [(40.0, 0.064), (56.0, 0.05), (240.0, 0.01)];
/// The same of IVFFlat with 100 lists, by probes over the root of the lists.
const IVFFLAT_MISSES: [(f64, f64); 4] = [(0.1, 0.482), (1.0, 0.091), (1.8, 0.05), (4.5, 0.01)];
/// ef_construction = 200 needs 38 where 64 needs 56.
const BETTER_GRAPH: f64 = 38.0 / 56.0;
const HALFVEC_MISSES: f64 = 0.003;
/// Of bits for each element: of 20 candidates for each neighbor wanted, re-ranked, and half as much of twice as many.
const CANDIDATES_PER_K: f64 = 20.0;
const BIT_MISSES: f64 = 0.04;
const MOST_EF_SEARCH: f64 = 1000.0;

pub const BASIS: &str =
    "estimated from 100,000 real embeddings of 384 dimensions; dbre.vector_recall() measures it here";

/// pgvector's own rule: rows / 1000 up to a million rows, the root of the rows beyond.
pub fn ivfflat_lists(rows: f64) -> u32 {
    let lists = if rows <= 1e6 { rows / 1000.0 } else { rows.sqrt() };
    lists.round().clamp(1.0, 32_768.0) as u32
}

/// Probes for a recall, as far as that is known.
pub fn probes_for(lists: u32, recall: f64) -> u32 {
    let lists = f64::from(lists);
    (value_for(&IVFFLAT_MISSES, 1.0 - recall) * lists.sqrt()).ceil().clamp(1.0, lists) as u32
}

impl Design {
    /// By which a search reaches the goal; None: not even the most would.
    pub fn setting_for(&self, goal: &Goal) -> Option<Setting> {
        let misses = 1.0 - goal.recall - self.lost_by_element();
        if misses <= 0.0 {
            return None;
        }
        match self.method {
            Method::Hnsw { m, ef_construction } => {
                let ef = match self.reranks() {
                    true => CANDIDATES_PER_K * f64::from(goal.k) * BIT_MISSES / misses,
                    false => value_for(&HNSW_MISSES, misses) * self.graph_factor(m, ef_construction) * wanted(goal),
                };
                let ef = (ef.max(f64::from(goal.k)) / 5.0).ceil() * 5.0;
                (ef <= MOST_EF_SEARCH).then_some(Setting::EfSearch(ef as u32))
            }
            Method::Ivfflat { lists } => Some(Setting::Probes(probes_for(lists, 1.0 - misses))),
        }
    }

    /// recall@k to expect with a setting.
    pub fn recall_with(&self, setting: &Setting, goal: &Goal) -> f64 {
        let misses = match (self.method, setting) {
            (Method::Hnsw { .. }, Setting::EfSearch(ef)) if self.reranks() => {
                BIT_MISSES * CANDIDATES_PER_K * f64::from(goal.k) / f64::from(*ef)
            }
            (Method::Hnsw { m, ef_construction }, Setting::EfSearch(ef)) => {
                misses_at(&HNSW_MISSES, f64::from(*ef) / self.graph_factor(m, ef_construction) / wanted(goal))
            }
            (Method::Ivfflat { lists }, Setting::Probes(probes)) if *probes < lists => {
                misses_at(&IVFFLAT_MISSES, f64::from(*probes) / f64::from(lists).sqrt())
            }
            _ => 0.0,
        };
        (1.0 - misses - self.lost_by_element()).clamp(0.0, 1.0)
    }

    /// A search takes more rows than it returns and orders them by the column's own distance.
    pub fn reranks(&self) -> bool {
        matches!(self.key, Key::BinaryQuantize { .. } | Key::Subvector { .. })
    }

    /// Less ef_search for a denser or better graph, more for a sparser one.
    fn graph_factor(&self, m: u32, ef_construction: u32) -> f64 {
        let exponent = BETTER_GRAPH.ln() / (200.0_f64 / 64.0).ln();
        let built = (f64::from(ef_construction) / 64.0).powf(exponent);
        // m = 8 needs 1.7 times the ef_search of 16, m = 32 half of it.
        let dense = (f64::from(m) / 16.0).powf(-0.8);
        let rows = (self.rows.max(10.0).ln() / 100_000.0_f64.ln()).max(0.5);
        built * dense * rows
    }

    fn lost_by_element(&self) -> f64 {
        match (&self.key, self.element) {
            (Key::Cast { .. }, Element::Halfvec) => HALFVEC_MISSES,
            _ if self.reranks() && self.method.name() == "ivfflat" => BIT_MISSES,
            _ => 0.0,
        }
    }
}

/// More neighbors than the 10 of the measurement need as many more candidates.
fn wanted(goal: &Goal) -> f64 {
    (f64::from(goal.k) / 10.0).max(1.0)
}

/// On lines between the points in logarithms, which go on beyond them.
fn value_for(points: &[(f64, f64)], misses: f64) -> f64 {
    let misses = misses.max(1e-6);
    let [.., (from, _), (to, _)] = points else { return 0.0 };
    let pair = points.windows(2).find(|pair| misses >= pair[1].1).unwrap_or(&points[points.len() - 2..]);
    let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
    let value = (x0.ln() + (misses / y0).ln() * (x1 / x0).ln() / (y1 / y0).ln()).exp();
    debug_assert!(from < to);
    value
}

fn misses_at(points: &[(f64, f64)], value: f64) -> f64 {
    let pair = points.windows(2).find(|pair| value <= pair[1].0).unwrap_or(&points[points.len() - 2..]);
    let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
    (y0.ln() + (value / x0).ln() * (y1 / y0).ln() / (x1 / x0).ln()).exp().min(1.0)
}

#[cfg(test)]
mod unit_tests {
    use super::super::unit_tests::{design, goal};
    use super::*;

    #[test]
    fn settings_are_those_measured() {
        let default = design(Method::Hnsw { m: 16, ef_construction: 64 }, Element::Vector, 384, 100_000.0);
        let better = design(Method::Hnsw { m: 16, ef_construction: 200 }, Element::Vector, 384, 100_000.0);
        let setting = |design: &Design, recall: f64| design.setting_for(&goal(recall, 10));
        assert_eq!(setting(&default, 0.95), Some(Setting::EfSearch(60)));
        assert_eq!(setting(&better, 0.95), Some(Setting::EfSearch(40)));
        assert_eq!(setting(&default, 0.99), Some(Setting::EfSearch(240)));
        assert_eq!(setting(&default, 1.0), None);
        let recall = |ef: u32| default.recall_with(&Setting::EfSearch(ef), &goal(0.95, 10));
        assert!((recall(40) - 0.936).abs() < 1e-9 && recall(80) > 0.95 && recall(10) < 0.9);
        let ivfflat = design(Method::Ivfflat { lists: 100 }, Element::Vector, 384, 100_000.0);
        assert_eq!(setting(&ivfflat, 0.95), Some(Setting::Probes(18)));
        assert_eq!(setting(&ivfflat, 0.5), Some(Setting::Probes(1)));
        assert_eq!(setting(&default.clone(), 0.5).map(|s| matches!(s, Setting::EfSearch(10))), Some(true));
    }

    #[test]
    fn many_neighbors_need_as_many_candidates() {
        let design = design(Method::Hnsw { m: 16, ef_construction: 64 }, Element::Vector, 384, 100_000.0);
        assert_eq!(design.setting_for(&goal(0.5, 200)), Some(Setting::EfSearch(200)));
        assert_eq!(design.setting_for(&goal(0.99, 1000)), None);
    }

    #[test]
    fn bits_need_many_candidates() {
        let bits = Design {
            key: Key::BinaryQuantize { dimensions: 384 },
            ..design(Method::Hnsw { m: 16, ef_construction: 64 }, Element::Bit, 384, 100_000.0)
        };
        assert_eq!(bits.setting_for(&goal(0.96, 10)), Some(Setting::EfSearch(200)));
        assert_eq!(bits.setting_for(&goal(0.99, 20)), None);
        assert!((bits.recall_with(&Setting::EfSearch(400), &goal(0.95, 10)) - 0.98).abs() < 1e-9);
    }

    #[test]
    fn lists_follow_the_rows() {
        assert_eq!([500.0, 50_000.0, 1e6, 4e6].map(ivfflat_lists), [1, 50, 1000, 2000]);
    }
}
