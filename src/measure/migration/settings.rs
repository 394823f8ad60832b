//! Settings that a migration makes and that matter to its review.

use crate::db;
use crate::facts::migration::statement::Set;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// None: it waits for ever.
    pub lock_timeout: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    pub search_path: String,
    pub role: String,
    /// None: as the session has it.
    pub time_zone: Option<String>,
}

impl Settings {
    /// What is in force now, and what RESET goes back to.
    pub fn read(search_path: &str) -> (Settings, Settings) {
        let read = db::read(include_str!("../../../sql/facts/migration/session.sql"), &[], |row| {
            let mut timeout =
                || Some(row.take::<i64>()).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms as u64));
            let (lock, lock_reset, statement, statement_reset) = (timeout(), timeout(), timeout(), timeout());
            let role: String = row.take();
            let of = |lock_timeout, statement_timeout| Settings {
                lock_timeout,
                statement_timeout,
                search_path: search_path.to_string(),
                role: role.clone(),
                time_zone: None,
            };
            (of(lock, statement), of(lock_reset, statement_reset))
        });
        read.into_iter().next().expect("aggregates return a row")
    }

    /// `reset`: what a value of None goes back to.
    pub fn set(&mut self, set: &Set, reset: &Settings) {
        match (set.name.as_str(), &set.value) {
            ("lock_timeout", Some(value)) => {
                self.lock_timeout = duration(value).unwrap_or(self.lock_timeout);
            }
            ("lock_timeout", None) => self.lock_timeout = reset.lock_timeout,
            ("statement_timeout", Some(value)) => {
                self.statement_timeout = duration(value).unwrap_or(self.statement_timeout);
            }
            ("statement_timeout", None) => self.statement_timeout = reset.statement_timeout,
            ("search_path", Some(value)) => self.search_path = value.clone(),
            ("search_path", None) => self.search_path = reset.search_path.clone(),
            ("timezone", zone) => self.time_zone = zone.clone().or_else(|| reset.time_zone.clone()),
            ("role" | "session_authorization", Some(role)) if role != "none" => self.role = role.clone(),
            ("role" | "session_authorization", _) => self.role = reset.role.clone(),
            // RESET ALL leaves the role as it is.
            ("all", _) => *self = Settings { role: self.role.clone(), ..reset.clone() },
            _ => {}
        }
    }
}

/// A setting's text, in milliseconds unless it says so. None: the server would refuse it. Some(None): switched off.
fn duration(text: &str) -> Option<Option<Duration>> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let ms = match text[end..].trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let ms = (number * ms).round();
    Some((ms > 0.0).then(|| Duration::from_millis(ms as u64)))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_or_have_a_unit() {
        let ms = |text| duration(text).map(|duration| duration.map_or(0, |duration| duration.as_millis()));
        assert_eq!(
            ["5s", "200", " 2min ", "0", "1.5 s", "-1", "5 sec"].map(ms),
            [Some(5000), Some(200), Some(120_000), Some(0), Some(1500), None, None]
        );
    }
}
