//! Repetitions of one statement, as the hook has seen them.

use crate::measure;
use serde_json::{Map, Value};

/// One statement that a session, or several of one application, repeated within a transaction or a short time; all such
/// repetitions of the statement with the same parent, role and application together.
#[derive(Clone, Debug, Default)]
pub struct Burst {
    pub query_id: i64,
    /// Constants are parameters (`$1`), as pg_stat_statements has them; cut off when long. None: hidden from the caller.
    pub text: Option<String>,
    /// The statement with several rows that came before.
    pub parent_query_id: Option<i64>,
    /// None as well when it is not known any more.
    pub parent_text: Option<String>,
    /// Of all bursts together.
    pub parent_rows: u64,
    pub role: u32,
    /// Empty: the role is gone.
    pub role_name: String,
    pub application_name: String,
    /// sqlcommenter's, of the last burst that had some.
    pub tags: Map<String, Value>,
    pub bursts: u64,
    pub executions: u64,
    pub most_executions: u64,
    pub total_ms: f64,
    pub rows: u64,
    /// Different parameters in the last burst, estimated; of more than 2000 no more is known.
    pub distinct_parameters: f64,
    /// How many executions the last burst had.
    pub last_executions: u64,
    /// In a transaction block; else within the window.
    pub in_transaction: bool,
    /// Connections that one burst was spread over, at most.
    pub connections: u32,
    /// In microseconds since 2000, as the server counts time.
    pub last_seen: i64,
    pub last_seen_seconds: f64,
}

impl Burst {
    pub fn executions_per_burst(&self) -> f64 {
        self.executions as f64 / self.bursts.max(1) as f64
    }
}

/// Those in this database.
pub fn bursts() -> Vec<Burst> {
    measure::bursts::read()
}

/// By sessions that begin now.
pub fn hook_is_loaded() -> bool {
    measure::statement_end::loaded()
}

/// Why sessions that begin now, with this session's settings or those of a role or of this database, are not watched.
pub fn why_bursts_are_not_recorded() -> Option<&'static str> {
    if !measure::statement_end::loaded() {
        return Some(
            "pg_dbre is not in shared_preload_libraries, nor in session_preload_libraries of a role or a database",
        );
    }
    measure::bursts::why_off()
}
