//! A record of csvlog.

use super::record::{Escapes, Field, Record};
use super::time;
use memchr::memchr;

/// PostgreSQL 12 has 23 columns, 13 has 24, from 14 on there are 26; what a later one appends is not looked at.
const MOST_COLUMNS: usize = 26;
const LEAST_COLUMNS: usize = 23;

/// The columns after the time, which ends at `at`. None: it is none.
pub fn record(line: &[u8], mut at: usize) -> Option<Record<'_>> {
    let mut columns = [Field::default(); MOST_COLUMNS];
    let mut count = 1;
    while line.get(at) == Some(&b',') && count < MOST_COLUMNS {
        (columns[count], at) = field(line, at + 1)?;
        count += 1;
    }
    if count < LEAST_COLUMNS || columns[12].raw.len() != 5 {
        return None;
    }
    Some(Record {
        user: columns[1],
        database: columns[2],
        pid: columns[3],
        severity: columns[11],
        sqlstate: columns[12],
        message: columns[13],
        detail: columns[14],
        hint: columns[15],
        context: columns[18],
        statement: columns[19],
        application: columns[22],
        backend_type: columns[23],
        query_id: columns[25].number(),
    })
}

/// The field, and where it ends.
fn field(line: &[u8], at: usize) -> Option<(Field<'_>, usize)> {
    if line.get(at) != Some(&b'"') {
        let end = memchr(b',', &line[at..]).map_or(line.len(), |length| at + length);
        return Some((Field { raw: &line[at..end], escapes: Escapes::None }, end));
    }
    let (start, mut from, mut escapes) = (at + 1, at + 1, Escapes::None);
    loop {
        let quote = from + memchr(b'"', &line[from..])?;
        if line.get(quote + 1) != Some(&b'"') {
            return Some((Field { raw: &line[start..quote], escapes }, quote + 1));
        }
        (from, escapes) = (quote + 2, Escapes::Quotes);
    }
}

/// A client's record begins here: time, user, database, process, host, session. Within a quoted text it could not, for there
/// the quotes of user and database are doubled.
pub fn begins(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit) && has_head(text).is_some()
}

fn has_head(text: &[u8]) -> Option<()> {
    let (_, mut at) = time::head(text)?;
    for _ in ["user", "database"] {
        let name;
        at = separated(text, at)?;
        let quoted = text.get(at) == Some(&b'"');
        (name, at) = field(text, at)?;
        if !quoted || name.is_empty() || name.escapes != Escapes::None {
            return None;
        }
    }
    let (pid, at) = field(text, separated(text, at)?)?;
    let (_, at) = field(text, separated(text, at)?)?;
    let (session, at) = field(text, separated(text, at)?)?;
    let is_session = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'.';
    let fits = !pid.is_empty() && pid.raw.iter().all(u8::is_ascii_digit) && session.raw.iter().all(is_session);
    (fits && !session.is_empty() && text.get(at) == Some(&b',')).then_some(())
}

/// After the comma.
fn separated(text: &[u8], at: usize) -> Option<usize> {
    (text.get(at) == Some(&b',')).then_some(at + 1)
}
