//! Commands whose effects outlive a rollback: in functions and DO blocks they are refused however deep they are.

use super::key_checks::is_ours;
use super::watch::refused;
use crate::db;
use pgrx::pg_sys::{self, CommandTag};
use std::cell::Cell;
use std::ffi::c_char;

/// What a command does that is there after a rollback, or outside of the database.
pub fn outlives_rollback(tag: CommandTag::Type) -> Option<&'static str> {
    match tag {
        CommandTag::CMDTAG_COPY => Some("COPY reads and writes outside the database"),
        CommandTag::CMDTAG_PREPARE
        | CommandTag::CMDTAG_DEALLOCATE
        | CommandTag::CMDTAG_DEALLOCATE_ALL
        | CommandTag::CMDTAG_DISCARD
        | CommandTag::CMDTAG_DISCARD_ALL
        | CommandTag::CMDTAG_DISCARD_PLANS
        | CommandTag::CMDTAG_DISCARD_SEQUENCES
        | CommandTag::CMDTAG_DISCARD_TEMP => Some("what it does to the session is not undone by a rollback"),
        CommandTag::CMDTAG_LOAD => Some("a library stays loaded"),
        CommandTag::CMDTAG_CHECKPOINT => Some("a checkpoint is no part of a transaction"),
        CommandTag::CMDTAG_ALTER_SUBSCRIPTION
        | CommandTag::CMDTAG_CREATE_SUBSCRIPTION
        | CommandTag::CMDTAG_DROP_SUBSCRIPTION => Some("subscriptions reach into another server"),
        _ => None,
    }
}

thread_local! {
    static PREVIOUS: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// Dropping it, be it while an error unwinds, ends it.
pub struct Utilities(());

impl Utilities {
    pub fn start() -> Utilities {
        ACTIVE.set(true);
        // SAFETY: a hook of this backend, which has one thread; `Drop` puts back what was there.
        unsafe {
            PREVIOUS.set(pg_sys::ProcessUtility_hook);
            pg_sys::ProcessUtility_hook = Some(utility);
        }
        Utilities(())
    }
}

impl Drop for Utilities {
    fn drop(&mut self) {
        ACTIVE.set(false);
        // SAFETY: as in `start`. What another library has put before ours calls it still, and it only hands on.
        unsafe {
            if is_ours(
                pg_sys::ProcessUtility_hook.map(|hook| hook as *const () as usize),
                utility as *const () as usize,
            ) {
                pg_sys::ProcessUtility_hook = PREVIOUS.get();
            }
        }
    }
}

/// SAFETY: the server calls it, with a command that is about to run.
#[pgrx::pg_guard]
#[allow(clippy::too_many_arguments, reason = "the server's own")]
unsafe extern "C-unwind" fn utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: as said above; the arguments are handed on as they came.
    unsafe {
        let tag = pg_sys::CreateCommandTag((*statement).utilityStmt);
        if ACTIVE.get() && outlives_rollback(tag).is_some() {
            refused(db::string(pg_sys::GetCommandTagName(tag)));
        }
        match PREVIOUS.get() {
            Some(next) => next(statement, text, read_only, context, parameters, environment, receiver, completion),
            None => pg_sys::standard_ProcessUtility(
                statement,
                text,
                read_only,
                context,
                parameters,
                environment,
                receiver,
                completion,
            ),
        }
    }
}
