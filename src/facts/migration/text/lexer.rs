//! Splits SQL into tokens as the server's scanner does, as far as finding ends and comments goes. Any text can be split: what
//! is left open goes to the end.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or an identifier that is not quoted.
    Word,
    Quoted,
    String,
    /// Also the comment that is not closed.
    Comment,
    Number,
    /// One character: an operator's, a bracket, a semicolon.
    Mark,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

impl<'a> Token<'a> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// It is this keyword, which is given in lower case.
    pub fn word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// An identifier as the server folds it.
    pub fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_lowercase()),
            Kind::Quoted if self.text.starts_with('"') => Some(self.text.trim_matches('"').replace("\"\"", "\"")),
            _ => None,
        }
    }
}

pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn of(text: &'a str) -> Tokens<'a> {
        Tokens::from(text, 0)
    }

    /// Those that begin there or later.
    pub fn from(text: &'a str, at: usize) -> Tokens<'a> {
        Tokens { text, at }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        self.at += count(&bytes[self.at..], is_space);
        let rest = &bytes[self.at..];
        let (kind, length) = token(rest)?;
        let mut end = (self.at + length).min(bytes.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let token = Token { kind, text: &self.text[self.at..end], start: self.at };
        self.at = end;
        Some(token)
    }
}

fn token(text: &[u8]) -> Option<(Kind, usize)> {
    let second = text.get(1).copied();
    Some(match *text.first()? {
        b'-' if second == Some(b'-') => (Kind::Comment, count(text, |byte| byte != b'\n' && byte != b'\r')),
        b'/' if second == Some(b'*') => (Kind::Comment, comment(text)),
        b'\'' => (Kind::String, quoted(text, b'\'', false)),
        b'"' => (Kind::Quoted, quoted(text, b'"', false)),
        b'$' => match dollar_quoted(text) {
            Some(length) => (Kind::String, length),
            None => (Kind::Number, 1 + count(&text[1..], |byte| byte.is_ascii_digit())),
        },
        byte if byte.is_ascii_digit() => (Kind::Number, number(text)),
        byte if starts_name(byte) => prefixed(text),
        _ => (Kind::Mark, 1),
    })
}

/// A name, or a string or quoted name with a letter before its quote.
fn prefixed(text: &[u8]) -> (Kind, usize) {
    let length = count(text, continues_name);
    let string = |escapes| (Kind::String, length + quoted(&text[length..], b'\'', escapes));
    match (&text[..length], text.get(length..).unwrap_or_default()) {
        (b"e" | b"E", [b'\'', ..]) => string(true),
        (b"b" | b"B" | b"x" | b"X" | b"n" | b"N", [b'\'', ..]) => string(false),
        (b"u" | b"U", [b'&', b'\'', ..]) => (Kind::String, 2 + quoted(&text[2..], b'\'', false)),
        (b"u" | b"U", [b'&', b'"', ..]) => (Kind::Quoted, 2 + quoted(&text[2..], b'"', false)),
        _ => (Kind::Word, length),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn count(text: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !holds(*byte)).unwrap_or(text.len())
}

/// The length of what is quoted by `quote`, which `text` begins with; a doubled one is in it.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        let plain =
            if escapes { memchr::memchr2(quote, b'\\', &text[at..]) } else { memchr::memchr(quote, &text[at..]) };
        let Some(plain) = plain else { return text.len() };
        at += plain;
        match (text[at], text.get(at + 1)) {
            (b'\\', _) if escapes => at += 2,
            (_, Some(next)) if *next == quote => at += 2,
            _ => return at + 1,
        }
    }
    text.len()
}

/// Comments nest.
fn comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while let Some(mark) = memchr::memchr2(b'/', b'*', text.get(at..).unwrap_or_default()) {
        at += mark;
        match (text[at], text.get(at + 1)) {
            (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            (b'*', Some(b'/')) if depth == 1 => return at + 2,
            (b'*', Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    text.len()
}

/// None: no such quote begins here.
fn dollar_quoted(text: &[u8]) -> Option<usize> {
    let mark = dollar_mark(text)?;
    let end = memchr::memmem::find(&text[mark.len()..], mark);
    Some(end.map_or(text.len(), |end| end + 2 * mark.len()))
}

/// `$$` or `$tag$` at the beginning.
pub fn dollar_mark(text: &[u8]) -> Option<&[u8]> {
    if text.first() != Some(&b'$') || text.get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let tag = 1 + count(&text[1..], |byte| starts_name(byte) || byte.is_ascii_digit());
    (text.get(tag) == Some(&b'$')).then(|| &text[..=tag])
}

fn number(text: &[u8]) -> usize {
    let mut at = count(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if text.get(at) == Some(&b'.') && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at += 1 + count(&text[at + 1..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    }
    let exponent = text[..at].last().is_some_and(|byte| matches!(byte, b'e' | b'E'));
    if exponent && matches!(text.get(at), Some(b'+' | b'-')) {
        at += 1 + count(&text[at + 1..], |byte| byte.is_ascii_digit());
    }
    at
}

/// Whether a string or a dollar quote is closed within its token.
pub fn is_closed(token: &Token) -> bool {
    let text = token.text.as_bytes();
    match token.kind {
        Kind::String | Kind::Quoted => match dollar_mark(text) {
            Some(mark) => text.len() >= 2 * mark.len() && text.ends_with(mark),
            None => {
                let open = memchr::memchr2(b'\'', b'"', text).unwrap_or(0);
                let escapes = matches!(text[0], b'e' | b'E');
                let quote = text[open];
                text.len() - open >= 2 && text.ends_with(&[quote]) && ends(&text[open..], quote, escapes)
            }
        },
        Kind::Comment => !token.text.starts_with("/*") || (text.ends_with(b"*/") && text.len() >= 4),
        _ => true,
    }
}

/// The last quote closes it: with a letter behind it, it ends at the same place.
fn ends(text: &[u8], quote: u8, escapes: bool) -> bool {
    let mut longer = text.to_vec();
    longer.push(b' ');
    quoted(&longer, quote, escapes) == text.len()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        Tokens::of(sql).map(|token| token.text).collect()
    }

    #[test]
    fn tokens_are_the_scanners() {
        assert_eq!(texts("select 1.5e-3,'it''s' -- so\n;"), ["select", "1.5e-3", ",", "'it''s'", "-- so", ";"]);
        assert_eq!(texts("E'a\\'b' $$x;y$$ $f$a$$b$f$ $1"), ["E'a\\'b'", "$$x;y$$", "$f$a$$b$f$", "$1"]);
        assert_eq!(texts("/* a /* b */ c */x u&\"d\" \"a\"\"b\""), ["/* a /* b */ c */", "x", "u&\"d\"", "\"a\"\"b\""]);
        assert_eq!(texts("a$b$c 'open; \u{e9}"), ["a$b$c", "'open; \u{e9}"]);
        assert_eq!(texts("\u{2028}x"), ["\u{2028}x"]);
    }

    #[test]
    fn what_is_open_is_known() {
        let closed = |sql| Tokens::of(sql).all(|token| is_closed(&token));
        assert!(closed("'a' E'\\'' $$ $$ /* */ \"x\" '' $a$$a$"));
        for open in ["'a", "'a''", "E'\\'", "$$ ", "/* ", "\"x", "'", "$a$"] {
            assert!(!closed(open), "{open}");
        }
    }
}
