//! Which indexes of the searched table the planner sees.

use pgrx::pg_sys::{self, Oid};
use pgrx::{PgList, pg_guard};
use std::cell::Cell;
use std::ptr::null;

/// What the planner may use on one table, while it plans one statement.
#[derive(Clone, Copy)]
pub enum Indexes {
    /// This and no other.
    Only(Oid),
    /// Those that give exact answers: of PostgreSQL's own access methods.
    Exact,
}

pub struct Scope {
    pub table: Oid,
    pub indexes: Indexes,
    /// Tells the statement from those that functions plan while they are evaluated for it: these may keep their plans.
    pub parameters: pg_sys::ParamListInfo,
}

thread_local! {
    static ACTIVE: Cell<*const Scope> = const { Cell::new(null()) };
}

static mut NEXT: pg_sys::get_relation_info_hook_type = None;

/// Called once, when the library is loaded.
pub fn install() {
    // SAFETY: a backend has one thread; the hook that was there is called by ours.
    unsafe {
        NEXT = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(relation_info);
    }
}

impl Scope {
    /// Runs `body` with the scope in force. It ends with `body`, however that ends.
    pub fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        struct Restore(*const Scope);
        impl Drop for Restore {
            fn drop(&mut self) {
                ACTIVE.set(self.0);
            }
        }
        let _restore = Restore(ACTIVE.replace(self));
        body()
    }
}

/// PostgreSQL's own: anything else may be another extension's approximate index.
pub fn is_exact(access_method: Oid) -> bool {
    [
        pg_sys::BTREE_AM_OID,
        pg_sys::HASH_AM_OID,
        pg_sys::GIST_AM_OID,
        pg_sys::GIN_AM_OID,
        pg_sys::BRIN_AM_OID,
        pg_sys::SPGIST_AM_OID,
    ]
    .contains(&access_method)
}

/// SAFETY: called by the planner, with what get_relation_info() has filled.
#[pg_guard]
unsafe extern "C-unwind" fn relation_info(
    root: *mut pg_sys::PlannerInfo,
    relation: Oid,
    is_parent: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: as said above; a scope is in force only while `Scope::run` holds it; the list's elements are IndexOptInfos.
    unsafe {
        if let Some(next) = NEXT {
            next(root, relation, is_parent, info);
        }
        let Some(scope) = ACTIVE.get().as_ref() else { return };
        if relation != scope.table || (*(*root).glob).boundParams != scope.parameters {
            return;
        }
        let mut kept = PgList::<pg_sys::IndexOptInfo>::new();
        for index in PgList::<pg_sys::IndexOptInfo>::from_pg((*info).indexlist).iter_ptr() {
            let keep = match scope.indexes {
                Indexes::Only(only) => (*index).indexoid == only,
                Indexes::Exact => is_exact((*index).relam),
            };
            if keep {
                kept.push(index);
            }
        }
        (*info).indexlist = kept.into_pg();
    }
}
