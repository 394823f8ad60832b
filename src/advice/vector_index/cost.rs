//! Times, estimated from those measured on two cores with 100,000 real embeddings of 384 dimensions (pgvector 0.8.0).

use super::{Design, Setting};
use crate::facts::vector::{Element, Method, VectorColumn};

/// What rows, dimensions and options of the measurement were.
const ROWS: f64 = 100_000.0;
const DIMENSIONS: f64 = 384.0;
/// Of a vector of 384 dimensions.
const VALUE_BYTES: f64 = 1544.0;

/// HNSW in memory, one process, m = 16, ef_construction = 64: 139 s for vector, 130 for halfvec, 86 for bit.
const HNSW_SECONDS: f64 = 84.0;
const HNSW_SECONDS_PER_VALUE_BYTE: f64 = 0.0356;
/// ef_construction = 200 takes 2.56 times as long as 64.
const EF_CONSTRUCTION_EXPONENT: f64 = 0.825;
/// The rows beyond maintenance_work_mem: 3.3 times as long, and one process at a time profits little from others.
const SPILLED: f64 = 3.3;

/// IVFFlat: 3.9 s for 100 lists, 61 s for 1000.
const IVFFLAT_SECONDS_PER_ROW: f64 = 1e-5;
const IVFFLAT_SECONDS_PER_ASSIGNMENT: f64 = 2.1e-7;
const IVFFLAT_SECONDS_PER_SAMPLED_ASSIGNMENT: f64 = 7.75e-7;

/// An exact search reads all rows: 90 ms for 100,000.
const EXACT_MS_PER_ROW: f64 = 0.3e-3;
const EXACT_MS_PER_BYTE: f64 = 0.4e-6;
/// Fetching a value that is stored out of line.
const DETOAST_MS: f64 = 2e-3;
/// One more search costs its planning and what the executor starts.
const STATEMENT_MS: f64 = 0.1;

/// HNSW: 1.5 ms with ef_search 40, 1.86 with 56, 5.98 with about 240.
const HNSW_MS: f64 = 0.6;
const HNSW_MS_PER_EF: f64 = 0.0225;
/// IVFFlat with 100 lists of 1000 rows: 1.3 ms with 1 probe, 12.4 with 10.
const IVFFLAT_MS_PER_ROW: f64 = 1.23e-3;

/// How much more of a row's work depends on its bytes than in the measurement.
fn of_value(value_bytes: f64) -> f64 {
    (HNSW_SECONDS + HNSW_SECONDS_PER_VALUE_BYTE * value_bytes)
        / (HNSW_SECONDS + HNSW_SECONDS_PER_VALUE_BYTE * VALUE_BYTES)
}

/// A search that reads so many rows and their vectors.
pub fn exact_ms(column: &VectorColumn, rows: f64) -> f64 {
    let sample = column.sample.as_ref();
    let dimensions = column.known_dimensions().map_or(DIMENSIONS, f64::from);
    let bytes = match (column.element, sample) {
        (Element::Sparsevec, Some(sample)) => sample.average_bytes,
        (Element::Sparsevec, None) => VALUE_BYTES,
        (element, _) => element.value_bytes(dimensions),
    };
    let toasted = match sample {
        Some(sample) => sample.toasted_fraction,
        None if column.storage != 'p' && bytes > 2000.0 => 1.0,
        None => 0.0,
    };
    STATEMENT_MS + rows * (EXACT_MS_PER_ROW + EXACT_MS_PER_BYTE * bytes + DETOAST_MS * toasted)
}

/// An insert into the graph costs what it costs while building, one row at a time, and it writes pages.
pub fn hnsw_insert_ms(design: &Design) -> f64 {
    Design { rows: design.rows.max(1000.0), ..design.clone() }.hnsw_row_seconds() * 1000.0 * SPILLED / 2.0
}

impl Design {
    /// In so much memory by so many workers beside the leader.
    pub fn build_seconds(&self, memory_bytes: u64, workers: u32) -> f64 {
        let processes = 1.0 + f64::from(workers);
        match self.method {
            Method::Hnsw { .. } => {
                let fit = self.rows_that_fit(memory_bytes, workers).unwrap_or(0.0);
                let in_memory = (fit / self.part_rows.max(1.0)).min(1.0);
                self.rows * self.hnsw_row_seconds() * (in_memory + (1.0 - in_memory) * SPILLED) / processes
            }
            Method::Ivfflat { lists } => {
                let lists = f64::from(lists);
                let samples = (50.0 * lists).max(10_000.0).min(self.rows);
                let distance = self.value_bytes / VALUE_BYTES;
                self.rows * IVFFLAT_SECONDS_PER_ROW
                    + distance * IVFFLAT_SECONDS_PER_ASSIGNMENT * self.rows * lists
                    + distance * IVFFLAT_SECONDS_PER_SAMPLED_ASSIGNMENT * samples * lists
            }
        }
    }

    /// Of one process, with the graph in memory.
    fn hnsw_row_seconds(&self) -> f64 {
        let Method::Hnsw { m, ef_construction } = self.method else { return 0.0 };
        let graph = (self.rows.max(2.0).ln() / ROWS.ln()).max(0.2);
        let options = (f64::from(ef_construction) / 64.0).powf(EF_CONSTRUCTION_EXPONENT) * (f64::from(m) / 16.0).sqrt();
        1.39e-3 * of_value(self.value_bytes) * graph * options
    }

    /// Of a search with the index, all in cache, with re-ranking of as many rows as it delivers.
    pub fn search_ms(&self, setting: &Setting) -> f64 {
        let searched = match (self.method, setting) {
            (Method::Hnsw { m, .. }, Setting::EfSearch(ef)) => {
                let graph = (self.rows.max(2.0).ln() / ROWS.ln()).max(0.2);
                // No more rows are looked at than there are.
                let ef = f64::from(*ef).min(self.rows);
                (HNSW_MS + HNSW_MS_PER_EF * ef * (f64::from(m) / 16.0).sqrt()) * graph * of_value(self.value_bytes)
            }
            (Method::Ivfflat { lists }, Setting::Probes(probes)) => {
                let read = self.rows * f64::from(*probes) / f64::from(lists);
                let compared = read + f64::from(lists);
                compared * IVFFLAT_MS_PER_ROW * of_value(self.value_bytes)
            }
            _ => 0.0,
        };
        STATEMENT_MS + searched
    }
}

#[cfg(test)]
mod unit_tests {
    use super::super::unit_tests::design;
    use super::*;

    fn near(estimated: f64, measured: f64) {
        assert!((estimated / measured - 1.0).abs() < 0.15, "{estimated} for {measured}");
    }

    /// Seconds and milliseconds of VECTOR_FACTS, by which the constants were chosen.
    #[test]
    fn times_are_those_measured() {
        let hnsw = |ef_construction| design(Method::Hnsw { m: 16, ef_construction }, Element::Vector, 384, 100_000.0);
        near(hnsw(64).build_seconds(2 << 30, 1), 69.5);
        near(hnsw(64).build_seconds(2 << 30, 0), 139.0);
        near(hnsw(64).build_seconds(64 << 20, 1), 186.0);
        near(hnsw(200).build_seconds(2 << 30, 1), 178.0);
        near(hnsw(64).search_ms(&Setting::EfSearch(40)), 1.5);
        near(hnsw(64).search_ms(&Setting::EfSearch(56)), 1.86);
        let ivfflat = |lists| design(Method::Ivfflat { lists }, Element::Vector, 384, 100_000.0);
        near(ivfflat(100).build_seconds(2 << 30, 1), 3.9);
        near(ivfflat(1000).build_seconds(2 << 30, 1), 61.0);
        near(ivfflat(100).search_ms(&Setting::Probes(10)), 12.4);
    }
}
