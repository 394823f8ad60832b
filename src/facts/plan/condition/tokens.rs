//! Splits a printed expression into tokens.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or a keyword, not quoted.
    Word,
    Quoted,
    Number,
    String,
    /// `$1`
    Parameter,
    Operator,
    /// `(`, `)`, `[`, `]`, `,`, `.`, `::`
    Mark,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
}

/// More than any condition has; a limit to what reading one can cost.
const MOST: usize = 1_000_000;

pub struct Tokens<'a> {
    pub tokens: Vec<Token<'a>>,
    /// All of the text: no string is left open and no character is one that no expression has.
    pub complete: bool,
}

impl<'a> Tokens<'a> {
    pub fn of(text: &'a str) -> Tokens<'a> {
        let mut tokens = Vec::with_capacity(text.len().min(MOST) / 4);
        let mut start = 0;
        while let Some(first) = text[start..].chars().next() {
            if first.is_whitespace() {
                start += first.len_utf8();
                continue;
            }
            let next = if tokens.len() < MOST { token(&text[start..]) } else { None };
            let Some((kind, length)) = next else { return Tokens { tokens, complete: false } };
            let end = start + length;
            tokens.push(Token { kind, text: &text[start..end], start, end });
            start = end;
        }
        Tokens { tokens, complete: true }
    }
}

/// The first token and its length.
fn token(text: &str) -> Option<(Kind, usize)> {
    let mut characters = text.chars();
    let (first, second) = (characters.next()?, characters.next());
    let while_ = |of: fn(char) -> bool| text.find(|c| !of(c)).unwrap_or(text.len());
    Some(match first {
        '\'' => (Kind::String, quoted(text, 0, '\'', false)?),
        'E' | 'B' | 'X' if second == Some('\'') => (Kind::String, quoted(text, 1, '\'', first == 'E')?),
        '"' => (Kind::Quoted, quoted(text, 0, '"', false)?),
        '$' if second.is_some_and(|c| c.is_ascii_digit()) => {
            let digits = text[1..].find(|c: char| !c.is_ascii_digit());
            (Kind::Parameter, digits.map_or(text.len(), |digits| digits + 1))
        }
        '0'..='9' => (Kind::Number, number(text)),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => (Kind::Number, number(text)),
        ':' if second == Some(':') => (Kind::Mark, 2),
        '(' | ')' | '[' | ']' | ',' | '.' | ':' => (Kind::Mark, 1),
        c if is_word(c) => (Kind::Word, while_(is_word)),
        c if is_operator(c) => (Kind::Operator, while_(is_operator)),
        _ => return None,
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(c)
}

/// Length up to the closing quote; a doubled quote stands for itself.
fn quoted(text: &str, open: usize, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(open + 1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && escapes {
            characters.next();
        } else if c == quote && characters.next_if(|&(_, next)| next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

fn number(text: &str) -> usize {
    let mut length = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(length) {
        let signed = matches!(byte, b'+' | b'-') && matches!(bytes[length - 1], b'e' | b'E');
        if !(byte.is_ascii_digit() || byte == b'.' || matches!(byte, b'e' | b'E') || signed) {
            break;
        }
        length += 1;
    }
    length
}
