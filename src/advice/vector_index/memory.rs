//! Memory that building takes, as hnswbuild.c, hnswutils.c and ivfkmeans.c of pgvector 0.8 allocate it.

use super::Design;
use crate::facts::vector::{Method, Server, VectorColumn};
use crate::units::Bytes;

const MIB: f64 = Bytes::MIB as f64;
/// HnswElementData.
const ELEMENT: f64 = 128.0;
const POINTER: f64 = 8.0;
/// Of each piece that is allocated, in a serial build.
const CHUNK_HEADER: f64 = 8.0;
/// What a parallel build keeps of maintenance_work_mem for other things.
const PARALLEL_RESERVE: f64 = 4.0 * MIB;
/// min_parallel_table_scan_size and the memory each process of a build must have, by PostgreSQL's defaults.
const LEAST_PARALLEL_TABLE: u64 = 8 * Bytes::MIB;
const LEAST_MEMORY_OF_PROCESS: u64 = 32 * Bytes::MIB;
/// Of what the machine has beside shared buffers, the share that a build may take unless it is told.
const MACHINE_SHARE: f64 = 0.25;

/// Worker processes that a build in so much memory has beside its own.
pub fn workers(column: &VectorColumn, server: &Server, memory_bytes: u64) -> u32 {
    let most = server.max_parallel_maintenance_workers.min(server.max_worker_processes);
    match column.table_bytes >= LEAST_PARALLEL_TABLE && memory_bytes >= 2 * LEAST_MEMORY_OF_PROCESS {
        true => most,
        false => 0,
    }
}

/// What a build may take: what was asked for, or what the machine can spare, but not less than is set now.
pub fn ceiling(server: &Server, budget: Option<u64>) -> u64 {
    let spare =
        server.memory_bytes.map_or(0.0, |all| MACHINE_SHARE * (all as f64 - server.shared_buffers_bytes as f64));
    budget.unwrap_or_else(|| server.maintenance_work_mem_bytes.max(spare.max(0.0) as u64))
}

impl Design {
    /// In maintenance_work_mem: of HNSW, for the graph to be built in memory; IVFFlat is not built in less.
    pub fn build_memory(&self, workers: u32) -> Bytes {
        Bytes(match self.method {
            Method::Hnsw { m, .. } => {
                let graph = self.part_rows * self.graph_row_bytes(f64::from(m), workers > 0);
                let reserve = if workers > 0 { PARALLEL_RESERVE } else { 0.0 };
                (((graph + reserve) / MIB).ceil() * MIB) as u64
            }
            Method::Ivfflat { lists } => self.k_means_bytes(f64::from(lists)) as u64,
        })
    }

    /// Rows after which an HNSW build in so much memory goes on outside it; None: IVFFlat, which fails instead.
    pub fn rows_that_fit(&self, memory_bytes: u64, workers: u32) -> Option<f64> {
        let Method::Hnsw { m, .. } = self.method else { return None };
        let row = self.graph_row_bytes(f64::from(m), workers > 0);
        let usable = match workers {
            // Taken in blocks of 1 MB.
            0 => (memory_bytes as f64 / MIB).floor() * MIB,
            _ => memory_bytes as f64 - PARALLEL_RESERVE,
        };
        Some((usable / row).max(0.0).floor())
    }

    pub fn fits(&self, memory_bytes: u64, workers: u32) -> bool {
        self.build_memory(workers).0 <= memory_bytes
    }

    /// maintenance_work_mem for the build, with a little to spare: in steps that read well.
    pub fn maintenance_work_mem(&self, workers: u32) -> Bytes {
        let needed = self.build_memory(workers).0 as f64 * 1.02;
        let step = if needed < 1024.0 * MIB { 16.0 * MIB } else { 256.0 * MIB };
        Bytes(((needed / step).ceil() * step) as u64)
    }

    /// Element, value, and the lists of neighbors: 2m on the lowest level, m on each of 1/(m - 1) above it on average.
    fn graph_row_bytes(&self, m: f64, parallel: bool) -> f64 {
        let upper = 1.0 / (m - 1.0);
        let header = if parallel { 0.0 } else { CHUNK_HEADER };
        let neighbors = |count: f64| 8.0 + 16.0 * count + header;
        let value = (self.value_bytes / 8.0).ceil() * 8.0;
        ELEMENT + POINTER * (1.0 + upper) + neighbors(2.0 * m) + upper * neighbors(m) + value + 3.0 * header
    }

    fn k_means_bytes(&self, lists: f64) -> f64 {
        let item = (self.value_bytes / 8.0).ceil() * 8.0;
        let most_samples = (50.0 * lists).max(10_000.0);
        let samples = most_samples.min(self.part_rows);
        let dimensions = f64::from(self.dimensions);
        let centers = 2.0 * lists * item + 4.0 * lists * dimensions;
        most_samples * item + centers + 4.0 * lists * (samples + lists + 3.0) + 8.0 * samples
    }
}

#[cfg(test)]
mod unit_tests {
    use super::super::unit_tests::design;
    use super::*;
    use crate::facts::vector::Element;

    /// Bytes of a row at which builds have spilled, of VECTOR_FACTS.
    #[test]
    fn graphs_spill_where_they_did() {
        for (dimensions, measured) in [(384, 2253.0), (768, 3791.0), (1536, 6880.0)] {
            let hnsw = design(Method::Hnsw { m: 16, ef_construction: 64 }, Element::Vector, dimensions, 1e5);
            let serial = hnsw.graph_row_bytes(16.0, false);
            assert!((serial / measured - 1.0).abs() < 0.01, "{serial} for {measured}");
            let rows = hnsw.rows_that_fit(64 * Bytes::MIB, 1).unwrap();
            let parallel = 60.0 * MIB / hnsw.graph_row_bytes(16.0, true);
            assert!((rows / parallel - 1.0).abs() < 0.001);
            assert!(Design { part_rows: rows, ..hnsw.clone() }.fits(64 * Bytes::MIB, 1));
            assert!(!Design { part_rows: rows * 1.02, ..hnsw }.fits(64 * Bytes::MIB, 1));
        }
    }

    /// Serial builds with little memory, tuples after which the server said that the graph no longer fits.
    #[test]
    fn small_serial_graphs_spill_where_they_did() {
        let spilled = |m: u32, element: Element, dimensions: u32, megabytes: u64, measured: f64| {
            let hnsw = design(Method::Hnsw { m, ef_construction: 64 }, element, dimensions, 3000.0);
            let rows = hnsw.rows_that_fit(megabytes * Bytes::MIB, 0).unwrap();
            assert!((rows / measured - 1.0).abs() < 0.01, "{rows} for {measured}");
        };
        spilled(4, Element::Vector, 8, 1, 2793.0);
        spilled(16, Element::Vector, 8, 2, 2805.0);
        spilled(40, Element::Vector, 128, 4, 2104.0);
        spilled(16, Element::Vector, 384, 4, 1864.0);
        spilled(16, Element::Halfvec, 384, 1, 709.0);
    }

    #[test]
    fn the_default_holds_9200_vectors_of_1536_dimensions() {
        let hnsw = design(Method::Hnsw { m: 16, ef_construction: 64 }, Element::Vector, 1536, 1e5);
        let rows = hnsw.rows_that_fit(64 * Bytes::MIB, 1).unwrap();
        assert!((9000.0..9400.0).contains(&rows), "{rows}");
    }
}
