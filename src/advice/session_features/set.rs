//! SET: which settings outlive a transaction, and what of that matters.

use super::SessionFeature;
use crate::facts::migration::text::lexer::Token;

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

/// Whoever gets them from another client has the same answers: drivers and pg_dump set them as they connect.
const HARMLESS: [&str; 6] = [
    "bytea_output",
    "client_min_messages",
    "extra_float_digits",
    "jit",
    "quote_all_identifiers",
    "synchronize_seqscans",
];

/// A migration begins with them.
const TIMEOUTS: [&str; 4] =
    ["lock_timeout", "statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"];

/// Who is given the session next does not notice that it was set.
pub fn is_harmless(setting: &str) -> bool {
    TRACKED.contains(&setting) || HARMLESS.contains(&setting)
}

pub fn set(tokens: &[Token]) -> Option<SessionFeature> {
    let word = |position: usize| tokens.get(position).and_then(Token::name).unwrap_or_default();
    let name = if word(1) == "session" { 2 } else { 1 };
    let (first, second) = (word(name), word(name + 1));
    let is_default = matches!(tokens.get(name + 1..), Some([is, value, ..]) if (is.is("=") || is.word("to")) && value.word("default"));
    match first.as_str() {
        "" | "local" | "transaction" | "constraints" => None,
        "characteristics" if name == 2 => Some(SessionFeature::Setting),
        "authorization" if name == 2 => Some(SessionFeature::Role),
        "role" => Some(SessionFeature::Role),
        "time" if second == "zone" => None,
        first if is_harmless(first) => None,
        first if is_default || TIMEOUTS.contains(&first) => Some(SessionFeature::Timeout),
        _ => Some(SessionFeature::Setting),
    }
}
