//! One message of the log, still as the file has it: only what is asked for is decoded.

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    pub user: Field<'a>,
    pub database: Field<'a>,
    pub pid: Field<'a>,
    pub severity: Field<'a>,
    /// Empty: 00000.
    pub sqlstate: Field<'a>,
    pub message: Field<'a>,
    pub detail: Field<'a>,
    pub hint: Field<'a>,
    pub context: Field<'a>,
    pub statement: Field<'a>,
    pub application: Field<'a>,
    pub backend_type: Field<'a>,
    /// 0: none.
    pub query_id: i64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a> {
    pub raw: &'a [u8],
    pub escapes: Escapes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escapes {
    #[default]
    None,
    /// A quote is doubled.
    Quotes,
    /// As JSON has it.
    Backslashes,
}

/// No more of a text is looked at.
pub const MOST_TEXT: usize = 8 * 1024;

impl<'a> Field<'a> {
    pub fn is(self, text: &str) -> bool {
        self.raw == text.as_bytes()
    }

    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// What follows the first `bytes`, which hold no escape.
    pub fn after(self, bytes: usize) -> Field<'a> {
        Field { raw: &self.raw[bytes..], ..self }
    }

    /// Decoded, `most` bytes of it, without what PostgreSQL cannot hold; whether all of it was UTF-8.
    pub fn text(self, most: usize) -> (String, bool) {
        let raw = &self.raw[..self.raw.len().min(most)];
        let cut = raw.len() < self.raw.len();
        let bytes = match self.escapes {
            Escapes::None => Cow::Borrowed(raw),
            Escapes::Quotes => undoubled(raw),
            Escapes::Backslashes => unescaped(raw),
        };
        let (mut text, valid) = match std::str::from_utf8(&bytes) {
            Ok(text) => (text.to_string(), true),
            // A character that the limit has cut.
            Err(error) if cut && error.error_len().is_none() => {
                (String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(), true)
            }
            Err(_) => (String::from_utf8_lossy(&bytes).into_owned(), false),
        };
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        (text, valid)
    }

    pub fn number(self) -> i64 {
        std::str::from_utf8(self.raw).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

fn undoubled(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'"', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        bytes.extend_from_slice(&rest[..=quote]);
        rest = &rest[quote + 1..];
        rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    }
    bytes.extend_from_slice(rest);
    Cow::Owned(bytes)
}

fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(escape) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..escape]);
        let (byte, length) = match rest.get(escape + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            // The server escapes control characters so, and nothing else.
            Some(b'u') => {
                let digits = rest.get(escape + 2..escape + 6).and_then(|digits| std::str::from_utf8(digits).ok());
                (digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b'?'), 6)
            }
            Some(other) => (*other, 2),
            None => break,
        };
        bytes.push(byte);
        rest = rest.get(escape + length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest);
    Cow::Owned(bytes)
}

#[cfg(test)]
mod unit_tests {
    use super::{Escapes, Field};

    fn text(raw: &[u8], escapes: Escapes, most: usize) -> (String, bool) {
        Field { raw, escapes }.text(most)
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(text(b"a \"\"b\"\"", Escapes::Quotes, 100).0, "a \"b\"");
        assert_eq!(text(b"a \\\"b\\\"\\n\\u0001\\\\", Escapes::Backslashes, 100).0, "a \"b\"\n\u{1}\\");
        assert_eq!(text(b"a\\u00", Escapes::Backslashes, 100).0, "a?");
    }

    #[test]
    fn what_is_no_utf8_is_told() {
        assert_eq!(text(b"gr\xfcn", Escapes::None, 100), ("gr\u{fffd}n".to_string(), false));
        assert_eq!(text("grün".as_bytes(), Escapes::None, 3), ("gr".to_string(), true));
        assert_eq!(text(b"a\0b", Escapes::None, 100).0, "a\u{fffd}b");
    }
}
