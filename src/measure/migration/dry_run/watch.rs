//! What only a hook sees while a statement runs: tables that are written anew, and functions that must not run.

use super::key_checks::is_ours;
use crate::db::{self, raise};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, ObjectAccessType};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, c_void};

thread_local! {
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
    static PREVIOUS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

#[derive(Default)]
struct Watched {
    /// By OID, with their names.
    refused: HashMap<u32, String>,
    /// Languages whose functions can do anything.
    untrusted: HashSet<u32>,
    /// Tables in the order in which they were written anew.
    rewritten: Vec<u32>,
    /// The function that was called, and refused.
    called: Option<String>,
}

/// Dropping it, be it while an error unwinds, ends it.
pub struct Watch(());

impl Watch {
    pub fn start() -> Watch {
        let refused = db::read(include_str!("../../../../sql/facts/dry_run/refused_functions.sql"), &[], |row| {
            (row.take::<pg_sys::Oid>().to_u32(), row.take::<String>())
        });
        const UNTRUSTED: &str = "select l.oid from pg_catalog.pg_language as l
            where not l.lanpltrusted and l.lanname not in ('internal', 'c')";
        let untrusted = db::read(UNTRUSTED, &[], |row| row.take::<pg_sys::Oid>().to_u32());
        let watched = Watched {
            refused: refused.into_iter().collect(),
            untrusted: untrusted.into_iter().collect(),
            ..Watched::default()
        };
        WATCHED.set(Some(watched));
        // SAFETY: a hook of this backend, which has one thread; `Drop` puts back what was there.
        unsafe {
            PREVIOUS.set(pg_sys::object_access_hook);
            pg_sys::object_access_hook = Some(accessed);
        }
        Watch(())
    }

    /// What was seen since the last call.
    pub fn rewritten(&self) -> Vec<u32> {
        seen(|watched| std::mem::take(&mut watched.rewritten)).unwrap_or_default()
    }

    /// The function that was refused since the last call.
    pub fn called(&self) -> Option<String> {
        seen(|watched| watched.called.take()).flatten()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(None);
        // SAFETY: as in `start`. A library that was loaded meanwhile calls ours, which then only hands on.
        unsafe {
            if is_ours(
                pg_sys::object_access_hook.map(|hook| hook as *const () as usize),
                accessed as *const () as usize,
            ) {
                pg_sys::object_access_hook = PREVIOUS.get();
            }
        }
    }
}

fn seen<T>(look: impl FnOnce(&mut Watched) -> T) -> Option<T> {
    WATCHED.with_borrow_mut(|watched| watched.as_mut().map(look))
}

/// SAFETY: the server calls it, with arguments as its header says.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn accessed(
    access: ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    // SAFETY: the hook that was there before us takes the same arguments; `argument` is what `access` says.
    unsafe {
        if let Some(previous) = PREVIOUS.get() {
            previous(access, class, object, part, argument);
        }
        match access {
            ObjectAccessType::OAT_FUNCTION_EXECUTE => refuse(object),
            ObjectAccessType::OAT_POST_CREATE if class == pg_sys::RelationRelationId && part == 0 => {
                let created = argument.cast::<pg_sys::ObjectAccessPostCreate>();
                if !created.is_null() && (*created).is_internal {
                    note_rewrite(object);
                }
            }
            _ => {}
        }
    }
}

/// A new heap says whose rows it is to hold.
///
/// SAFETY: the relation has just been created.
unsafe fn note_rewrite(relation: pg_sys::Oid) {
    // SAFETY: it is in the relation cache, and open until we close it.
    let original = unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return;
        }
        let original = (*(*opened).rd_rel).relrewrite.to_u32();
        pg_sys::RelationClose(opened);
        original
    };
    if original != 0 {
        seen(|watched| watched.rewritten.push(original));
    }
}

/// Ends what calls a function that cannot be taken back.
fn refuse(function: pg_sys::Oid) {
    let name =
        seen(|watched| watched.refused.get(&function.to_u32()).cloned()).flatten().or_else(|| untrusted(function));
    if let Some(name) = name {
        refused(name);
    }
}

/// Ends a statement that was to do what a rollback does not undo.
pub fn refused(name: String) -> ! {
    seen(|watched| watched.called = Some(name.clone()));
    raise(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("a dry run does not call {name}"),
        "What it does is not undone by a rollback.",
    )
}

/// What the migration itself has created in a language that can do anything.
fn untrusted(function: pg_sys::Oid) -> Option<String> {
    if function.to_u32() < pg_sys::FirstNormalObjectId || !seen(|watched| !watched.untrusted.is_empty())? {
        return None;
    }
    // SAFETY: a catalog lookup; the tuple is released.
    let (language, name) = unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as i32, function.into());
        if tuple.is_null() {
            return None;
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>();
        let found = (form.prolang.to_u32(), db::string(form.proname.data.as_ptr()));
        pg_sys::ReleaseSysCache(tuple);
        found
    };
    seen(|watched| watched.untrusted.contains(&language))?.then_some(name)
}
