//! How to end several sessions in one statement, and only those that have done nothing since they were looked at.

use crate::facts::activity::{Caller, Session};
use crate::units::Count;

#[derive(Default)]
pub struct Endings {
    /// None: there is none that the caller may end.
    pub sql: Option<String>,
    pub count: u64,
    /// Why others are not among them, for a cause.
    pub refused: Option<String>,
}

/// Of sessions that are idle, in a transaction or not.
pub fn of_unchanged(sessions: &[&Session], caller: &Caller) -> Endings {
    let (ended, kept): (Vec<&Session>, Vec<&Session>) = sessions.iter().partition(|session| caller.may_signal(session));
    let rows: Vec<String> = ended.iter().filter_map(|session| row(session)).collect();
    let seen = format!(
        "from (values\n    {}\n) as seen (pid, backend_start, state_change)\n\
         join pg_catalog.pg_stat_get_activity(null) a using (pid, backend_start, state_change)",
        rows.join(",\n    ")
    );
    let some = !rows.is_empty();
    Endings {
        sql: some.then(|| format!("select a.pid, pg_catalog.pg_terminate_backend(a.pid, 5000) as ended\n{seen};")),
        count: rows.len() as u64,
        refused: (!kept.is_empty()).then(|| {
            format!(
                "{} may be ended only by the same role, a member of it or of pg_signal_backend, or a superuser",
                Count(kept.len() as u64).of("session")
            )
        }),
    }
}

/// True once none of these transactions is open.
pub fn verify_transactions(sessions: &[&Session]) -> Option<String> {
    let row = |session: &&Session| {
        let (start, begun) = (session.backend_start.as_ref()?, session.transaction_start.as_ref()?);
        Some(format!("({}, timestamptz '{start}', timestamptz '{begun}')", session.pid))
    };
    let rows: Vec<String> = sessions.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| {
        format!(
            "select pg_catalog.count(*) = 0 as ended\nfrom (values\n    {}\n) as seen (pid, backend_start, xact_start)\n\
             join pg_catalog.pg_stat_get_activity(null) a using (pid, backend_start, xact_start);",
            rows.join(",\n    ")
        )
    })
}

fn row(session: &Session) -> Option<String> {
    let (start, change) = (session.backend_start.as_ref()?, session.state_change.as_ref()?);
    Some(format!("({}, timestamptz '{start}', timestamptz '{change}')", session.pid))
}
