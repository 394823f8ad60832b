//! What a query asks of indexes, as the planner sees it when it is about to look for paths.
//!
//! By then views and subqueries are merged into the query, conditions are pushed down to the tables they are of, EXISTS and IN
//! are joins, equal columns share their constants, and outer joins that are none are gone: all that an index could serve is in
//! the planner's lists of each table. So the query is planned once, the plan is thrown away, and the lists are what is read.

use super::bindings::Bindings;
use super::conditions::Reader;
use super::distances::{Vocabulary, distances};
use super::expressions::Relation;
use super::orders::orders;
use super::ways::Ways;
use crate::db::{self, Arena, string};
use crate::facts::query::{QueryShape, Reference};
use crate::facts::vector::Distance;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, PlannerInfo, RTEKind, RangeTblEntry, RelOptInfo, RelOptKind};
use pgrx::{PgList, pg_guard};
use std::cell::Cell;
use std::ptr::null_mut;

/// Raises an error when the role in force may not read what the query reads: costs tell of the values.
///
/// SAFETY: `query` is an analyzed and rewritten SELECT whose tables are locked; it stays as it is.
pub unsafe fn shape(query: *mut pg_sys::Query) -> QueryShape {
    // SAFETY: the planner gets a copy; all that it allocates goes with the arena, after the last look at it.
    unsafe {
        Arena::new().enter(|| {
            let mut look = Look {
                // A list of its own, be it empty, is what the look knows the query by.
                parameters: pg_sys::makeParamList(0),
                ways: Ways::default(),
                vocabulary: Vocabulary::read(),
                distances: Vec::new(),
                bindings: Bindings::default(),
                references: Vec::new(),
            };
            look.at(pg_sys::copyObjectImpl(query.cast()).cast());
            let Look { bindings, references, distances, .. } = look;
            QueryShape {
                references: without_repetitions(references),
                parameters: bindings.of(query),
                distances,
                write: None,
            }
        })
    }
}

/// A query being planned, to be looked at.
struct Look {
    /// Tells it from the queries of functions that are evaluated while it is planned.
    parameters: pg_sys::ParamListInfo,
    ways: Ways,
    /// None: pgvector is not installed.
    vocabulary: Option<Vocabulary>,
    distances: Vec<Distance>,
    bindings: Bindings,
    references: Vec<Reference>,
}

thread_local! {
    static ACTIVE: Cell<*mut Look> = const { Cell::new(null_mut()) };
}

static mut NEXT: pg_sys::set_rel_pathlist_hook_type = None;

/// Called once, when the library is loaded.
pub fn install_hook() {
    // SAFETY: a backend has one thread; the hook that was there is called by ours.
    unsafe {
        NEXT = pg_sys::set_rel_pathlist_hook;
        pg_sys::set_rel_pathlist_hook = Some(see);
    }
}

impl Look {
    unsafe fn at(&mut self, query: *mut pg_sys::Query) {
        struct Restore(*mut Look);
        impl Drop for Restore {
            fn drop(&mut self) {
                ACTIVE.set(self.0);
            }
        }
        let _restore = Restore(ACTIVE.replace(self));
        // SAFETY: what is active is restored, however planning ends. An error passes as a panic.
        unsafe {
            let planned = &*pg_sys::standard_planner(query, c"".as_ptr(), 0, self.parameters);
            pg_sys::ExecCheckPermissions(planned.rtable, planned.permInfos, true);
        }
    }

    unsafe fn add(&mut self, relation: &Relation, entry: &RangeTblEntry) {
        // SAFETY: called by the hook for a relation that the planner is about to find paths for.
        unsafe {
            db::check_for_interrupts();
            if let Some(vocabulary) = &self.vocabulary {
                for distance in distances(vocabulary, relation, &mut self.ways) {
                    // The planner looks at some subqueries several times.
                    if !self.distances.contains(&distance) {
                        self.distances.push(distance);
                    }
                }
            }
            let mut reader = Reader { relation, ways: &mut self.ways, bindings: &mut self.bindings };
            let conditions = reader.all();
            let alternatives = reader.alternatives();
            let predicates = reader.predicates();
            let (columns, whole_rows) = columns(relation.rel);
            let reference = Reference {
                table: entry.relid.to_u32(),
                conditions,
                orders: orders(relation, &mut self.ways),
                columns,
                whole_rows,
                predicates,
            };
            let arms = alternatives.into_iter().map(|arm| {
                let conditions = arm.into_iter().chain(reference.conditions.iter().cloned()).collect();
                Reference { conditions, orders: Vec::new(), ..reference.clone() }
            });
            let arms: Vec<Reference> = arms.collect();
            self.references.push(reference);
            self.references.extend(arms);
        }
    }
}

/// SAFETY: called by the planner for each relation of FROM, when it has found the obvious paths.
#[pg_guard]
unsafe extern "C-unwind" fn see(
    root: *mut PlannerInfo,
    rel: *mut RelOptInfo,
    number: pg_sys::Index,
    entry: *mut RangeTblEntry,
) {
    // SAFETY: as said above; a look is active only while `Look::at` holds it, and nothing else uses it meanwhile.
    unsafe {
        if let Some(next) = NEXT {
            pg_guard_ffi_boundary(|| next(root, rel, number, entry));
        }
        let Some(look) = ACTIVE.get().as_mut() else { return };
        if (*(*root).glob).boundParams == look.parameters && is_of_interest(root, rel, &*entry) && !is_repeated(&*root)
        {
            // What is printed must mean the same under any search_path.
            let level = pg_sys::NewGUCNestLevel();
            pg_sys::RestrictSearchPath();
            look.add(&Relation::new(root, rel, (*entry).relid), &*entry);
            pg_sys::AtEOXact_GUC(true, level);
        }
    }
}

/// A table that can have an index which serves this reference: not a system table, nor a foreign one, nor a mere part of a
/// table that is looked at as a whole.
unsafe fn is_of_interest(root: *mut PlannerInfo, rel: *mut RelOptInfo, entry: &RangeTblEntry) -> bool {
    // SAFETY: as in `see`.
    unsafe {
        let partitioned = entry.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        let is_table = entry.rtekind == RTEKind::RTE_RELATION
            && (partitioned || matches!(entry.relkind as u8, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW))
            && entry.relid.to_u32() >= pg_sys::FirstNormalObjectId
            && entry.tablesample.is_null()
            && !pg_sys::isOtherTempNamespace(pg_sys::get_rel_namespace(entry.relid));
        // One that is proved to have no matching row is not scanned.
        if !is_table || pg_sys::is_dummy_rel(rel) {
            return false;
        }
        if (*rel).reloptkind == RelOptKind::RELOPT_BASEREL {
            // Of plain inheritance, each table has indexes of its own; the parent is among the children, too.
            return partitioned || !entry.inh;
        }
        let parent = (*(*(*root).append_rel_array.add((*rel).relid as usize))).parent_relid;
        let parent = &**(*root).simple_rte_array.add(parent as usize);
        parent.rtekind != RTEKind::RTE_RELATION || parent.relkind as u8 != pg_sys::RELKIND_PARTITIONED_TABLE
    }
}

/// For min() and max() the planner asks for both orders of NULLs, which makes no difference as there are none.
unsafe fn is_repeated(root: &PlannerInfo) -> bool {
    // SAFETY: as in `see`; the name is the planner's own (planagg.c).
    unsafe {
        let target = PgList::<pg_sys::TargetEntry>::from_pg((*root.parse).targetList).get_ptr(0);
        let key = PgList::<pg_sys::PathKey>::from_pg(root.sort_pathkeys).get_ptr(0);
        let (Some(target), Some(key)) = (target, key) else { return false };
        let descending = (*key).pk_strategy as u32 == pg_sys::BTGreaterStrategyNumber;
        string((*target).resname) == "agg_target" && descending != (*key).pk_nulls_first
    }
}

/// Attribute numbers of the columns that a scan must give or look at, as the planner itself decides on index-only scans; and
/// are there others than a user's columns?
unsafe fn columns(rel: *mut RelOptInfo) -> (Vec<i16>, bool) {
    // SAFETY: as in `see`; the set holds attribute numbers, shifted so that they are not negative.
    unsafe {
        let mut attributes = null_mut();
        pg_sys::pull_varattnos((*(*rel).reltarget).exprs.cast(), (*rel).relid, &raw mut attributes);
        for info in PgList::<pg_sys::RestrictInfo>::from_pg((*rel).baserestrictinfo).iter_ptr() {
            pg_sys::pull_varattnos((*info).clause.cast(), (*rel).relid, &raw mut attributes);
        }
        let (mut columns, mut whole_rows, mut member) = (Vec::new(), false, -1);
        loop {
            member = pg_sys::bms_next_member(attributes, member);
            if member < 0 {
                return (columns, whole_rows);
            }
            match (member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16 {
                number @ 1.. => columns.push(number),
                _ => whole_rows = true,
            }
        }
    }
}

/// The planner looks at some subqueries several times.
fn without_repetitions(references: Vec<Reference>) -> Vec<Reference> {
    let mut kept: Vec<(String, Reference)> = Vec::new();
    for reference in references {
        let key = format!("{reference:?}");
        if !kept.iter().any(|(known, _)| *known == key) {
            kept.push((key, reference));
        }
    }
    kept.into_iter().map(|(_, reference)| reference).collect()
}
