//! What statements use of a session that outlives their transaction: a pooler in transaction mode breaks it.

mod set_config;

use crate::facts::migration::text::lexer::{Kind, Token, Tokens};
use set_config::{Scope, scopes};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionFeature {
    Listen,
    AdvisoryLock,
    Setting,
    TemporaryTable,
    HeldCursor,
    /// SQL's PREPARE; what drivers prepare by protocol does not show in texts.
    PreparedInSql,
    Load,
}

impl SessionFeature {
    pub const ALL: [SessionFeature; 7] = [
        SessionFeature::Listen,
        SessionFeature::AdvisoryLock,
        SessionFeature::Setting,
        SessionFeature::TemporaryTable,
        SessionFeature::HeldCursor,
        SessionFeature::PreparedInSql,
        SessionFeature::Load,
    ];

    pub fn name(self) -> &'static str {
        match self {
            SessionFeature::Listen => "LISTEN",
            SessionFeature::AdvisoryLock => "session-level advisory locks",
            SessionFeature::Setting => "SET without LOCAL",
            SessionFeature::TemporaryTable => "temporary tables",
            SessionFeature::HeldCursor => "cursors WITH HOLD",
            SessionFeature::PreparedInSql => "PREPARE in SQL",
            SessionFeature::Load => "LOAD",
        }
    }

    /// What happens to it when each transaction may get another connection.
    pub fn breaks(self) -> &'static str {
        match self {
            SessionFeature::Listen => "notifications reach whoever has the connection then, or nobody",
            SessionFeature::AdvisoryLock => {
                "the lock stays with the connection: its taker cannot release it, and another client holds it without knowing"
            }
            SessionFeature::Setting => {
                "the setting stays with the connection and holds for other clients, not for the one that set it"
            }
            SessionFeature::TemporaryTable => "the next transaction may not see the table, and another client may",
            SessionFeature::HeldCursor => "the next transaction may not see the cursor",
            SessionFeature::PreparedInSql => {
                "the next transaction may not see the prepared statement, or find its name taken"
            }
            SessionFeature::Load => "the library is loaded in one connection only",
        }
    }

    pub fn instead(self) -> &'static str {
        match self {
            SessionFeature::Listen => {
                "listen on a connection of its own that goes past the pooler, or to a pool in session mode"
            }
            SessionFeature::AdvisoryLock => "take pg_advisory_xact_lock() within the transaction that needs it",
            SessionFeature::Setting => "SET LOCAL within the transaction, or ALTER ROLE … SET for what always holds",
            SessionFeature::TemporaryTable => "create them ON COMMIT DROP and use them within the transaction",
            SessionFeature::HeldCursor => "read the cursor within its transaction, or page by key",
            SessionFeature::PreparedInSql => {
                "let the driver prepare by protocol, with max_prepared_statements of PgBouncer 1.21 or newer"
            }
            SessionFeature::Load => "session_preload_libraries of the role",
        }
    }

    /// What the text uses; nothing where it cannot be told.
    pub fn of(statement: &str) -> Vec<SessionFeature> {
        let tokens = tokens(statement);
        let mut features: Vec<SessionFeature> = command(&tokens).into_iter().chain(calls(&tokens)).collect();
        if scopes(&tokens).contains(&Scope::Session) {
            features.push(SessionFeature::Setting);
        }
        features.sort();
        features.dedup();
        features
    }

    /// What the text may use: its constants decide, and pg_stat_statements has parameters in their place.
    pub fn maybe_of(statement: &str) -> Vec<SessionFeature> {
        let maybe = scopes(&tokens(statement)).contains(&Scope::CannotBeTold);
        maybe.then_some(SessionFeature::Setting).into_iter().collect()
    }
}

fn tokens(statement: &str) -> Vec<Token<'_>> {
    Tokens::of(statement).filter(|token| token.kind != Kind::Comment).collect()
}

/// A feature with what shows that it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Used {
    pub feature: SessionFeature,
    /// How many texts.
    pub statements: usize,
    /// How often they ran.
    pub calls: u64,
    /// The one that ran most.
    pub example: String,
}

/// Of texts, each with how often it ran.
pub fn used<'a>(statements: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Used> {
    gathered(statements, SessionFeature::of)
}

/// What cannot be told of the texts.
pub fn maybe_used<'a>(statements: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Used> {
    gathered(statements, SessionFeature::maybe_of)
}

fn gathered<'a>(
    statements: impl IntoIterator<Item = (&'a str, u64)>,
    features_of: fn(&str) -> Vec<SessionFeature>,
) -> Vec<Used> {
    let mut found: Vec<(Used, u64)> = Vec::new();
    for (text, calls) in statements {
        for feature in features_of(text) {
            match found.iter_mut().find(|(used, _)| used.feature == feature) {
                Some((used, most)) => {
                    used.statements += 1;
                    used.calls += calls;
                    if calls > *most {
                        *most = calls;
                        used.example = text.to_string();
                    }
                }
                None => found.push((Used { feature, statements: 1, calls, example: text.to_string() }, calls)),
            }
        }
    }
    let mut found: Vec<Used> = found.into_iter().map(|(used, _)| used).collect();
    found.sort_by_key(|used| used.feature);
    found
}

/// What PgBouncer puts in force for each client by itself.
const TRACKED: [&str; 7] = [
    "client_encoding",
    "names",
    "datestyle",
    "intervalstyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
];

fn command(tokens: &[Token]) -> Option<SessionFeature> {
    let word = |position: usize| tokens.get(position).and_then(Token::name).unwrap_or_default();
    let has = |words: &[&str]| {
        tokens.windows(words.len()).any(|found| found.iter().zip(words).all(|(token, word)| token.word(word)))
    };
    match word(0).as_str() {
        "listen" => Some(SessionFeature::Listen),
        "load" => Some(SessionFeature::Load),
        "set" => sets_for_session(&word(1), &word(2), tokens).then_some(SessionFeature::Setting),
        "prepare" if word(1) != "transaction" => Some(SessionFeature::PreparedInSql),
        "execute" => Some(SessionFeature::PreparedInSql),
        "declare" if has(&["with", "hold"]) => Some(SessionFeature::HeldCursor),
        "create" => {
            let position = if matches!(word(1).as_str(), "global" | "local") { 2 } else { 1 };
            let temporary = matches!(word(position).as_str(), "temp" | "temporary");
            (temporary && !has(&["on", "commit", "drop"])).then_some(SessionFeature::TemporaryTable)
        }
        "select" | "with" => {
            (has(&["into", "temp"]) || has(&["into", "temporary"])).then_some(SessionFeature::TemporaryTable)
        }
        _ => None,
    }
}

fn sets_for_session(first: &str, second: &str, tokens: &[Token]) -> bool {
    let is_time_zone = |position: usize| {
        let word = |at: usize| tokens.get(at).and_then(Token::name).unwrap_or_default();
        word(position) == "time" && word(position + 1) == "zone"
    };
    match first {
        "local" | "transaction" | "constraints" => false,
        "session" if matches!(second, "characteristics" | "authorization") => true,
        "session" => !TRACKED.contains(&second) && !is_time_zone(2),
        "" => false,
        _ => !TRACKED.contains(&first) && !is_time_zone(1),
    }
}

fn calls(tokens: &[Token]) -> Vec<SessionFeature> {
    const LOCKS: [&str; 4] =
        ["pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared"];
    let locks = LOCKS.iter().any(|name| called(tokens, name).next().is_some());
    locks.then_some(SessionFeature::AdvisoryLock).into_iter().collect()
}

/// What follows the opening bracket of each call.
fn called<'a, 'b>(tokens: &'b [Token<'a>], name: &'b str) -> impl Iterator<Item = &'b [Token<'a>]> {
    let is_call = move |pair: &[Token]| pair[1].is("(") && pair[0].name().as_deref() == Some(name);
    tokens.windows(2).enumerate().filter(move |(_, pair)| is_call(pair)).map(|(position, _)| &tokens[position + 2..])
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn what_outlives_a_transaction() {
        use SessionFeature::*;
        for (text, features) in [
            ("listen jobs", vec![Listen]),
            ("/* app */ LISTEN \"Jobs\"", vec![Listen]),
            ("notify jobs", vec![]),
            ("set statement_timeout = 0", vec![Setting]),
            ("SET SESSION statement_timeout TO '5s'", vec![Setting]),
            ("set session characteristics as transaction read only", vec![Setting]),
            ("set role reporting", vec![Setting]),
            ("set local statement_timeout = 0", vec![]),
            ("set transaction isolation level serializable", vec![]),
            ("set constraints all deferred", vec![]),
            ("set application_name to 'x'", vec![]),
            ("set names 'UTF8'", vec![]),
            ("set time zone 'UTC'", vec![]),
            ("set session time zone 'UTC'", vec![]),
            ("set DateStyle = ISO", vec![]),
            ("select pg_catalog.pg_advisory_lock($1)", vec![AdvisoryLock]),
            ("select pg_try_advisory_lock($1, $2)", vec![AdvisoryLock]),
            ("select pg_advisory_xact_lock($1)", vec![]),
            ("select 'pg_advisory_lock(1)'", vec![]),
            ("select pg_advisory_unlock($1)", vec![]),
            ("select set_config($1, $2, $3)", vec![]),
            ("select set_config('a.b', coalesce('x', 'y'), false)", vec![Setting]),
            ("select set_config('a.b', ',)', 'off'::boolean), 1", vec![Setting]),
            ("select set_config('a.b', 'x', null)", vec![Setting]),
            ("select set_config($1, 'x', FALSE)", vec![Setting]),
            ("select set_config('a.b', 'x', true)", vec![]),
            ("select pg_catalog.set_config('TimeZone', 'UTC', false)", vec![]),
            ("select set_config('application_name'::text, $1, false)", vec![]),
            ("select set_config('a.b', 'x', true), set_config('a.c', 'x', false)", vec![Setting]),
            ("create temp table t (a int)", vec![TemporaryTable]),
            ("create local temporary table t as select 1", vec![TemporaryTable]),
            ("create temp table t (a int) on commit drop", vec![]),
            ("create table temp (a int)", vec![]),
            ("select a into temp t from b", vec![TemporaryTable]),
            ("declare c cursor with hold for select 1", vec![HeldCursor]),
            ("declare c cursor for select 1", vec![]),
            ("prepare p as select 1", vec![PreparedInSql]),
            ("prepare transaction 'x'", vec![]),
            ("execute p(1)", vec![PreparedInSql]),
            ("load 'auto_explain'", vec![Load]),
            ("", vec![]),
            ("set", vec![]),
            ("select 'open", vec![]),
        ] {
            assert_eq!(SessionFeature::of(text), features, "{text}");
        }
    }

    #[test]
    fn the_example_is_what_ran_most() {
        let found = used([("listen a", 2), ("listen b", 7), ("select 1", 9)]);
        let expected =
            Used { feature: SessionFeature::Listen, statements: 2, calls: 9, example: "listen b".to_string() };
        assert_eq!(found, [expected]);
    }
}
