//! What statements use of a session that outlives their transaction: a pooler in transaction mode breaks it.

mod body;
mod set;
mod set_config;
#[cfg(test)]
mod unit_tests;

use crate::facts::migration::text::lexer::{Kind, Token, Tokens};
use set::set;
use set_config::{Scope, scopes, without_drivers};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionFeature {
    Listen,
    AdvisoryLock,
    Setting,
    Role,
    /// Of limits in time, or back to what new sessions have: what migrations and scripts do.
    Timeout,
    TemporaryTable,
    HeldCursor,
    /// SQL's PREPARE; what drivers prepare by protocol does not show in texts.
    PreparedInSql,
    Load,
    /// lastval() and currval(): of the session that has drawn one.
    SequenceValue,
}

impl SessionFeature {
    pub const ALL: [SessionFeature; 10] = [
        SessionFeature::Listen,
        SessionFeature::AdvisoryLock,
        SessionFeature::Setting,
        SessionFeature::Role,
        SessionFeature::Timeout,
        SessionFeature::TemporaryTable,
        SessionFeature::HeldCursor,
        SessionFeature::PreparedInSql,
        SessionFeature::Load,
        SessionFeature::SequenceValue,
    ];

    pub fn name(self) -> &'static str {
        match self {
            SessionFeature::Listen => "LISTEN",
            SessionFeature::AdvisoryLock => "session-level advisory locks",
            SessionFeature::Setting => "SET without LOCAL",
            SessionFeature::Role => "SET ROLE or SESSION AUTHORIZATION",
            SessionFeature::Timeout => "SET of timeouts or TO DEFAULT without LOCAL",
            SessionFeature::TemporaryTable => "temporary tables",
            SessionFeature::HeldCursor => "cursors WITH HOLD",
            SessionFeature::PreparedInSql => "PREPARE in SQL",
            SessionFeature::Load => "LOAD",
            SessionFeature::SequenceValue => "lastval() or currval()",
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
            SessionFeature::Role => {
                "the role stays with the connection: other clients act as it, and not the one that set it"
            }
            SessionFeature::Timeout => {
                "the setting stays with the server connection and meets whoever gets it next, not the one that set it"
            }
            SessionFeature::TemporaryTable => "the next transaction may not see the table, and another client may",
            SessionFeature::HeldCursor => "the next transaction may not see the cursor",
            SessionFeature::PreparedInSql => {
                "the next transaction may not see the prepared statement, or find its name taken"
            }
            SessionFeature::Load => "the library is loaded in one connection only",
            SessionFeature::SequenceValue => {
                "it fails, or returns the number that another client has drawn: a wrong key, without an error"
            }
        }
    }

    pub fn instead(self) -> &'static str {
        match self {
            SessionFeature::Listen => {
                "listen on a connection of its own that goes past the pooler, or to a pool in session mode"
            }
            SessionFeature::AdvisoryLock => "take pg_advisory_xact_lock() within the transaction that needs it",
            SessionFeature::Setting => "SET LOCAL within the transaction, or ALTER ROLE … SET for what always holds",
            SessionFeature::Role => "SET LOCAL ROLE within the transaction, or connect as that role",
            SessionFeature::Timeout => {
                "SET LOCAL within the transaction, or ALTER ROLE … SET for what always holds; migrations connect past the pooler, or \
                 as a role of their own"
            }
            SessionFeature::TemporaryTable => "create them ON COMMIT DROP and use them within the transaction",
            SessionFeature::HeldCursor => "read the cursor within its transaction, or page by key",
            SessionFeature::PreparedInSql => {
                "let the driver prepare by protocol, with max_prepared_statements of PgBouncer 1.21 or newer"
            }
            SessionFeature::Load => "session_preload_libraries of the role",
            SessionFeature::SequenceValue => {
                "INSERT … RETURNING, or call it in the transaction that has drawn the number"
            }
        }
    }

    /// What the text uses; nothing where it cannot be told.
    pub fn of(statement: &str) -> Vec<SessionFeature> {
        let tokens = tokens(statement);
        sorted(match tokens.first() {
            Some(first) if first.word("do") => body::string(&tokens).map_or_else(Vec::new, |body| body::of_body(&body)),
            _ => command(&tokens).into_iter().chain(everywhere(&tokens)).collect(),
        })
    }

    /// What a function in SQL or PL/pgSQL uses by itself.
    pub fn of_body(body: &str) -> Vec<SessionFeature> {
        sorted(body::of_body(body))
    }

    /// What the text may use: constants decide, in whose place pg_stat_statements has parameters, and the transaction that it runs in.
    pub fn maybe_of(statement: &str) -> Vec<SessionFeature> {
        let tokens = tokens(statement);
        let calls = |name| called(&tokens, name).next().is_some();
        let sets = scopes(&tokens).contains(&Scope::CannotBeTold);
        let asks = (calls("lastval") || calls("currval")) && !calls("nextval");
        let features = [sets.then_some(SessionFeature::Setting), asks.then_some(SessionFeature::SequenceValue)];
        features.into_iter().flatten().collect()
    }
}

fn sorted(mut features: Vec<SessionFeature>) -> Vec<SessionFeature> {
    features.sort();
    features.dedup();
    features
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
    gathered(statements.into_iter().map(|(text, calls)| (text, calls, SessionFeature::of(text))))
}

/// What cannot be told of the texts, but for what drivers do by themselves. `check` is called for each: they may be long.
pub fn maybe_used<'a>(statements: impl IntoIterator<Item = (&'a str, u64)>, check: fn()) -> Vec<Used> {
    let applications = without_drivers(statements.into_iter().collect(), check);
    gathered(applications.inspect(move |_| check()).map(|(text, calls)| (text, calls, SessionFeature::maybe_of(text))))
}

/// Of what shows them, each with how often it ran.
pub fn gathered<'a>(shown: impl IntoIterator<Item = (&'a str, u64, Vec<SessionFeature>)>) -> Vec<Used> {
    let mut found: Vec<(Used, u64)> = Vec::new();
    for (text, calls, features) in shown {
        for feature in features {
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

/// What pg_dump prepares for itself.
const OF_PG_DUMP: [&str; 11] = [
    "dumpagg",
    "dumpbasetype",
    "dumpcompositetype",
    "dumpdomain",
    "dumpenumtype",
    "dumpfunc",
    "dumpopr",
    "dumprangetype",
    "dumptableattach",
    "getcolumnacls",
    "getdomainconstraints",
];

/// What follows the target of SELECT INTO.
const AFTER_INTO: [&str; 12] =
    ["from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch"];

fn command(tokens: &[Token]) -> Option<SessionFeature> {
    let word = |position: usize| tokens.get(position).and_then(Token::name).unwrap_or_default();
    let has = |words: &[&str]| {
        tokens.windows(words.len()).any(|found| found.iter().zip(words).all(|(token, word)| token.word(word)))
    };
    match word(0).as_str() {
        "listen" => Some(SessionFeature::Listen),
        "load" => Some(SessionFeature::Load),
        "set" => set(tokens),
        "prepare" | "execute" if OF_PG_DUMP.contains(&word(1).as_str()) => None,
        "prepare" if word(1) != "transaction" => Some(SessionFeature::PreparedInSql),
        "execute" => Some(SessionFeature::PreparedInSql),
        "declare" if has(&["with", "hold"]) => Some(SessionFeature::HeldCursor),
        "create" => {
            let temporary = creates_temporary(tokens) && !has(&["on", "commit", "drop"]);
            temporary.then_some(SessionFeature::TemporaryTable)
        }
        "select" | "with" => selects_into_temporary(tokens).then_some(SessionFeature::TemporaryTable),
        _ => None,
    }
}

fn creates_temporary(tokens: &[Token]) -> bool {
    let words = tokens[1..].iter().map(|token| token.name().unwrap_or_default());
    let mut words = words.skip_while(|word| matches!(word.as_str(), "or" | "replace" | "global" | "local"));
    let is_marked = words.next().is_some_and(|word| matches!(word.as_str(), "temp" | "temporary"));
    is_marked || tokens.windows(2).any(|pair| pair[0].name().as_deref() == Some("pg_temp") && pair[1].is("."))
}

/// INSERT INTO and MERGE INTO may name a table temp, and so may SELECT INTO without a name that follows.
fn selects_into_temporary(tokens: &[Token]) -> bool {
    let is_target = |window: &[Token]| {
        let [before, into, temporary, name] = window else { return false };
        into.word("into")
            && (temporary.word("temp") || temporary.word("temporary"))
            && !(before.word("insert") || before.word("merge"))
            && name.name().is_some_and(|name| !AFTER_INTO.contains(&name.as_str()))
    };
    tokens.windows(4).any(is_target)
}

/// Wherever it stands in a text.
fn everywhere(tokens: &[Token]) -> Vec<SessionFeature> {
    const LOCKS: [&str; 4] =
        ["pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared"];
    let locks = LOCKS.iter().any(|name| called(tokens, name).next().is_some());
    let sets = scopes(tokens).contains(&Scope::Session);
    let locks = locks.then_some(SessionFeature::AdvisoryLock);
    locks.into_iter().chain(sets.then_some(SessionFeature::Setting)).collect()
}

/// What follows the opening bracket of each call.
fn called<'a, 'b>(tokens: &'b [Token<'a>], name: &'b str) -> impl Iterator<Item = &'b [Token<'a>]> {
    let is_call = move |pair: &[Token]| pair[1].is("(") && pair[0].name().as_deref() == Some(name);
    tokens.windows(2).enumerate().filter(move |(_, pair)| is_call(pair)).map(|(position, _)| &tokens[position + 2..])
}
