//! The queries by which the server checks a foreign key in full. They read all rows that refer; how they find those that are
//! referred to, by their key or by reading all of them, is the planner's choice and counts for nothing here.

use crate::db;
use pgrx::PgList;
use pgrx::pg_sys::{self, RTEKind};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;

#[derive(Default)]
struct Checks {
    /// Queries that run, each with how often the tables that are referred to were read before.
    running: Vec<(*mut pg_sys::QueryDesc, Vec<(u32, i64)>)>,
    scans: HashMap<u32, i64>,
}

thread_local! {
    static CHECKS: RefCell<Option<Checks>> = const { RefCell::new(None) };
    static STARTS: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static ENDS: Cell<pg_sys::ExecutorEnd_hook_type> = const { Cell::new(None) };
}

/// Dropping it, be it while an error unwinds, ends it.
pub struct KeyChecks(());

impl KeyChecks {
    pub fn start() -> KeyChecks {
        CHECKS.set(Some(Checks::default()));
        // SAFETY: hooks of this backend, which has one thread; `Drop` puts back what was there.
        unsafe {
            STARTS.set(pg_sys::ExecutorStart_hook);
            ENDS.set(pg_sys::ExecutorEnd_hook);
            pg_sys::ExecutorStart_hook = Some(starts);
            pg_sys::ExecutorEnd_hook = Some(ends);
        }
        KeyChecks(())
    }

    /// How often tables were read as those that are referred to, since the last call.
    pub fn scans(&self) -> HashMap<u32, i64> {
        checks(|checks| {
            checks.running.clear();
            std::mem::take(&mut checks.scans)
        })
        .unwrap_or_default()
    }
}

impl Drop for KeyChecks {
    fn drop(&mut self) {
        CHECKS.set(None);
        // SAFETY: as in `start`. What another library has put before ours calls it still, and it only hands on.
        unsafe {
            if is_ours(pg_sys::ExecutorStart_hook.map(|hook| hook as *const () as usize), starts as *const () as usize)
            {
                pg_sys::ExecutorStart_hook = STARTS.get();
            }
            if is_ours(pg_sys::ExecutorEnd_hook.map(|hook| hook as *const () as usize), ends as *const () as usize) {
                pg_sys::ExecutorEnd_hook = ENDS.get();
            }
        }
    }
}

/// Whether a hook is the function of this address.
pub fn is_ours(hook: Option<usize>, function: usize) -> bool {
    hook == Some(function)
}

fn checks<T>(look: impl FnOnce(&mut Checks) -> T) -> Option<T> {
    CHECKS.with_borrow_mut(|checks| checks.as_mut().map(look))
}

/// SAFETY: the server calls it, with a query that is about to start.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn starts(descriptor: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: as said above.
    unsafe {
        if CHECKS.with_borrow(Option::is_some)
            && let Some(referred) = referred_to(&*descriptor)
        {
            let before = referred.into_iter().map(|table| (table, scans_of(table))).collect();
            checks(|checks| checks.running.push((descriptor, before)));
        }
        match STARTS.get() {
            Some(previous) => previous(descriptor, flags),
            None => pg_sys::standard_ExecutorStart(descriptor, flags),
        }
    }
}

/// SAFETY: the server calls it, with a query that has run.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn ends(descriptor: *mut pg_sys::QueryDesc) {
    let ended = checks(|checks| {
        let position = checks.running.iter().rposition(|(running, _)| *running == descriptor)?;
        Some(checks.running.remove(position).1)
    });
    for (table, before) in ended.flatten().unwrap_or_default() {
        let scans = scans_of(table) - before;
        checks(|checks| *checks.scans.entry(table).or_default() += scans);
    }
    // SAFETY: as said above.
    unsafe {
        match ENDS.get() {
            Some(previous) => previous(descriptor),
            None => pg_sys::standard_ExecutorEnd(descriptor),
        }
    }
}

/// Of a query that checks a foreign key, the tables that are referred to: the server writes it with the aliases fk and pk.
///
/// SAFETY: the descriptor of a planned statement.
unsafe fn referred_to(descriptor: &pg_sys::QueryDesc) -> Option<Vec<u32>> {
    // SAFETY: as said above.
    unsafe {
        if descriptor.plannedstmt.is_null() || !db::string(descriptor.sourceText).starts_with("SELECT fk.") {
            return None;
        }
        let tables = PgList::<pg_sys::RangeTblEntry>::from_pg((*descriptor.plannedstmt).rtable);
        let named = |alias: &str| {
            let relations = tables.iter_ptr().filter(|entry| (**entry).rtekind == RTEKind::RTE_RELATION);
            let named = relations.filter(|entry| db::string((*(**entry).eref).aliasname) == alias);
            named.map(|entry| (*entry).relid.to_u32()).collect::<Vec<u32>>()
        };
        // A table may refer to itself.
        let referring = named("fk");
        Some(named("pk").into_iter().filter(|table| !referring.contains(table)).collect())
    }
}

fn scans_of(table: u32) -> i64 {
    // SAFETY: looks into this session's own counts; the copy that it returns goes with the memory context.
    unsafe {
        let counted = pg_sys::find_tabstat_entry(table.into());
        if counted.is_null() { 0 } else { (*counted).counts.numscans }
    }
}
