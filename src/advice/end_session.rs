//! How to stop what a session does: by its process and its start, so that a later session with the same pid is never hit.

use super::end_loss::loss;
use crate::facts::activity::{Activity, Caller, Session, State};
use crate::facts::migration::text::lexer::Tokens;

/// What is to come free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frees {
    /// What the statement takes: nobody waits for what it holds.
    Statement,
    /// What the transaction holds: locks, a snapshot, its id.
    Transaction,
    /// Advisory locks, which may be the session's: they outlive a transaction, and pg_locks does not tell.
    AdvisoryLocks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The statement fails; the session stays.
    Cancel,
    /// The session ends.
    Terminate,
}

pub struct Ending {
    pub sql: String,
    /// `cancels`, `ends`
    pub does: &'static str,
    pub risk: String,
    pub verify_sql: String,
}

impl Ending {
    /// The mildest way that frees it. Err: why there is none, for a cause.
    pub fn of(session: &Session, frees: Frees, activity: &Activity) -> Result<Ending, String> {
        if let Some(why) = refused(session, &activity.caller) {
            return Err(why);
        }
        let hidden = || format!("when process {} began is hidden from the caller", session.pid);
        let way = way(session, frees);
        let (sql, does) = match way {
            Way::Cancel => (cancel(session, frees), "cancels"),
            Way::Terminate => (terminate(session, frees), "ends"),
        };
        Ok(Ending {
            sql: sql.ok_or_else(hidden)?,
            does,
            risk: risk(session, way, frees, activity),
            verify_sql: verify_sql(session, way, frees).ok_or_else(hidden)?,
        })
    }
}

/// A transaction of earlier statements goes on to the next while a fix is pasted, and a cancelled statement after a SAVEPOINT leaves
/// it its locks: it has to be ended. What waits in its statement is cancelled, for that is what others wait for. Where the server
/// waits for its client, only the end of the session is heeded.
fn way(session: &Session, frees: Frees) -> Way {
    if session.kind == "autovacuum worker" {
        return Way::Cancel;
    }
    let is_enough = match frees {
        Frees::Statement => session.waits_for_lock() || is_single(session, IN_PARTS_SECONDS),
        Frees::Transaction => {
            session.waits_for_lock() || is_single(session, AT_ONCE_SECONDS) && !has_savepoint(session)
        }
        Frees::AdvisoryLocks => false,
    };
    match session.runs() && !session.waits_for_client() && is_enough {
        true => Way::Cancel,
        false => Way::Terminate,
    }
}

/// Drivers that prepare a statement send it in parts.
const IN_PARTS_SECONDS: f64 = 1.0;
/// Others wait: after longer there may have been a BEGIN, and savepoints. asyncpg takes 2 ms on a socket to send and plan a statement.
const AT_ONCE_SECONDS: f64 = 0.005;

/// Its statement is the first of its transaction.
fn is_single(session: &Session, tolerance_seconds: f64) -> bool {
    let (transaction, statement) = (session.transaction_seconds.unwrap_or(0.0), session.query_seconds.unwrap_or(0.0));
    transaction - statement < tolerance_seconds
}

/// Sent with the statement.
fn has_savepoint(session: &Session) -> bool {
    Tokens::of(session.query.as_deref().unwrap_or_default()).any(|token| token.word("savepoint"))
}

fn refused(session: &Session, caller: &Caller) -> Option<String> {
    let pid = session.pid;
    if session.hidden {
        return Some(format!(
            "what process {pid} is, and since when, is hidden from the caller (pg_read_all_stats shows it)"
        ));
    }
    let kind = session.kind.as_str();
    match kind {
        "client backend" | "autovacuum worker" => {}
        "parallel worker" => {
            let leader = session.leader.map_or("its leader".to_string(), |leader| format!("its leader, {leader}"));
            return Some(format!("process {pid} is a parallel worker: what ends is {leader}"));
        }
        "logical replication apply worker"
        | "logical replication parallel worker"
        | "logical replication tablesync worker" => {
            return Some(format!(
                "process {pid} is a {kind}, and is started again when it ends: alter subscription … disable stops it"
            ));
        }
        "startup" => {
            return Some(format!(
                "process {pid} replays WAL: the transaction that it waits or holds for is the primary's"
            ));
        }
        _ if session.is_background_worker() => {
            return Some(format!(
                "process {pid} is {kind:?}, a background worker, most likely of an extension, which may start it again; to cancel what it \
                 runs all the same: select pg_catalog.pg_cancel_backend({pid});"
            ));
        }
        _ => return Some(format!("process {pid} is a {kind}, a part of the server or of replication")),
    }
    if session.state == Some(State::Disabled) && session.transaction_id.is_none() {
        return Some(format!(
            "process {pid} has track_activities = off and no transaction id: nothing tells what it does now from what it does when the \
             fix is pasted; select pg_catalog.pg_terminate_backend({pid}) ends it whatever that is"
        ));
    }
    if session.waits_at("SyncRep") {
        return Some(format!(
            "process {pid} has committed and waits for a synchronous standby: ended now, the commit stands here, and the standby \
             may lack it"
        ));
    }
    (!caller.may_signal(session)).then(|| match &session.role {
        Some(role) => format!("the caller may not end sessions of {role}: that takes a member of {role} or of pg_signal_backend, and for a superuser's a superuser"),
        None => format!("the caller may not end process {pid}: that takes a superuser"),
    })
}

/// Cancels the statement that runs, and no later one of the same session; where what its transaction holds is waited for, nor in a later
/// transaction, to which a procedure may have gone on by COMMIT. VACUUM keeps its lock on a table over several.
fn cancel(session: &Session, frees: Frees) -> Option<String> {
    let transaction = session.transaction_start.as_ref().filter(|_| frees == Frees::Transaction && session.is_client());
    let transaction = transaction.map_or(String::new(), |start| format!(" and xact_start = '{start}'"));
    Some(format!("select pg_catalog.pg_cancel_backend(pid) {}{transaction};", statement(session)?))
}

/// Ends the session while it is in this transaction, or as idle as it was: a pool may have given it to somebody else since.
fn terminate(session: &Session, frees: Frees) -> Option<String> {
    Some(format!("select pg_catalog.pg_terminate_backend(pid, 5000) {};", as_it_was(session, frees)?))
}

/// True once it is done.
fn verify_sql(session: &Session, way: Way, frees: Frees) -> Option<String> {
    let remains = match way {
        Way::Cancel if !session.is_client() => statement(session)?,
        Way::Cancel if frees == Frees::Statement => format!("{} and state = 'active'", statement(session)?),
        // A transaction that failed as a whole shows no start any more; one that failed back to a SAVEPOINT does.
        Way::Cancel | Way::Terminate => as_it_was(session, frees)?,
    };
    Some(format!("select not exists (select {remains}) as ended;"))
}

fn process(session: &Session) -> Option<String> {
    let start = session.backend_start.as_ref()?;
    Some(format!("from pg_catalog.pg_stat_get_activity({}) where backend_start = '{start}'", session.pid))
}

fn statement(session: &Session) -> Option<String> {
    let of_process = process(session)?;
    Some(match &session.query_start {
        Some(start) => format!("{of_process} and query_start = '{start}'"),
        None => of_process,
    })
}

/// With track_activities = off it shows no times, but its transaction id. A procedure's next COMMIT begins another transaction, and no
/// other statement: its work goes on, and so do the advisory locks of its session.
fn as_it_was(session: &Session, frees: Frees) -> Option<String> {
    if frees != Frees::Transaction && session.has_committed_within() {
        return Some(format!("{} and state = 'active'", statement(session)?));
    }
    let of_process = process(session)?;
    Some(match (&session.transaction_start, &session.state_change, &session.transaction_id) {
        (Some(start), ..) => format!("{of_process} and xact_start = '{start}'"),
        (None, Some(change), _) => format!("{of_process} and state_change = '{change}'"),
        (None, None, Some(id)) => format!("{of_process} and backend_xid = '{id}'"),
        (None, None, None) => of_process,
    })
}

/// What is lost, and what else may happen.
fn risk(session: &Session, way: Way, frees: Frees, activity: &Activity) -> String {
    if session.kind == "autovacuum worker" {
        return "The work on this table is lost and begins anew when autovacuum comes to it again; nothing else is."
            .to_string();
    }
    let lost = loss(session, activity.progress_of(session));
    match way {
        Way::Cancel => {
            let may_stay = !session.has_committed_within() && !session.is_whole_transaction();
            let savepoints = terminate(session, frees).filter(|_| may_stay).map_or(String::new(), |sql| {
                format!(" Locks taken before a SAVEPOINT stay; if it is so, end the session: {sql}")
            });
            format!("{lost} The client gets SQLSTATE 57014.{savepoints}")
        }
        Way::Terminate => {
            let advisory = match frees {
                Frees::AdvisoryLocks if session.runs() => {
                    " It is not cancelled instead, for an advisory lock of the session would stay, and pg_locks does not tell it from one \
                     of the transaction."
                }
                _ => "",
            };
            format!(
                "{lost} The client loses its connection (SQLSTATE 57P01), and with it what the session has: temporary tables, prepared \
                 statements, session-level advisory locks.{advisory}"
            )
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn at(time: &str) -> Option<String> {
        Some(time.to_string())
    }

    fn session(query: &str, transaction: &str, statement: &str) -> Session {
        Session {
            pid: 4711,
            kind: "client backend".to_string(),
            state: Some(State::Active),
            query: at(query),
            backend_start: at("day"),
            transaction_start: at(transaction),
            query_start: at(statement),
            ..Session::default()
        }
    }

    #[test]
    fn a_procedure_that_has_gone_on_is_let_alone() {
        let call = Session {
            transaction_seconds: Some(2.0),
            query_seconds: Some(60.0),
            ..session("call migrate()", "now", "before")
        };
        let ends = |frees| (cancel(&call, frees).unwrap(), terminate(&call, frees).unwrap());
        let (cancels, terminates) = ends(Frees::Transaction);
        assert!(cancels.contains("query_start = 'before' and xact_start = 'now'"), "{cancels}");
        assert!(terminates.contains("xact_start = 'now'"), "{terminates}");
        for frees in [Frees::Statement, Frees::AdvisoryLocks] {
            let (cancels, terminates) = ends(frees);
            assert!(!cancels.contains("xact_start") && !terminates.contains("xact_start"), "{cancels} {terminates}");
        }
        let vacuum = Session { kind: "autovacuum worker".to_string(), ..call };
        assert!(!cancel(&vacuum, Frees::Transaction).unwrap().contains("xact_start"));
    }

    #[test]
    fn what_is_a_whole_transaction_leaves_no_locks() {
        let risk = |query: &str, transaction: &str| {
            let session = session(query, transaction, "now");
            risk(&session, Way::Cancel, Frees::Transaction, &Activity::default())
        };
        assert!(!risk("alter table t add n int;", "now").contains("SAVEPOINT"));
        assert!(risk("alter table t add n int", "before").contains("SAVEPOINT"));
        assert!(risk("begin; savepoint s; alter table t add n int", "now").contains("SAVEPOINT"));
    }

    #[test]
    fn a_worker_of_an_extension_is_not_the_servers() {
        let why = |kind: &str| {
            refused(&Session { kind: kind.to_string(), ..session("select", "now", "now") }, &Caller::default())
        };
        let worker = why("pg_cron launcher").unwrap_or_default();
        assert!(worker.contains("a background worker") && worker.contains("pg_cancel_backend(4711)"), "{worker}");
        assert!(why("checkpointer").unwrap_or_default().contains("a part of the server"));
    }
}
