//! Costs of scanning hypothetical btrees, kept from one plan of a query to the next.
//!
//! A query is planned many times with sets of indexes that overlap, and most of the time goes to selectivities of the same
//! clauses again. What a btree's scan costs follows from the index, the clauses, how often it is repeated and how many pages
//! the query's tables have: all that btcostestimate() looks at beside the statistics.

use super::hook;
use crate::db::Arena;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Cost, IndexPath, NodeTag, PlannerInfo, Selectivity};
use pgrx::{PgList, pg_guard};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Estimates kept for all queries together, of about 150 bytes each; beyond it those of other queries are forgotten.
const MOST: usize = 100_000;

/// What a query is planned as: itself, the address of the values bound to it, which live as long, and the hidden indexes, for
/// a unique one tells how many rows have a value.
pub type PlannedAs = (u64, usize, Vec<u32>);

#[derive(Default)]
pub struct CostCache {
    queries: HashMap<PlannedAs, Rc<RefCell<QueryCosts>>>,
    kept: usize,
}

impl CostCache {
    pub fn of(&mut self, planned_as: PlannedAs) -> Rc<RefCell<QueryCosts>> {
        if self.kept > MOST {
            self.queries.clear();
            self.kept = 0;
        }
        self.queries.entry(planned_as).or_default().clone()
    }

    pub fn grew_by(&mut self, estimates: usize) {
        self.kept += estimates;
    }
}

pub struct QueryCosts {
    estimates: HashMap<Scan, Estimate>,
    /// The clauses that came up, in `arena`; their places name them.
    clauses: Vec<*mut pg_sys::Expr>,
    /// Where a clause of the plan being made was found the last time.
    hints: HashMap<*mut pg_sys::RestrictInfo, u32>,
    arena: Arena,
}

impl Default for QueryCosts {
    fn default() -> QueryCosts {
        QueryCosts { estimates: HashMap::new(), clauses: Vec::new(), hints: HashMap::new(), arena: Arena::new() }
    }
}

/// All that the cost depends on; floating-point numbers as their bits.
#[derive(PartialEq, Eq, Hash)]
struct Scan {
    index: u32,
    /// Range table entry.
    relation: u32,
    loops: u64,
    table_pages: u64,
    /// Column of the index, and place of the clause.
    clauses: Vec<(i16, u32)>,
}

#[derive(Clone, Copy, Default)]
struct Estimate {
    startup: Cost,
    total: Cost,
    selectivity: Selectivity,
    correlation: f64,
    pages: f64,
}

impl QueryCosts {
    pub fn len(&self) -> usize {
        self.estimates.len()
    }

    /// The place of the clause; the same for all that are equal.
    unsafe fn place(&mut self, info: *mut pg_sys::RestrictInfo) -> u32 {
        // SAFETY: the clause is the planner's, the others are ours.
        unsafe {
            let clause = (*info).clause;
            let is = |known: *mut pg_sys::Expr| pg_sys::equal(known.cast(), clause.cast());
            // Memory of the last plan may have been used again, so that a hint is no more than that.
            if let Some(place) = self.hints.get(&info)
                && is(self.clauses[*place as usize])
            {
                return *place;
            }
            let place = self.clauses.iter().position(|known| is(*known)).unwrap_or_else(|| {
                self.clauses.push(self.arena.enter(|| pg_sys::copyObjectImpl(clause.cast()).cast()));
                self.clauses.len() - 1
            }) as u32;
            self.hints.insert(info, place);
            place
        }
    }

    unsafe fn scan(&mut self, root: &PlannerInfo, path: &IndexPath, loops: f64) -> Scan {
        // SAFETY: as the planner calls an access method's amcostestimate.
        unsafe {
            let clauses = PgList::<pg_sys::IndexClause>::from_pg(path.indexclauses);
            let clauses = clauses.iter_ptr().map(|clause| ((*clause).indexcol, self.place((*clause).rinfo))).collect();
            Scan {
                index: (*path.indexinfo).indexoid.to_u32(),
                relation: (*(*path.indexinfo).rel).relid,
                loops: loops.to_bits(),
                table_pages: root.total_table_pages.to_bits(),
                clauses,
            }
        }
    }
}

/// The method's own estimate, unless it is known.
///
/// SAFETY: as the planner calls an access method's amcostestimate, for a hypothetical btree of the scope in force.
#[pg_guard]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C-unwind" fn btree(
    root: *mut PlannerInfo,
    path: *mut IndexPath,
    loop_count: f64,
    startup: *mut Cost,
    total: *mut Cost,
    selectivity: *mut Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: as said above; an error of the method's passes as a panic.
    unsafe {
        debug_assert_eq!((*path).path.type_, NodeTag::T_IndexPath);
        let index = &*(*path).indexinfo;
        let relation = (**(*root).simple_rte_array.add((*index.rel).relid as usize)).relid;
        let (costs, own) = hook::costs_of(index.indexoid, relation);
        let scan = costs.borrow_mut().scan(&*root, &*path, loop_count);
        let known = costs.borrow().estimates.get(&scan).copied();
        let estimate = known.unwrap_or_else(|| {
            let mut new = Estimate::default();
            pg_guard_ffi_boundary(|| {
                own(
                    root,
                    path,
                    loop_count,
                    &raw mut new.startup,
                    &raw mut new.total,
                    &raw mut new.selectivity,
                    &raw mut new.correlation,
                    &raw mut new.pages,
                )
            });
            costs.borrow_mut().estimates.insert(scan, new);
            new
        });
        *startup = estimate.startup;
        *total = estimate.total;
        *selectivity = estimate.selectivity;
        *correlation = estimate.correlation;
        *pages = estimate.pages;
    }
}
