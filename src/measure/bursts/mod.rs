//! Statements that a client repeats: seen by a hook when they end, published to shared memory.

mod entry;
mod hook;
mod parameters;
mod parents;
mod ring;
mod shared;
mod text;
#[cfg(test)]
mod unit_tests;
mod window;

use crate::db;
use crate::facts::Burst;
use crate::measure::statement_end::{self, loaded, now};
use entry::Entry;
pub use hook::at_end;
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use shared::Shared;
pub use text::tags;

static THRESHOLD: GucSetting<i32> = GucSetting::<i32>::new(10);
static WINDOW: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Called once, when the library is loaded.
pub fn install() {
    // SAFETY: the hook of the setting neither panics nor raises.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"dbre.n_plus_one_threshold",
            c"How often a client repeats a SELECT in a transaction, or in dbre.n_plus_one_window, to make a burst.",
            c"0 is off, and 1 is as 2. Needs pg_dbre in shared_preload_libraries or session_preload_libraries.",
            &THRESHOLD,
            0,
            1_000_000,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(threshold_is_set),
            None,
        );
    }
    GucRegistry::define_int_guc(
        c"dbre.n_plus_one_window",
        c"The time in which repeated SELECTs outside a transaction block make a burst.",
        c"It is as well the time after which a statement with several rows is no parent of a burst in another transaction.",
        &WINDOW,
        1,
        3_600_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
}

/// SAFETY: called by the server.
unsafe extern "C-unwind" fn threshold_is_set(threshold: i32, _: *mut std::ffi::c_void) {
    statement_end::identify_statements(threshold > 0);
}

/// Statements are told apart by their ids.
pub fn wants_ids() -> bool {
    THRESHOLD.get() > 0
}

/// The table; None as well where nobody has anything to put into it.
fn table() -> Option<Shared> {
    if loaded() { Shared::attach() } else { None }
}

/// Why the hook sees nothing in sessions with this session's settings.
pub fn why_off() -> Option<&'static str> {
    // SAFETY: a setting of the server's.
    let identified = unsafe { pg_sys::compute_query_id } != pg_sys::ComputeQueryIdType::COMPUTE_QUERY_ID_OFF as i32;
    match (THRESHOLD.get(), identified) {
        (0, _) => Some("dbre.n_plus_one_threshold is 0"),
        (_, false) => Some("compute_query_id is off: statements are not told apart"),
        _ if Shared::attach().is_none() => Some("there is no shared memory for them: see the server's log"),
        _ => None,
    }
}

/// What was published for this database; texts only as far as the caller may see them.
pub fn read() -> Vec<Burst> {
    let Some(shared) = table() else { return Vec::new() };
    let now = now();
    // SAFETY: a variable of this backend.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    shared.read(database, now).iter().map(|entry| burst(entry, now)).collect()
}

/// Forgets what was published for this database; how many bursts' rows that were.
pub fn reset() -> usize {
    // SAFETY: a variable of this backend.
    table().map_or(0, |shared| shared.reset(unsafe { pg_sys::MyDatabaseId }.to_u32()))
}

/// How many rows made room for others since the server started, in all databases.
pub fn evicted() -> u64 {
    table().map_or(0, Shared::evicted)
}

fn burst(entry: &Entry, now: i64) -> Burst {
    // SAFETY: catalog lookups.
    let (role_name, visible) = unsafe {
        let caller = pg_sys::GetUserId();
        let name = db::string(pg_sys::GetUserNameFromId(entry.key.role.into(), true));
        (
            name,
            caller.to_u32() == entry.key.role
                || pg_sys::has_privs_of_role(caller, pg_sys::ROLE_PG_READ_ALL_STATS.into()),
        )
    };
    let shown = |text: String| (visible && !text.is_empty()).then_some(text);
    let tags = shown(entry.tags.string()).and_then(|tags| serde_json::from_str(&tags).ok());
    Burst {
        query_id: entry.key.query_id,
        text: shown(entry.text.string()),
        parent_query_id: Some(entry.key.parent_query_id).filter(|id| *id != 0),
        parent_text: shown(entry.parent_text.string()),
        parent_rows: entry.parent_rows,
        role: entry.key.role,
        role_name,
        application_name: entry.key.application.string(),
        tags: tags.unwrap_or_default(),
        bursts: entry.bursts,
        executions: entry.executions,
        most_executions: entry.most_executions,
        total_ms: entry.ms,
        rows: entry.rows,
        distinct_parameters: entry.parameters.distinct().min(entry.last_executions as f64),
        last_executions: entry.last_executions,
        in_transaction: entry.in_transaction,
        connections: entry.connections,
        last_seen: entry.last_seen,
        last_seen_seconds: (now - entry.last_seen).max(0) as f64 / 1e6,
    }
}
