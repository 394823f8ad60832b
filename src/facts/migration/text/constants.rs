//! Constants in a statement's text.

use super::lexer::{Kind, Token, Tokens, dollar_mark};

/// What the string constants hold; of those with escapes, as they are written.
pub fn strings(sql: &str) -> Vec<String> {
    let tokens = Tokens::of(sql).filter(|token| token.kind == Kind::String && !token.text.starts_with('$'));
    tokens.map(|token| value(&token)).collect()
}

/// What a string constant holds.
pub fn value(token: &Token) -> String {
    if let Some(mark) = dollar_mark(token.text.as_bytes()) {
        return token.text[mark.len()..token.text.len().saturating_sub(mark.len()).max(mark.len())].to_string();
    }
    let open = token.text.find('\'').map_or(0, |quote| quote + 1);
    token.text[open..].strip_suffix('\'').unwrap_or(&token.text[open..]).replace("''", "'")
}

/// A call of set_config() with constants.
pub struct SetConfig {
    pub name: String,
    pub value: String,
    pub local: bool,
}

pub fn set_config(sql: &str) -> Vec<SetConfig> {
    let tokens: Vec<Token> = Tokens::of(sql).filter(|token| token.kind != Kind::Comment).collect();
    let calls = tokens.windows(7).filter_map(|window| {
        let [function, open, name, _, setting, _, local] = window else { return None };
        let constants = name.kind == Kind::String && setting.kind == Kind::String;
        (function.word("set_config") && open.is("(") && constants).then(|| SetConfig {
            name: value(name).to_lowercase(),
            value: value(setting),
            local: local.word("true"),
        })
    });
    calls.collect()
}

/// Whether a function of this name is called, with or without its schema.
pub fn calls(sql: &str, function: &str) -> bool {
    // The words are looked for first: few statements have them.
    if !sql.to_ascii_lowercase().contains(function) {
        return false;
    }
    let tokens: Vec<Token> = Tokens::of(sql).filter(|token| token.kind != Kind::Comment).collect();
    tokens.windows(2).any(|pair| pair[0].word(function) && pair[1].is("("))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn calls_of_set_config_are_read() {
        let calls = set_config("select pg_catalog.set_config('lock_timeout', '2s', true), set_config(x, '', false)");
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].name.as_str(), calls[0].value.as_str(), calls[0].local), ("lock_timeout", "2s", true));
        assert_eq!(strings("select 'it''s', $$x$$, E'a'"), ["it's", "a"]);
    }
}
