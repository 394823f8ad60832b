//! Shows hypothetical indexes to the planner, hides real ones, and names the former in EXPLAIN.

use super::WhatIf;
use super::column::{self, Resembles};
use super::cost_cache::{self, QueryCosts};
use super::part::Part;
use super::vector_cost::{self, VectorParameters};
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgList, pg_guard};
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::rc::Rc;

/// What the planner is to see while it plans one query.
pub struct Scope<'a> {
    pub what_if: &'a WhatIf,
    /// Numbers of hypothetical indexes that exist.
    pub created: &'a [usize],
    /// OIDs of real indexes that do not, in order.
    pub hidden: &'a [u32],
    /// Tells the query from those that functions run while they are evaluated for it: these may execute their plans.
    pub parameters: pg_sys::ParamListInfo,
    /// Of the query, from the plans before.
    costs: Rc<RefCell<QueryCosts>>,
    /// The table or partition on which the cost of a btree is estimated.
    estimated: Cell<Oid>,
    /// Keeps the names that EXPLAIN was given.
    names: RefCell<Vec<CString>>,
}

impl<'a> Scope<'a> {
    pub fn new(
        what_if: &'a WhatIf,
        created: &'a [usize],
        hidden: &'a [u32],
        parameters: pg_sys::ParamListInfo,
        costs: Rc<RefCell<QueryCosts>>,
    ) -> Scope<'a> {
        Scope {
            what_if,
            created,
            hidden,
            parameters,
            costs,
            estimated: Cell::new(pg_sys::InvalidOid),
            names: RefCell::default(),
        }
    }

    /// Runs `body` with the scope in force. It ends with `body`, however that ends.
    pub fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        struct Restore(*const Scope<'static>);
        impl Drop for Restore {
            fn drop(&mut self) {
                ACTIVE.set(self.0);
            }
        }
        let _restore = Restore(ACTIVE.replace(std::ptr::from_ref(self).cast()));
        body()
    }
}

/// An access method's amcostestimate.
pub type Estimator = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannerInfo,
    *mut pg_sys::IndexPath,
    f64,
    *mut pg_sys::Cost,
    *mut pg_sys::Cost,
    *mut pg_sys::Selectivity,
    *mut f64,
    *mut f64,
);

thread_local! {
    static ACTIVE: Cell<*const Scope<'static>> = const { Cell::new(null()) };
}

static mut NEXT_RELATION_INFO: pg_sys::get_relation_info_hook_type = None;
static mut NEXT_INDEX_NAME: pg_sys::explain_get_index_name_hook_type = None;

static mut NEXT_INDEX_STATS: pg_sys::get_index_stats_hook_type = None;

/// Called once, when the library is loaded.
pub fn install() {
    // SAFETY: a backend has one thread; the hooks that were there are called by ours.
    unsafe {
        NEXT_RELATION_INFO = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(relation_info);
        NEXT_INDEX_NAME = pg_sys::explain_get_index_name_hook;
        pg_sys::explain_get_index_name_hook = Some(index_name);
        NEXT_INDEX_STATS = pg_sys::get_index_stats_hook;
        pg_sys::get_index_stats_hook = Some(index_statistics);
    }
}

/// SAFETY: called by the planner, with what get_relation_info() has filled.
#[pg_guard]
unsafe extern "C-unwind" fn relation_info(
    root: *mut pg_sys::PlannerInfo,
    relation: Oid,
    is_parent: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: as said above; a scope is in force only while `Scope::run` holds it.
    unsafe {
        if let Some(next) = NEXT_RELATION_INFO {
            next(root, relation, is_parent, info);
        }
        let Some(scope) = ACTIVE.get().as_ref() else { return };
        if (*(*root).glob).boundParams != scope.parameters {
            return;
        }
        if !scope.hidden.is_empty() {
            hide(scope.hidden, info);
        }
        if is_parent {
            return;
        }
        for number in scope.created {
            let index = scope.what_if.index(*number);
            if let Some(part) = scope.what_if.part(index, relation) {
                let added = index_info(index, &part, info);
                (*info).indexlist = pg_sys::lcons(added.cast(), (*info).indexlist);
            }
        }
    }
}

unsafe fn hide(hidden: &[u32], info: *mut pg_sys::RelOptInfo) {
    // SAFETY: the list's elements are IndexOptInfos.
    unsafe {
        let mut kept = PgList::<pg_sys::IndexOptInfo>::new();
        for index in PgList::<pg_sys::IndexOptInfo>::from_pg((*info).indexlist).iter_ptr() {
            if hidden.binary_search(&(*index).indexoid.to_u32()).is_err() {
                kept.push(index);
            }
        }
        (*info).indexlist = kept.into_pg();
    }
}

/// What get_relation_info() makes of an index that exists.
unsafe fn index_info(index: &super::Index, part: &Part, info: *mut pg_sys::RelOptInfo) -> *mut pg_sys::IndexOptInfo {
    let definition = &index.definition;
    let (columns, keys) = (&definition.columns, definition.keys());
    // SAFETY: everything is allocated in the planner's memory context and filled before it is used; lists are copied, for the
    // planner changes them.
    unsafe {
        let routine = &*definition.routine;
        let added = pg_sys::palloc0(size_of::<pg_sys::IndexOptInfo>()).cast::<pg_sys::IndexOptInfo>();
        (*added).type_ = pg_sys::NodeTag::T_IndexOptInfo;
        (*added).indexoid = index.oid;
        (*added).reltablespace = definition.tablespace;
        (*added).rel = info;
        (*added).pages = part.size.pages.min(u64::from(u32::MAX - 1)) as u32;
        (*added).tuples = part.tuples;
        (*added).tree_height = if definition.method_name == "btree" { part.size.height as i32 } else { -1 };
        (*added).ncolumns = columns.len() as i32;
        (*added).nkeycolumns = keys.len() as i32;
        (*added).indexkeys = array(part.attributes.iter().map(|attribute| i32::from(*attribute)));
        (*added).indexcollations = array(keys.iter().map(|key| key.collation));
        (*added).opfamily = array(keys.iter().map(|key| key.family));
        (*added).opcintype = array(keys.iter().map(|key| key.class_type));
        if routine.amcanorder {
            (*added).sortopfamily = (*added).opfamily;
            (*added).reverse_sort = array(keys.iter().map(|key| key.descending));
            (*added).nulls_first = array(keys.iter().map(|key| key.nulls_first));
        }
        (*added).opclassoptions = array(columns.iter().map(|_| null_mut::<pg_sys::bytea>()));
        (*added).canreturn = array(columns.iter().map(|column| column.returned));
        (*added).relam = definition.method;
        (*added).indexprs = moved(part.expressions, (*info).relid);
        (*added).indpred = moved(part.predicate, (*info).relid);
        (*added).indextlist = targets(definition, part, (*added).indexprs, (*info).relid);
        (*added).unique = definition.unique;
        (*added).immediate = true;
        (*added).hypothetical = true;
        (*added).amcanorderbyop = routine.amcanorderbyop;
        (*added).amoptionalkey = routine.amoptionalkey;
        (*added).amsearcharray = routine.amsearcharray;
        (*added).amsearchnulls = routine.amsearchnulls;
        (*added).amhasgettuple = routine.amgettuple.is_some();
        (*added).amhasgetbitmap = routine.amgetbitmap.is_some();
        (*added).amcanparallel = routine.amcanparallel;
        (*added).amcanmarkpos = routine.ammarkpos.is_some() && routine.amrestrpos.is_some();
        (*added).amcostestimate = match definition.method_name.as_str() {
            "btree" => Some(cost_cache::btree),
            "hnsw" => Some(vector_cost::hnsw),
            "ivfflat" => Some(vector_cost::ivfflat),
            _ => routine.amcostestimate,
        };
        added
    }
}

/// An array in the current memory context.
unsafe fn array<T>(values: impl ExactSizeIterator<Item = T>) -> *mut T {
    // SAFETY: room for all values is allocated first.
    unsafe {
        let start = pg_sys::palloc0(size_of::<T>() * values.len().max(1)).cast::<T>();
        for (position, value) in values.enumerate() {
            start.add(position).write(value);
        }
        start
    }
}

/// A copy that speaks of range table entry `number` instead of 1.
unsafe fn moved(list: *mut pg_sys::List, number: u32) -> *mut pg_sys::List {
    if list.is_null() {
        return list;
    }
    // SAFETY: expressions over one relation.
    unsafe {
        let copy = pg_sys::copyObjectImpl(list.cast()).cast::<pg_sys::Node>();
        if number != 1 {
            pg_sys::ChangeVarNodes(copy, 1, number as i32, 0);
        }
        copy.cast()
    }
}

/// What an index-only scan returns: one target for each column.
unsafe fn targets(
    definition: &super::Definition,
    part: &Part,
    expressions: *mut pg_sys::List,
    number: u32,
) -> *mut pg_sys::List {
    // SAFETY: there are as many expressions as columns without an attribute.
    unsafe {
        let expressions = PgList::<pg_sys::Expr>::from_pg(expressions);
        let mut next = expressions.iter_ptr();
        let mut list = null_mut();
        for (position, (column, attribute)) in definition.columns.iter().zip(&part.attributes).enumerate() {
            let expression = match attribute {
                0 => next.next().expect("an expression for each column that is one"),
                attribute => pg_sys::makeVar(
                    number as i32,
                    *attribute,
                    column.type_oid,
                    column.type_modifier,
                    column.own_collation,
                    0,
                )
                .cast(),
            };
            let target = pg_sys::makeTargetEntry(expression, position as i16 + 1, null_mut(), false);
            list = pg_sys::lappend(list, target.cast());
        }
        list
    }
}

/// SAFETY: called by EXPLAIN, which copies the name.
#[pg_guard]
unsafe extern "C-unwind" fn index_name(oid: Oid) -> *const c_char {
    // SAFETY: a scope is in force only while `Scope::run` holds it, and keeps the name that long.
    unsafe {
        if let Some(scope) = ACTIVE.get().as_ref()
            && let Some(number) = scope.what_if.number_of(oid)
        {
            let name = CString::new(scope.what_if.index(number).name()).unwrap_or_default();
            let start = name.as_ptr();
            scope.names.borrow_mut().push(name);
            return start;
        }
        match NEXT_INDEX_NAME {
            Some(next) => next(oid),
            None => null(),
        }
    }
}

/// Statistics of an expression, which ANALYZE would gather if the index existed: those of its column, where they are as good.
///
/// SAFETY: called by the planner's estimators, which free what they are given.
#[pg_guard]
unsafe extern "C-unwind" fn index_statistics(
    root: *mut pg_sys::PlannerInfo,
    oid: Oid,
    column: pg_sys::AttrNumber,
    variable: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: as said above; a scope is in force only while `Scope::run` holds it.
    unsafe {
        if let Some(scope) = ACTIVE.get().as_ref()
            && let Some(number) = scope.what_if.number_of(oid)
        {
            let index = scope.what_if.index(number);
            // The estimators ignore the statistics of partial indexes; that of BRIN hands in a variable that it has not set.
            if !index.definition.predicate.is_null() || index.definition.method_name == "brin" {
                return false;
            }
            let definition = &index.definition.columns[column as usize - 1];
            let Some(Resembles { attribute, one_to_one, in_order }) = definition.resembles else { return false };
            // The cost estimate of btrees names no relation, and wants the correlation alone.
            if !one_to_one && (!in_order || !(*variable).rel.is_null()) {
                return false;
            }
            let less = pg_sys::get_opfamily_member(
                definition.family,
                definition.class_type,
                definition.class_type,
                pg_sys::BTLessStrategyNumber as i16,
            );
            let relation = match (*variable).rel.as_ref() {
                Some(info) => (**(*root).simple_rte_array.add(info.relid as usize)).relid,
                None => scope.estimated.get(),
            };
            let Some(part) = scope.what_if.part(index, relation) else { return false };
            (*variable).statsTuple =
                column::statistics_without_values(relation, part.number(attribute), in_order, less);
            (*variable).freefunc = Some(free_tuple);
            (*variable).acl_ok = false;
            return !(*variable).statsTuple.is_null();
        }
        match NEXT_INDEX_STATS {
            Some(next) => next(root, oid, column, variable),
            None => false,
        }
    }
}

/// SAFETY: called by the planner's estimators with the tuple that they were given.
#[pg_guard]
unsafe extern "C-unwind" fn free_tuple(tuple: pg_sys::HeapTuple) {
    // SAFETY: as said above.
    unsafe { pg_sys::heap_freetuple(tuple) };
}

/// Of the hypothetical index that the planner asks the cost of.
pub fn vector_parameters(oid: Oid) -> VectorParameters {
    // SAFETY: a scope is in force only while `Scope::run` holds it.
    let scope = unsafe { ACTIVE.get().as_ref() }.expect("costs of hypothetical indexes are asked within a scope");
    scope.what_if.vector_parameters(oid).expect("the index is of the scope")
}

/// What is known of the query's costs, and the own estimator of the method of a hypothetical index on `relation`.
pub fn costs_of(oid: Oid, relation: Oid) -> (Rc<RefCell<QueryCosts>>, Estimator) {
    // SAFETY: a scope is in force only while `Scope::run` holds it; the method's routine lives as long as its definition.
    unsafe {
        let scope = ACTIVE.get().as_ref().expect("costs of hypothetical indexes are asked within a scope");
        let number = scope.what_if.number_of(oid).expect("the index is of the scope");
        let routine = &*scope.what_if.index(number).definition.routine;
        scope.estimated.set(relation);
        (scope.costs.clone(), routine.amcostestimate.expect("every access method has one"))
    }
}
