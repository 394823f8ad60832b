//! set_config(): whether it sets for the session, as far as its arguments say.

use super::{TRACKED, called};
use crate::facts::migration::text::lexer::{Kind, Token};

/// What a call of set_config() sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Session,
    /// For the transaction, or of what PgBouncer tracks.
    Harmless,
    CannotBeTold,
}

/// Of each call.
pub fn scopes(tokens: &[Token]) -> Vec<Scope> {
    let of_call = |rest| {
        let arguments = arguments(rest);
        let text = |position: usize| arguments.get(position).and_then(|argument| literal(argument));
        let is_tracked = text(0).is_some_and(|name| TRACKED.contains(&name.as_str()));
        // As the server reads a boolean.
        match text(2).as_deref() {
            _ if is_tracked => Scope::Harmless,
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
    use crate::advice::session_features::SessionFeature;

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
        ] {
            assert_eq!(!SessionFeature::maybe_of(text).is_empty(), maybe, "{text}");
        }
    }
}
