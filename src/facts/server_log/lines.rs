//! The records of a log file one after the other, in a buffer of fixed size.

use super::csv;
use memchr::{memchr, memchr_iter};
use std::io::{self, Read};

const BUFFER: usize = 1 << 20;
/// Of a record that is larger than the buffer, so much of each field is kept, and of all of them.
const LONG_FIELD: usize = 16 * 1024;
const LONG_RECORD: usize = 512 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

/// What the bytes begin with; None: nothing that is either.
pub fn format(bytes: &[u8]) -> Option<Format> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => Some(Format::Json),
        Some(_) => Some(Format::Csv),
        None => None,
    }
}

pub struct Line<'a> {
    /// Without the line break.
    pub bytes: &'a [u8],
    /// Fields were shortened.
    pub long: bool,
    /// The file ends before the record does.
    pub last: bool,
}

/// Calls `each` with every record, and `pause` before every read.
pub fn read(
    mut source: impl Read,
    format: Format,
    mut each: impl FnMut(Line),
    mut pause: impl FnMut(),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let (mut filled, mut scan, mut long) = (0, Scan::default(), None::<Shortened>);
    loop {
        pause();
        let count = match source.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        filled += count;
        let mut begin = 0;
        while let Some(end) = scan.end(&buffer[begin..filled], format) {
            let part = &buffer[begin..begin + end];
            match long.take() {
                None => each(Line { bytes: without_break(part), long: false, last: false }),
                Some(mut record) => {
                    record.push(part);
                    each(Line { bytes: without_break(record.closed()), long: true, last: false });
                }
            }
            begin += end;
            scan = Scan::default();
        }
        if count == 0 {
            return finish(&buffer[begin..filled], format, long, each);
        }
        if long.is_some() || (begin == 0 && filled == BUFFER) {
            long.get_or_insert_with(|| Shortened::new(format)).push(&buffer[begin..filled]);
            (filled, scan.at) = (0, 0);
        } else {
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
        }
    }
}

/// What is left without a line break. Of one whose quotes are not closed only the first line is lost.
fn finish(mut rest: &[u8], format: Format, long: Option<Shortened>, mut each: impl FnMut(Line)) -> io::Result<()> {
    if let Some(mut record) = long {
        record.push(rest);
        each(Line { bytes: record.closed(), long: true, last: true });
        return Ok(());
    }
    while !rest.is_empty() {
        let end = Scan::default().end(rest, format);
        let end = end.or_else(|| memchr(b'\n', rest).map(|newline| newline + 1));
        let length = end.unwrap_or(rest.len());
        each(Line { bytes: without_break(&rest[..length]), long: false, last: end.is_none() });
        rest = &rest[length..];
    }
    Ok(())
}

fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How far a record has been looked at, and whether a quote is open there.
#[derive(Default)]
struct Scan {
    at: usize,
    quoted: bool,
}

impl Scan {
    /// Where the record that begins with `bytes` ends; None: not in them.
    fn end(&mut self, bytes: &[u8], format: Format) -> Option<usize> {
        loop {
            let newline = memchr(b'\n', &bytes[self.at..]);
            let end = newline.map_or(bytes.len(), |length| self.at + length + 1);
            if format == Format::Csv {
                // Within quotes a quote is doubled, so only whether their number is odd matters.
                self.quoted ^= memchr_iter(b'"', &bytes[self.at..end]).count() % 2 == 1;
            }
            self.at = end;
            newline?;
            if !self.quoted || csv::begins(&bytes[end..]) {
                return Some(end);
            }
        }
    }
}

/// A record with the beginnings of its fields.
struct Shortened {
    bytes: Vec<u8>,
    format: Format,
    quoted: bool,
    escaped: bool,
    /// A quote is open in what was kept.
    open: bool,
    kept: usize,
}

impl Shortened {
    fn new(format: Format) -> Shortened {
        Shortened { bytes: Vec::new(), format, quoted: false, escaped: false, open: false, kept: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.escaped => {
                    self.keep(*byte);
                    self.escaped = false;
                }
                b'\\' if self.quoted && self.format == Format::Json => self.escaped = self.keep(*byte),
                b'"' => {
                    self.quoted = !self.quoted;
                    if self.keep(*byte) {
                        self.open = !self.open;
                    }
                }
                b',' | b':' if !self.quoted => {
                    self.close();
                    self.kept = 0;
                    self.keep(*byte);
                }
                _ => {
                    self.keep(*byte);
                }
            }
        }
    }

    fn keep(&mut self, byte: u8) -> bool {
        let keeps = self.escaped || (self.kept < LONG_FIELD && self.bytes.len() < LONG_RECORD);
        if keeps {
            self.bytes.push(byte);
            self.kept += 1;
        }
        keeps
    }

    fn close(&mut self) {
        if self.open {
            self.bytes.push(b'"');
            self.open = false;
        }
    }

    fn closed(&mut self) -> &[u8] {
        self.close();
        if self.format == Format::Json && !self.bytes.trim_ascii_end().ends_with(b"}") {
            self.bytes.push(b'}');
        }
        &self.bytes
    }
}
