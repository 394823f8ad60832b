//! What is lost when a session, or its statement, is ended: its transaction, what it was about, and what it leaves behind.

use super::long_running::Kind;
use crate::facts::activity::{Progress, Session};
use crate::facts::migration::text::lexer::{self, Tokens};
use crate::units::duration;

/// What takes long, and is to be done again from the start when it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// CREATE INDEX or REINDEX CONCURRENTLY.
    ConcurrentBuild,
    Dump,
    /// VACUUM, CREATE INDEX, CLUSTER, COPY …
    Other,
}

impl Work {
    pub fn of(session: &Session, progress: Option<&Progress>) -> Option<Work> {
        if is_dump(session) {
            return Some(Work::Dump);
        }
        if progress.is_some_and(|progress| progress.command.ends_with(" CONCURRENTLY")) {
            return Some(Work::ConcurrentBuild);
        }
        Kind::of(session, progress).is_some_and(Kind::is_dear).then_some(Work::Other)
    }
}

/// In sentences.
pub fn loss(session: &Session, progress: Option<&Progress>) -> String {
    let leaves = leaves(session, progress);
    let copy = is_dump(session).then(|| "The dump fails, and has to be taken again.".to_string()).or_else(|| {
        let copies = progress.is_some_and(|progress| progress.command == "COPY TO");
        copies.then(|| "What its client has received is incomplete, and has to be copied again.".to_string())
    });
    [Some(rolls_back(session, leaves.is_some())), copy, leaves].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Taken in one transaction from its first to its last table.
fn is_dump(session: &Session) -> bool {
    matches!(session.application.as_str(), "pg_dump" | "pg_dumpall")
}

/// `in_steps`: it has committed what it did before.
fn rolls_back(session: &Session, in_steps: bool) -> String {
    let seconds = session.transaction_seconds.map(|seconds| format!(" of {}", duration(seconds)));
    match (seconds, &session.transaction_id) {
        _ if in_steps => match session.query_seconds {
            Some(seconds) => format!("Its work of {} is lost.", duration(seconds)),
            None => "Its work is lost.".to_string(),
        },
        _ if session.has_committed_within() => {
            "It has committed within this statement: what it has committed stays, and the work stops half way; only what it has done since \
             is rolled back."
                .to_string()
        }
        (None, None) => "There is no transaction to roll back.".to_string(),
        (None, Some(id)) => format!("Transaction {id} is rolled back with all that it has written."),
        (Some(of), None) => format!("A transaction{of} is rolled back, which has written nothing (no transaction id)."),
        (Some(of), Some(id)) => format!("Transaction {id}{of} is rolled back with all that it has written."),
    }
}

/// What is done CONCURRENTLY is done in several transactions: its end leaves it half done.
fn leaves(session: &Session, progress: Option<&Progress>) -> Option<String> {
    let text = session.query.as_deref().filter(|_| session.runs())?;
    let tokens = Tokens::of(text).filter(|token| token.kind != lexer::Kind::Comment);
    let words: Vec<String> = tokens.filter_map(|token| token.name()).collect();
    let first =
        words.iter().map(String::as_str).find(|word| matches!(*word, "create" | "drop" | "reindex" | "alter"))?;
    if !words.iter().any(|word| word == "concurrently") {
        return None;
    }
    let of = progress.and_then(|progress| progress.relation.as_ref());
    let of =
        of.map_or(String::new(), |relation| format!(" and indrelid = '{}'::regclass", relation.replace('\'', "''")));
    let database = session.database.as_deref().unwrap_or("?");
    let find = format!(
        "in database {database}: select indexrelid::regclass from pg_catalog.pg_index where not indisvalid{of};"
    );
    let index =
        progress.filter(|progress| progress.command == "CREATE INDEX CONCURRENTLY").and_then(|p| p.index.as_ref());
    Some(match (first, index) {
        ("create", Some(index)) => {
            format!("It leaves {index} behind, an invalid index that writes maintain: drop index concurrently {index};")
        }
        ("create", None) => {
            format!("It may leave an invalid index behind; what finds it, for drop index concurrently, {find}")
        }
        // While it swaps them, either of the two may be the one.
        ("reindex", _) => format!(
            "It may leave an invalid index behind, whose name ends in _ccnew or _ccold; what finds it, for drop index concurrently, {find}"
        ),
        ("drop", _) => {
            format!("It may leave the index behind, invalid: the same again drops it; what finds it, {find}")
        }
        _ => {
            "It may leave the partition half detached: alter table … detach partition … finalize ends that.".to_string()
        }
    })
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::activity::State;

    fn session(query: &str) -> Session {
        Session {
            state: Some(State::Active),
            database: Some("shop".to_string()),
            query: Some(query.to_string()),
            query_seconds: Some(75.0),
            transaction_seconds: Some(3.0),
            ..Session::default()
        }
    }

    #[test]
    fn what_is_built_concurrently_stays_behind() {
        let build = session("create index concurrently \"I\" on t (a)");
        let mut progress = Progress {
            command: "CREATE INDEX CONCURRENTLY".to_string(),
            relation: Some("public.t".to_string()),
            index: Some("public.\"I\"".to_string()),
            ..Progress::default()
        };
        let lost = loss(&build, Some(&progress));
        assert_eq!(
            lost,
            "Its work of 75 s is lost. It leaves public.\"I\" behind, an invalid index that writes maintain: drop index concurrently \
             public.\"I\";"
        );
        progress.index = None;
        let lost = loss(&build, Some(&progress));
        assert!(
            lost.contains("may leave an invalid index") && lost.contains("indrelid = 'public.t'::regclass;"),
            "{lost}"
        );
        for text in [
            "REINDEX (verbose) TABLE CONCURRENTLY t",
            "drop index concurrently i",
            "alter table t detach partition p concurrently",
        ] {
            assert!(loss(&session(text), None).contains("may leave"), "{text}");
        }
        for text in [
            "refresh materialized view concurrently m",
            "create index i on t (a)",
            "update t set a = 'create concurrently'",
        ] {
            let single = Session { transaction_seconds: Some(75.0), ..session(text) };
            assert!(loss(&single, None).ends_with("written nothing (no transaction id)."), "{text}");
        }
        let idle = Session { state: Some(State::IdleInTransaction), ..build };
        assert!(loss(&idle, None).ends_with("written nothing (no transaction id)."));
    }

    #[test]
    fn a_dump_has_to_be_taken_again() {
        let dump = Session { application: "pg_dump".to_string(), ..session("COPY public.t (a) TO stdout;") };
        assert!(loss(&dump, None).contains("The dump fails"));
        let progress = Progress { command: "COPY TO".to_string(), ..Progress::default() };
        assert!(loss(&session("copy t to stdout"), Some(&progress)).contains("has to be copied again"));
    }

    #[test]
    fn what_a_procedure_has_committed_stays() {
        let call = Session { transaction_id: Some("758".to_string()), ..session("call migrate()") };
        assert!(loss(&call, None).starts_with("It has committed within this statement: what it has committed stays"));
        let single = Session { transaction_seconds: Some(75.0), ..call };
        assert_eq!(loss(&single, None), "Transaction 758 of 75 s is rolled back with all that it has written.");
    }

    #[test]
    fn a_transaction_without_times_has_its_id() {
        let disabled = Session { transaction_id: Some("4711".to_string()), ..Session::default() };
        assert_eq!(loss(&disabled, None), "Transaction 4711 is rolled back with all that it has written.");
    }
}
