//! How to let VACUUM remove what one holds back: by the kind of who does.

use super::blocking::decisions;
use super::end_loss::Work;
use super::end_session::{Ending, Frees};
use super::holding_back::{Hold, Holder};
use super::long_running::Kind;
use crate::db::quote_literal;
use crate::facts::activity::{Activity, Prepared, Progress, ReplicationSlot, Session};
use crate::finding::Finding;
use crate::units::duration;
use serde_json::json;

/// What it is, and what ends it.
pub struct Remedy {
    pub object: String,
    pub cause: String,
    pub evidence: serde_json::Value,
    pub fix_sql: Option<String>,
    pub app_fix: String,
    pub risk: String,
    pub verify_sql: Option<String>,
}

pub fn remedy(activity: &Activity, hold: &Hold) -> Remedy {
    match hold.holder {
        Holder::Session(session) => of_session(activity, session),
        Holder::Standby(session) => Remedy {
            object: format!("standby {} on process {}", session.application, session.pid),
            cause: format!(
                "A query on the standby {} needs these rows: hot_standby_feedback passes its snapshot on to this server.",
                session.application
            ),
            evidence: json!({"pid": session.pid, "application_name": session.application, "client_address": session.client_address}),
            fix_sql: None,
            app_fix:
                "On the standby: dbre.long_running shows the query; end it there. For long reports a standby with \
                      hot_standby_feedback = off and a larger max_standby_streaming_delay."
                    .to_string(),
            risk: Finding::NO_RISK.to_string(),
            verify_sql: None,
        },
        Holder::Prepared(prepared) => prepared_decision(prepared),
        Holder::Slot(slot) => of_slot(slot, hold),
    }
}

/// To commit or to roll back is not ours to decide.
pub fn prepared_decision(prepared: &Prepared) -> Remedy {
    Remedy {
        object: format!("prepared transaction {} of {}", prepared.gid, prepared.transaction_id),
        cause: format!(
            "Transaction {} was prepared {} ago by {} and is neither committed nor rolled back.",
            prepared.transaction_id,
            duration(prepared.seconds),
            prepared.owner
        ),
        evidence: json!({
            "gid": prepared.gid,
            "transaction_id": prepared.transaction_id,
            "owner": prepared.owner,
            "database": prepared.database,
            "prepared_seconds": prepared.seconds,
        }),
        fix_sql: None,
        app_fix: format!(
            "Ask the coordinator what became of it. Then, in database {}: {}",
            prepared.database.as_deref().unwrap_or("?"),
            decisions(prepared)
        ),
        risk: Finding::NO_RISK.to_string(),
        verify_sql: Some(format!(
            "select not exists (select from pg_catalog.pg_prepared_xact() where gid = {} and transaction = '{}') as ended;",
            quote_literal(&prepared.gid),
            prepared.transaction_id
        )),
    }
}

fn of_slot(slot: &ReplicationSlot, hold: &Hold) -> Remedy {
    let kind = if slot.logical { "logical" } else { "physical" };
    // A physical one has it from its standby.
    let of_standby = hold.catalogs_only && !slot.logical;
    let used = match slot.active_pid {
        Some(pid) if of_standby => {
            format!("in use by process {pid}: a logical slot on the standby needs the rows (hot_standby_feedback)")
        }
        Some(pid) => format!(
            "in use by process {pid}: its receiver lags, or a query on the standby needs the rows (hot_standby_feedback)"
        ),
        None => match slot.inactive_seconds {
            Some(seconds) if slot.inactive_since_start => {
                format!("not in use for at least {} (each start of the server counts anew)", duration(seconds))
            }
            Some(seconds) => format!("not in use for {}", duration(seconds)),
            None => "not in use".to_string(),
        },
    };
    let name = quote_literal(&slot.name);
    let (column, also) = match hold.catalogs_only {
        true if slot.xmin_age.is_some() => ("catalog_xmin", ", catalog_xmin"),
        true => ("catalog_xmin", ""),
        false => ("xmin", ""),
    };
    Remedy {
        object: format!("replication slot {}{also}", slot.name),
        cause: format!("The {kind} replication slot {} is {used}.", slot.name),
        evidence: json!({
            "slot": slot.name,
            "logical": slot.logical,
            "active": slot.active,
            "active_pid": slot.active_pid,
            "inactive_seconds": slot.inactive_seconds,
            "xmin_age_transactions": slot.xmin_age,
            "catalog_xmin_age_transactions": slot.catalog_xmin_age,
            "wal_status": slot.wal_status,
        }),
        fix_sql: None,
        app_fix: if slot.active && of_standby {
            "On the standby: select slot_name, active, catalog_xmin, confirmed_flush_lsn from pg_catalog.pg_replication_slots; find out \
             why the receiver of the oldest lags, or drop it there if nobody comes back for it."
                .to_string()
        } else if slot.active {
            "Find out why the receiver lags, or which query on the standby is old (dbre.long_running there)."
                .to_string()
        } else {
            format!(
                "If its standby or subscriber never comes back: select pg_catalog.pg_drop_replication_slot({name}); it would have to \
                         be built anew otherwise. To come back it needs the rows and the WAL that the slot keeps."
            )
        },
        risk: Finding::NO_RISK.to_string(),
        verify_sql: Some(format!(
            "select not exists (select from pg_catalog.pg_get_replication_slots() where slot_name = {name} and \
                     pg_catalog.age({column}) >= {}) as advanced;",
            hold.age
        )),
    }
}

fn of_session(activity: &Activity, session: &Session) -> Remedy {
    let role = session.role.as_deref().unwrap_or("?");
    let does = match (session.state, session.transaction_seconds) {
        _ if session.hidden => "what it does is hidden from the caller".to_string(),
        (Some(state), Some(seconds)) => format!("{}, in a transaction of {}", state.name(), duration(seconds)),
        (Some(state), None) => state.name().to_string(),
        (None, _) => session.kind.clone(),
    };
    let why = match session.transaction_id.as_ref() {
        Some(id) => format!("has written as transaction {id}, or is about to"),
        None => "has a snapshot (a statement or a cursor is open, or it is repeatable read)".to_string(),
    };
    let progress = activity.progress_of(session);
    let ending = Ending::of(session, Frees::Transaction, activity);
    let (ending, by_hand) = match (Work::of(session, progress).is_some(), ending) {
        (true, ending) => (Err(why_let_end(session, progress)), ending.ok()),
        (false, ending) => (ending, None),
    };
    let start = session.backend_start.as_deref().unwrap_or("a time that is hidden");
    Remedy {
        object: format!("session {} since {start}", session.pid),
        cause: format!(
            "Session {} of {role} ({}) {why}; it is {does}.{}{}",
            session.pid,
            session.application,
            match progress.filter(|_| Kind::of(session, progress) == Some(Kind::StalledCopy)) {
                Some(progress) => format!(
                    " It waits for its client, and has copied {} bytes in {}: {}.",
                    progress.done.unwrap_or_default(),
                    duration(session.query_seconds.unwrap_or_default()),
                    progress.text()
                ),
                None => String::new(),
            },
            ending.as_ref().err().map(|why| format!(" No fix: {why}.")).unwrap_or_default()
        ),
        evidence: json!({
            "pid": session.pid,
            "database": session.database,
            "user_name": session.role,
            "application_name": session.application,
            "state": session.state.map(|state| state.name()),
            "transaction_seconds": session.transaction_seconds,
            "transaction_id": session.transaction_id,
            "query": session.query,
            "progress": progress.map(Progress::text),
        }),
        fix_sql: ending.as_ref().ok().map(|ending| ending.sql.clone()),
        app_fix: match by_hand {
            Some(ending) => format!(
                "Let it end; take dumps and large copies from a standby without hot_standby_feedback, and build where little is written. \
                 Only where nobody needs it any more: {} {}",
                ending.sql, ending.risk
            ),
            None => "SQLAlchemy: keep transactions short: async with session.begin() around what writes, nothing slow inside; read in \
                     read committed, and page through large results by key instead of an open cursor."
                .to_string(),
        },
        risk: ending.as_ref().map_or(Finding::NO_RISK.to_string(), |ending| ending.risk.clone()),
        verify_sql: ending.ok().map(|ending| ending.verify_sql),
    }
}

fn why_let_end(session: &Session, progress: Option<&Progress>) -> String {
    let far = progress.map_or("how far it is, it does not report".to_string(), |progress| {
        let percent = progress.percent().map(|percent| format!(" ({percent:.0} % of this phase)")).unwrap_or_default();
        format!("it is at {}{percent}{}", progress.text(), time_left(session, progress))
    });
    format!("ended, it would have to be begun anew, and hold back for as long again; {far}")
}

/// Of what has a single phase; of others, how long the next ones take is not known.
fn time_left(session: &Session, progress: &Progress) -> String {
    let share = progress.percent().filter(|percent| *percent > 0.0 && progress.command == "COPY FROM");
    let left = session.query_seconds.zip(share).map(|(seconds, percent)| seconds * (100.0 - percent) / percent);
    left.map_or(String::new(), |left| format!(", at its pace about {} before its end", duration(left)))
}
