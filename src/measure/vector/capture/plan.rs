//! Finds what may be searches in an executed plan. Nothing here asks the catalogs, for most statements are none.

use super::limit::{self, Got};
use pgrx::pg_sys::{self, LimitState, List, NodeTag, Plan, PlanState, QueryDesc};

/// Plans are deeper only where somebody has written a union of many.
const MOST_DEEP: usize = 100;

/// A node that gives rows in the order of something.
pub struct Found {
    pub place: Place,
    /// Null: there is none.
    pub limit: *const LimitState,
    pub got: Got,
    pub joined: bool,
}

#[derive(Default)]
pub struct Searches {
    pub found: Vec<Found>,
    /// Parameters whose values InitPlans set, of nodes above what was found: such a plan depends on no other parameter, so it is
    /// executed once, and its row is copied (ExecSetParamPlan) into memory that goes with the query.
    pub once: Vec<i32>,
}

pub enum Place {
    /// By an index.
    Index(*const pg_sys::IndexScanState),
    /// By sorting.
    Sort(*const pg_sys::Sort),
}

/// What lies between a node and the LIMIT above it.
#[derive(Clone, Copy)]
struct Above {
    limit: *const LimitState,
    joined: bool,
    /// All rows go to the client.
    top: bool,
    deep: usize,
}

/// SAFETY: a query that has been executed, and not ended.
pub unsafe fn searches(query: &QueryDesc) -> Searches {
    let mut found = Searches::default();
    let above = Above { limit: std::ptr::null(), joined: false, top: true, deep: 0 };
    // SAFETY: as said above.
    unsafe { visit(query.planstate, above, query, &mut found) };
    found
}

/// SAFETY: null, or a node of the query's.
unsafe fn visit(state: *mut PlanState, above: Above, query: &QueryDesc, all: &mut Searches) {
    // SAFETY: nodes are cast after a look at their tags; their children are theirs.
    unsafe {
        let Some(node) = state.as_ref().filter(|_| above.deep < MOST_DEEP) else { return };
        let apart = Above { limit: std::ptr::null(), joined: false, top: false, deep: above.deep + 1 };
        for subplan in elements::<pg_sys::SubPlanState>(node.initPlan) {
            all.once.extend(set_once(&*subplan));
        }
        for list in [node.initPlan, node.subPlan] {
            for subplan in elements::<pg_sys::SubPlanState>(list) {
                visit((*subplan).planstate, apart, query, all);
            }
        }
        let same = Above { deep: above.deep + 1, ..above };
        let mut children = vec![node.lefttree, node.righttree];
        let below = match node.type_ {
            NodeTag::T_LimitState => Above { limit: state.cast(), joined: false, top: false, ..same },
            NodeTag::T_SortState
            | NodeTag::T_IncrementalSortState
            | NodeTag::T_LockRowsState
            | NodeTag::T_GatherState
            | NodeTag::T_GatherMergeState
            | NodeTag::T_MaterialState => same,
            NodeTag::T_AppendState => {
                let append = &*state.cast::<pg_sys::AppendState>();
                children.extend(several(append.appendplans, append.as_nplans));
                same
            }
            NodeTag::T_MergeAppendState => {
                let append = &*state.cast::<pg_sys::MergeAppendState>();
                children.extend(several(append.mergeplans, append.ms_nplans));
                same
            }
            NodeTag::T_SubqueryScanState => {
                children.push((*state.cast::<pg_sys::SubqueryScanState>()).subplan);
                Above { joined: above.joined || !node.qual.is_null(), ..same }
            }
            NodeTag::T_ResultState => Above { joined: above.joined || !node.qual.is_null(), ..same },
            _ => Above { joined: true, ..same },
        };
        let before = all.found.len();
        for child in children {
            visit(child, below, query, all);
        }
        let place = match node.type_ {
            NodeTag::T_IndexScanState if orders(&*state.cast()) => Place::Index(state.cast()),
            // What sorts the rows of a search anew (re-ranking) is no search of its own.
            NodeTag::T_SortState if all.found.len() == before && by_number(node.plan) => Place::Sort(node.plan.cast()),
            _ => return,
        };
        if let Some(got) = got(above, query) {
            all.found.push(Found { place, limit: above.limit, got, joined: above.joined });
        }
    }
}

/// SAFETY: an InitPlan of the query's.
unsafe fn set_once(state: &pg_sys::SubPlanState) -> Vec<i32> {
    // SAFETY: `setParam` is a list of numbers.
    unsafe {
        let independent = state.planstate.as_ref().is_some_and(|top| (*top.plan).extParam.is_null());
        let Some(list) = (*state.subplan).setParam.as_ref().filter(|_| independent) else { return Vec::new() };
        let cells = std::slice::from_raw_parts(list.elements, list.length as usize);
        cells.iter().map(|cell| cell.int_value).collect()
    }
}

/// SAFETY: as `visit`.
unsafe fn got(above: Above, query: &QueryDesc) -> Option<Got> {
    // SAFETY: as said above.
    unsafe {
        match above.limit.as_ref() {
            Some(state) => limit::got(state),
            None => {
                let rows = (above.top && !above.joined).then(|| (*query.estate).es_total_processed as i64);
                Some(Got { k: None, rows, short: false })
            }
        }
    }
}

/// It was executed, and gives rows in the order of an operator.
fn orders(scan: &pg_sys::IndexScanState) -> bool {
    scan.iss_NumOrderByKeys == 1
        && !scan.iss_OrderByKeys.is_null()
        && !scan.iss_ScanDesc.is_null()
        && !scan.iss_RelationDesc.is_null()
        && (scan.iss_NumRuntimeKeys == 0 || scan.iss_RuntimeKeysReady)
}

/// By float8, the least first, before anything else: as distances are.
///
/// SAFETY: the plan of a sort.
unsafe fn by_number(plan: *const Plan) -> bool {
    // SAFETY: as said above.
    unsafe {
        let sort = &*plan.cast::<pg_sys::Sort>();
        sort.numCols > 0 && (*sort.sortOperators).to_u32() == pg_sys::Float8LessOperator
    }
}

/// SAFETY: an array of so many.
unsafe fn several(states: *mut *mut PlanState, number: i32) -> Vec<*mut PlanState> {
    // SAFETY: as said above; null only without any.
    unsafe {
        if states.is_null() { Vec::new() } else { std::slice::from_raw_parts(states, number.max(0) as usize).to_vec() }
    }
}

/// SAFETY: null, or a list of pointers to `T`.
pub unsafe fn elements<T>(list: *const List) -> Vec<*mut T> {
    // SAFETY: as said above.
    unsafe {
        let Some(list) = list.as_ref() else { return Vec::new() };
        let cells = std::slice::from_raw_parts(list.elements, list.length as usize);
        cells.iter().map(|cell| cell.ptr_value.cast()).collect()
    }
}
