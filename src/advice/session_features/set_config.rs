//! set_config(): whether it sets for the session, as far as its arguments say.

use super::set::is_harmless;
use super::{called, tokens};
use crate::facts::migration::text::lexer::{Kind, Token};

/// What a call of set_config() sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Session,
    /// For the transaction, of what PgBouncer tracks, or of what changes no answer.
    Harmless,
    CannotBeTold,
}

/// asyncpg's own, as pg_stat_statements keeps them: it turns jit off while it asks for types, then back to what it was.
const TURNS_OFF: &str = "select current_setting($1) as cur, set_config($2, $3, $4) as new";
const TURNS_BACK: &str = "select set_config($2, $1, $3)";

/// Without asyncpg's own: the second counts as its own as long as it ran no more often than the first.
pub fn without_drivers(statements: Vec<(&str, u64)>, check: fn()) -> impl Iterator<Item = (&str, u64)> {
    let checked = statements.iter().inspect(|_| check());
    let turned_off: u64 = checked.filter(|(text, _)| is(text, TURNS_OFF)).map(|(_, calls)| *calls).sum();
    let own = move |text: &str, calls| is(text, TURNS_OFF) || (calls <= turned_off && is(text, TURNS_BACK));
    statements.into_iter().filter(move |(text, calls)| !own(text, *calls))
}

fn is(text: &str, own: &str) -> bool {
    let (text, own) = (tokens(text), tokens(own));
    text.len() == own.len() && text.iter().zip(&own).all(|(a, b)| a.text.eq_ignore_ascii_case(b.text))
}

/// Of each call.
pub fn scopes(tokens: &[Token]) -> Vec<Scope> {
    let of_call = |rest| {
        let arguments = arguments(rest);
        let text = |position: usize| arguments.get(position).and_then(|argument| literal(argument));
        let is_harmless = text(0).is_some_and(|name| is_harmless(&name));
        // As the server reads a boolean.
        match text(2).as_deref() {
            _ if is_harmless => Scope::Harmless,
            Some("true" | "t" | "on" | "yes" | "1") => Scope::Harmless,
            Some("false" | "f" | "off" | "no" | "0" | "null") => Scope::Session,
            _ => Scope::CannotBeTold,
        }
    };
    called(tokens, "set_config").map(of_call).collect()
}

/// What commas part, up to the closing bracket.
fn arguments<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<&'b [Token<'a>]> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (position, token) in tokens.iter().enumerate() {
        match token.text {
            ")" if depth == 0 => {
                found.push(&tokens[from..position]);
                break;
            }
            "," if depth == 0 => {
                found.push(&tokens[from..position]);
                from = position + 1;
            }
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {}
        }
    }
    found
}

/// What a constant says, in lower case; it may be cast.
fn literal(argument: &[Token]) -> Option<String> {
    let (constant, cast) = argument.split_first()?;
    let is_cast = matches!(cast, [first, second, _] if first.is(":") && second.is(":"));
    let text = match constant.kind {
        Kind::String => constant.text.strip_prefix('\'')?.strip_suffix('\'')?,
        Kind::Word if ["true", "false", "null"].iter().any(|word| constant.word(word)) => constant.text,
        _ => return None,
    };
    (cast.is_empty() || is_cast).then(|| text.to_lowercase())
}

#[cfg(test)]
mod unit_tests {
    use crate::advice::session_features::{SessionFeature, maybe_used};

    #[test]
    fn what_cannot_be_told() {
        for (text, maybe) in [
            ("select set_config($1, $2, $3)", true),
            ("select set_config('a.b', $1, $2)", true),
            ("select set_config('a.b', 'x', not $1)", true),
            ("select set_config('a.b', array['x', 'y'][1]", true),
            ("select set_config('TimeZone', $1, $2)", false),
            ("select set_config($1, $2, true)", false),
            ("select set_config('a.b', 'x', false)", false),
            ("set a.b = $1", false),
            ("select current_setting($1, $2)", false),
            ("select set_config('jit', $1, false)", false),
        ] {
            assert_eq!(!SessionFeature::maybe_of(text).is_empty(), maybe, "{text}");
        }
    }

    #[test]
    fn what_asyncpg_does_by_itself() {
        let first = "SELECT\n    current_setting($1) AS cur,\n    set_config($2, $3, $4) AS new";
        let second = "SELECT\n    set_config($2, $1, $3)";
        assert!(maybe_used([(first, 4), (second, 4)], || {}).is_empty());
        assert_eq!(maybe_used([(first, 4), (second, 5)], || {})[0].calls, 5, "others have run the same text");
        assert_eq!(maybe_used([(second, 1)], || {})[0].calls, 1);
        let typed = "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new";
        assert!(SessionFeature::of(typed).is_empty());
    }
}
