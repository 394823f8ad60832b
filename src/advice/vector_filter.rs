//! How a search with a filter is served best.
//!
//! An HNSW scan finds the nearest rows first and filters them afterwards: of `ef_search` rows only the filter's share is left.
//! What else there is costs differently: going on with the scan costs more the fewer rows match, computing all distances of the
//! rows that match costs more the more there are, and an index on these rows alone has to be built.
//!
//! Milliseconds are estimates from what was measured on 100,000 rows of 384 dimensions in memory; their order is what counts.

/// A scan's entry into the graph.
const SCAN_MS: f64 = 0.3;
/// For each row that it visits, at 384 dimensions and 100,000 rows.
const VISIT_MS: f64 = 0.03;
/// A row that an index of another method has found, with its distance; and one that is read in the table's order.
const FETCHED_MS: f64 = 0.0024;
const SCANNED_MS: f64 = 0.0009;
/// Reading a vector that is stored out of line, and each kilobyte of it.
const TOASTED_MS: f64 = 0.004;
const TOASTED_KB_MS: f64 = 0.001;
/// Neighbors resemble each other in what filters look at, too: the number of those that match varies more than that of rows
/// taken at random, of which it would be the variance.
const DISPERSION: f64 = 5.0;
/// hnsw.max_scan_tuples
const MOST_VISITED: f64 = 20_000.0;
const MOST_EF_SEARCH: f64 = 1000.0;
/// Partial indexes that somebody may want to look after.
const MOST_PARTIAL: f64 = 20.0;
/// A partition with fewer rows needs no index, nor that the table be rebuilt.
const LEAST_PARTITION: f64 = 10_000.0;
/// By so much a search must be faster for the table to be rebuilt for it.
const REBUILDING_MS: f64 = 20.0;
const MOST_PARTITIONS: f64 = 1000.0;

/// A search with a filter on a table.
#[derive(Clone, Debug)]
pub struct Filtered {
    pub rows: f64,
    /// Of the rows, those that the filter takes.
    pub selectivity: f64,
    pub k: f64,
    pub dimensions: f64,
    pub ef_search: f64,
    /// The filter's values are the same in every search.
    pub constant: bool,
    /// It is nothing but `column = value`.
    pub equality: bool,
    /// Values of the filter's column; None: not known.
    pub distinct: Option<f64>,
    /// An index of another method serves the filter.
    pub filter_indexed: bool,
    /// Bytes of a vector that is stored out of line; None: it is in the row.
    pub toasted_bytes: Option<f64>,
    /// pgvector 0.8 or later
    pub iterative_scan: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it is: rows are filtered after `ef_search` were found.
    AsIs,
    /// The scan goes on until enough rows match.
    IterativeScan,
    /// A larger ef_search, so that enough rows match.
    LargerEfSearch { ef_search: u32 },
    /// All rows that match, found by an index on the filter's columns, sorted by their distance.
    Exact,
    /// A vector index on the rows that match; for values that vary one for each.
    PartialIndex { indexes: u32 },
    /// Partitions by the filter's column, each with a vector index.
    Partitions { partitions: u32 },
}

#[derive(Clone, Copy, Debug)]
pub struct Alternative {
    pub way: Way,
    /// Of k, on average.
    pub rows: f64,
    pub ms: f64,
    /// Milliseconds by which it is ordered: what has to be built and kept up counts for more.
    weighed_ms: f64,
}

/// Those that return what is asked for come first, by what they cost.
pub fn choose(search: &Filtered) -> Vec<Alternative> {
    let matching = (search.rows * search.selectivity).max(0.0);
    let wanted = search.k.min(matching);
    let mut alternatives = vec![search.as_is()];
    alternatives.extend(search.iterative_scan(matching));
    alternatives.extend(search.larger_ef_search(matching));
    alternatives.push(search.exact(matching));
    alternatives.extend(search.partial_index(matching));
    alternatives.extend(search.partitions());
    // Less than one row in twenty may be missing.
    let short = |alternative: &Alternative| alternative.rows < 0.95 * wanted;
    alternatives.sort_by(|a, b| match (short(a), short(b)) {
        (true, true) => b.rows.total_cmp(&a.rows),
        (false, false) => a.weighed_ms.total_cmp(&b.weighed_ms),
        (a, b) => a.cmp(&b),
    });
    alternatives
}

impl Filtered {
    /// Milliseconds of an HNSW scan of so many rows that visits so many.
    fn scan_ms(&self, rows: f64, visited: f64) -> f64 {
        let depth = rows.max(10.0).ln() / 100_000f64.ln();
        SCAN_MS + VISIT_MS * visited.min(rows) * (0.5 + 0.5 * self.dimensions / 384.0) * depth.max(0.3)
    }

    /// Rows of k that are left of `visited`.
    fn left_of(&self, visited: f64) -> f64 {
        expected_at_most(self.k, visited.min(self.rows), self.selectivity)
    }

    fn as_is(&self) -> Alternative {
        let ms = self.scan_ms(self.rows, self.ef_search);
        Alternative { way: Way::AsIs, rows: self.left_of(self.ef_search), ms, weighed_ms: ms }
    }

    fn iterative_scan(&self, matching: f64) -> Option<Alternative> {
        // A scan that has found enough at once is as cheap as it was: rounds are of ef_search rows.
        let needed = self.k.min(matching) / self.selectivity.max(1e-9);
        let visited = ((needed / self.ef_search).ceil() * self.ef_search).max(self.ef_search).min(MOST_VISITED);
        let ms = self.scan_ms(self.rows, visited);
        let rows = if visited >= needed { self.k.min(matching) } else { self.left_of(visited) };
        self.iterative_scan.then_some(Alternative { way: Way::IterativeScan, rows, ms, weighed_ms: ms })
    }

    fn larger_ef_search(&self, matching: f64) -> Option<Alternative> {
        // Twice as many, for the share differs from query to query.
        let needed = (2.0 * self.k.min(matching) / self.selectivity.max(1e-9)).max(self.ef_search);
        let ef_search = ((needed / 10.0).ceil() * 10.0).min(MOST_EF_SEARCH);
        let ms = self.scan_ms(self.rows, ef_search);
        let way = Way::LargerEfSearch { ef_search: ef_search as u32 };
        (ef_search > self.ef_search).then(|| Alternative { way, rows: self.left_of(ef_search), ms, weighed_ms: ms })
    }

    fn exact(&self, matching: f64) -> Alternative {
        let size = 0.25 + 0.75 * self.dimensions / 384.0;
        let detoasted = self.toasted_bytes.map_or(0.0, |bytes| TOASTED_MS + TOASTED_KB_MS * bytes / 1024.0);
        let fetched = matching * (FETCHED_MS + SCANNED_MS * (size - 1.0).max(-0.5) + detoasted);
        let scanned = self.rows * SCANNED_MS * size + matching * detoasted;
        let ms = 0.1 + fetched.min(scanned);
        // An index on the filter's columns costs little.
        let effort = if self.filter_indexed { 1.0 } else { 1.1 };
        Alternative { way: Way::Exact, rows: self.k.min(matching), ms, weighed_ms: ms * effort }
    }

    fn partial_index(&self, matching: f64) -> Option<Alternative> {
        let indexes = if self.constant { 1.0 } else { self.distinct.filter(|_| self.equality)? };
        let ms = self.scan_ms(matching, self.ef_search.max(self.k));
        let effort = 1.8 + 0.3 * (indexes - 1.0);
        let way = Way::PartialIndex { indexes: indexes as u32 };
        ((1.0..=MOST_PARTIAL).contains(&indexes) && matching >= 1.0).then(|| Alternative {
            way,
            rows: self.k.min(matching),
            ms,
            weighed_ms: ms * effort,
        })
    }

    fn partitions(&self) -> Option<Alternative> {
        let partitions = self.distinct.filter(|_| self.equality && !self.constant)?;
        let matching = self.rows * self.selectivity;
        let ms = self.scan_ms(matching, self.ef_search.max(self.k));
        let way = Way::Partitions { partitions: partitions as u32 };
        ((2.0..=MOST_PARTITIONS).contains(&partitions) && matching >= LEAST_PARTITION).then(|| Alternative {
            way,
            rows: self.k.min(matching),
            ms,
            weighed_ms: ms * 4.0 + REBUILDING_MS,
        })
    }
}

/// The mean of the lesser of `most` and the number of successes, from its normal approximation.
fn expected_at_most(most: f64, trials: f64, share: f64) -> f64 {
    let mean = trials * share;
    let deviation = (mean * (1.0 - share) * DISPERSION).sqrt();
    if deviation < 1e-9 {
        return most.min(mean);
    }
    let distance = (most - mean) / deviation;
    let density = (-distance * distance / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // Of the standard normal distribution, within 1e-4 of it.
    let below = 1.0 / (1.0 + (-1.5976 * distance - 0.070_56 * distance.powi(3)).exp());
    (mean * below + most * (1.0 - below) - deviation * density).clamp(0.0, most.min(mean))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// 100,000 × 384 of pgvector 0.8.0, k = 10, ef_search = 40, with a btree on the filter's column.
    fn measured(selectivity: f64, constant: bool) -> Filtered {
        Filtered {
            rows: 100_000.0,
            selectivity,
            k: 10.0,
            dimensions: 384.0,
            ef_search: 40.0,
            constant,
            equality: true,
            distinct: Some(500.0),
            filter_indexed: true,
            toasted_bytes: None,
            iterative_scan: true,
        }
    }

    fn ways(search: &Filtered) -> Vec<Way> {
        choose(search).into_iter().map(|alternative| alternative.way).collect()
    }

    fn of(search: &Filtered, way: Way) -> Alternative {
        choose(search).into_iter().find(|alternative| alternative.way == way).unwrap()
    }

    #[test]
    fn the_best_of_what_was_measured_comes_first() {
        assert_eq!(ways(&measured(0.42, false))[0], Way::IterativeScan);
        assert_eq!(ways(&measured(0.054, false))[0], Way::IterativeScan);
        let partial = Way::PartialIndex { indexes: 1 };
        assert_eq!(ways(&measured(0.015, true))[..2], [partial, Way::Exact]);
        assert_eq!(ways(&measured(0.015, false))[0], Way::Exact);
        assert_eq!(ways(&measured(0.0045, true))[0], Way::Exact);
        assert_eq!(ways(&measured(0.0045, false))[0], Way::Exact);
    }

    #[test]
    fn rows_that_are_returned_are_near_what_was_measured() {
        for (selectivity, rows, tolerance) in [(0.42, 9.4, 0.7), (0.054, 2.0, 0.3), (0.015, 0.57, 0.1)] {
            let estimated = of(&measured(selectivity, false), Way::AsIs).rows;
            assert!((estimated - rows).abs() < tolerance, "{selectivity}: {estimated}, measured {rows}");
        }
    }

    #[test]
    fn milliseconds_are_within_twice_what_was_measured() {
        let figures = [
            (0.42, Way::IterativeScan, 2.5),
            (0.054, Way::IterativeScan, 7.4),
            (0.015, Way::IterativeScan, 27.0),
            (0.0045, Way::IterativeScan, 52.0),
            (0.054, Way::Exact, 13.0),
            (0.015, Way::Exact, 4.5),
            (0.0045, Way::Exact, 1.3),
            (0.015, Way::PartialIndex { indexes: 1 }, 1.6),
        ];
        for (selectivity, way, ms) in figures {
            let estimated = of(&measured(selectivity, true), way).ms;
            assert!((0.5..=2.0).contains(&(estimated / ms)), "{selectivity} {way:?}: {estimated} ms, measured {ms}");
        }
    }

    #[test]
    fn what_returns_too_few_rows_comes_last() {
        let search = measured(0.015, false);
        assert_eq!(ways(&search).last(), Some(&Way::AsIs));
        let old = Filtered { iterative_scan: false, ..measured(0.42, false) };
        assert!(matches!(ways(&old)[0], Way::LargerEfSearch { ef_search: 40..=60 }), "{:?}", ways(&old));
    }

    #[test]
    fn an_index_for_each_value_is_for_few_values() {
        let few = Filtered { distinct: Some(4.0), ..measured(0.25, false) };
        assert!(ways(&few).contains(&Way::PartialIndex { indexes: 4 }));
        assert!(!ways(&measured(0.015, false)).iter().any(|way| matches!(way, Way::PartialIndex { .. })));
        assert_eq!(ways(&few)[0], Way::IterativeScan);
    }

    #[test]
    fn nothing_matches_or_nothing_is_there() {
        for (rows, selectivity) in [(0.0, 0.0), (0.0, 1.0), (100_000.0, 0.0), (5.0, 1.0)] {
            let search = Filtered { rows, ..measured(selectivity, true) };
            let all = choose(&search);
            assert!(all.iter().all(|a| a.ms.is_finite() && a.rows.is_finite() && a.rows >= 0.0), "{all:?}");
        }
    }
}
