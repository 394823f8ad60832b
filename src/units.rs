//! Quantities that findings speak of; each prints itself the way a DBRE would say it.

use serde::Serialize;
use std::fmt;

/// Bytes of a block, which is a page of a table or an index.
pub const BLOCK: f64 = 8192.0;
/// So many characters of a text stand in a summary.
const LINE: usize = 80;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bytes(pub u64);

impl Bytes {
    pub const KIB: u64 = 1024;
    pub const MIB: u64 = 1024 * Self::KIB;
    pub const GIB: u64 = 1024 * Self::MIB;
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(bytes: I) -> Bytes {
        Bytes(bytes.map(|b| b.0).sum())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0 as f64, "bytes");
        for larger in ["kB", "MB", "GB", "TB"] {
            if value < 1000.0 {
                break;
            }
            value /= 1024.0;
            unit = larger;
        }
        if unit == "bytes" || value >= 10.0 { write!(f, "{value:.0} {unit}") } else { write!(f, "{value:.1} {unit}") }
    }
}

/// A number of rows, scans or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Count(pub u64);

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Count>>(counts: I) -> Count {
        Count(counts.map(|c| c.0).sum())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                write!(f, ",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl Count {
    /// `1 scan`, `2 scans`, `2 processes`, `2 queries`.
    pub fn of(self, singular: &str) -> String {
        if self.0 == 1 {
            return format!("1 {singular}");
        }
        let hisses = ["s", "x", "ch", "sh"].into_iter().any(|end| singular.ends_with(end));
        match singular.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{self} {stem}ies"),
            _ if hisses => format!("{self} {singular}es"),
            _ => format!("{self} {singular}s"),
        }
    }

    /// `1 client waits`, `2 clients wait`.
    pub fn does(self, singular: &str, one: &str, many: &str) -> String {
        format!("{} {}", self.of(singular), if self.0 == 1 { one } else { many })
    }
}

/// A span of time in days.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Days(pub f64);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.0 * 24.0;
        let (value, unit) = match hours {
            hours if hours < 2.0 => (hours * 60.0, "minute"),
            hours if hours < 48.0 => (hours, "hour"),
            _ => (self.0, "day"),
        };
        f.write_str(&Count(value as u64).of(unit))
    }
}

/// `0.4 s`, `75 s`, `12 min`, `3.5 h`, `2.1 days`
pub fn duration(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// To three digits at least; of a large number the fraction says nothing.
pub fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
    (value * digits).round() / digits
}

/// To three digits, however large.
pub fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The text with its first letter in upper case.
pub fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// The beginning of a text, on one line.
pub fn on_one_line(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(LINE) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// `a, b and c`.
pub fn listing<T: fmt::Display>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.to_string(),
        [rest @ .., last] => {
            format!("{} and {last}", rest.iter().map(T::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn one_does_and_many_do() {
        assert_eq!(
            [1, 2, 1000].map(|n| Count(n).does("client", "waits", "wait")),
            ["1 client waits", "2 clients wait", "1,000 clients wait"]
        );
    }

    #[test]
    fn bytes_keep_two_digits_below_ten() {
        let shown: Vec<String> = [0, 999, 1000, 8192, 10 * Bytes::MIB, 5 * Bytes::GIB / 2]
            .into_iter()
            .map(|bytes| Bytes(bytes).to_string())
            .collect();
        assert_eq!(shown, ["0 bytes", "999 bytes", "1.0 kB", "8.0 kB", "10 MB", "2.5 GB"]);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(Count(7).to_string(), "7");
        assert_eq!(Count(123456).to_string(), "123,456");
        assert_eq!(Count(1234567).of("row"), "1,234,567 rows");
        assert_eq!(Count(1).of("row"), "1 row");
        let plurals = ["process", "index", "search", "query", "key"].map(|singular| Count(2).of(singular));
        assert_eq!(plurals, ["2 processes", "2 indexes", "2 searches", "2 queries", "2 keys"]);
    }

    #[test]
    fn days_are_hours_or_minutes_where_few() {
        let shown = [1.0 / 1440.0, 0.5, 1.9, 2.0, 93.7].map(|days| Days(days).to_string());
        assert_eq!(shown, ["1 minute", "12 hours", "45 hours", "2 days", "93 days"]);
    }

    #[test]
    fn listings_end_with_and() {
        assert_eq!(listing::<&str>(&[]), "");
        assert_eq!(listing(&["a"]), "a");
        assert_eq!(listing(&["a", "b", "c"]), "a, b and c");
    }
}
