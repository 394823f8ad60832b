//! When a message was logged: local time with the abbreviation of a time zone.

use crate::db::{self, guarded, with_settings};
use crate::facts::calendar::days;
use std::ffi::CString;

/// `2026-11-21 16:33:17.123`
const DIGITS: usize = 23;
pub const MS_PER_DAY: i64 = 86_400_000;

/// The local time in ms since 1970, and where the abbreviation after it ends.
pub fn head(text: &[u8]) -> Option<(i64, usize)> {
    let digits = text.get(..DIGITS)?;
    let two = |at: usize| -> Option<i64> {
        let (tens, ones) = (digits[at].wrapping_sub(b'0'), digits[at + 1].wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then_some(i64::from(tens * 10 + ones))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':'), (19, b'.')];
    if separators.iter().any(|(at, separator)| digits[*at] != *separator) || text.get(DIGITS) != Some(&b' ') {
        return None;
    }
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let seconds = (two(11)? * 60 + two(14)?) * 60 + two(17)?;
    let ms = two(20)? * 10 + i64::from(digits[22].wrapping_sub(b'0').min(9));
    let zone = text[DIGITS + 1..].iter().take(40).position(|byte| matches!(byte, b',' | b'"'))?;
    (zone > 0 && (1..=12).contains(&month) && (1..=31).contains(&day))
        .then_some((days(year, month, day) * MS_PER_DAY + seconds * 1000 + ms, DIGITS + 1 + zone))
}

/// The abbreviation of a time that `head` has read.
pub fn zone(text: &[u8], end: usize) -> &[u8] {
    &text[DIGITS + 1..end]
}

/// `2026-11-21 16:33:17 UTC`
pub fn shown(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(MS_PER_DAY), ms.rem_euclid(MS_PER_DAY) / 1000);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let of_era_year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = of_era_year + era * 400 + next;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Abbreviations of time zones and what they are behind UTC in ms, as the server says.
#[derive(Debug, Default)]
pub struct Zones {
    log_timezone: String,
    known: Vec<(Vec<u8>, i64)>,
    pub unknown: Vec<String>,
}

impl Zones {
    pub fn new(log_timezone: String) -> Zones {
        Zones { log_timezone, ..Zones::default() }
    }

    /// In ms since 1970, in UTC.
    pub fn utc(&mut self, local: i64, zone: &[u8]) -> i64 {
        if let Some((_, offset)) = self.known.iter().find(|(known, _)| known == zone) {
            return local - offset;
        }
        let name = String::from_utf8_lossy(zone).replace('\0', "\u{fffd}");
        let offset = match name.as_str() {
            "UTC" | "GMT" | "Etc/UTC" | "Z" => Some(0),
            _ => self.in_log_timezone(local, &name).or_else(|| of_abbreviation(local, &name)),
        };
        // A file of garbage has as many zones as lines.
        if offset.is_none() && self.unknown.len() < 10 {
            self.unknown.push(name);
        }
        if self.known.len() < 1000 {
            self.known.push((zone.to_vec(), offset.unwrap_or(0)));
        }
        local - offset.unwrap_or(0)
    }

    /// The setting says more than the abbreviation, where they agree: IST is in India, in Israel and in Ireland.
    fn in_log_timezone(&self, local: i64, name: &str) -> Option<i64> {
        let timezone = CString::new(self.log_timezone.as_str()).ok()?;
        let read = guarded(|| {
            with_settings(&[(c"timezone", &timezone)], || {
                let sql = "select pg_catalog.to_char($1::timestamptz, 'TZ'), extract(epoch from $1::timestamptz)::int8 * 1000";
                db::read(sql, &[local_text(local).into()], |row| (row.take::<String>(), row.take::<i64>()))
            })
        });
        let (abbreviation, utc) = read.ok()?.pop()?;
        (abbreviation == name).then_some(rounded(local, utc))
    }
}

fn of_abbreviation(local: i64, name: &str) -> Option<i64> {
    let text = format!("{} {name}", local_text(local));
    let sql = "select extract(epoch from $1::timestamptz)::int8 * 1000";
    let read = guarded(|| db::read(sql, &[text.into()], |row| row.take::<i64>()));
    Some(rounded(local, read.ok()?.pop()?))
}

fn local_text(local: i64) -> String {
    shown(local).trim_end_matches(" UTC").to_string()
}

/// Offsets are whole minutes; the text that was asked about has no fraction of a second.
fn rounded(local: i64, utc: i64) -> i64 {
    (local.div_euclid(1000) * 1000 - utc).div_euclid(60_000) * 60_000
}

#[cfg(test)]
mod unit_tests {
    use super::{head, shown};

    #[test]
    fn times_are_read_and_shown() {
        for text in ["1970-01-01 00:00:00", "2000-02-29 23:59:59", "2026-11-21 16:33:17", "2100-03-01 00:00:01"] {
            let line = format!("{text}.123 UTC,\"a\"");
            let (ms, end) = head(line.as_bytes()).unwrap();
            assert_eq!((shown(ms), ms % 1000, end), (format!("{text} UTC"), 123, 27));
        }
        for text in
            ["", "2026-11-21 16:33:17", "2026-11-21 16:33:17.123,", "2026-13-21 16:33:17.123 UTC,", "ERROR:  no"]
        {
            assert!(head(text.as_bytes()).is_none(), "{text}");
        }
    }
}
