//! A record of jsonlog: one object of strings and numbers a line.

use super::record::{Escapes, Field, Record};
use memchr::{memchr, memchr2};

pub const BEGIN: &[u8] = b"{\"timestamp\":\"";

/// The keys after the time, whose string ends before `at`. None: it is none.
pub fn record(line: &[u8], mut at: usize) -> Option<Record<'_>> {
    let mut record = Record::default();
    loop {
        match line.get(at)? {
            b'}' => return Some(record),
            b',' => at += 1,
            _ => return None,
        }
        let key;
        (key, at) = string(line, at)?;
        if line.get(at) != Some(&b':') {
            return None;
        }
        let value;
        (value, at) = self::value(line, at + 1)?;
        match key.raw {
            b"user" => record.user = value,
            b"dbname" => record.database = value,
            b"pid" => record.pid = value,
            b"error_severity" => record.severity = value,
            b"state_code" => record.sqlstate = value,
            b"message" => record.message = value,
            b"detail" => record.detail = value,
            b"hint" => record.hint = value,
            b"context" => record.context = value,
            b"statement" => record.statement = value,
            b"application_name" => record.application = value,
            b"backend_type" => record.backend_type = value,
            b"query_id" => record.query_id = value.number(),
            _ => {}
        }
    }
}

fn value(line: &[u8], at: usize) -> Option<(Field<'_>, usize)> {
    if line.get(at) == Some(&b'"') {
        return string(line, at);
    }
    let end = at + memchr2(b',', b'}', line.get(at..)?)?;
    Some((Field { raw: &line[at..end], escapes: Escapes::None }, end))
}

/// The string that begins with the quote at `at`, and where it ends.
fn string(line: &[u8], at: usize) -> Option<(Field<'_>, usize)> {
    if line.get(at) != Some(&b'"') {
        return None;
    }
    let (start, mut from, mut escapes) = (at + 1, at + 1, Escapes::None);
    loop {
        let found = from + memchr2(b'"', b'\\', line.get(from..)?)?;
        if line[found] == b'"' {
            return Some((Field { raw: &line[start..found], escapes }, found + 1));
        }
        (from, escapes) = (found + 2, Escapes::Backslashes);
    }
}

/// Where in the line another record begins, for the one before was never finished: a quote within a string has a backslash.
pub fn later(line: &[u8]) -> Option<usize> {
    memchr(b'{', line.get(1..)?)?;
    memchr::memmem::rfind(&line[1..], BEGIN).map(|found| found + 1)
}
