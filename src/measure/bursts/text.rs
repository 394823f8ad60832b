//! A statement's text: without its constants and comments, and the tags in them. Pure: no server in it.

use serde_json::{Map, Value};

const MOST_TAGS: usize = 16;
const MOST_TAG_BYTES: usize = 128;

/// The part of the client's string that one statement is; `length` 0 is all that follows.
pub fn part(source: &[u8], location: i32, length: i32) -> &[u8] {
    let begin = usize::try_from(location).unwrap_or(0).min(source.len());
    let rest = &source[begin..];
    match usize::try_from(length) {
        Ok(length) if length > 0 => &rest[..length.min(rest.len())],
        _ => rest,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Space,
    Comment,
    Constant,
    Parameter,
    /// Identifiers, keywords, operators.
    Other,
}

/// Splits SQL as the server's lexer does, as far as constants and comments go.
struct Tokens<'a> {
    rest: &'a [u8],
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn count(text: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| holds(**byte)).count()
}

/// The length of what is quoted by `quote`, which `text` begins with; a doubled one is in it.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    text.len()
}

fn dollar_quoted(text: &[u8]) -> Option<usize> {
    let tag = 1 + count(&text[1..], |byte| starts_name(byte) || byte.is_ascii_digit());
    if text.get(tag) != Some(&b'$') || text[1].is_ascii_digit() {
        return None;
    }
    let mark = &text[..=tag];
    let end = text[mark.len()..].windows(mark.len()).position(|window| window == mark);
    Some(end.map_or(text.len(), |end| end + 2 * mark.len()))
}

/// Digits, hexadecimal ones, a fraction, an exponent.
fn number(text: &[u8]) -> usize {
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] = text {
        return 2 + count(&text[2..], |byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    let mut at = count(text, |byte| byte.is_ascii_digit() || byte == b'_');
    if text.get(at) == Some(&b'.') {
        at += 1 + count(&text[at + 1..], |byte| byte.is_ascii_digit() || byte == b'_');
    }
    if let [b'e' | b'E', exponent @ ..] = &text[at..] {
        let sign = count(&exponent[..exponent.len().min(1)], |byte| byte == b'+' || byte == b'-');
        let digits = count(&exponent[sign..], |byte| byte.is_ascii_digit());
        at += if digits > 0 { 1 + sign + digits } else { 0 };
    }
    at
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Kind, &'a [u8]);

    fn next(&mut self) -> Option<(Kind, &'a [u8])> {
        let text = self.rest;
        let (kind, length) = match *text.first()? {
            byte if byte.is_ascii_whitespace() => (Kind::Space, count(text, |byte| byte.is_ascii_whitespace())),
            b'-' if text.starts_with(b"--") => (Kind::Comment, count(text, |byte| byte != b'\n')),
            b'/' if text.starts_with(b"/*") => (Kind::Comment, comment(text)),
            b'\'' => (Kind::Constant, quoted(text, b'\'', false)),
            b'"' => (Kind::Other, quoted(text, b'"', false)),
            b'$' if text.get(1).is_some_and(u8::is_ascii_digit) => {
                (Kind::Parameter, 1 + count(&text[1..], |byte| byte.is_ascii_digit()))
            }
            b'$' => dollar_quoted(text).map_or((Kind::Other, 1), |length| (Kind::Constant, length)),
            byte if byte.is_ascii_digit() => (Kind::Constant, number(text)),
            b'.' if text.get(1).is_some_and(u8::is_ascii_digit) => (Kind::Constant, number(text)),
            byte if starts_name(byte) => {
                let name = count(text, continues_name);
                match (&text[..name], text.get(name)) {
                    (b"e" | b"E", Some(b'\'')) => (Kind::Constant, name + quoted(&text[name..], b'\'', true)),
                    (b"b" | b"B" | b"x" | b"X" | b"n" | b"N", Some(b'\'')) => {
                        (Kind::Constant, name + quoted(&text[name..], b'\'', false))
                    }
                    _ => (Kind::Other, name),
                }
            }
            _ => (Kind::Other, 1),
        };
        let (token, rest) = text.split_at(length.min(text.len()));
        self.rest = rest;
        Some((kind, token))
    }
}

/// What `PREPARE name (types) AS` prepares; else all of it.
fn prepared(sql: &[u8]) -> &[u8] {
    let mut tokens = Tokens { rest: sql };
    let mut word =
        || tokens.find(|(kind, _)| !matches!(kind, Kind::Space | Kind::Comment)).map(|(_, token)| (token, tokens.rest));
    if !word().is_some_and(|(first, _)| first.eq_ignore_ascii_case(b"prepare")) {
        return sql;
    }
    let mut depth = 0;
    while let Some((token, rest)) = word() {
        match token {
            b"(" => depth += 1,
            b")" => depth -= 1,
            _ if depth == 0 && token.eq_ignore_ascii_case(b"as") => return rest,
            _ => {}
        }
    }
    sql
}

/// Constants as further parameters, no comments, single spaces; `most` bytes at most, cut between characters.
pub fn normalized(sql: &[u8], most: usize) -> String {
    let sql = prepared(sql);
    let parameter = |token: &[u8]| std::str::from_utf8(&token[1..]).ok()?.parse::<u32>().ok();
    let numbers = Tokens { rest: sql }.filter(|(kind, _)| *kind == Kind::Parameter);
    let mut last = numbers.filter_map(|(_, token)| parameter(token)).max().unwrap_or(0);
    let mut out = Vec::with_capacity(most.min(sql.len()) + 16);
    let mut space = false;
    for (kind, token) in (Tokens { rest: sql }) {
        if matches!(kind, Kind::Space | Kind::Comment) {
            space = true;
            continue;
        }
        if token == b";" {
            continue;
        }
        if std::mem::take(&mut space) && !out.is_empty() {
            out.push(b' ');
        }
        if kind == Kind::Constant {
            last = last.saturating_add(1);
            out.extend_from_slice(format!("${last}").as_bytes());
        } else {
            out.extend_from_slice(token);
        }
        if out.len() > most {
            break;
        }
    }
    shortened(&String::from_utf8_lossy(&out), most).to_string()
}

/// At most so many bytes of it, whole characters.
pub fn shortened(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// sqlcommenter's (`key='value'`), or query log tags of Rails (`key:value`), from the last comment that has some.
pub fn tags(sql: &[u8]) -> Map<String, Value> {
    let comments = Tokens { rest: sql }.filter(|(kind, token)| *kind == Kind::Comment && token.starts_with(b"/*"));
    comments.map(|(_, comment)| tags_of(comment)).filter(|tags| !tags.is_empty()).last().unwrap_or_default()
}

/// As JSON of so many bytes at most: the last ones are left out.
pub fn printed_tags(mut tags: Map<String, Value>, most: usize) -> String {
    loop {
        let printed = Value::Object(tags.clone()).to_string();
        let Some(last) = tags.keys().next_back().cloned() else { return printed };
        if printed.len() <= most {
            return printed;
        }
        tags.remove(&last);
    }
}

fn tags_of(comment: &[u8]) -> Map<String, Value> {
    let inner = comment.strip_prefix(b"/*").unwrap_or(comment);
    let inner = String::from_utf8_lossy(inner.strip_suffix(b"*/").unwrap_or(inner)).into_owned();
    let mut tags = Map::new();
    for pair in inner.trim().split(',').take(MOST_TAGS) {
        let quoted = pair
            .split_once('=')
            .and_then(|(key, value)| Some((key, value.trim().strip_prefix('\'')?.strip_suffix('\'')?)));
        let Some((key, value)) = quoted.or_else(|| pair.split_once(':')) else { return Map::new() };
        let (key, value) = (decoded(key.trim()), decoded(&value.trim().replace("\\'", "'")));
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if key.is_empty() || !key.chars().all(plain) {
            return Map::new();
        }
        tags.insert(shortened(&key, MOST_TAG_BYTES).to_string(), shortened(&value, MOST_TAG_BYTES).into());
    }
    tags
}

/// Without URL encoding; without the characters that a jsonb value cannot have.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).replace('\0', "")
}

/// Of the trace that a statement is of, by the tag `traceparent`: version, trace, parent, flags; 0: none. Run at every execution.
pub fn trace_hash(sql: &[u8]) -> u64 {
    const TAG: &[u8] = b"traceparent='";
    if !commented(sql) {
        return 0;
    }
    let tag = sql.windows(TAG.len()).rposition(|window| window == TAG);
    let id = tag.and_then(|at| sql.get(at + TAG.len() + 3..at + TAG.len() + 35));
    id.map_or(0, |id| hash_bytes(id, 1))
}

/// There may be tags in it.
pub fn commented(sql: &[u8]) -> bool {
    sql.starts_with(b"/*") || sql.ends_with(b"*/")
}

/// Of the text without a comment before or after it, which differs between requests. Run at every execution.
pub fn hash(sql: &[u8]) -> u64 {
    let before = if sql.starts_with(b"/*") { comment(sql) } else { 0 };
    let after = sql.ends_with(b"*/").then(|| sql.windows(2).rposition(|two| two == b"/*")).flatten();
    hash_bytes(&sql[before..after.unwrap_or(sql.len()).max(before)], 0)
}

pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = words.iter().fold(seed ^ bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    mix(hash, u64::from_le_bytes(last))
}

pub fn mix(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ value ^ 0x9E37_79B9_7F4A_7C15) * u128::from(0xD6E8_FEB8_6659_FD93_u64 ^ hash);
    (product >> 64) as u64 ^ product as u64
}
