//! Cost of scanning a hypothetical index of pgvector, whose own functions would open it to read `m` or `lists`.
//!
//! They follow hnswcostestimate() and ivfflatcostestimate(), which are the same from 0.8.0 to 0.8.6 on PostgreSQL 17;
//! 0.7 had no share of the lists' tuples at layer 0 and took the whole cost as that of startup. Neither reads
//! hnsw.iterative_scan or ivfflat.iterative_scan.

use super::hook;
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Cost, IndexPath, PlannerInfo, Selectivity};
use std::ffi::CStr;

/// pgvector's hardcoded guess of how the data steers the search.
const HNSW_SCAN_SCALING: f64 = 0.55;
/// Of the pages that IVFFlat reads, those read one after the other.
const IVFFLAT_SEQUENTIAL: f64 = 0.5;

/// As WITH (…) of the hypothetical index says, or pgvector's defaults.
#[derive(Clone, Copy, Debug)]
pub struct VectorParameters {
    pub m: i32,
    pub lists: i32,
}

#[pg_guard]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C-unwind" fn hnsw(
    root: *mut PlannerInfo,
    path: *mut IndexPath,
    loop_count: f64,
    startup: *mut Cost,
    total: *mut Cost,
    selectivity: *mut Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: as the planner calls an access method's amcostestimate.
    unsafe {
        let estimate = Scan::of(root, path, loop_count).map(|scan| {
            let share = hnsw_share(scan.tuples, f64::from(scan.parameters.m), setting(c"hnsw.ef_search", 40, 1..=1000));
            let startup = scan.costs.indexTotalCost * share;
            Estimate { startup: startup - scan.toast(share, 1.0), total: scan.costs.indexTotalCost, costs: scan.costs }
        });
        write(estimate, startup, total, selectivity, correlation, pages);
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C-unwind" fn ivfflat(
    root: *mut PlannerInfo,
    path: *mut IndexPath,
    loop_count: f64,
    startup: *mut Cost,
    total: *mut Cost,
    selectivity: *mut Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: as the planner calls an access method's amcostestimate.
    unsafe {
        let estimate = Scan::of(root, path, loop_count).map(|scan| {
            let probes = setting(c"ivfflat.probes", 1, 1..=32768);
            let share = (probes / f64::from(scan.parameters.lists)).min(1.0);
            let saved = IVFFLAT_SEQUENTIAL * scan.costs.numIndexPages * scan.sequential_discount();
            let total = scan.costs.indexTotalCost - saved;
            Estimate { startup: total * share - scan.toast(share, 1.0 - IVFFLAT_SEQUENTIAL), total, costs: scan.costs }
        });
        write(estimate, startup, total, selectivity, correlation, pages);
    }
}

/// Share of the tuples that a search visits: m on each upper layer, and at layer 0 the neighbors of ef_search candidates less
/// those seen before.
fn hnsw_share(tuples: f64, m: f64, ef_search: f64) -> f64 {
    if tuples <= 0.0 {
        return 1.0;
    }
    let entry_level = (tuples.ln() / m.ln()).trunc();
    let layer0 = 2.0 * m * ef_search;
    let layer0_unseen = HNSW_SCAN_SCALING * tuples.ln() / (m.ln() * (1.0 + ef_search.ln()));
    ((entry_level * m + layer0 * layer0_unseen) / tuples).min(1.0)
}

struct Scan {
    costs: pg_sys::GenericCosts,
    parameters: VectorParameters,
    sequential_page_cost: f64,
    tuples: f64,
    table_pages: f64,
}

impl Scan {
    /// None without an ORDER BY operator, where the index must never be used.
    ///
    /// SAFETY: the arguments are those of amcostestimate.
    unsafe fn of(root: *mut PlannerInfo, path: *mut IndexPath, loop_count: f64) -> Option<Scan> {
        // SAFETY: as said above; the planner has filled the path's index and its table.
        unsafe {
            if (*path).indexorderbys.is_null() {
                return None;
            }
            let mut costs = pg_sys::GenericCosts::default();
            pg_sys::genericcostestimate(root, path, loop_count, &raw mut costs);
            let index = &*(*path).indexinfo;
            let mut sequential_page_cost = 0.0;
            pg_sys::get_tablespace_page_costs(index.reltablespace, std::ptr::null_mut(), &raw mut sequential_page_cost);
            Some(Scan {
                costs,
                parameters: hook::vector_parameters(index.indexoid),
                sequential_page_cost,
                tuples: index.tuples,
                table_pages: f64::from((*index.rel).pages),
            })
        }
    }

    fn sequential_discount(&self) -> f64 {
        self.costs.spc_random_page_cost - self.sequential_page_cost
    }

    /// What a scan of `share` of the pages costs less where that is more than the table has: its TOAST is not in the cost of
    /// a sequential scan either. Of those pages `random` have been counted as read at random.
    fn toast(&self, share: f64, random: f64) -> f64 {
        let pages = self.costs.numIndexPages * share;
        if pages <= self.table_pages || share >= 0.5 {
            return 0.0;
        }
        random * pages * self.sequential_discount() + (pages - self.table_pages) * self.sequential_page_cost
    }
}

struct Estimate {
    startup: Cost,
    total: Cost,
    costs: pg_sys::GenericCosts,
}

/// SAFETY: the pointers are those of amcostestimate.
unsafe fn write(
    estimate: Option<Estimate>,
    startup: *mut Cost,
    total: *mut Cost,
    selectivity: *mut Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    let never = || Estimate { startup: f64::INFINITY, total: f64::INFINITY, costs: Default::default() };
    let estimate = estimate.unwrap_or_else(never);
    // SAFETY: as said above.
    unsafe {
        *startup = estimate.startup;
        *total = estimate.total;
        *selectivity = estimate.costs.indexSelectivity;
        *correlation = estimate.costs.indexCorrelation;
        *pages = estimate.costs.numIndexPages;
    }
}

/// A setting of pgvector, which may not be loaded yet; it would put a value out of range back to the default.
fn setting(name: &CStr, default: i32, range: std::ops::RangeInclusive<i32>) -> f64 {
    // SAFETY: the value is a string until the setting changes, and it is read at once.
    let value = unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        if value.is_null() {
            None
        } else {
            CStr::from_ptr(value).to_str().ok().and_then(|value| value.trim().parse().ok())
        }
    };
    f64::from(value.filter(|value| range.contains(value)).unwrap_or(default))
}
